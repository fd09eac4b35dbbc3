"""The demo's command line, as a user runs it."""

import os
import subprocess
import sys
from types import SimpleNamespace

import mmcv
import numpy as np
import pytest
from PIL import Image

from hvc_mm.apis import PictureWriter
from hvc_mm.datasets import read_id_mask, write_id_mask

CONFIG = """
default_scope = 'hvc_mm'
model = dict(
    type='LabelPropagationVOS',
    backbone=dict(type='HVCResNet', depth=18, out_indices=(0,)),
    propagator=dict(radius=4, topk=5, context=3),
)
"""


@pytest.fixture
def demo(tmp_path):
    """A video with a square on the move, masks, a config, a folder."""
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 60, (48, 64, 3), np.uint8)
    with PictureWriter(tmp_path / 'square.avi', fps=10) as writer:
        for t in range(6):
            frame = ground.copy()
            frame[16:32, 8 + 2 * t : 24 + 2 * t] = 200
            writer.write(frame)
    ids = np.zeros((48, 64), np.uint8)
    ids[16:32, 8:24] = 1
    write_id_mask(tmp_path / 'first.png', ids)
    write_id_mask(tmp_path / 'late.png', np.roll(ids, 30, 1) * 2)
    (tmp_path / 'tiny.py').write_text(CONFIG)
    return tmp_path


@pytest.fixture
def run(load_tool, demo, monkeypatch, capsys):
    """Call the tool's main with arguments; give back what it printed."""
    tool = load_tool('demo/video_demo.py')

    def call(video, *arguments, checkpoint='none'):
        argv = [
            *('video_demo.py', str(demo / video)),
            *('--config', str(demo / 'tiny.py'), '--device', 'cpu'),
            *(['--checkpoint', checkpoint] if checkpoint else []),
            *map(str, arguments),
        ]
        monkeypatch.setattr(sys, 'argv', argv)
        tool.main()
        return SimpleNamespace(**capsys.readouterr()._asdict())

    return call


def test_as_a_user_types_it(demo, root_dir):
    done = subprocess.run(
        [
            *(sys.executable, str(root_dir / 'tools/demo/video_demo.py')),
            *('square.avi', '--mask', 'first.png', '--out', 'new/out.mp4'),
            *('--masks-dir', 'masks', '--config', 'tiny.py'),
            *('--checkpoint', 'none', '--device', 'cpu'),
        ],
        cwd=demo,
        env=dict(os.environ, PYTHONPATH=str(root_dir)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('6 frames in ')
    assert 'frames/s' in done.stderr
    reader = mmcv.VideoReader(str(demo / 'new/out.mp4'))
    assert (len(reader), reader.fps, reader.resolution) == (6, 10, (64, 48))
    masks = sorted((demo / 'masks').iterdir())
    assert [path.name for path in masks] == [f'{t:05d}.png' for t in range(6)]
    with Image.open(masks[5]) as image:
        assert image.mode == 'P'
    last = read_id_mask(masks[5])
    true = np.zeros((48, 64), bool)
    true[16:32, 18:34] = True
    assert (true & (last == 1)).sum() / (true | (last == 1)).sum() > 0.6


def test_masks_of_several_frames(run, demo):
    run(
        *('square.avi', '--mask', demo / 'first.png'),
        *('--mask', f'3:{demo / "late.png"}', '--fps', 5),
        *('--out', demo / 'pictures', '--masks-dir', demo / 'masks'),
    )
    assert len(list((demo / 'pictures').glob('*.jpg'))) == 6
    present = [
        set(np.unique(read_id_mask(demo / f'masks/{t:05d}.png')))
        for t in range(6)
    ]
    assert present[2] == {0, 1} and present[3] == present[5] == {0, 1, 2}


def test_options_reach_the_config(run, demo):
    with pytest.raises(SystemExit, match='topk'):
        run(
            *('square.avi', '--mask', demo / 'first.png', '--out'),
            *(demo / 'o.avi', '--cfg-options', 'model.propagator.topk=0'),
        )


@pytest.mark.parametrize(
    ('change', 'complaint'),
    [
        (dict(video='gone.mp4'), 'error: no video .*gone.mp4'),
        (dict(video='first.png'), 'single image'),
        (dict(video='tiny.py'), 'cannot read the video .*tiny.py'),
        (dict(mask='gone.png'), 'no mask file .*gone.png'),
        (dict(mask='6:first.png'), r'frames \[6\], but square has 6 frames'),
        (dict(mask='rgb.png'), "rgb.png has mode 'RGB'"),
        (dict(mask='empty.png'), 'empty.png is empty'),
        (dict(mask='large.png'), 'large.png has 70x50 .*expected 64x48'),
        (dict(mask='tiny.py'), 'cannot read the mask .*tiny.py'),
        (dict(out='out.gif2'), None),
        (dict(out='first.png'), 'first.png is a file'),
        (dict(checkpoint='gone.pth'), 'no checkpoint gone.pth'),
        (dict(checkpoint=None), 'no weights: work_dirs/hvc_coco'),
    ],
)
def test_bad_input_is_one_clear_line(
    run, demo, change, complaint, monkeypatch
):
    monkeypatch.chdir(demo)
    Image.new('RGB', (64, 48), (255, 0, 0)).save(demo / 'rgb.png')
    write_id_mask(demo / 'empty.png', np.zeros((48, 64), np.uint8))
    write_id_mask(demo / 'large.png', np.ones((50, 70), np.uint8))
    given = dict(
        dict(video='square.avi', mask='first.png', out='o.avi'), **change
    )
    arguments = (given['video'], '--mask', given['mask'], '--out')
    checkpoint = given.get('checkpoint', 'none')
    if complaint is None:  # any other name is a folder's
        run(*arguments, given['out'], checkpoint=checkpoint)
        return
    with pytest.raises(SystemExit, match=complaint):
        run(*arguments, given['out'], checkpoint=checkpoint)


def test_masks_by_frame(load_tool):
    parse = load_tool('demo/video_demo.py').parse_masks
    assert parse(['a.png', '30:b.png']) == {0: 'a.png', 30: 'b.png'}
    assert parse(['C:\\a.png']) == {0: 'C:\\a.png'}
    with pytest.raises(ValueError, match='two masks for frame 0'):
        parse(['a.png', '0:b.png'])
