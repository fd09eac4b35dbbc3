"""Small data sets on disk, made anew for each test."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from hvc_mm.datasets import write_id_mask


def write_photo(path: Path, height: int = 24, width: int = 32, seed: int = 0):
    """Write a smooth random image; JPEG or PNG by the name."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (4, 5, 3), dtype=np.uint8)
    image = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return image


def box_mask(boxes: dict, height: int = 24, width: int = 32):
    """An id mask with a box (top, left, bottom, right) for each id."""
    mask = np.zeros((height, width), np.uint8)
    for object_id, (top, left, bottom, right) in boxes.items():
        mask[top:bottom, left:right] = object_id
    return mask


class DavisMaker:
    """Writes videos in DAVIS's layout below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.names = []

    def frame(self, video: str, index: int) -> Path:
        return self.root / 'JPEGImages/480p' / video / f'{index:05d}.jpg'

    def mask(self, video: str, index: int) -> Path:
        return self.root / 'Annotations/480p' / video / f'{index:05d}.png'

    def add(self, video, length=3, masks=None):
        """Add a video; ``masks`` maps frames to ``(H, W)`` ids."""
        for index in range(length):
            write_photo(self.frame(video, index), seed=index)
        if masks is None:
            masks = {i: box_mask({1: (2, 2, 9, 9)}) for i in range(3)}
        for index, ids in masks.items():
            write_id_mask(self.mask(video, index), ids)
        self.names.append(video)
        names = self.root / 'ImageSets/2017/val.txt'
        names.parent.mkdir(parents=True, exist_ok=True)
        names.write_text('\n'.join(self.names) + '\n')
        return self


def given_prompts(dataset):
    """The ids that are given, by video and name of the frame."""
    return {
        (s.video, s.frame_name): np.unique(s.prompt_ids.numpy()).tolist()[1:]
        for s in (item['data_samples'] for item in dataset)
        if 'prompt_ids' in s
    }


@pytest.fixture
def photo():
    """The function that writes an image."""
    return write_photo


@pytest.fixture
def boxes():
    """The function that draws an id mask."""
    return box_mask


@pytest.fixture
def prompts():
    """The function that reads what a data set gives to the model."""
    return given_prompts


@pytest.fixture
def pipeline():
    """The function that gives a pipeline of frames resized to a size."""

    def make(size=None):
        return [
            dict(type='hvc_mm.LoadFrame'),
            dict(type='hvc_mm.LoadPrompt'),
            dict(type='hvc_mm.ResizeFrame', size=size),
            dict(type='hvc_mm.PackVOSInputs'),
        ]

    return make


@pytest.fixture
def davis(tmp_path):
    """A data set in DAVIS's layout, without videos as yet."""
    return DavisMaker(tmp_path / 'DAVIS')
