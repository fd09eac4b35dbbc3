"""Measure the hot paths against their dense references.

    python tools/analysis_tools/benchmark.py loss --quick

prints a table, then one line of ratios, and exits 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

# Threads that wait for each other shall sleep. Where other processes want
# the cores, spinning would count as time of the work. OpenMP reads this when
# torch is loaded.
os.environ.setdefault('OMP_WAIT_POLICY', 'PASSIVE')

import benchmark_exactness as exactness  # noqa: E402
import benchmark_propagation as propagation  # noqa: E402
import benchmark_protocol as protocol  # noqa: E402
import benchmark_training as training  # noqa: E402
import pandas as pd  # noqa: E402
import torch  # noqa: E402
from measuring import environment, is_gpu  # noqa: E402

from hvc_mm.utils.outputs import claim_file, listed_file  # noqa: E402

COMMANDS = {
    'loss': training.measure_loss,
    'propagation': propagation.measure_propagation,
    'exactness': exactness.measure_exactness,
    'protocol': protocol.measure_protocol,
    'train_step': training.measure_train_step,
    'inference': propagation.measure_inference,
    'data': training.measure_data,
}
COMMON = {
    '--device': dict(default='cpu', help='cpu or cuda:0 ..'),
    '--quick': dict(action='store_true', help='less than a minute'),
    '--repeats': dict(type=int, default=3, help='best of how many runs'),
    '--json': dict(type=Path, help='write the figures to this file too'),
    '--force': dict(
        action='store_true', help='write over a file of another tool, too'
    ),
}
SEED = {'--seed': dict(type=int, default=0)}
MODEL = {
    '--video': dict(help='frames: a video file or a folder of pictures'),
    '--config': dict(default='hvc_davis', help='of the model'),
    '--checkpoint': dict(help='its weights'),
}
CASES = [case.name for case in propagation.CASES]
OPTIONS = {
    'loss': {
        '--samples': dict(type=int, nargs='+', help='of the pair term'),
        '--whole-samples': dict(type=int, default=32, help='batch size'),
        '--radius': dict(type=float, default=training.RADIUS),
        **SEED,
    },
    'propagation': {
        '--cases': dict(nargs='+', choices=CASES, metavar='NAME'),
        '--chunks': dict(type=int, default=3, help='of dense, on a CPU'),
        '--compute-dtype': dict(help='of LabelPropagator; no targets then'),
        '--native': dict(
            default='auto',
            choices=[*propagation.NATIVE],
            help='search by the compiled kernel',
        ),
        '--features': dict(
            default='noise',
            choices=['noise', 'real', 'both'],
            help='real: of --video, or of the first one in data/DAVIS',
        ),
        **MODEL,
        **SEED,
    },
    'exactness': {
        '--frames': dict(type=int, default=10, help='that are compared'),
        '--compute-dtype': dict(help='of one more LabelPropagator'),
        '--threads': dict(type=int, default=2, help='of a CPU'),
        **MODEL,
        **SEED,
    },
    'protocol': {
        '--names': dict(
            nargs='+',
            choices=protocol.PROTOCOLS,
            default=protocol.PROTOCOLS,
        ),
        **SEED,
    },
    'train_step': {
        '--samples': dict(type=int, help='batch size'),
        '--size': dict(type=int, default=256, help='view, pixels'),
        '--threads': dict(type=int, default=2, help='of a CPU'),
        **SEED,
    },
    'inference': {
        '--frames': dict(type=int, help='timed frames'),
        '--parts': dict(action='store_true', help='where the time goes'),
        '--threads': dict(
            type=int, default=1, help='of a CPU; > 1: parts by wall clock'
        ),
        **MODEL,
        '--config': dict(help='of the model; hvc_davis and hvc_moco_davis'),
    },
    'data': {
        '--images': dict(required=True, help='folder, or a glob pattern'),
        '--number': dict(type=int, help='of images'),
    },
}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(dest='what', required=True)
    for name, measure in COMMANDS.items():
        about = measure.__doc__.strip()
        first = about.splitlines()[0]
        command = commands.add_parser(name, help=first, description=about)
        for option, settings in {**COMMON, **OPTIONS[name]}.items():
            command.add_argument(option, **settings)
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    if args.json:
        try:
            claim_file(args.json, args.force)
        except OSError as error:
            raise SystemExit(f'error: {error}') from None
    before = environment(args.device)
    if not is_gpu(args.device):
        torch.set_num_threads(getattr(args, 'threads', 1))
    try:
        report = COMMANDS[args.what](args)
    except (OSError, ValueError) as error:
        # What was given can't be read, or is out of its range.
        raise SystemExit(f'error: {error}') from None
    shown = [
        {key: 'n/a' if v is None else v for key, v in row.items()}
        for row in report.rows
    ]
    table = pd.DataFrame(shown).to_string(
        index=False, na_rep='n/a', float_format='{:.3g}'.format
    )
    print(report.title, table, *report.notes, sep='\n')
    print(', '.join(f'{key} {value}' for key, value in before.items()))
    if args.json:
        figures = {**asdict(report), 'environment': before}
        # The file's format has called the targets so from the beginning.
        figures['marks'] = figures.pop('targets')
        with listed_file(args.json) as partial:
            partial.write_text(json.dumps(figures, indent=2))
    print('; '.join(map(str, report.targets)) or 'no targets')
    return int(any(target.missed for target in report.targets))


if __name__ == '__main__':
    sys.exit(main())
