"""Measure a machine: benchmarks, a real training, its scores, in one file.

    python tools/analysis_tools/measure_all.py --images data/images \
        --davis data/DAVIS --resnet50 resnet50.pth:style=caffe \
        --out report.json

On a GPU: label propagation at 60x107 with 1280 channels (by torch, also with
products in bfloat16, and by Triton) and a training step at N=128 against their
dense forms, then HVC trained for some minutes, then
J&F of its backbone next to a random one and a ResNet-50. Without a GPU: the
benchmarks' --quick settings, and training and scores of a small size.

Each is a command of its own, shown as it runs; one that fails, or is killed
for memory, takes no other with it. The file holds each one's result as soon
as it is there, and keeps those of earlier runs on the same machine. Exits 1
where a target is missed or a command failed.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import torch
from measuring import Target, environment
from mmengine.registry import DefaultScope

from hvc_mm.datasets import ImageFolderDataset
from hvc_mm.engine.config_file import find_config
from hvc_mm.engine.run_config import read_config
from hvc_mm.registry import DATASETS
from hvc_mm.scoreboard import BackboneError, make_backbone, parse_backbones
from hvc_mm.utils import register_all_modules
from hvc_mm.utils.files import write_json
from hvc_mm.utils.run_log import find_log, read_log, series

TOOLS = Path(__file__).resolve().parents[1]
NAMES = (
    *('propagation', 'propagation_bf16', 'propagation_triton', 'train_step'),
    *('training', 'scores', 'loss', 'inference', 'data'),
)
# What only a GPU has or is fast at.
GPU_NAMES = ('propagation_bf16', 'propagation_triton')
MOST_MINUTES = 7.0
# Lines of a failed command's output that the file keeps.
TAIL = 25
Outcome = Tuple[Any, List[Target]]


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the options; stops with what is wrong before hours are spent."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('--images', required=True, help='folder or pattern of photographs')
    add('--davis', required=True, help='folder with ImageSets, ..')
    add(
        '--resnet50',
        metavar='SPEC',
        help='a backbone to compare with, as benchmark_backbones.py takes it: '
        'FILE, or FILE:style=caffe',
    )
    add('--out', type=Path, required=True, help='the JSON file')
    add(
        '--work-dir',
        type=Path,
        help='for logs, checkpoints and scores (default: OUT without .json)',
    )
    add(
        '--minutes',
        type=float,
        default=MOST_MINUTES,
        help=f'of training, at most {MOST_MINUTES:g}',
    )
    add('--device', choices=['cpu', 'cuda'], help='default: cuda, if any')
    add('--stages', nargs='+', choices=NAMES, default=NAMES)
    add(
        '--extra',
        action='append',
        default=[],
        metavar='STAGE=ARGUMENTS',
        help="more arguments of a command, in one word: 'train_step=--samples "
        "64'; of training and scores entries of the config: "
        "'training=train_dataloader.batch_size=64'",
    )
    args = parser.parse_args(argv)
    try:
        complete(args)
        check_data(args.images, args.davis, args.resnet50)
    except (BackboneError, OSError, ValueError) as error:
        raise SystemExit(f'error: {error}') from None
    return args


def complete(args: argparse.Namespace) -> None:
    """Check the options and fill in what depends on others, in place."""
    gpu = torch.cuda.is_available()
    if args.device == 'cuda' and not gpu:
        raise ValueError('--device cuda: torch sees no GPU')
    args.device = args.device or ('cuda' if gpu else 'cpu')
    if not 0 < args.minutes <= MOST_MINUTES:
        raise ValueError(
            f'--minutes is {args.minutes:g}, expected more than 0 and at '
            f'most {MOST_MINUTES:g}'
        )
    for path in (args.images, args.davis, args.resnet50 or ''):
        if set(path) & set(' ,\'"'):
            raise ValueError(
                f'{path!r}: --cfg-options takes no path with blanks, commas '
                'or quotes'
            )
    extra: Dict[str, List[str]] = {name: [] for name in NAMES}
    for text in args.extra:
        name, sign, words = text.partition('=')
        if not sign or name not in NAMES:
            raise ValueError(
                f'--extra {text!r}: expected STAGE=ARGUMENTS with a stage of '
                + ', '.join(NAMES)
            )
        extra[name] += shlex.split(words)
    args.extra = extra
    args.images = os.path.abspath(args.images)
    args.davis = os.path.abspath(args.davis)
    args.work_dir = (args.work_dir or args.out.with_suffix('')).resolve()
    args.training = training_folder(args.work_dir, 'training' in args.stages)


def training_folder(work_dir: Path, fresh: bool) -> Path:
    """Find the folder of the latest training, or one for a new training.

    Args:
        work_dir: Where all commands write.
        fresh: Choose one without checkpoints: training over those of an
            earlier measurement is refused.
    """
    chosen, number = work_dir / 'training', 1
    following = chosen
    while any(following.glob('*.pth')):
        chosen, number = following, number + 1
        following = work_dir / f'training_{number}'
    return following if fresh else chosen


def check_data(images: str, davis: str, resnet50: Optional[str]) -> None:
    """Find images and videos, and try the backbone on a frame."""
    len(ImageFolderDataset(sources=images, recursive=True))
    cfg = read_config('hvc_davis')
    dataset = {**cfg.test_dataloader.dataset, 'data_root': davis}
    with DefaultScope.overwrite_default_scope('hvc_mm'):
        DATASETS.build({**dataset, 'pipeline': []})
    if resnet50:
        for name, entry in parse_backbones([f'resnet50={resnet50}']).items():
            make_backbone(name, entry)


def commands(args: argparse.Namespace) -> Dict[str, List[str]]:
    """Give all commands in their order, without the Python that runs them.

    Products in bfloat16 and by Triton are measured on a GPU alone.
    """
    on_gpu = args.device == 'cuda'
    quick = [] if on_gpu else ['--quick']
    case = ['--cases', '60x107 C=1280'] if on_gpu else quick

    def benchmark(name: str, *words: str) -> List[str]:
        common = f'--device={args.device}', f'--json={output_of(name, args)}'
        return ['analysis_tools/benchmark.py', *words, *common]

    bf16 = ['propagation', *case, '--compute-dtype', 'bfloat16']
    both = ['--cases', '60x107 C=256', '60x107 C=1280']
    triton = ['propagation', *both, '--native', 'triton']
    found = {
        'propagation': benchmark('propagation', 'propagation', *case),
        'propagation_bf16': benchmark('propagation_bf16', *bf16),
        'propagation_triton': benchmark('propagation_triton', *triton),
        'train_step': benchmark('train_step', 'train_step', *quick),
        'training': training(args),
        'scores': scores(args),
        'loss': benchmark('loss', 'loss', *quick),
        'inference': benchmark('inference', 'inference', *quick),
        'data': benchmark('data', 'data', '--images', args.images, *quick),
    }
    return {
        name: [*words, *args.extra[name]]
        for name, words in found.items()
        if name in args.stages and (on_gpu or name not in GPU_NAMES)
    }


def training(args: argparse.Namespace) -> List[str]:
    """Train HVC on the images, by the recipe except for its length."""
    interval = 1 if args.device == 'cpu' else 10
    settings = {
        'train_dataloader.dataset.sources': args.images,
        'train_dataloader.num_workers': min(16, os.cpu_count() or 1),
        'train_dataloader.sampler._delete_': True,
        'train_dataloader.sampler.type': 'InfiniteSampler',
        'train_cfg._delete_': True,
        'train_cfg.type': 'IterBasedTrainLoop',
        'train_cfg.max_iters': 10**7,
        'default_hooks.time_budget.type': 'TimeBudgetHook',
        'default_hooks.time_budget.minutes': args.minutes,
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.interval': 500,
        'default_hooks.logger.interval': interval,
        'log_processor.by_epoch': False,
        'log_processor.window_size': interval,
    }
    if args.device == 'cpu':
        settings['train_dataloader.batch_size'] = 8
    return [
        *('train.py', str(find_config('hvc_folder')), '--amp'),
        f'--work-dir={output_of("training", args).parent}',
        '--cfg-options',
        *(f'{key}={value}' for key, value in settings.items()),
    ]


def scores(args: argparse.Namespace) -> List[str]:
    """Score the trained backbone, a random one and a ResNet-50.

    The trained one is the training's latest checkpoint, if there is one.
    """
    backbones = ['random=HVCResNet:depth=18,stage=3']
    latest = output_of('training', args)
    if latest.is_file():
        backbones.insert(0, f'hvc={latest.read_text(encoding="utf-8")}')
    if args.resnet50:
        backbones.append(f'resnet50={args.resnet50}')
    size = 'test_dataloader.batch_size=8'
    if args.device == 'cpu':
        size = 'test_dataloader.dataset.max_frames=20'
    return [
        *('benchmark_backbones.py', '--benchmarks=davis'),
        *('--backbones', *backbones),
        f'--out={output_of("scores", args).parent}',
        *('--cfg-options', size),
        f'test_dataloader.dataset.data_root={args.davis}',
    ]


def output_of(name: str, args: argparse.Namespace) -> Path:
    """Tell which file a command writes."""
    if name == 'training':
        return args.training / 'last_checkpoint'
    if name == 'scores':
        return args.work_dir / 'scores/scoreboard.json'
    return args.work_dir / f'{name}.json'


def read_output(name: str, args: argparse.Namespace) -> Outcome:
    """Read what a command wrote: what the file keeps, and the targets."""
    path = output_of(name, args)
    if name == 'training':
        return read_training(path.parent)
    found = json.loads(path.read_text(encoding='utf-8'))
    if name == 'scores':
        return read_scores(found)
    return found, [Target(**target) for target in found.pop('marks')]


def read_training(folder: Path) -> Outcome:
    """Read the loss curve, and medians of what an iteration took."""
    entries = read_log(find_log(folder))
    steps, loss = series(entries, 'loss')
    curve = {'step': steps.astype(int).tolist(), 'loss': loss.tolist()}
    for key in ('loss_static', 'loss_dynamic'):
        curve[key] = series(entries, key)[1].tolist()
    middle = len(entries) // 2
    checkpoint = (folder / 'last_checkpoint').read_text(encoding='utf-8')
    result = {
        'checkpoint': checkpoint,
        'iterations': curve['step'][-1],
        'seconds': sorted(series(entries, 'time')[1])[middle],
        'data_seconds': sorted(series(entries, 'data_time')[1])[middle],
        'memory_mb': max((e.get('memory', 0) for e in entries), default=0),
        'curve': curve,
    }
    last = float(loss[-max(1, len(loss) // 10) :].mean())
    return result, [Target('last loss', last, form='{:.2f}')]


def read_scores(board: Mapping[str, Any]) -> Outcome:
    """Pick scores and times by backbone from a ``scoreboard.json``."""
    results = {
        found['backbone']['name']: {
            'scores': found['scores'],
            'sequences': found['sequences'],
            'seconds_per_frame': found['seconds_per_frame'],
            'counts': found['benchmark']['counts'],
            'weights': found['backbone']['weights'],
        }
        for found in board['runs']
    }
    targets = [
        Target(f'J&F of {name}', found['scores']['J&F'], form='{:.1f}')
        for name, found in results.items()
    ]
    return {'results': results, 'failures': board['failures']}, targets


def run(name: str, args: argparse.Namespace) -> dict:
    """Run a command; whatever happens goes into the entry that it gives."""
    began = time.monotonic()
    entry: Dict[str, Any] = {'status': 'failed', 'result': None}
    targets: List[Target] = []
    tail: deque = deque(maxlen=TAIL)
    output = output_of(name, args)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.unlink(missing_ok=True)
        tool, *words = commands(args)[name]
        command = [sys.executable, str(TOOLS / tool), *words]
        entry['command'] = shlex.join(command)
        log = args.work_dir / f'{name}.log'
        status = call(command, log, tail, args.device)
        if not output.is_file():
            raise RuntimeError(f'status {status}, and no {output}')
        entry['result'], targets = read_output(name, args)
        # Benchmarks end with 1 where a target is missed.
        if status and not (status == 1 and any(t.missed for t in targets)):
            raise RuntimeError(f'status {status}')
        entry['status'] = 'done'
    except (OSError, ValueError, LookupError, RuntimeError) as error:
        print(f'{name} failed: {error}', flush=True)
        text = f'{type(error).__name__}: {error}'
        entry['error'] = '\n'.join([text, *tail])
    entry['seconds'] = round(time.monotonic() - began, 1)
    entry['marks'] = [{**asdict(t), 'missed': t.missed} for t in targets]
    entry['shown'] = [str(target) for target in targets]
    return entry


def call(command: List[str], log: Path, tail: deque, device: str) -> int:
    """Run a command and show, log and keep the tail of what it prints."""
    environ = dict(os.environ)
    if device == 'cpu':
        environ['CUDA_VISIBLE_DEVICES'] = ''  # else training would take one
    print(f'$ {shlex.join(command)}', flush=True)
    with log.open('w', encoding='utf-8') as file, subprocess.Popen(
        command,
        env=environ,
        text=True,
        errors='replace',
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        for line in process.stdout:
            file.write(line)
            print(line, end='', flush=True)
            tail.append(line.rstrip('\n'))
    return process.returncode


def earlier_entries(path: Path, machine: Mapping[str, str]) -> Dict[str, dict]:
    """Read what other runs on the same machine found.

    Raises:
        ValueError: The file is there and no report of this tool.
    """
    if not path.exists():
        return {}
    try:
        found = json.loads(path.read_text(encoding='utf-8'))
        entries = {n: e for n, e in found['stages'].items() if e['status']}
        same = found['machine'] == machine
    except (OSError, ValueError, TypeError, AttributeError, KeyError):
        raise ValueError(
            f'{path} is no report of an earlier run, and would be written '
            'over; move it, or give another --out'
        ) from None
    # One that was killed has nothing but its status.
    return {
        n: e for n, e in entries.items() if same and e['status'] != 'running'
    }


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Measure; returns the exit status."""
    register_all_modules(init_default_scope=False)
    args = parse_args(argv)
    machine = environment(args.device)
    head = {'load': machine.pop('load', None), 'minutes': args.minutes}
    if args.device == 'cpu':
        head['note'] = 'no GPU in use: the CPU part, quick and small'
        print(head['note'], flush=True)
    names = list(commands(args))
    try:
        entries = earlier_entries(args.out, machine)
    except ValueError as error:
        raise SystemExit(f'error: {error}') from None
    entries = {n: e for n, e in entries.items() if n not in names}
    for name in names:
        entries[name] = {'status': 'running'}
        write_json(args.out, {'machine': machine, **head, 'stages': entries})
        entries[name] = run(name, args)
        write_json(args.out, {'machine': machine, **head, 'stages': entries})
    print(f'the figures are in {args.out}')
    parts = [text for e in entries.values() for text in e['shown']]
    failed = [n for n, e in entries.items() if e['status'] == 'failed']
    print('; '.join([*parts, *(f'{name} FAILED' for name in failed)]))
    missed = any(t['missed'] for e in entries.values() for t in e['marks'])
    return int(bool(failed) or missed)


if __name__ == '__main__':
    sys.exit(main())
