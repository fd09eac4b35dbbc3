"""One basis for all frames, that of a plain decomposition."""

import numpy as np
import pytest
import torch

from hvc_mm.visualization import FeaturePCA


@pytest.fixture
def maps():
    """Five frames (C=12) whose variance lies in three directions."""
    torch.manual_seed(0)
    directions = torch.linalg.qr(torch.randn(12, 3)).Q
    weights = (
        torch.randn(5, 3, 6, 8) * torch.tensor([9.0, 4, 2])[:, None, None]
    )
    signal = torch.einsum('cd,tdhw->tchw', directions, weights)
    return signal + 100 + 0.1 * torch.randn(5, 12, 6, 8)


def fitted(maps):
    pca = FeaturePCA()
    for features in maps:
        pca.add(features)
    return pca


def test_basis_is_that_of_svd(maps):
    basis = fitted(maps).basis()
    rows = maps.permute(0, 2, 3, 1).reshape(-1, 12).double()
    directions = torch.linalg.svd(rows - rows.mean(0)).Vh[:3].T
    # Up to sign, which is fixed.
    torch.testing.assert_close(
        (basis * directions).sum(0).abs(), torch.ones(3).double()
    )
    largest = basis.gather(0, basis.abs().argmax(0)[None])
    assert (largest > 0).all()


def test_colours_are_projections_in_deviations(maps):
    pca = fitted(maps)
    rgb = np.stack([pca.to_rgb(features) for features in maps])
    assert rgb.shape == (5, 6, 8, 3) and rgb.dtype == np.uint8
    rows = maps.permute(0, 2, 3, 1).reshape(-1, 12).double()
    projected = (rows - rows.mean(0)) @ pca.basis()
    level = 0.5 + projected / projected.std(0, unbiased=False) / 4
    wanted = (level.clamp(0, 1) * 255).round().numpy().reshape(rgb.shape)
    assert np.abs(rgb - wanted).max() <= 1


def test_one_feature_has_one_colour_in_all_frames(maps):
    maps[4, :, 0, 0] = maps[0, :, 5, 7]
    pca = fitted(maps)
    first, last = pca.to_rgb(maps[0]), pca.to_rgb(maps[4])
    np.testing.assert_array_equal(first[5, 7], last[0, 0])


def test_more_frames_renew_the_basis(maps):
    pca = fitted(maps[:2])
    before = pca.basis()
    for features in maps[2:]:
        pca.add(features)
    torch.testing.assert_close(pca.basis(), fitted(maps).basis())
    assert not torch.equal(pca.basis(), before)


def test_no_variance_is_grey():
    pca = FeaturePCA()
    pca.add(torch.ones(4, 3, 3))
    assert (pca.to_rgb(torch.ones(4, 3, 3)) == 128).all()


def test_errors(maps):
    with pytest.raises(RuntimeError, match='0 features'):
        FeaturePCA().basis()
    with pytest.raises(ValueError, match=r'\(12, h, w\), not \(3, 6, 8\)'):
        fitted(maps).add(maps[0, :3])
    with pytest.raises(ValueError, match=r'\(5, 12, 6, 8\)'):
        FeaturePCA().add(maps)
