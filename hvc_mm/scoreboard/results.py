"""Read what earlier runs of a scoreboard left, and notice what is damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Union

from hvc_mm.engine.check_config import fits, in_words
from hvc_mm.utils.files import read_text

__all__ = ['read_entries', 'read_result']

# What a result.json has, by name.
_FIELDS: Dict[str, Any] = {
    'backbone': str,
    'benchmark': str,
    'key': str,
    'unit': str,
    'scores': Dict[str, float],
    'sequences': Dict[str, float],
    'curves': Dict[str, List[float]],
    'seconds_per_frame': Optional[float],
    'protocol': str,
    'input_size': Optional[List[int]],
    'counts': Dict[str, int],
    'whole': Dict[str, Union[str, int]],
    'weights': Dict[str, str],
    'seed': Optional[int],
    'ran_with': str,
}


def read_result(path: Path, same: Mapping[str, str]) -> Dict[str, Any]:
    """Read the result of a backbone on a benchmark.

    Args:
        path: A ``result.json``.
        same: The fields that have to have these values.

    Raises:
        ValueError: The file is damaged, or is the result of another run or
            in another unit; with its name.
    """
    found = _read_object(path)
    for name, kind in _FIELDS.items():
        if not fits(found.get(name), kind):
            raise ValueError(
                f'{path}: {name} is {found.get(name)!r:.60}; expected '
                f'{in_words(kind)}'
            )
    for name, value in {**same, 'unit': 'percent'}.items():
        if found[name] != value:
            raise ValueError(
                f'{path}: {name} is {found[name]!r}; expected {value!r}'
            )
    figures = {**found['scores'], **found['sequences']}
    wrong = [name for name, v in figures.items() if not 0 <= v <= 100]
    if wrong or not found['scores']:
        raise ValueError(f'{path}: no percentages of {wrong or "anything"}')
    return found


def read_entries(folder: Path, names: List[str]) -> Dict[str, dict]:
    """Read one JSON file a video; damaged ones are told and left out."""
    found = {}
    for name in names:
        path = folder / f'{name}.json'
        if path.is_file():
            try:
                found[name] = _read_object(path)
            except ValueError as error:
                print(f'{error}: {name} is done again', flush=True)
    return found


def _read_object(path: Path) -> Dict[str, Any]:
    try:
        found = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path} is damaged: {error}') from error
    if not isinstance(found, dict):
        raise ValueError(f'{path} holds {found!r:.60}; expected a JSON object')
    return found
