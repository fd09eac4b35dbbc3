"""A network of a few layers, and a video of a square that moves."""

import mmcv
import numpy as np
import pytest
import torch

from hvc_mm.apis import PictureWriter, init_model

HEIGHT, WIDTH, FRAMES = 48, 64, 8


@pytest.fixture
def tiny_cfg():
    """Layer1 of a ResNet-18 (stride 4), so that a frame takes milliseconds."""
    return dict(
        default_scope='hvc_mm',
        model=dict(
            type='LabelPropagationVOS',
            backbone=dict(type='HVCResNet', depth=18, out_indices=(0,)),
            propagator=dict(radius=4, topk=5, context=3),
        ),
    )


@pytest.fixture
def tiny_model(tiny_cfg):
    """The network, with weights that are random but always the same."""
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match='random'):
        return init_model(tiny_cfg, device='cpu')


@pytest.fixture(scope='session')
def moving_square():
    """Frames (T, H, W, 3) uint8 BGR and masks (T, H, W) uint8, id 1."""
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 80, (HEIGHT, WIDTH, 3), np.uint8)
    square = rng.integers(150, 255, (16, 16, 3), np.uint8)
    frames = np.repeat(ground[None], FRAMES, 0)
    masks = np.zeros((FRAMES, HEIGHT, WIDTH), np.uint8)
    for t in range(FRAMES):
        frames[t, 16:32, 8 + 2 * t : 24 + 2 * t] = square
        masks[t, 16:32, 8 + 2 * t : 24 + 2 * t] = 1
    return frames, masks


@pytest.fixture
def frame_folder(tmp_path, moving_square):
    """The frames as PNGs, without loss."""
    for index, frame in enumerate(moving_square[0]):
        mmcv.imwrite(frame, str(tmp_path / f'square/{index}.png'))
    return tmp_path / 'square'


@pytest.fixture
def video(tmp_path, moving_square):
    """The frames as a video file of 12 frames per second."""
    path = tmp_path / 'square.avi'
    with PictureWriter(path, fps=12) as writer:
        for frame in moving_square[0]:
            writer.write(frame[..., ::-1])
    return path
