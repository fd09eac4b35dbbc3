"""Kill trainings, tests and scoreboards, and go on to the unbroken result.

    python -m pytest -m slow -s tests/reliability/test_kills.py

Each run is killed (SIGKILL, with all of its processes) again and again, where
`Kill` says, and started anew each time. A kill counts as within a write where
the temporary name of a file is still there when the run is dead. Writes are
slowed down (`slow_disk`), or few kills would meet one.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from hvc_mm.checkpoint import read_checkpoint

HERE = Path(__file__).resolve().parent
TOOLS = HERE.parents[1] / 'tools'
# A small HVC on small views: an epoch is three steps of four images.
SMALL = (
    'model.backbone.out_indices=(0,)',
    'model.projector.in_channels=64',
    'train_dataloader.batch_size=4',
    'train_dataloader.num_workers=1',
    'train_dataloader.dataset.pipeline.1.size=32',
    'default_hooks.logger.interval=1',
    'train_cfg.max_epochs=4',
    # Each logged value is one iteration's, not a running mean.
    'log_processor.window_size=1',
)
TINY = (
    'model.backbone.out_indices=(0,)',
    'test_dataloader.num_workers=0',
    'test_evaluator.num_workers=1',
)


class Kill(NamedTuple):
    """When to kill a run: as soon as a file of this name is there.

    Attributes:
        pattern: Of paths below the run's folder; those that were there
            before the run do not count.
        delay: Seconds after that.
    """

    pattern: str
    delay: float = 0.0


def writing(name):
    """Kill while a file of this name (without its suffix) is written."""
    return Kill(f'**/.{name}.*.partial*')


class Run:
    """A command that is started, killed and started again.

    Args:
        folder: Where it writes.
        command: The tool and its arguments.
        again: Further arguments from the second start on.
        data_root: Of its data.
    """

    def __init__(self, folder, command, again=(), data_root='data'):
        self.folder, self.command, self.again = folder, command, again
        paths = [str(HERE / 'slow_disk'), str(HERE.parents[1])]
        self.environment = dict(
            os.environ,
            PYTHONPATH=os.pathsep.join(paths),
            HVC_DATA_ROOT=str(data_root),
            OMP_NUM_THREADS='1',
        )
        self.starts, self.kills, self.within = 0, 0, 0

    def start(self):
        tool, *arguments = self.command
        arguments += self.again if self.starts else ()
        self.starts += 1
        self.log = self.folder.parent / f'{self.folder.name}_{self.starts}.log'
        with open(self.log, 'wb') as log:
            return subprocess.Popen(
                [sys.executable, str(TOOLS / tool), *map(str, arguments)],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def files(self, pattern):
        """Collect files with their times, so that a new one of an old name
        counts as new."""
        found = set()
        for path in self.folder.glob(pattern):
            try:
                found.add((path, path.stat().st_mtime_ns))
            except FileNotFoundError:
                pass  # renamed or removed meanwhile
        return found

    def kill(self, when):
        """Start, and kill; fails if the run ends before."""
        before = self.files(when.pattern)
        process = self.start()
        deadline = time.time() + 300
        while not self.files(when.pattern) - before:
            assert time.time() < deadline, f'no {when.pattern} in time'
            assert process.poll() is None, self.log.read_text()[-3000:]
            time.sleep(0.002)
        time.sleep(when.delay)
        assert process.poll() is None, f'it ended before {when}'
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.kills += 1
        partial = self.files('**/.*.partial*')
        self.within += bool(partial - before)

    def finish(self):
        process = self.start()
        assert process.wait(600) == 0, self.log.read_text()[-3000:]
        assert not self.files('**/.*.partial*'), 'something half is left'

    def report(self, what):
        print(f'\n{what}: {self.kills} kills, {self.within} within a write')


@pytest.fixture(scope='module')
def train(sample_dir, tmp_path_factory):
    """Make a training, of a folder of images, into a new work directory."""
    images = sample_dir / 'coco/train2017'

    def make(name, *options):
        folder = tmp_path_factory.mktemp('train') / name
        folder.mkdir()
        command = (
            *('train.py', 'hvc_folder', f'--work-dir={folder}'),
            *('--cfg-options', *SMALL, *options),
            f'train_dataloader.dataset.sources={images}',
        )
        # `--cfg-options` takes all that follows, up to the next option.
        return Run(folder, command, ('--resume',))

    return make


@pytest.fixture(scope='module')
def unbroken_run(train):
    """A training that nothing stops."""
    run = train('unbroken')
    run.finish()
    return run


@pytest.fixture(scope='module')
def unbroken(unbroken_run):
    """Its weights."""
    last = unbroken_run.folder / 'epoch_4.pth'
    return read_checkpoint(last)['state_dict']


def losses(run):
    """Collect ``{step: losses}`` of what all starts of a run logged."""
    found = {}
    for path in run.folder.glob('*/vis_data/scalars.json'):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if 'loss_static' in row:
                pair = row['loss_static'], row['loss_dynamic']
                found[row['step']] = pair
    return found


def assert_same_weights(path, expected):
    found = read_checkpoint(path)['state_dict']
    assert found.keys() == expected.keys()
    for name in expected:
        assert torch.equal(found[name], expected[name]), name


def test_a_training_that_is_killed_twice(train, unbroken, unbroken_run):
    """The short form: within a checkpoint, and before it is noted."""
    run = train('short')
    run.kill(writing('epoch_1'))
    run.kill(writing('last_checkpoint'))
    run.finish()
    assert run.within == 2
    assert 'names no checkpoint here' in run.log.read_text()
    assert 'resumed epoch: 1, iter: 3' in run.log.read_text()
    # To the last digit.
    assert losses(run) == losses(unbroken_run)
    assert sorted(losses(run)) == list(range(1, 13))
    assert_same_weights(run.folder / 'epoch_4.pth', unbroken)


@pytest.mark.slow
def test_trainings_at_the_end_of_epochs(train, unbroken):
    run = train('epochs')
    for when in (
        writing('epoch_1'),
        writing('last_checkpoint'),
        Kill('*/vis_data/scalars.json'),
        writing('epoch_2'),
        writing('epoch_3'),
        Kill('epoch_3.pth'),
        writing('epoch_4'),
    ):
        run.kill(when)
    run.finish()
    run.report('training, checkpoints of epochs')
    assert run.within >= 4
    assert_same_weights(run.folder / 'epoch_4.pth', unbroken)


@pytest.mark.slow
def test_trainings_inside_epochs(train, unbroken):
    hook = 'default_hooks.checkpoint'
    run = train('inside', f'{hook}.by_epoch=False', f'{hook}.interval=2')
    for when in (
        Kill('iter_2.pth', delay=0.3),
        writing('iter_4'),
        Kill('iter_4.pth'),
        writing('last_checkpoint'),
        writing('iter_10'),
    ):
        run.kill(when)
    run.finish()
    run.report('training, checkpoints inside epochs')
    assert_same_weights(run.folder / 'iter_12.pth', unbroken)


def contents(folder, pattern):
    found = {p.relative_to(folder): p for p in folder.glob(pattern)}
    assert found, pattern
    return {name: path.read_bytes() for name, path in found.items()}


@pytest.mark.slow
def test_tests(sample_dir, tmp_path):
    def make(name):
        folder = tmp_path / name
        folder.mkdir()
        command = (
            *('test.py', 'hvc_davis', 'none'),
            *(f'--work-dir={folder / "work"}', f'--out={folder / "masks"}'),
            *('--cfg-options', *TINY),
        )
        return Run(folder, command, data_root=sample_dir)

    whole, broken = make('whole'), make('broken')
    whole.finish()
    videos = sorted(path.name for path in (whole.folder / 'masks').iterdir())
    first, second = [name for name in videos if name[0] != '.'][:2]
    for when in (
        Kill('masks/*/00001.png'),
        writing(first),
        Kill(f'masks/{second}/00003.png'),
        writing(second),
        Kill(f'masks/{second}/00005.png'),
    ):
        broken.kill(when)
    broken.finish()
    broken.report('test')
    for pattern in ('masks/*/*.png', 'work/scores/**/*.json'):
        expected = contents(whole.folder, pattern)
        assert contents(broken.folder, pattern) == expected


@pytest.mark.slow
def test_scoreboards(sample_dir, tmp_path):
    def make(name):
        folder = tmp_path / name
        folder.mkdir()
        backbones = [
            f'{n}=HVCResNet:depth=18,stage={s}' for n, s in ('a1', 'b2')
        ]
        command = (
            *('benchmark_backbones.py', '--benchmarks', 'davis'),
            *('--backbones', *backbones, '--out', folder / 'report'),
            *('--cfg-options', 'test_dataloader.num_workers=0'),
        )
        return Run(folder, command, data_root=sample_dir)

    def results(run):
        path = run.folder / 'report/scoreboard.json'
        found = json.loads(path.read_text())['runs']
        return [
            {k: v for k, v in one.items() if k != 'seconds_per_frame'}
            for one in found
        ]

    whole, broken = make('whole'), make('broken')
    whole.finish()
    for when in (
        Kill('report/**/.*.partial.json'),
        Kill('report/**/*.json', delay=0.1),
        writing('result'),
        Kill('report/**/result.json'),
        writing('scoreboard'),
    ):
        broken.kill(when)
    broken.finish()
    broken.report('scoreboard')
    assert results(broken) == results(whole)
