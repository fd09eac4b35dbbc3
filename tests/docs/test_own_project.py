"""A project of a user's own, far from the checkout, made from the pages."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Data set, metric and backbone of the pages in one config.
CONFIG = """
_base_ = './my_folders.py'
custom_imports = dict(
    imports=[
        'my_project.paired_folders',
        'my_project.pixel_accuracy',
        'my_project.plain_conv_net',
    ]
)
model = dict(
    backbone=dict(_delete_=True, type='PlainConvNet', channels=8)
)
test_evaluator = [dict(type='VOSMetric'), dict(type='PixelAccuracyMetric')]
"""


@pytest.fixture
def work(tmp_path, sample_dir, code_blocks):
    """A folder with the pages' files, and videos as their data set wants."""
    pages = [ROOT / 'docs/extend.md', *(ROOT / 'docs/extend').glob('*.md')]
    for page in pages:
        for code in code_blocks(page, 'python'):
            path = tmp_path / re.match(r'# ([\w/-]+\.py)', code)[1]
            path.parent.mkdir(exist_ok=True)
            path.write_text(code)
    (tmp_path / 'mine.py').write_text(CONFIG)
    davis = sample_dir / 'DAVIS'
    for name in (davis / 'ImageSets/2017/val.txt').read_text().split():
        folder = tmp_path / 'data/mine' / name
        folder.mkdir(parents=True)
        for own, source in ('frames', 'JPEGImages'), ('masks', 'Annotations'):
            (folder / own).symlink_to(davis / source / '480p' / name)
    (tmp_path / 'data/coco').symlink_to(sample_dir / 'coco')
    return tmp_path


def _run(work, tool, *arguments):
    paths = os.pathsep.join([str(ROOT), str(work)])
    environment = dict(os.environ, PYTHONPATH=paths)
    environment.pop('HVC_DATA_ROOT', None)
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools' / tool), *arguments],
        cwd=work,
        env=environment,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_trains_and_tests(work):
    train = 'train_dataloader'
    _run(
        work,
        *('train.py', 'my_net_coco.py', '--cfg-options'),
        *(f'{train}.batch_size=4', f'{train}.num_workers=0'),
        *(f'{train}.dataset.pipeline.1.size=32', 'train_cfg.max_epochs=1'),
        'model.backbone.channels=8',
    )
    # The run is found by its backbone.
    said = _run(
        work,
        *('test.py', 'mine.py', '--cfg-options'),
        *('test_dataloader.num_workers=0', 'model.propagator.radius=4'),
    )
    assert 'weights: work_dirs/my_net_coco/epoch_1.pth, of the newest' in said
    scores = work / 'work_dirs/mine/scores'
    for metric, key in ('davis', 'J&F'), ('pixels', 'accuracy'):
        found = json.loads((scores / metric / 'results.json').read_text())
        assert 0 < found['overall'][key] <= 100
        assert len(found['videos']) == 2
