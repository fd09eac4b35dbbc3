"""Join the runs of several reports, and refuse what does not fit."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

from hvc_mm.engine.hooks.protocol_log_hook import counts_of_total

from .report import Names, in_words
from .results import FORMAT, check_result, read_object

__all__ = ['Report', 'merge_runs', 'read_report', 'tell_differences']


class Report(NamedTuple):
    """Runs, and the file that they are from."""

    path: Path
    runs: List[Dict[str, Any]]


def read_report(text: str) -> Report:
    """Read a report or a single run.

    Args:
        text: ``[NAME=]PATH``: a ``scoreboard.json``, a ``result.json``, or a
            folder that has one of them. With a name, the report's backbone
            is called so; of several each is called ``NAME-<backbone>``.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged, or of another format; with its name.
    """
    name, _, rest = text.partition('=')
    # A path may well hold a `=` itself.
    named = bool(rest) and not Path(text).exists()
    path = Path(rest if named else text)
    for inner in ('scoreboard.json', 'result.json'):
        if (path / inner).is_file():
            path = path / inner
    if not path.is_file():
        raise FileNotFoundError(
            f'there is no report {path}; expected a scoreboard.json, a '
            'result.json, or a folder with one of them'
        )
    runs = _read_runs(path)
    several = len({run['backbone']['name'] for run in runs}) > 1
    for run in runs if named else ():
        own = run['backbone']['name']
        run['backbone']['name'] = f'{name}-{own}' if several else name
    return Report(path, runs)


def _read_runs(path: Path) -> List[Dict[str, Any]]:
    found = read_object(path)
    runs = found.get('runs', [found])
    if found.get('format') != FORMAT or not isinstance(runs, list):
        raise ValueError(
            f'{path}: format is {found.get("format")!r:.60}; expected '
            f'{FORMAT}: earlier versions wrote others, score it again'
        )
    for number, run in enumerate(runs):
        where = f'{path}, run {number}' if 'runs' in found else str(path)
        if not isinstance(run, dict):
            raise ValueError(f'{where} is no run but {run!r:.60}')
        check_result(run, where)
    return runs


def merge_runs(reports: Sequence[Report]) -> List[Dict[str, Any]]:
    """Join the runs of several reports, each once.

    Args:
        reports: In the order that their backbones are to have.

    Returns:
        list: Runs without their pictures, which stay where they are.

    Raises:
        ValueError: Two runs of one name are of different weights, data or
            settings, or have the same setting and different scores; all such
            pairs are told, a line each.
    """
    kept: Dict[Names, Tuple[Path, Dict[str, Any]]] = {}
    refused = []
    for report in reports:
        for run in report.runs:
            parts = ('backbone', 'benchmark', 'protocol')
            names: Names = tuple(run[part]['name'] for part in parts)
            path, other = kept.setdefault(names, (report.path, run))
            reason = _why_different(run, other)
            if reason is not None:
                refused.append(
                    f'{in_words(names)}: {path} and {report.path} have '
                    f'{reason}'
                )
    _refuse_weights(kept, refused)
    if refused:
        raise ValueError('\n'.join(refused))
    return [{**copy.deepcopy(run), 'strips': None} for _, run in kept.values()]


def _why_different(one: Dict[str, Any], other: Dict[str, Any]) -> Any:
    """Tell why two runs of one name aren't the same; None if they are."""
    rename = 'name one of them anew: NAME=FILE'
    if _weights(one) != _weights(other):
        return f'different weights; {rename}'
    for part, key, what in (
        ('backbone', 'parameters', 'different networks'),
        ('benchmark', 'fingerprint', 'different data'),
        ('protocol', 'text', 'different settings of the protocol'),
    ):
        if one[part][key] != other[part][key]:
            return f'{what}; {rename}'
    if one['seed'] != other['seed']:
        return f'different seeds; {rename}'
    if one['scores'] != other['scores']:
        return (
            f'the same setting and different scores, {one["scores"]} and '
            f'{other["scores"]} (versions {one["versions"]} and '
            f'{other["versions"]}): neither is taken; score one of them anew'
        )
    return None


def _weights(run: Dict[str, Any]) -> List[str]:
    return sorted(run['backbone']['weights'].values())


def _refuse_weights(
    kept: Dict[Names, Tuple[Path, Dict[str, Any]]], refused: List[str]
) -> None:
    """Add a line on each name that means two files of weights."""
    first: Dict[str, Tuple[Path, Dict[str, Any]]] = {}
    for (backbone, _, _), (path, run) in kept.items():
        other_path, other = first.setdefault(backbone, (path, run))
        if path != other_path and _weights(run) != _weights(other):
            line = (
                f'{backbone}: {other_path} and {path} have different weights '
                'under this name; name one of them anew: NAME=FILE'
            )
            if line not in refused:
                refused.append(line)


def tell_differences(runs: Sequence[Dict[str, Any]]) -> Dict[Names, str]:
    """Find runs that are tabulated together and can't be compared.

    Returns:
        By the run's names, what differs from the first one of its benchmark
        and protocol.
    """
    first: Dict[Tuple[str, Any], Dict[str, Any]] = {}
    told: Dict[Names, str] = {}
    for run in runs:
        parts = ('backbone', 'benchmark', 'protocol')
        names: Names = tuple(run[part]['name'] for part in parts)
        other = first.setdefault(names[1:], run)
        differing = []
        data = [each['benchmark']['fingerprint'] for each in (run, other)]
        if data[0] != data[1]:
            differing.append(f'other data ({_counts(run)})')
        if run['protocol']['text'] != other['protocol']['text']:
            differing.append('other settings of the protocol')
        if differing:
            told[names] = (
                f'{" and ".join(differing)} than '
                f'{other["backbone"]["name"]} ({_counts(other)}): do not '
                'compare them'
            )
    return told


def _counts(run: Dict[str, Any]) -> str:
    return counts_of_total(*map(run['benchmark'].get, ('counts', 'whole')))
