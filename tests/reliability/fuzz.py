"""Read damaged files of every kind, and count how that ends.

    python tests/reliability/fuzz.py --cases 14 --json counts.json

Each case is one of

accepted   the value is that of an independent decoder, or of the whole file
refused    a ValueError, an OSError or a tool's own end that names the file
unclear    any other error, or one that does not say which file it is about
silent     another value, without a word
listed     the same, of a class that docs/reliability.md lists
hang       no end within the time limit, or the process died

and the exit status is 1 if any is unclear, silent or a hang. The same seed
gives the same files.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import logging
import multiprocessing
import os
import sys
import tempfile
import traceback
import zlib
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / 'tools/analysis_tools')]

import readers  # noqa: E402
import readers_of_text as texts  # noqa: E402
from mutations import KINDS  # noqa: E402

READERS = {
    'JPEG frame': readers.JpegFrame,
    'PNG frame': readers.PngFrame,
    'id mask': readers.IdMask,
    'mask for eval_masks': readers.MaskToScore,
    'joints for eval_masks': readers.JointsToScore,
    'joint_positions.mat': readers.Joints,
    'MPEG-4 video': readers.Video,
    'Motion JPEG video': readers.MotionJpeg,
    'list of DAVIS': texts.Names,
    'split of JHMDB': texts.Clips,
    'list of YouTube-VOS': texts.Ranges,
    'meta.json': texts.Meta,
    'COCO json': texts.Coco,
    'checkpoint': texts.Checkpoint,
    'old checkpoint': texts.OldCheckpoint,
    'config in Python': texts.PythonConfig,
    'config in YAML': texts.YamlConfig,
    'config in JSON': texts.JsonConfig,
    'option': texts.Option,
    'backbones in YAML': texts.Backbones,
    'backbones in JSON': texts.JsonBackbones,
    'result of scoreboard': texts.Result,
}
# What docs/reliability.md lists: formats without any checksum.
LISTED = (
    *('JPEG frame', 'MPEG-4 video', 'Motion JPEG video', 'old checkpoint'),
)
CLASSES = ('accepted', 'refused', 'unclear', 'silent', 'listed', 'hang')
WRONG = ('unclear', 'silent', 'hang')
# Seconds a case; far more than any takes.
LIMIT = 60.0


class Outcome(NamedTuple):
    """How a case ended."""

    reader: str
    kind: str
    number: int
    ended: str
    message: str = ''


def same(one: Any, other: Any) -> bool:
    """Compare two values; pictures may differ by rounding."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        one, other = np.asarray(one), np.asarray(other)
        return one.shape == other.shape and np.allclose(
            one.astype(float),
            other.astype(float),
            rtol=1e-9,
            atol=1 if one.dtype == np.uint8 and one.ndim == 3 else 1e-9,
        )
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            same(one[key], other[key]) for key in one
        )
    if isinstance(one, float) or isinstance(other, float):
        if isinstance(one, (int, float)) and isinstance(other, (int, float)):
            return bool(np.isclose(one, other, equal_nan=True))
    return one == other


def run_case(name: str, reader: Any, kind: str, number: int) -> Outcome:
    """Damage a file, read it, and judge what came of it."""
    seed = [number, zlib.crc32(f'{name} {kind}'.encode())]
    rng = np.random.default_rng(seed)
    mutant = reader.mutate(kind, rng)
    while mutant.data == reader.content:
        mutant = reader.mutate(kind, rng)
    reader.path.write_bytes(mutant.data)
    place = (name, kind, number)
    try:
        found = reader.read()
    except (Exception, SystemExit) as error:
        text = f'{type(error).__name__}: {error}'
        clear = isinstance(
            error, (ValueError, OSError, SystemExit, UserWarning)
        )
        clear = clear and reader.named(str(error))
        return Outcome(*place, 'refused' if clear else 'unclear', text)
    finally:
        reader.path.write_bytes(reader.content)
    known = (reader.value, mutant.value)
    if any(value is not None and same(found, value) for value in known):
        return Outcome(*place, 'accepted')
    try:
        right = same(found, reader.judge(mutant.data))
        reason = 'another value'
    except Exception as error:
        right, reason = mutant.data == reader.content, repr(error)
    if right:
        return Outcome(*place, 'accepted')
    ended = 'listed' if name in LISTED else 'silent'
    return Outcome(*place, ended, f'{reason}: {mutant.data[:80]!r}')


def run_cases(name: str, cases: List[Tuple[str, int]], pipe: Any) -> None:
    """Run cases one by one in a process of their own."""
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    logging.disable(logging.CRITICAL)
    try:
        with tempfile.TemporaryDirectory() as folder:
            reader = READERS[name](Path(folder))
            reader.path.write_bytes(reader.content)
            reader.value = reader.read()
            for kind, number in cases:
                pipe.send(run_case(name, reader, kind, number))
    except BaseException:
        pipe.send(traceback.format_exc())


def fuzz(name: str, cases: List[Tuple[str, int]]) -> List[Outcome]:
    """Run cases; a process that hangs or dies costs the case it was at."""
    fork = multiprocessing.get_context('fork')
    found: List[Outcome] = []
    while len(found) < len(cases):
        receiver, sender = fork.Pipe(duplex=False)
        left = cases[len(found) :]
        process = fork.Process(target=run_cases, args=(name, left, sender))
        process.start()
        sender.close()
        try:
            while receiver.poll(LIMIT):
                received = receiver.recv()
                if isinstance(received, str):
                    raise RuntimeError(f'{name}: {received}')
                found.append(received)
        except EOFError:
            pass
        process.kill()
        process.join()
        if len(found) < len(cases):
            found.append(Outcome(name, *cases[len(found)], 'hang'))
    return found


def table(outcomes: List[Outcome]) -> Dict[str, Dict[str, int]]:
    """Count the classes by reader, and by kind of damage."""
    counts: Dict[str, Counter] = {}
    for each in outcomes:
        for row in (each.reader, each.kind, 'all'):
            counts.setdefault(row, Counter())[each.ended] += 1
    order = [*READERS, *KINDS, 'all']
    return {
        row: {ended: counts[row][ended] for ended in CLASSES}
        for row in order
        if row in counts
    }


def main() -> int:
    """Run; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--readers', nargs='+', choices=READERS)
    parser.add_argument('--cases', type=int, default=9, help='of each kind')
    parser.add_argument('--first', type=int, default=0, help='first seed')
    parser.add_argument('--json', type=Path, help='write all outcomes here')
    args = parser.parse_args()
    # Imported once, before the processes part.
    from hvc_mm.utils import register_all_modules

    register_all_modules()
    numbers = range(args.first, args.first + args.cases)
    cases = [(kind, number) for kind in KINDS for number in numbers]
    outcomes: List[Outcome] = []
    for name in args.readers or READERS:
        if READERS[name].mmdet and not importlib.util.find_spec('mmdet'):
            print(f'{name}: needs MMDetection, left out')
            continue
        found = fuzz(name, cases)
        for each in found:
            if each.ended in WRONG:
                print(*each[:4], each.message[:300], sep=' | ', flush=True)
        outcomes += found
    counts = table(outcomes)
    print(f'{"":24}', *(f'{ended:>9}' for ended in CLASSES))
    for row, found in counts.items():
        print(f'{row:24}', *(f'{found[ended]:9}' for ended in CLASSES))
    if args.json:
        found = [each._asdict() for each in outcomes]
        text = json.dumps(dict(counts=counts, outcomes=found), indent=1)
        args.json.write_text(text)
    return int(any(each.ended in WRONG for each in outcomes))


if __name__ == '__main__':
    sys.exit(main())
