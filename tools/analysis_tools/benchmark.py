"""Measure the hot paths against their dense references.

    python tools/analysis_tools/benchmark.py loss --quick

prints a table, then one line of ratios, and exits 1 where a mark is missed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from pathlib import Path

# Threads that wait for each other shall sleep. Where other processes want
# the cores, spinning would count as time of the work. OpenMP reads this when
# torch is loaded.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

from rich.console import Console  # noqa: E402

from hvc_mm.benchmarks.measure import environment  # noqa: E402

SUBCOMMANDS = {
    'loss': 'the hybrid loss, pair list against dense matrices',
    'propagation': 'one step of label propagation, windowed against dense',
    'train_step': 'one training step, lean against plain',
    'inference': 'seconds per frame of a whole test run',
    'data': 'images per second and core of the data pipeline',
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest='what', required=True)
    for name, about in SUBCOMMANDS.items():
        where = f'hvc_mm.benchmarks.{name}'
        if importlib.util.find_spec(where) is None:
            continue
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument(
            '--device', default='cpu', help='cpu (one thread), cuda:0 ..'
        )
        command.add_argument(
            '--quick', action='store_true', help='less than a minute'
        )
        command.add_argument(
            '--repeats', type=int, default=3, help='best of how many runs'
        )
        command.add_argument(
            '--json', type=Path, help='write the figures to this file too'
        )
        module = importlib.import_module(where)
        module.add_arguments(command)
        command.set_defaults(run=module.run)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    before = environment(args.device)
    report = args.run(args)
    # A table cut to a pipe's 80 columns could not be read.
    console = Console()
    console.width = max(console.width, 150)
    console.print(report.table())
    for note in report.notes:
        console.print(note)
    console.print(', '.join(f'{key} {value}' for key, value in before.items()))
    if args.json:
        figures = {**report.to_dict(), 'environment': before}
        args.json.write_text(json.dumps(figures, indent=2))
    print(report.verdict())
    return int(report.missed)


if __name__ == '__main__':
    sys.exit(main())
