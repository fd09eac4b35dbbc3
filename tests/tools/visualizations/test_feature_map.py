"""Pictures of features, by the command line."""

import sys

import mmcv
import numpy as np
import pytest
import torch

CONFIG = """
default_scope = 'hvc_mm'
model = dict(
    type='LabelPropagationVOS',
    backbone=dict(type='HVCResNet', depth=18, out_indices=(0,)),
)
"""


@pytest.fixture
def run(load_tool, tmp_path, monkeypatch):
    """Call the tool on four noisy frames of 48x64 with a bright square."""
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 60, (48, 64, 3), np.uint8)
    square = rng.integers(100, 255, (16, 16, 3), np.uint8)
    for t in range(4):
        frame = ground.copy()
        frame[16:32, 8 + 4 * t : 24 + 4 * t] = square
        mmcv.imwrite(frame, str(tmp_path / f'frames/{t}.png'))
    (tmp_path / 'tiny.py').write_text(CONFIG)
    tool = load_tool('visualizations/feature_map.py')

    def call(kind, *arguments, out='out'):
        argv = [
            *('feature_map.py', kind, str(tmp_path / 'frames')),
            *('--config', str(tmp_path / 'tiny.py'), '--device', 'cpu'),
            *('--checkpoint', 'none', '--out', str(tmp_path / out)),
            *arguments,
        ]
        monkeypatch.setattr(sys, 'argv', argv)
        torch.manual_seed(0)  # the weights are random
        tool.main()
        return tmp_path / out

    return call


def test_pca_folder_and_video(run, capsys):
    out = run('pca')
    files = sorted(path.name for path in out.iterdir())
    assert files == ['0.jpg', '1.jpg', '2.jpg', '3.jpg']
    picture = mmcv.imread(str(out / '2.jpg'))
    assert picture.shape == (48, 128, 3)
    # The square stands out of the ground in its features' colours.
    colors = picture[:, 64:].astype(int)
    inside = colors[20:28, 20:28].reshape(-1, 3).mean(0)
    outside = colors[36:, :].reshape(-1, 3).mean(0)
    assert np.abs(inside - outside).max() > 40
    video = run('pca', '--fit-frames', '2', out='v.avi')
    assert len(mmcv.VideoReader(str(video))) == 4
    assert capsys.readouterr().out.endswith('4 frames: ' + f'{video}\n')


def test_affinity_follows_the_square(run):
    out = run('affinity', '--point', '14', '22')
    for t in (0, 3):
        picture = mmcv.imread(str(out / f'{t}.jpg'), channel_order='rgb')
        picture = picture[-48:].astype(int)
        red = picture[..., 0] - picture[..., 2]
        y, x = np.unravel_index(red.argmax(), red.shape)
        assert abs(x - 14 - 4 * t) < 6 and abs(y - 22) < 6


def test_errors_are_one_line(run):
    with pytest.raises(SystemExit, match='error: the point .*64x48'):
        run('affinity', '--point', '64', '0')
    with pytest.raises(SystemExit, match='has no frame 4'):
        run('affinity', '--point', '1', '1', '--frame', '4')
