"""Reading the scalars that mmengine's runs log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import List, Tuple, Union

import numpy as np


def find_log(path: Union[str, Path]) -> Path:
    """Find the log of a run.

    Args:
        path: The log itself, or a work dir: its newest one is meant.

    Returns:
        Path of a ``scalars.json``.

    Raises:
        FileNotFoundError: Neither.
    """
    if Path(path).is_file():
        return Path(path)
    # Names begin with the time of the run's start.
    found = sorted(Path(path).glob('**/vis_data/scalars.json'))
    if not found:
        raise FileNotFoundError(
            f'no log {path}: expected a scalars.json, or a work dir with '
            '<time>/vis_data/scalars.json in it'
        )
    return found[-1]


def read_log(path: Path) -> List[dict]:
    """Read the entries of a log, one JSON object a line.

    Args:
        path: The log.

    Returns:
        One dict a line.

    Raises:
        ValueError: A line that is none; with its number. The last line may
            be cut off, as a killed run leaves it.
    """
    entries = []
    lines = path.read_text(encoding='utf-8').splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number == len(lines):
                break
            raise ValueError(
                f'{path}, line {number} is not JSON: {error}'
            ) from None
    return entries


def series(entries: List[dict], key: str) -> Tuple[np.ndarray, np.ndarray]:
    """One quantity over the steps.

    Args:
        entries: Of a log.
        key: The quantity's name, or the last part of it (``J&F``).

    Returns:
        Steps and values, ``(n,)`` each.

    Raises:
        KeyError: No entry has it; with the names there are.
    """
    names = {name for entry in entries for name in entry}
    wanted = [n for n in names if n == key or n.split('/')[-1] == key]
    if not wanted:
        raise KeyError(f'no {key!r}; the log has {", ".join(sorted(names))}')
    name = key if key in wanted else sorted(wanted)[0]
    points = [
        (entry.get('step', index), entry[name])
        for index, entry in enumerate(entries)
        if name in entry
    ]
    steps, values = np.array(points, dtype=float).T
    return steps, values
