"""Frames that a backbone can't take are refused before a test begins."""

import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.model import BaseModule
from PIL import Image

from hvc_mm.datasets import VOSDataset
from hvc_mm.engine.frame_sizes import check_frame_sizes
from hvc_mm.models.backbones.patches import check_multiple


class Patches(BaseModule):
    """Something inside a model that takes multiples of 16 alone."""

    def check_size(self, size):
        check_multiple('Patches', size, 16)


class Model(BaseModule):
    def __init__(self):
        super().__init__()
        self.backbone = Patches()


@pytest.fixture
def davis(tmp_path):
    for name, (width, height) in dict(a=(64, 48), b=(64, 50)).items():
        for index in range(2):
            for kind, end in (('JPEGImages', 'jpg'), ('Annotations', 'png')):
                folder = tmp_path / kind / name
                folder.mkdir(parents=True, exist_ok=True)
                image = np.ones((height, width), np.uint8)
                Image.fromarray(image).save(folder / f'{index:05d}.{end}')
    (tmp_path / 'val.txt').write_text('a\nb\n')

    def build(**resize):
        return VOSDataset(
            data_root=str(tmp_path),
            ann_file='val.txt',
            data_prefix=dict(img_path='JPEGImages', ann_path='Annotations'),
            prompt_at='first_frame',
            pipeline=[
                dict(type='hvc_mm.LoadFrame'),
                dict(type='hvc_mm.ResizeFrame', **resize),
            ],
        )

    return build


def test_the_second_video_is_found_without_a_frame_being_decoded(davis):
    message = r'video b: Patches: a frame of 50x64 .* multiple of the patch'
    with pytest.raises(ValueError, match=message):
        check_frame_sizes(davis(), Model())


@pytest.mark.parametrize('how', ['up', 'floor'])
def test_resized_frames_fit(davis, how):
    check_frame_sizes(davis(multiple=16, round=how), Model())
    with pytest.raises(ValueError, match='video a: Patches: a frame of '):
        check_frame_sizes(davis(multiple=14, round=how), Model())


def test_nothing_to_check(davis):
    check_frame_sizes(davis(), BaseModule())
    # Another project's step may resize frames as well.
    other = davis()
    other.pipeline = Compose([*other.pipeline.transforms, lambda x: x])
    check_frame_sizes(other, Model())
