"""The result of a run: what it holds, how it is read, what is damaged.

``result.json`` has one run, ``scoreboard.json`` a list of them.
`docs/scoreboard.md` describes the fields.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Set, Union

from hvc_mm.engine.check_config import fits, in_words
from hvc_mm.utils.files import read_text

__all__ = [
    'FORMAT',
    'check_result',
    'read_entries',
    'read_object',
    'read_result',
    'refuse_older',
]

# Grows when a field changes its meaning or its place.
FORMAT = 2
# What a result has, by name.
_FIELDS: Dict[str, Any] = {
    'backbone': {
        'name': str,
        'title': str,
        'config': dict,
        'weights': Dict[str, str],
        'channels': int,
        'stride': float,
        'parameters': int,
    },
    'benchmark': {
        'name': str,
        'title': str,
        'headline': str,
        'counts': Dict[str, int],
        'whole': Dict[str, Union[str, int]],
        'fingerprint': str,
    },
    'protocol': {
        'name': Optional[str],
        'text': str,
        'model': {
            'propagator': dict,
            'codec': dict,
            'data_preprocessor': dict,
            'warmup_zero_image': Optional[List[int]],
            'feature_stride': Optional[int],
        },
        'frames': dict,
        'input_size': Optional[List[int]],
    },
    'key': str,
    'unit': str,
    'scores': Dict[str, float],
    'sequences': Dict[str, Dict[str, float]],
    'pooled': Optional[Dict[str, Any]],
    'curves': Dict[str, List[float]],
    'seconds_per_frame': Optional[float],
    'seed': Optional[int],
    'versions': Dict[str, Union[str, int]],
    'strips': Optional[str],
}


def check_result(found: Mapping[str, Any], where: str) -> None:
    """Make sure that a result has all of its fields.

    Args:
        found: What was read.
        where: From which file, for the error.

    Raises:
        ValueError: It is of another format or unit, a field is missing or of
            another type, or a score is no percentage.
    """
    if found.get('format') != FORMAT:
        raise ValueError(
            f'{where}: format is {found.get("format")!r:.60}; expected '
            f'{FORMAT}: earlier versions wrote others, score it again'
        )
    _check_fields(found, _FIELDS, f'{where}: ')
    if found['unit'] != 'percent':
        raise ValueError(
            f"{where}: unit is {found['unit']!r}; expected 'percent'"
        )
    whole, versions = found['benchmark']['whole'], found['versions']
    _check_texts(whole, {'name'}, f'{where}: benchmark.whole.')
    _check_texts(versions, {*versions} - {'threads'}, f'{where}: versions.')
    headline = found['benchmark']['headline']
    if headline not in found['scores']:
        raise ValueError(f'{where}: scores has no {headline}')
    several = [found['scores'], *found['sequences'].values()]
    for figures in several:
        wrong = {k: v for k, v in figures.items() if not 0 <= v <= 100}
        if wrong:
            raise ValueError(f'{where}: {wrong} are no percentages')
    if found['pooled'] is not None:
        _check_pooled(found['pooled'], set(found['scores']), where)


def _check_fields(
    found: Mapping[str, Any], fields: Mapping[str, Any], where: str
) -> None:
    for name, kind in fields.items():
        if name not in found:
            raise ValueError(f'{where}{name} is missing')
        value = found[name]
        expected = dict if isinstance(kind, dict) else kind
        if not fits(value, expected):
            raise ValueError(
                f'{where}{name} is {value!r:.60}; expected '
                f'{in_words(expected)}'
            )
        if isinstance(kind, dict):
            _check_fields(value, kind, f'{where}{name}.')


def _check_texts(
    values: Mapping[str, Any], texts: Set[str], where: str
) -> None:
    """Make sure that some values are texts and the others whole numbers."""
    kinds = {key: str if key in texts else int for key in values}
    _check_fields(values, kinds, where)


def _check_pooled(
    pooled: Mapping[str, Any], heads: Set[str], where: str
) -> None:
    fields = {'of_nothing': Optional[float], 'videos': Dict[str, dict]}
    _check_fields(pooled, fields, f'{where}: pooled.')
    share = {
        'numerators': Dict[str, List[float]],
        'denominators': List[float],
    }
    lengths = set()
    for name, video in pooled['videos'].items():
        _check_fields(video, share, f'{where}: pooled.videos.{name}.')
        if set(video['numerators']) != heads:
            raise ValueError(
                f'{where}: pooled.videos.{name} has {[*video["numerators"]]}; '
                f'expected {sorted(heads)}'
            )
        several = (video['denominators'], *video['numerators'].values())
        lengths.update(map(len, several))
    if len(lengths) != 1:
        raise ValueError(
            f'{where}: pooled.videos has lists of {sorted(lengths)} numbers; '
            'expected one length'
        )


def read_result(path: Path, same: Mapping[str, Any]) -> Dict[str, Any]:
    """Read the result of a run.

    Args:
        path: A ``result.json``.
        same: The fields that have to have these values; dots lead into
            nested ones.

    Raises:
        ValueError: The file is damaged, or is the result of another run or
            in another format or unit; with its name.
    """
    found = read_object(path)
    check_result(found, str(path))
    for name, value in same.items():
        field: Any = found
        for key in name.split('.'):
            field = field[key]
        if field != value:
            raise ValueError(
                f'{path}: {name} is {field!r}; expected {value!r}'
            )
    return found


def refuse_older(path: Path) -> None:
    """Refuse to go on with the report of an earlier version.

    Args:
        path: Where the ``scoreboard.json`` will be.

    Raises:
        ValueError: The one that is there is of another format.
    """
    if path.is_file():
        found = read_object(path).get('format')
        if found != FORMAT:
            raise ValueError(
                f'{path} is of an earlier version (format {found}, expected '
                f'{FORMAT}): its results are not mixed with new ones; give '
                'the report another folder'
            )


def read_entries(folder: Path, names: List[str]) -> Dict[str, dict]:
    """Read one JSON file a video; damaged ones are told and left out."""
    found = {}
    for name in names:
        path = folder / f'{name}.json'
        if path.is_file():
            try:
                found[name] = read_object(path)
            except ValueError as error:
                print(f'{error}: {name} is done again', flush=True)
    return found


def read_object(path: Path) -> Dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: The file is damaged or holds something else; with its name.
    """
    try:
        found = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path} is damaged: {error}') from error
    if not isinstance(found, dict):
        raise ValueError(f'{path} holds {found!r:.60}; expected a JSON object')
    return found
