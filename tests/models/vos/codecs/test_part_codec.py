"""Parts by way of the square input, against OpenCV step by step."""

import cv2
import numpy as np
import torch

from hvc_mm.models.vos.codecs import PartCodec
from hvc_mm.structures import VOSDataSample

SIZE, GRID = (56, 56), (7, 7)


def _sample(ids):
    sample = VOSDataSample(metainfo=dict(video='v', ori_shape=ids.shape))
    sample.prompt_ids = torch.from_numpy(ids)
    return sample


def _ids():
    ids = np.zeros((30, 45), np.uint8)
    ids[3:17, 5:22] = 4
    ids[10:28, 25:40] = 13
    return ids


def test_planes_are_opencv_s():
    ids = _ids()
    planes = PartCodec(SIZE).encode(_sample(ids), GRID)
    square = cv2.resize(ids, SIZE, interpolation=cv2.INTER_NEAREST)
    assert planes.shape == (1, 3, *GRID)
    for channel, part in enumerate((0, 4, 13)):
        plane = (square == part).astype(np.float32)
        expected = cv2.resize(plane, GRID, interpolation=cv2.INTER_LINEAR)
        np.testing.assert_allclose(planes[0, channel], expected, atol=1e-6)


def test_predictions_are_opencv_s():
    codec = PartCodec(SIZE)
    sample = _sample(_ids())
    codec.encode(sample, GRID)
    rng = np.random.default_rng(0)
    soft = rng.uniform(size=(3, *GRID)).astype(np.float32)
    codec.decode(torch.from_numpy(soft)[None], sample)
    large = [
        cv2.resize(plane, SIZE, interpolation=cv2.INTER_LINEAR)
        for plane in soft
    ]
    parts = np.array([0, 4, 13], np.uint8)[np.argmax(large, axis=0)]
    expected = cv2.resize(parts, (45, 30), interpolation=cv2.INTER_NEAREST)
    assert sample.pred_ids.shape == (30, 45)
    assert (sample.pred_ids.numpy() == expected).mean() > 0.999
    assert torch.equal(sample.prompt_ids, torch.from_numpy(_ids()))


def test_newcomers_confidence_and_frames_without_labels():
    codec = PartCodec(SIZE, with_confidence=True)
    plain = VOSDataSample(metainfo=dict(video='v', ori_shape=(30, 45)))
    assert codec.encode(plain, GRID) is None
    codec.decode(None, plain)
    assert plain.pred_ids.shape == (30, 45) and not plain.pred_ids.any()
    first = np.where(_ids() == 4, _ids(), 0).astype(np.uint8)
    later = np.where(_ids() == 13, _ids(), 0).astype(np.uint8)
    assert codec.encode(_sample(first), GRID).shape[1] == 2
    planes = codec.encode(_sample(later), GRID)
    assert planes.shape[1] == 3 and not planes[0, :2].any()
    codec.decode(planes, plain)
    assert set(plain.pred_ids.unique().tolist()) <= {0, 4, 13}
    assert plain.pred_confidence.shape == (30, 45)
    codec.reset()
    assert codec.encode(_sample(later), GRID).shape[1] == 2
