"""All that is measured on one machine, as stages of one run.

On a GPU: a frame of label propagation, a training step, a real training and
its scores, then the other benchmarks. On a CPU the benchmarks' ``--quick``
settings, and a training and scores of a small size.
"""

from __future__ import annotations

import json
import os
import os.path as osp
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from hvc_mm.engine.run_config import find_config
from hvc_mm.utils.run_log import find_log, read_log, series

from .report import Mark
from .stages import Outcome, Stage

STAGES = (
    *('propagation', 'propagation_bf16', 'train_step', 'training', 'scores'),
    *('loss', 'inference', 'data'),
)
# The case whose marks a GPU is held to: seconds a frame, and over dense.
_GPU_CASE, _GPU_SECONDS, _GPU_GAIN = '60x107 C=1280', 0.008, 10
# Iterations that one point of the loss curve is the mean of.
_WINDOW = 10
_RANDOM = 'random=HVCResNet:depth=18,stage=3'


@dataclass(frozen=True)
class Options:
    """What to measure, and on what.

    Attributes:
        images: Folder or glob pattern of still images to train on.
        davis: Folder of DAVIS's layout to score on.
        tools: The project's folder of tools.
        work_dir: For all that the commands write.
        device: ``'cpu'`` or ``'cuda'``.
        minutes: Of training.
        resnet50: Spec of a backbone to compare with, as
            ``benchmark_backbones.py`` takes it.
        stages: Names, of :data:`STAGES`.
        extra: By stage, more arguments of its command; of ``training`` and
            ``scores`` more ``--cfg-options``.
    """

    images: str
    davis: str
    tools: Path
    work_dir: Path
    device: str = 'cpu'
    minutes: float = 7.0
    resnet50: Optional[str] = None
    stages: Sequence[str] = STAGES
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def on_gpu(self) -> bool:
        """Whether the figures are a GPU's."""
        return self.device != 'cpu'


def build_stages(options: Options) -> List[Stage]:
    """Give the stages in their order.

    Args:
        options: What to measure.

    Returns:
        One stage for each name that applies to the device: products in
        bfloat16 are measured on a GPU alone.
    """
    quick = () if options.on_gpu else ('--quick',)
    case = ('--cases', _GPU_CASE) if options.on_gpu else quick
    makers: Dict[str, Callable[[], Stage]] = {
        'propagation': partial(_benchmark, 'propagation', *case),
        'propagation_bf16': partial(
            _benchmark, 'propagation', *case, '--compute-dtype', 'bfloat16'
        ),
        'train_step': partial(_benchmark, 'train_step', *quick),
        'training': lambda name, options: _training(options),
        'scores': lambda name, options: _scores(options),
        'loss': partial(_benchmark, 'loss', *quick),
        'inference': partial(_benchmark, 'inference', *quick),
        'data': partial(
            _benchmark, 'data', '--images', osp.abspath(options.images), *quick
        ),
    }
    if not options.on_gpu:
        del makers['propagation_bf16']
    return [
        make(name=name, options=options)
        for name, make in makers.items()
        if name in options.stages
    ]


def gpu_marks(result: Mapping[str, Any]) -> List[Mark]:
    """Marks of a GPU's frame of propagation, from the benchmark's JSON."""
    row = next(r for r in result['rows'] if r['what'] == _GPU_CASE)
    seconds = Mark(
        *('propagation', row['ours s'], _GPU_SECONDS, True),
        form='{:.4f} s a frame',
    )
    return [seconds, Mark('over dense', row['time ratio'], _GPU_GAIN)]


def _benchmark(what: str, *arguments: str, name: str, options: Options):
    output = options.work_dir / f'{name}.json'
    command = [
        *_tool(options, 'analysis_tools/benchmark.py', what),
        *(f'--device={options.device}', f'--json={output}', *arguments),
        *options.extra.get(name, ()),
    ]

    def collect() -> Outcome:
        result = json.loads(output.read_text(encoding='utf-8'))
        marks = [Mark(**mark) for mark in result.pop('marks')]
        if options.on_gpu and name == 'propagation':
            marks = gpu_marks(result)
        return result, marks

    return Stage(name, lambda: command, output, collect)


