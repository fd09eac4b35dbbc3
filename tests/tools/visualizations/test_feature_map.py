"""Pictures of features, by the command line."""

import cv2
import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config

from hvc_mm.registry import MODELS


@pytest.fixture
def run(call_tool, tmp_path, tiny_cfg, frame_folder):
    """Call the tool on the frames of the moving square."""
    Config(tiny_cfg).dump(str(tmp_path / 'tiny.py'))

    def call(kind, *arguments, out='out'):
        torch.manual_seed(0)  # the weights are random
        call_tool(
            *('visualizations/feature_map.py', kind, frame_folder),
            *('--device', 'cpu', '--checkpoint', 'none', *arguments),
            *('--config', tmp_path / 'tiny.py', '--out', tmp_path / out),
        )
        return tmp_path / out

    return call


def test_pca_folder_and_video(run, capsys):
    out = run('pca')
    files = sorted(path.name for path in out.glob('*.jpg'))
    assert files == [f'{t}.jpg' for t in range(8)]
    picture = mmcv.imread(str(out / '2.jpg'))
    assert picture.shape == (48, 128, 3)
    # The square is apart from the ground in its features' colours.
    colors = picture[:, 64:].astype(int)
    inside = colors[20:28, 16:24].reshape(-1, 3).mean(0)
    outside = colors[36:, :].reshape(-1, 3).mean(0)
    assert np.abs(inside - outside).max() > 40
    video = run('pca', '--fit-frames', '2', out='v.avi')
    assert len(mmcv.VideoReader(str(video))) == 8
    assert capsys.readouterr().out.endswith(f'8 frames: {video}\n')


def test_affinity_follows_the_square(run):
    out = run('affinity', '--point', '14', '22')
    for t in (0, 7):
        picture = mmcv.imread(str(out / f'{t}.jpg'), channel_order='rgb')
        picture = cv2.blur(picture[-48:].astype(np.float32), (7, 7))
        red = picture[..., 0] - picture[..., 2]
        y, x = np.unravel_index(red.argmax(), red.shape)
        assert abs(x - 14 - 2 * t) < 6 and abs(y - 22) < 6


def test_a_prefix_chooses_a_network(run, tiny_cfg, tmp_path):
    network = MODELS.build(tiny_cfg['model']).backbone.state_dict()
    odd = {name: tensor * 0 for name, tensor in network.items()}
    both = {'model': network, 'ema': odd}
    torch.save(both, tmp_path / 'both.pth')
    given = 'pca', '--checkpoint', tmp_path / 'both.pth'
    with pytest.raises(SystemExit, match="both.pth: .*'model' or 'ema'"):
        run(*given)
    assert len(list(run(*given, '--prefix', 'model').glob('*.jpg'))) == 8


def test_errors_are_one_line(run):
    with pytest.raises(SystemExit, match='error: the point .*64x48'):
        run('affinity', '--point', '64', '0')
    with pytest.raises(SystemExit, match='has no frame 8'):
        run('affinity', '--point', '1', '1', '--frame', '8')
    with pytest.raises(SystemExit, match='square is .*square, which this'):
        run('pca', out='square')
