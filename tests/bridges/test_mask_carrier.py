import pytest
import torch

from hvc_mm.bridges.mask_carrier import MaskCarrier

SIZE = (48, 64)


def _carrier(**kwargs):
    torch.manual_seed(0)
    backbone = dict(type='hvc_mm.HVCResNet', depth=18, out_indices=(0,))
    propagator = dict(radius=4, topk=5, context=3)
    return MaskCarrier(backbone, propagator, **kwargs).eval()


def _video(frames=4):
    """Two textured squares on noise; one moves right, the other left."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(3, *SIZE, generator=generator) * 60
    textures = torch.rand(2, 3, 16, 16, generator=generator) * 100 + 150
    textures[1, 0] -= 150
    for time in range(frames):
        image, ids = noise.clone(), torch.zeros(SIZE, dtype=torch.uint8)
        for index, (top, left) in enumerate(
            [(4, 8 + 4 * time), (28, 40 - 4 * time)]
        ):
            place = slice(top, top + 16), slice(left, left + 16)
            image[(slice(None), *place)] = textures[index]
            ids[place] = (7, 3)[index]
        yield image, ids


def _iou(predicted, truth, index):
    first, second = predicted == index, truth == index
    return float((first & second).sum() / (first | second).sum())


def test_carries_ids_whatever_they_are():
    carrier = _carrier()
    frames = _video()
    image, ids = next(frames)
    carrier.start(carrier.extract(image), ids)
    for image, truth in frames:
        ids = carrier.carry(carrier.extract(image), SIZE)
        assert ids.shape == SIZE and ids.dtype == torch.uint8
        assert set(ids.unique().tolist()) == {0, 3, 7}
        assert _iou(ids, truth, 3) > 0.6 and _iou(ids, truth, 7) > 0.6


def test_results_may_be_of_another_size_than_the_image():
    carrier = _carrier()
    image, ids = next(_video(1))
    carrier.start(carrier.extract(image), ids)
    large = carrier.carry(carrier.extract(image), (96, 128))
    small = carrier.carry(carrier.extract(image), SIZE)
    assert _iou(large[::2, ::2], small, 7) > 0.8


def test_others_may_join():
    carrier = _carrier()
    frames = list(_video(4))
    for time, (image, truth) in enumerate(frames):
        features = carrier.extract(image)
        if time == 0:
            carrier.start(features, torch.where(truth == 7, truth, 0 * truth))
            continue
        ids = carrier.carry(features, SIZE)
        if time == 1:
            assert set(ids.unique().tolist()) == {0, 7}
            carrier.join(features, torch.where(truth == 3, truth, 0 * truth))
            assert carrier.references == 2
    assert set(ids.unique().tolist()) == {0, 3, 7}
    assert _iou(ids, truth, 3) > 0.6 and _iou(ids, truth, 7) > 0.6
    with pytest.raises(ValueError, match='again'):
        carrier.join(features, truth)


def test_starting_anew_forgets():
    carrier = _carrier()
    image, ids = next(_video(1))
    features = carrier.extract(image)
    carrier.start(features, ids)
    carrier.start(features, (ids == 3).byte() * 9)
    assert carrier.references == 1
    assert set(carrier.carry(features, SIZE).unique().tolist()) == {0, 9}


def test_features_are_those_of_the_normalised_image():
    carrier = _carrier()
    image, _ = next(_video(1))
    mean = torch.tensor([123.675, 116.28, 103.53])[:, None, None]
    std = torch.tensor([58.395, 57.12, 57.375])[:, None, None]
    with torch.no_grad():
        (wanted,) = carrier.backbone(((image.flip(0) - mean) / std)[None])
        features = carrier.extract(image)
    torch.testing.assert_close(
        features, torch.nn.functional.normalize(wanted, dim=1)
    )


def test_misuse():
    carrier = _carrier()
    image, ids = next(_video(1))
    features = carrier.extract(image)
    with pytest.raises(ValueError, match='must bring new_labels'):
        carrier.carry(features, SIZE)
    with pytest.raises(ValueError, match='no object'):
        carrier.start(features, ids * 0)
    assert not carrier.started
