"""The main job on a small sample: train HVC, carry masks, score them.

Writes a sample data set, trains ``configs/hvc_coco.py`` on it for a short
schedule, tests ``configs/hvc_davis.py`` with random and with the trained
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

ROOT = Path(__file__).resolve().parents[2]
METRICS = ('J&F', 'J_mean', 'J_recall', 'J_decay', 'F_mean')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--out', type=Path, default=Path('demo_out'), help='folder to write'
    )
    parser.add_argument(
        '--epochs', type=int, default=5, help='of 200 images, in batches of 16'
    )
    return parser.parse_args()


class Demo:
    """The steps, each a command line that a user could type.

    Args:
        out: Folder for data, checkpoints and pictures.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.data = out / 'data'
        self.started = time.time()
        self.console = Console()

    def say(self, text: str) -> None:
        """Print a headline with the time that has passed."""
        elapsed = time.time() - self.started
        self.console.print(f'[bold cyan]\\[{elapsed:4.0f} s] {text}')

    def call(self, *command: str) -> None:
        """Run one of the project's tools, its output in sight."""
        line = ' '.join(command)
        self.console.print(f'[dim]$ python {line}', soft_wrap=True)
        env = dict(os.environ, HVC_DATA_ROOT=str(self.data.resolve()))
        env['PYTHONPATH'] = os.pathsep.join(
            filter(None, [str(ROOT), env.get('PYTHONPATH')])
        )
        subprocess.run([sys.executable, *command], env=env, check=True)

    def make_sample(self) -> None:
        """Write the sample data set, over that of an earlier run."""
        self.say('writing the sample data set')
        script = str(ROOT / 'tools/dataset_converters/make_sample.py')
        self.call(script, str(self.data), '--size', '240x432', '--force')

    def train(self, epochs: int) -> Path:
        """Train for a short schedule; return the checkpoint."""
        self.say(f'training HVC for {epochs} short epochs in bfloat16')
        work_dir = self.out / 'train'
        self.call(
            str(ROOT / 'tools/train.py'),
            str(ROOT / 'configs/hvc_coco.py'),
            '--work-dir',
            str(work_dir),
            '--amp',
            '--cfg-options',
            f'train_cfg.max_epochs={epochs}',
            'train_dataloader.batch_size=16',
            'train_dataloader.num_workers=2',
            'train_dataloader.dataset.pipeline.1.size=128',
            'default_hooks.logger.interval=4',
            f'default_hooks.checkpoint.interval={epochs}',
        )
        return work_dir / f'epoch_{epochs}.pth'

    def test(self, checkpoint: str, name: str) -> dict:
        """Test one set of weights; return its scores."""
        self.say(f'carrying masks through the videos with {name} weights')
        work_dir = self.out / f'test_{name}'
        begun = time.time()
        self.call(
            str(ROOT / 'tools/test.py'),
            str(ROOT / 'configs/hvc_davis.py'),
            checkpoint,
            '--work-dir',
            str(work_dir),
            '--out',
            str(work_dir / 'masks'),
            '--show-dir',
            str(work_dir / 'frames'),
        )
        return newest_scores(work_dir, begun)

    def pictures(self) -> tuple:
        """Make a picture and a video of one video's masks."""
        folder = sorted((self.out / 'test_trained' / 'frames').iterdir())[0]
        frames = sorted(folder.glob('*.jpg'))
        video = self.out / f'{folder.name}.mp4'
        mmcv.frames2video(
            str(folder),
            str(video),
            fps=12,
            fourcc='mp4v',
            filename_tmpl='{:05d}.jpg',
            show_progress=False,
        )
        return frames[len(frames) // 2], video


def newest_scores(work_dir: Path, since: float) -> dict:
    """Read the scores that mmengine wrote into a work dir.

    Args:
        work_dir: The run's folder.
        since: Ignore files older than this, in seconds since the epoch.

    Raises:
        FileNotFoundError: When the run wrote none.
    """
    files = [
        path
        for path in work_dir.glob('[0-9]*/*.json')
        if path.stat().st_mtime >= since - 1
    ]
    if not files:
        raise FileNotFoundError(f'{work_dir}: the run wrote no scores')
    newest = max(files, key=lambda path: path.stat().st_mtime)
    scores = json.loads(newest.read_text())
    return {key.split('/')[-1]: value for key, value in scores.items()}


def main() -> None:
    args = parse_args()
    demo = Demo(args.out)
    demo.make_sample()
    checkpoint = demo.train(args.epochs)
    scores = {
        'untrained': demo.test('none', 'untrained'),
        'trained': demo.test(str(checkpoint), 'trained'),
    }
    picture, video = demo.pictures()
    table = Table(title='DAVIS-2017 protocol on the sample videos')
    table.add_column('backbone')
    for metric in METRICS:
        table.add_column(metric, justify='right')
    for name, values in scores.items():
        table.add_row(name, *(f'{values[m]:.1f}' for m in METRICS))
    demo.say('done')
    demo.console.print(table)
    for what, path in (
        ('picture', picture),
        ('video', video),
        ('checkpoint', checkpoint),
    ):
        demo.console.print(f'{what}: {path}', soft_wrap=True)


if __name__ == '__main__':
    main()