def _training(options: Options) -> Stage:
    """HVC on the images, by the recipe but for its length."""
    folder = options.work_dir / 'training'
    workers = min(16, os.cpu_count() or 1)
    settings = {
        'train_dataloader.dataset.sources': osp.abspath(options.images),
        'train_dataloader.num_workers': workers,
        'train_dataloader.sampler._delete_': True,
        'train_dataloader.sampler.type': 'InfiniteSampler',
        'train_cfg._delete_': True,
        'train_cfg.type': 'IterBasedTrainLoop',
        'train_cfg.max_iters': 10**7,
        'default_hooks.time_budget.type': 'TimeBudgetHook',
        'default_hooks.time_budget.minutes': options.minutes,
        'default_hooks.checkpoint.by_epoch': False,
        'default_hooks.checkpoint.interval': 500,
        'default_hooks.logger.interval': _WINDOW if options.on_gpu else 1,
        'log_processor.by_epoch': False,
        'log_processor.window_size': _WINDOW if options.on_gpu else 1,
    }
    if not options.on_gpu:
        settings['train_dataloader.batch_size'] = 8
    command = [
        *_tool(options, 'train.py', str(find_config('hvc_folder')), '--amp'),
        *(f'--work-dir={folder}', '--cfg-options'),
        *(f'{key}={value}' for key, value in settings.items()),
        *options.extra.get('training', ()),
    ]
    output = folder / 'last_checkpoint'
    return Stage(
        'training', lambda: command, output, partial(read_training, folder)
    )


def read_training(folder: Path) -> Outcome:
    """Read the loss curve and what an iteration took.

    Args:
        folder: Work dir of a run.

    Returns:
        ``checkpoint``, ``iterations``, medians of ``seconds`` and of
        ``data_seconds`` of an iteration, ``memory_mb`` (the largest; of a
        GPU) and ``curve`` (lists of ``step``, ``loss``, ``loss_static`` and
        ``loss_dynamic``); and the mean loss of the last tenth as a mark.
    """
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
    last = loss[-max(1, len(loss) // 10) :]
    return result, [Mark('last loss', float(last.mean()), form='{:.2f}')]


def _scores(options: Options) -> Stage:
    """The trained backbone beside a random one and a ResNet-50."""
    folder = options.work_dir / 'scores'
    latest = options.work_dir / 'training' / 'last_checkpoint'

    def command() -> List[str]:
        backbones = [_RANDOM]
        if latest.is_file():
            checkpoint = latest.read_text(encoding='utf-8')
            backbones.insert(0, f'hvc={checkpoint}')
        if options.resnet50:
            backbones.append(f'resnet50={options.resnet50}')
        settings = [f'test_dataloader.dataset.data_root={options.davis}']
        if options.on_gpu:
            settings += ['test_dataloader.batch_size=8']
        else:
            settings += ['test_dataloader.dataset.max_frames=20']
        return [
            *_tool(options, 'benchmark_backbones.py', '--benchmarks=davis'),
            *('--backbones', *backbones, f'--out={folder}'),
            *('--cfg-options', *settings, *options.extra.get('scores', ())),
        ]

    output = folder / 'scoreboard.json'
    return Stage('scores', command, output, partial(read_scores, output))


def read_scores(path: Path) -> Outcome:
    """Read what ``benchmark_backbones.py`` found.

    Args:
        path: Its ``scoreboard.json``.

    Returns:
        ``results`` by backbone (``scores`` and ``sequences`` in percent,
        ``seconds_per_frame``, counts) and ``failures``; and each J&F as a
        mark.
    """
    board = json.loads(path.read_text(encoding='utf-8'))
    kept = ('scores', 'sequences', 'seconds_per_frame', 'counts', 'weights')
    results = {
        cell['backbone']: {key: cell[key] for key in kept}
        for cell in board['results']
    }
    marks = [
        Mark(f'J&F of {name}', cell['scores']['J&F'], form='{:.1f}')
        for name, cell in results.items()
    ]
    return {'results': results, 'failures': board['failures']}, marks


def _tool(options: Options, tool: str, *arguments: str) -> List[str]:
    return [sys.executable, str(options.tools / tool), *arguments]
