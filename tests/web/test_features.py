"""Features of a video: computed once, kept as they are, within bounds."""

import numpy as np
import pytest
import torch

from hvc_mm.apis import open_frames, propagate_in_video, video_features
from hvc_mm.web.features import CachingModel, FeatureFiles


@pytest.fixture
def counted(tiny_model, monkeypatch):
    """Frames that went through the backbone, as a list that grows."""
    seen, forward = [], tiny_model.backbone.forward
    monkeypatch.setattr(
        tiny_model.backbone,
        'forward',
        lambda image: (seen.extend(image), forward(image))[1],
    )
    return seen


def collect(model, frames, mask):
    found = propagate_in_video(model, frames, mask)
    return np.stack([masks[0] for _, _, masks in found])


def test_they_are_computed_once(tiny_model, counted, moving_square, tmp_path):
    frames, masks = moving_square
    expected = collect(tiny_model, frames, masks[0])
    counted.clear()
    model = CachingModel(tiny_model, FeatureFiles(tmp_path / 'f'))
    for _ in range(2):
        found = collect(model, frames, masks[0])
        np.testing.assert_array_equal(found, expected)
        assert len(counted) == 8


def test_the_space_is_bounded(tiny_model, counted, moving_square, tmp_path):
    frames, masks = moving_square
    one = 64 * 12 * 16 * 4  # bytes of layer1's map at stride 4
    files = FeatureFiles(tmp_path / 'f', max_bytes=3.5 * one)
    model = CachingModel(tiny_model, files)
    once = collect(model, frames, masks[0])
    assert len(list((tmp_path / 'f').iterdir())) == 3
    np.testing.assert_array_equal(collect(model, frames, masks[0]), once)
    assert len(counted) == 8 + 5


def test_those_of_one_frame(tiny_model, counted, moving_square, tmp_path):
    source = open_frames(moving_square[0])
    found = video_features(tiny_model, source)
    expected = [features for _, features in found]
    counted.clear()
    model = CachingModel(tiny_model, FeatureFiles(tmp_path / 'f'))
    for _ in range(2):
        assert torch.equal(model.features_of(source, 5), expected[5])
    assert len(counted) == 1
