"""Streams that share a network do not share a video."""

import torch
import torch.nn.functional as F

from hvc_mm.models.vos import LabelPropagator, MaskCodec
from hvc_mm.models.vos.video_stream import VideoStream
from hvc_mm.structures import VOSDataSample


class RecallingCodec(MaskCodec):
    """Empties what it keeps, where ours makes it new."""

    def __init__(self):
        self.seen = []
        super().__init__()

    def reset(self):
        self.seen.clear()
        super().reset()

    def encode(self, sample, grid):
        self.seen.append(sample.frame_index)
        return super().encode(sample, grid)


def _sample(index, ids=None):
    sample = VOSDataSample(metainfo=dict(frame_index=index, ori_shape=(8, 12)))
    if ids is not None:
        sample.prompt_ids = ids
    return sample


def test_a_new_stream_has_the_settings_and_no_video():
    generator = torch.Generator().manual_seed(0)
    frames = torch.randn(4, 1, 6, 4, 6, generator=generator)
    frames = F.normalize(frames, dim=2)
    ids = torch.zeros(8, 12, dtype=torch.uint8)
    ids[:4, :6] = 7
    first = VideoStream(
        LabelPropagator(2, topk=3, context=2), RecallingCodec()
    )
    plain = VideoStream(
        LabelPropagator(2, topk=3, context=2), RecallingCodec()
    )
    for index, frame in enumerate(frames):
        given = ids if index == 0 else None
        found = first.propagate(frame, _sample(index, given))
        if index == 1:
            # In the middle of a video.
            other = first.new_stream()
            assert (other.propagator.topk, other.propagator.time) == (3, 0)
            empty = other.propagate(frames[3], _sample(0))
            assert not empty.pred_ids.any()
            other.propagate(frames[2], _sample(1, ids.flip(0)))
        expected = plain.propagate(frame, _sample(index, given))
        assert torch.equal(found.pred_ids, expected.pred_ids)
    assert first.codec.seen == [0, 1, 2, 3] and other.codec.seen == [0, 1]
    assert first.propagator.time == 4 and other.propagator.time == 1
