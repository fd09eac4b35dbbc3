"""The demo's command line, as a user runs it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from hvc_mm.apis import PictureWriter
from hvc_mm.datasets import read_id_mask, write_id_mask
from hvc_mm.engine.run_config import read_config
from hvc_mm.models import HVCResNet

TOOL = 'demo/video_demo.py'


@pytest.fixture
def demo(tmp_path, tiny_cfg, video, moving_square, monkeypatch):
    """A folder with a video, masks and a config, as the current one."""
    Config(tiny_cfg).dump(str(tmp_path / 'tiny.py'))
    first = moving_square[1][0]
    write_id_mask(tmp_path / 'first.png', first)
    write_id_mask(tmp_path / 'late.png', np.roll(first, 30, 1) * 2)
    monkeypatch.chdir(tmp_path)
    return tmp_path


OPTIONS = ('--config', 'tiny.py', '--device', 'cpu', '--checkpoint')


def test_as_a_user_types_it(demo, run_tool, moving_square):
    done = run_tool(
        TOOL,
        *('square.avi', '--mask', 'first.png', '--out', 'new/out.mp4'),
        *('--masks-dir', 'masks', *OPTIONS, 'none'),
        cwd=demo,
    )
    assert done.returncode == 0, done.stdout
    assert '8 frames in ' in done.stdout and 'frames/s' in done.stdout
    reader = mmcv.VideoReader(str(demo / 'new/out.mp4'))
    assert (len(reader), reader.fps, reader.resolution) == (8, 12, (64, 48))
    masks = sorted((demo / 'masks').glob('*.png'))
    assert [path.name for path in masks] == [f'{t:05d}.png' for t in range(8)]
    with Image.open(masks[7]) as image:
        assert image.mode == 'P'
    last, true = read_id_mask(masks[7]) == 1, moving_square[1][7] == 1
    assert (true & last).sum() / (true | last).sum() > 0.6


def test_masks_of_several_frames(demo, call_tool):
    call_tool(
        *(TOOL, 'square.avi', '--mask', 'first.png', '--mask', '3:late.png'),
        *('--fps', '5', '--out', 'pictures', '--masks-dir', 'masks'),
        *(*OPTIONS, 'none'),
    )
    assert len(list((demo / 'pictures').glob('*.jpg'))) == 8
    present = [
        set(np.unique(read_id_mask(demo / f'masks/{t:05d}.png')))
        for t in range(8)
    ]
    assert present[2] == {0, 1} and present[3] == present[7] == {0, 1, 2}


def test_frames_are_shown_smaller_and_masks_are_corrected(
    demo, call_tool, moving_square, monkeypatch
):
    fix = np.roll(moving_square[1][5], 28, axis=1)  # somewhere else
    write_id_mask('fix.png', fix)
    sizes = []
    forward = HVCResNet.forward

    def note(self, frames):
        sizes.append(tuple(frames.shape[2:]))
        return forward(self, frames)

    monkeypatch.setattr(HVCResNet, 'forward', note)
    call_tool(
        *(TOOL, 'square.avi', '--mask', 'first.png', '--mask', '5:fix.png'),
        *('--input-size', '24x32', '--out', 'o', '--masks-dir', 'masks'),
        *(*OPTIONS, 'none'),
    )
    assert set(sizes) == {(24, 32)} and len(sizes) == 8
    found = [read_id_mask(f'masks/{t:05d}.png') == 1 for t in range(8)]
    assert found[0].shape == (48, 64)
    shares = [mask[fix > 0].mean() for mask in found]
    assert max(shares[:5]) < 0.2 and shares[5] > 0.4


def test_weights_of_the_newest_run(demo, call_tool, pretrained, logged):
    run = demo / 'work_dirs/mine'
    run.mkdir(parents=True)
    read_config('hvc_coco').dump(run / 'mine.py')
    shutil.copy(pretrained, run / 'epoch_20.pth')
    call_tool(
        *(TOOL, 'square.avi', '--mask', 'first.png', '--out', 'o'),
        *OPTIONS[:-1],
    )
    found = [line for line in logged if 'work_dirs/mine/epoch_20.pth' in line]
    assert found[0].startswith('INFO: weights: '), logged
    assert len(list((demo / 'o').glob('*.jpg'))) == 8


def test_a_prefix_chooses_a_network(demo, call_tool):
    state = HVCResNet(18, out_indices=(0,)).state_dict()
    odd = {name: tensor * 0 for name, tensor in state.items()}
    torch.save({'model': state, 'ema': odd}, 'pair.pth')
    given = TOOL, 'square.avi', '--mask', 'first.png', *OPTIONS, 'pair.pth'
    with pytest.raises(SystemExit, match=r"pair\.pth: .*'model' or 'ema'"):
        call_tool(*given, '--out', 'out')
    call_tool(*given, '--out', 'out', '--prefix', 'model')
    assert len(list((demo / 'out').glob('*.jpg'))) == 8


@pytest.mark.parametrize(
    ('change', 'complaint'),
    [
        (dict(video='gone.mp4'), 'error: no video .*gone.mp4'),
        (dict(video='first.png'), 'single image'),
        (dict(video='tiny.py'), 'cannot read the video .*tiny.py'),
        (dict(mask='gone.png'), 'no mask file .*gone.png'),
        (dict(mask='8:first.png'), r'frames \[8\], but square has 8 frames'),
        (dict(mask='rgb.png'), "rgb.png has mode 'RGB'"),
        (dict(mask='empty.png'), 'empty.png is empty'),
        (dict(mask='one.jpg'), 'one.jpg is a JPEG.*--binarize'),
        (dict(mask='large.png'), 'large.png has 70x50 .*expected 64x48'),
        (dict(mask='tiny.py'), 'cannot read the mask .*tiny.py'),
        (dict(out='first.png'), 'first.png is a file'),
        (dict(checkpoint='gone.pth'), 'no checkpoint gone.pth'),
        (dict(checkpoint=''), 'no weights: work_dirs has no'),
        (dict(options='model.propagator.topk=0'), 'topk'),
    ],
)
def test_bad_input_is_one_clear_line(demo, call_tool, change, complaint):
    Image.new('RGB', (64, 48), (255, 0, 0)).save('rgb.png')
    Image.new('L', (64, 48), 255).save('one.jpg')
    write_id_mask('empty.png', np.zeros((48, 64), np.uint8))
    write_id_mask('large.png', np.ones((50, 70), np.uint8))
    given = dict(video='square.avi', mask='first.png', out='o.avi')
    given = {
        **given,
        'checkpoint': 'none',
        'options': 'log_level=INFO',
        **change,
    }
    with pytest.raises(SystemExit, match=complaint):
        call_tool(
            *(TOOL, given['video'], '--mask', given['mask']),
            *('--out', given['out'], *OPTIONS, given['checkpoint']),
            *('--cfg-options', given['options']),
        )


@pytest.mark.parametrize(
    'outputs, complaint',
    [
        ('--out square', r'square is square, which'),
        ('--out o.avi --masks-dir square/new', 'square/new is in square'),
        ('--out SQUARE/../square/a.mp4', 'a.mp4 is in square'),
        ('--out o.avi --masks-dir ms', 'ms contains ms/0.png'),
        ('--out .', r'\. contains'),
        ('--out notes', 'notes holds notes/a.txt.*--force'),
        ('--out notes.avi', 'notes.avi exists already.*--force'),
    ],
)
def test_nothing_of_the_users_is_written_over(
    demo, call_tool, frame_folder, outputs, complaint
):
    (demo / 'SQUARE').mkdir(exist_ok=True)
    (demo / 'ms').mkdir()
    (demo / 'first.png').rename(demo / 'ms/0.png')
    (demo / 'notes').mkdir()
    for name in ('notes/a.txt', 'notes.avi'):
        (demo / name).write_text('of the user')
    before = {p: p.stat().st_mtime_ns for p in demo.rglob('*.*')}
    with pytest.raises(SystemExit, match=complaint):
        call_tool(
            *(TOOL, 'square', '--mask', 'ms/0.png', *outputs.split()),
            *(*OPTIONS, 'none'),
        )
    assert {p: p.stat().st_mtime_ns for p in demo.rglob('*.*')} == before


def test_a_shorter_video_replaces_a_longer_one(demo, call_tool, frame_folder):
    for _ in range(2):
        call_tool(
            *(TOOL, 'square', '--mask', 'first.png', '--out', 'pictures'),
            *('--masks-dir', 'masks', *OPTIONS, 'none'),
        )
        for index in range(3, 8):
            (frame_folder / f'{index}.png').unlink(missing_ok=True)
    assert len(list((demo / 'pictures').glob('*.jpg'))) == 3
    assert len(list((demo / 'masks').glob('*.png'))) == 3


def test_a_jpeg_of_one_object(demo, call_tool, moving_square):
    Image.fromarray(moving_square[1][0] * 255).save('one.jpg', quality=80)
    call_tool(
        *(TOOL, 'square.avi', '--mask', 'one.jpg', '--binarize'),
        *('--out', 'o.avi', '--masks-dir', 'masks', *OPTIONS, 'none'),
    )
    first = read_id_mask(demo / 'masks/00000.png')
    assert set(np.unique(first)) == {0, 1}
    assert np.mean(first != moving_square[1][0]) < 0.05


# Runs a tool whose files may not grow beyond 1000 bytes. In the tests' own
# process pytest's files would be cut, and earlier those that torch writes.
ON_A_FULL_DISK = """
import resource, runpy, sys
import hvc_mm.apis
sys.argv.pop(0)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.mark.parametrize('out', ['o.mp4', 'o.avi', 'pictures'])
def test_a_full_disk_is_no_success(demo, run_tool, out):
    pytest.importorskip('resource')
    arguments = ['square.avi', '--mask', 'first.png', '--out', out]
    launch = ('-c', ON_A_FULL_DISK)
    done = run_tool(
        TOOL, *arguments, *OPTIONS, 'none', cwd=demo, launch=launch
    )
    assert done.returncode == 1
    assert re.search(f'error: .*{out}', done.stdout), done.stdout
    assert not list(demo.rglob('o.*')) + list(demo.rglob('*.jpg'))


