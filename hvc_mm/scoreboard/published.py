"""Published scores, to be shown next to a run's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

from hvc_mm.engine.check_config import fits, in_words
from hvc_mm.engine.config_file import load_values
from hvc_mm.utils.config_root import config_root

__all__ = ['Published', 'read_published']

_KINDS: Dict[str, Any] = {
    'backbone': str,
    'benchmark': str,
    'protocol': Optional[str],
    'scores': Dict[str, float],
    'source': str,
}


class Published(NamedTuple):
    """Scores that a publication gives.

    Attributes:
        backbone: The method or network, in the publication's words.
        benchmark: Name of the benchmark.
        protocol: Name of the protocol, or None where it is not known.
        scores: In percent, by head.
        source: Where they are published: arXiv number and place.
    """

    backbone: str
    benchmark: str
    protocol: Optional[str]
    scores: Dict[str, float]
    source: str


def read_published(path: Optional[Path] = None) -> List[Published]:
    """Read the published scores.

    Args:
        path: A YAML file whose ``published`` is a list of the fields above;
            by default ``configs/published.yml``.

    Raises:
        ValueError: A field is missing, unknown or of another type; with the
            file's name.
    """
    path = config_root() / 'published.yml' if path is None else path
    entries = load_values(str(path)).get('published')
    if not fits(entries, List[dict]):
        raise ValueError(
            f'{path}: published is {entries!r:.60}; expected a list of dicts'
        )
    found = []
    for number, entry in enumerate(entries, start=1):
        where = f'{path}: entry {number}'
        unknown = sorted(set(entry) - set(_KINDS))
        if unknown:
            raise ValueError(
                f'{where} has {unknown}; expected {", ".join(_KINDS)}'
            )
        for name, kind in _KINDS.items():
            if not fits(entry.get(name), kind):
                raise ValueError(
                    f'{where}: {name} is {entry.get(name)!r:.60}; expected '
                    f'{in_words(kind)}'
                )
        found.append(Published(*(entry.get(name) for name in _KINDS)))
    return found
