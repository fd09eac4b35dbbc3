"""Measure a machine: benchmarks, a real training, its scores, in one file.

    python tools/analysis_tools/measure_all.py --images data/images \
        --davis data/DAVIS --resnet50 resnet50.pth:style=caffe \
        --out report.json

On a GPU: label propagation at 60x107 with 1280 channels and a training step
at N=128 against their dense forms, then HVC trained for some minutes, then
J&F of its backbone beside a random one and a ResNet-50. Without a GPU: the
benchmarks' --quick settings, and training and scores of a small size.

Stages are commands of their own, shown as they run; the file holds each
one's result as soon as it is there, and keeps those of stages that ran
earlier on the same machine. Exits 1 where a mark is missed or a stage failed.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path
from typing import Dict, List, Optional, Sequence

import torch
from mmengine.registry import DefaultScope

from hvc_mm.benchmarks.measure import environment
from hvc_mm.benchmarks.programme import STAGES, Options, build_stages
from hvc_mm.benchmarks.stages import run_stages, verdict
from hvc_mm.datasets import ImageFolderDataset
from hvc_mm.engine.run_config import read_config
from hvc_mm.registry import DATASETS
from hvc_mm.scoreboard import BackboneError, make_candidate, parse_backbones
from hvc_mm.utils import register_all_modules

TOOLS = Path(__file__).resolve().parents[1]
MOST_MINUTES = 7.0


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--images', required=True, help='folder or glob pattern of photographs'
    )
    parser.add_argument(
        '--davis', required=True, help='folder with ImageSets, JPEGImages, ..'
    )
    parser.add_argument(
        '--resnet50',
        metavar='SPEC',
        help='a backbone to compare with, as benchmark_backbones.py takes it: '
        'FILE, or FILE:style=caffe',
    )
    parser.add_argument(
        '--out', type=Path, required=True, help='the JSON file'
    )
    parser.add_argument(
        '--work-dir',
        type=Path,
        help='for logs, checkpoints and scores (default: OUT without .json)',
    )
    parser.add_argument(
        '--minutes',
        type=float,
        default=MOST_MINUTES,
        help=f'of training, at most {MOST_MINUTES:g}',
    )
    parser.add_argument(
        '--device',
        choices=['cpu', 'cuda'],
        help='default: cuda where there is a GPU',
    )
    parser.add_argument('--stages', nargs='+', choices=STAGES, default=STAGES)
    parser.add_argument(
        '--extra',
        action='append',
        default=[],
        metavar='STAGE=ARGUMENTS',
        help="more arguments of a stage's command, in one word: "
        "'train_step=--samples 64'; of training and scores entries of the "
        "config: 'training=train_dataloader.batch_size=64'",
    )
    return parser.parse_args(argv)


def read_options(args: argparse.Namespace) -> Options:
    """Check everything before hours are spent.

    Raises:
        ValueError, OSError: With what is wrong.
    """
    gpu = torch.cuda.is_available()
    if args.device == 'cuda' and not gpu:
        raise ValueError('--device cuda: torch sees no GPU')
    if not 0 < args.minutes <= MOST_MINUTES:
        raise ValueError(
            f'--minutes is {args.minutes:g}, expected more than 0 and at '
            f'most {MOST_MINUTES:g}'
        )
    for path in (args.images, args.davis, args.resnet50 or ''):
        if set(path) & set(' ,\'"'):
            raise ValueError(
                f'{path!r}: a path with blanks, commas or quotes cannot be '
                'handed on by --cfg-options'
            )
    extra: Dict[str, List[str]] = {}
    for text in args.extra:
        name, sign, words = text.partition('=')
        if not sign or name not in STAGES:
            raise ValueError(
                f'--extra {text!r}: expected STAGE=ARGUMENTS with a stage of '
                + ', '.join(STAGES)
            )
        extra.setdefault(name, []).extend(shlex.split(words))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    check_data(args.images, args.davis, args.resnet50)
    return Options(
        images=args.images,
        davis=os.path.abspath(args.davis),
        tools=TOOLS,
        work_dir=(args.work_dir or args.out.with_suffix('')).resolve(),
        device=args.device or ('cuda' if gpu else 'cpu'),
        minutes=args.minutes,
        resnet50=args.resnet50,
        stages=args.stages,
        extra=extra,
    )


def check_data(images: str, davis: str, resnet50: Optional[str]) -> None:
    """Find images and videos, and try the backbone on a frame."""
    len(ImageFolderDataset(sources=os.path.abspath(images), recursive=True))
    cfg = read_config('hvc_davis')
    dataset = {**cfg.test_dataloader.dataset, 'data_root': davis}
    with DefaultScope.overwrite_default_scope('hvc_mm'):
        DATASETS.build({**dataset, 'pipeline': []})
    if resnet50:
        for spec in parse_backbones([f'resnet50={resnet50}']):
            make_candidate(spec)


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Measure; returns the exit status."""
    register_all_modules(init_default_scope=False)
    args = parse_args(argv)
    try:
        options = read_options(args)
    except (BackboneError, OSError, ValueError) as error:
        raise SystemExit(f'error: {error}') from None
    environ = dict(os.environ)
    found = environment(options.device)
    load = found.pop('load', None)
    head = {'machine': found, 'load': load, 'minutes': options.minutes}
    if not options.on_gpu:
        head['note'] = 'no GPU in use: the CPU part, quick and small'
        print(head['note'], flush=True)
        environ['CUDA_VISIBLE_DEVICES'] = ''  # else training would take one
    entries = run_stages(build_stages(options), args.out, head, environ)
    line, well = verdict(entries)
    print(f'the figures are in {args.out}')
    print(line)
    return 0 if well else 1


if __name__ == '__main__':
    sys.exit(main())