@pytest.mark.parametrize('number, status', [('INT', 130), ('TERM', 143)])
def test_what_was_written_before_a_stop_plays(
    demo, root_dir, moving_square, number, status
):
    with PictureWriter(demo / 'long.avi') as writer:
        for index in range(3000):
            writer.write(moving_square[0][index % 8])
    tool = root_dir / 'tools' / TOOL
    arguments = ['long.avi', '--mask', 'first.png', '--out', 'o.mp4']
    process = subprocess.Popen(
        [sys.executable, tool, *arguments, *OPTIONS, 'none'],
        env={**os.environ, 'PYTHONPATH': str(root_dir)},
        stdout=subprocess.PIPE,
        text=True,
        # A shell that runs the tests in the background has SIGINT ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    try:
        while not list(demo.glob('.o.*')):
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(1)
        assert not (demo / 'o.mp4').exists()
        process.send_signal(getattr(signal, f'SIG{number}'))
        printed, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == status
    frames = len(mmcv.VideoReader(str(demo / 'o.mp4')))
    assert 0 < frames < 3000
    assert f'stopped: o.mp4 holds the first {frames} frames' in printed
    assert not list(demo.glob('.o.*'))


def test_masks_by_frame(load_tool):
    parse = load_tool(TOOL).parse_masks
    assert parse(['a.png', '30:b.png']) == {0: 'a.png', 30: 'b.png'}
    assert parse(['C:\\a.png']) == {0: 'C:\\a.png'}
    with pytest.raises(ValueError, match='two masks for frame 0'):
        parse(['a.png', '0:b.png'])
