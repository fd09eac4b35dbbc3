"""Frames of one or several sizes, normalised as ImageNet's networks want."""

import torch

from hvc_mm.registry import MODELS


def _preprocessor(**kwargs):
    return MODELS.build(dict(type='hvc_mm.VOSDataPreprocessor', **kwargs))


def test_sizes_may_differ_and_the_order_stays():
    torch.manual_seed(0)
    sizes = [(4, 6), (4, 6), (5, 3), (4, 6)]
    frames = [
        torch.randint(256, (3, *size), dtype=torch.uint8) for size in sizes
    ]
    samples = list('abcd')
    out = _preprocessor()(dict(inputs=frames, data_samples=samples))
    assert out['data_samples'] is samples
    assert [tuple(f.shape[1:]) for f in out['inputs']] == sizes
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    for frame, normalised in zip(frames, out['inputs']):
        expected = (frame.flip(0) / 255 - mean) / std
        torch.testing.assert_close(normalised, expected, atol=1e-5, rtol=0)


def test_stacked_frames_give_the_same():
    frames = torch.randint(256, (3, 3, 4, 6), dtype=torch.uint8)
    for options in ({}, dict(channels_last=True, bgr_to_rgb=False)):
        preprocessor = _preprocessor(**options)
        stacked = preprocessor(dict(inputs=frames))['inputs']
        listed = preprocessor(dict(inputs=list(frames)))['inputs']
        assert len(stacked) == len(listed) == 3
        for one, other in zip(stacked, listed):
            assert torch.equal(one, other)
