"""Data sets in pictures."""

import mmcv
import numpy as np
import pytest

from hvc_mm.datasets import write_id_mask

CONFIG = """
default_scope = 'hvc_mm'
images = dict(type='ImageFolderDataset', data_root={root!r}, sources='photos')
images['pipeline'] = [
    dict(type='LoadPretrainImage'),
    dict(type='PairedRandomResizedCrop', size=96, scale=(0.5, 1)),
    dict(type='PackPairedViews'),
]
videos = dict(type='VOSDataset', data_root={root!r}, ann_file='')
videos['data_prefix'] = dict(img_path='frames', ann_path='masks')
videos['pipeline'] = [
    dict(type='LoadFrame'),
    dict(type='LoadPrompt'),
    dict(type='ResizeFrame', size=(30, 40)),
    dict(type='PackVOSInputs'),
]
train_dataloader = dict(dataset=images)
test_dataloader = dict(dataset=videos)
"""


@pytest.fixture
def run(call_tool, tmp_path):
    y, x = np.mgrid[:60, :80]
    for index in range(4):
        # Smooth, so that JPEG keeps it; BGR with little red.
        levels = (3 * x, 4 * y, np.full_like(x, 30 * index))
        image = np.stack(levels, -1).astype(np.uint8)
        for folder in ('photos', 'frames/bear', 'frames/cow'):
            mmcv.imwrite(image, str(tmp_path / f'{folder}/{index:05d}.png'))
    ids = np.zeros((60, 80), np.uint8)
    ids[20:40, 20:60] = 1
    for video in ('bear', 'cow'):
        write_id_mask(tmp_path / f'masks/{video}/00000.png', ids)
    config = tmp_path / 'config.py'
    config.write_text(CONFIG.format(root=str(tmp_path)))

    def call(*arguments, out='out'):
        out = tmp_path / out
        tool = 'analysis_tools/browse_dataset.py'
        call_tool(tool, config, '--out', out, *arguments)
        return out

    return call


def test_pairs_by_seed(run, capsys):
    out = run('--number', '3')
    assert len(list(out.glob('*.jpg'))) == 3
    assert capsys.readouterr().out.endswith(f'3 pictures: {out}\n')
    picture = mmcv.imread(str(out / '000001.jpg'))
    # Two views of 96 with a gap of 16, and the image at their height.
    assert 96 < picture.shape[0] < 130
    assert picture.shape[1] == pytest.approx(2 * 96 + 16 + 80 * 1.6, abs=12)
    first, again, other = (
        (run('--number', '1', '--seed', s, out=o) / '000000.jpg').read_bytes()
        for s, o in (('1', 'a'), ('1', 'b'), ('2', 'c'))
    )
    assert first == again != other


def test_frames_at_their_own_size_with_masks(run, tmp_path):
    out = run('--phase', 'test', '--video', 'cow')
    names = sorted(path.name for path in out.glob('*.jpg'))
    assert names == [f'cow_{t:05d}.jpg' for t in range(4)]
    given, plain = (
        mmcv.imread(str(out / name))[-60:].astype(int) for name in names[:2]
    )
    frames = [
        mmcv.imread(str(tmp_path / f'frames/cow/{t:05d}.png')).astype(int)
        for t in range(2)
    ]
    assert given.shape == (60, 80, 3)
    # Object 1 is dark red: half of (0, 0, 128) and half of the frame.
    inside = given[35:38, 44:56]
    wanted = 0.5 * frames[0][35:38, 44:56] + (0, 0, 64)
    assert np.abs(inside - wanted).mean() < 8
    assert np.abs(plain - frames[1]).mean() < 5


def test_errors(run):
    with pytest.raises(SystemExit, match=r"\['train', 'test'\], not val"):
        run('--phase', 'val')
    with pytest.raises(SystemExit, match='no video dog'):
        run('--phase', 'test', '--video', 'dog')


@pytest.mark.parametrize('out', ['photos', 'photos/new', '.'])
def test_images_are_never_drawn_over(run, tmp_path, out):
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*.*')}
    with pytest.raises(SystemExit, match='photos, which this run reads'):
        run(out=out)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*.*')} == before
