"""The main job on a small sample: train HVC, propagate masks, score them.

Writes a sample data set, trains ``configs/hvc_coco.py`` on it for some
minutes, tests ``configs/hvc_davis.py`` with random and with the trained
weights, prints both scores, and leaves a picture and a video of the masks.
``make demo`` runs this in the project's own environment.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import mmcv
from rich.console import Console
from rich.table import Table

from hvc_mm.apis import PictureWriter, open_frames

ROOT = Path(__file__).resolve().parents[2]
METRICS = ('J&F', 'J_mean', 'J_recall', 'J_decay', 'F_mean')
# Sizes that two cores with AVX2 train and test in five minutes: a step is
# some 2.3 seconds of one core, a frame 0.15.
IMAGES, BATCH, CROP = 200, 8, 96
FRAMES, FRAME_SIZE = 20, '160x288'


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        '--out', type=Path, default=Path('demo_out'), help='folder to write'
    )
    parser.add_argument(
        '--epochs',
        type=int,
        default=3,
        help=f'train for so many epochs of {IMAGES} images, in batches of '
        f'{BATCH}',
    )
    parser.add_argument(
        '--minutes',
        type=float,
        default=2.5,
        help='end the training then, done or not',
    )
    parser.add_argument(
        '--seed', type=int, default=42, help='of data and weights'
    )
    return parser.parse_args()


class Demo:
    """The steps, each a command line that a user could type."""

    def __init__(self, out: Path, seed: int) -> None:
        self.out = out
        self.seed = seed
        self.data = out / 'data'
        self.started = time.time()
        self.console = Console()

    def say(self, text: str) -> None:
        """Print a headline with the time that has passed."""
        elapsed = time.time() - self.started
        self.console.print(f'[bold cyan]\\[{elapsed:4.0f} s] {text}')

    def call(self, tool: str, *options: str) -> None:
        """Run one of the project's tools, its output in sight."""
        line = ' '.join((f'tools/{tool}', *options))
        self.console.print(f'[dim]$ python {line}', soft_wrap=True)
        env = dict(os.environ, HVC_DATA_ROOT=str(self.data.resolve()))
        env['PYTHONPATH'] = os.pathsep.join(
            filter(None, [str(ROOT), env.get('PYTHONPATH')])
        )
        command = [sys.executable, str(ROOT / 'tools' / tool), *options]
        subprocess.run(command, env=env, check=True)

    def make_sample(self) -> None:
        """Write the sample data set, over that of an earlier run."""
        self.say('writing the sample data set')
        self.call(
            'dataset_converters/make_sample.py',
            str(self.data),
            '--force',
            f'--seed={self.seed}',
            f'--images={IMAGES}',
            f'--frames={FRAMES}',
            f'--size={FRAME_SIZE}',
        )

    def train(self, epochs: int, minutes: float) -> Path:
        """Train until steps or minutes are over; return the checkpoint."""
        steps = epochs * (IMAGES // BATCH)
        self.say(f'training HVC: {steps} steps, {minutes:g} minutes at most')
        # One that holds checkpoints, of an earlier demo, would be refused.
        work_dir, again = self.out / 'train', 2
        while any(work_dir.glob('*.pth')):
            work_dir, again = self.out / f'train_{again}', again + 1
        self.call(
            'train.py',
            str(ROOT / 'configs/hvc_coco.py'),
            f'--work-dir={work_dir}',
            '--amp',
            '--cfg-options',
            f'randomness.seed={self.seed}',
            'train_cfg._delete_=True',
            'train_cfg.type=IterBasedTrainLoop',
            f'train_cfg.max_iters={steps}',
            'train_dataloader.sampler.type=InfiniteSampler',
            f'train_dataloader.batch_size={BATCH}',
            'train_dataloader.num_workers=2',
            f'train_dataloader.dataset.pipeline.1.size={CROP}',
            'log_processor.by_epoch=False',
            'default_hooks.logger.interval=5',
            'default_hooks.checkpoint.by_epoch=False',
            f'default_hooks.checkpoint.interval={steps}',
            'default_hooks.time_budget.type=TimeBudgetHook',
            f'default_hooks.time_budget.minutes={minutes}',
        )
        return Path((work_dir / 'last_checkpoint').read_text().strip())

    def test(self, checkpoint: str, name: str) -> dict:
        """Test one set of weights; return its scores."""
        self.say(f'propagating masks through the videos with {name} weights')
        work_dir = self.out / f'test_{name}'
        begun = time.time()
        self.call(
            'test.py',
            str(ROOT / 'configs/hvc_davis.py'),
            checkpoint,
            f'--work-dir={work_dir}',
            f'--out={work_dir / "masks"}',
            f'--show-dir={work_dir / "frames"}',
            '--force',  # the folder is the demo's own
            '--cfg-options',
            f'randomness.seed={self.seed}',
        )
        return newest_scores(work_dir, begun)

    def pictures(self) -> tuple[Path, Path]:
        """Make a picture and a video of one video's masks."""
        frames = sorted((self.out / 'test_trained/frames').glob('*/*.jpg'))
        frames = [f for f in frames if f.parent == frames[0].parent]
        video = self.out / f'{frames[0].parent.name}.mp4'
        with PictureWriter(video, fps=12, force=True) as writer:
            for frame in open_frames(frames[0].parent):
                writer.write(mmcv.bgr2rgb(frame.image))
        return frames[len(frames) // 2], video


def newest_scores(work_dir: Path, since: float) -> dict:
    """Read the scores that mmengine wrote into a work dir since a time."""
    times = {f: f.stat().st_mtime for f in work_dir.glob('[0-9]*/*.json')}
    newest = max(times, key=times.get, default=None)
    if newest is None or times[newest] < since - 1:
        raise FileNotFoundError(f'{work_dir}: the run wrote no scores')
    scores = json.loads(newest.read_text())
    return {key.split('/')[-1]: value for key, value in scores.items()}


def main() -> None:
    """Run all steps."""
    args = parse_args()
    demo = Demo(args.out, args.seed)
    demo.make_sample()
    checkpoint = demo.train(args.epochs, args.minutes)
    scores = {
        'random weights': demo.test('none', 'random'),
        'trained weights': demo.test(str(checkpoint), 'trained'),
    }
    picture, video = demo.pictures()
    table = Table(title='DAVIS-2017 protocol on the sample videos, percent')
    table.add_column('backbone')
    for metric in METRICS:
        table.add_column(metric, justify='right')
    for name, values in scores.items():
        table.add_row(name, *(f'{values[m]:.1f}' for m in METRICS))
    demo.say('done')
    demo.console.print(table)
    paths = dict(picture=picture, video=video, checkpoint=checkpoint)
    for what, path in paths.items():
        demo.console.print(f'{what}: {path}', soft_wrap=True)


if __name__ == '__main__':
    main()
