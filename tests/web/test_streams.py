"""Streams of one model: each as if it were alone, features computed once."""

import numpy as np
import pytest
import torch

from hvc_mm.apis import open_frames, propagate_in_video, video_features
from hvc_mm.web.streams import FeatureFiles, VideoStream


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


def test_two_at_once_do_not_disturb_each_other(
    tiny_model, moving_square, tmp_path
):
    frames, masks = moving_square
    videos = [frames, frames[::-1, :, ::-1].copy()]
    firsts = [masks[0], masks[7, :, ::-1].copy()]
    alone = [
        collect(tiny_model, video, first)
        for video, first in zip(videos, firsts)
    ]
    tiny_model.reset()
    streams = [
        propagate_in_video(
            VideoStream(tiny_model, FeatureFiles(tmp_path / str(i))),
            videos[i],
            firsts[i],
        )
        for i in range(2)
    ]
    for t, ((_, _, a), (_, _, b)) in enumerate(zip(*streams)):
        np.testing.assert_array_equal(a[0], alone[0][t])
        np.testing.assert_array_equal(b[0], alone[1][t])
    assert t == 7
    # The model itself is on no video.
    assert not tiny_model.propagator.time


def test_features_are_computed_once(
    tiny_model, counted, moving_square, tmp_path
):
    frames, masks = moving_square
    stream = VideoStream(tiny_model, FeatureFiles(tmp_path / 'f'))
    once = collect(stream, frames, masks[0])
    assert len(counted) == 8
    np.testing.assert_array_equal(collect(stream, frames, masks[0]), once)
    assert len(counted) == 8


def test_the_space_is_bounded(tiny_model, counted, moving_square, tmp_path):
    frames, masks = moving_square
    one = 64 * 12 * 16 * 4  # bytes of layer1's map at stride 4
    files = FeatureFiles(tmp_path / 'f', max_bytes=3.5 * one)
    stream = VideoStream(tiny_model, files)
    once = collect(stream, frames, masks[0])
    assert len(list((tmp_path / 'f').iterdir())) == 3
    np.testing.assert_array_equal(collect(stream, frames, masks[0]), once)
    assert len(counted) == 8 + 5


def test_features_of_one_frame(tiny_model, counted, moving_square, tmp_path):
    source = open_frames(moving_square[0])
    found = video_features(tiny_model, source)
    expected = [features for _, features in found]
    counted.clear()
    stream = VideoStream(tiny_model, FeatureFiles(tmp_path / 'f'))
    for _ in range(2):
        assert torch.equal(stream.features_of(source, 5), expected[5])
    assert len(counted) == 1
