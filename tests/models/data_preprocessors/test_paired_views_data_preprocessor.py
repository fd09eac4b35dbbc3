"""Both views of a batch, stacked or not."""

import pytest
import torch

from hvc_mm.registry import MODELS

CONFIG = dict(
    type='hvc_mm.PairedViewsDataPreprocessor',
    mean=[0.4914 * 255, 0.4822 * 255, 0.4465 * 255],
    std=[0.2023 * 255, 0.1994 * 255, 0.2010 * 255],
)


def _views():
    torch.manual_seed(0)
    size = (4, 3, 8, 8)
    return [torch.randint(256, size, dtype=torch.uint8) for _ in range(2)]


def test_stacked_batches():
    views = _views()
    boxes = [object()] * 4
    out = MODELS.build(CONFIG)(dict(inputs=views, data_samples=boxes), True)
    assert out['data_samples'] is boxes
    for view, normalised in zip(views, out['inputs']):
        rgb = view.flip(1).double() / 255
        mean = torch.tensor([0.4914, 0.4822, 0.4465]).view(3, 1, 1)
        std = torch.tensor([0.2023, 0.1994, 0.2010]).view(3, 1, 1)
        torch.testing.assert_close(
            normalised.double(), (rgb - mean) / std, atol=1e-5, rtol=0
        )


def test_lists_of_images_give_the_same():
    views = _views()
    preprocessor = MODELS.build(CONFIG)
    stacked = preprocessor(dict(inputs=views))
    lists = preprocessor(dict(inputs=[list(view) for view in views]))
    for one, other in zip(stacked['inputs'], lists['inputs']):
        assert torch.equal(one, other)
    assert stacked['data_samples'] is None


def test_anything_but_two_views_is_refused():
    with pytest.raises(ValueError, match='two views, found 3'):
        MODELS.build(CONFIG)(dict(inputs=_views() + _views()[:1]))
