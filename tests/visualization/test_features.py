"""Pictures of features: a plain decomposition's basis, softmax affinity."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hvc_mm.visualization import FeaturePCA, overlay_heat, point_affinity


@pytest.fixture
def maps():
    """Five frames (C=12) whose variance has three main directions."""
    torch.manual_seed(0)
    directions = torch.linalg.qr(torch.randn(12, 3)).Q
    weights = (
        torch.randn(5, 3, 6, 8) * torch.tensor([9.0, 4, 2])[:, None, None]
    )
    signal = torch.einsum('cd,tdhw->tchw', directions, weights)
    return signal + 100 + 0.1 * torch.randn(5, 12, 6, 8)


@pytest.fixture
def features():
    torch.manual_seed(0)
    return F.normalize(torch.randn(16, 5, 7), dim=0)


@pytest.fixture
def frame():
    return np.full((60, 60, 3), 100, np.uint8)


def test_colours_are_projections_on_the_directions_of_svd(maps):
    pca = FeaturePCA(maps)
    rows = maps.permute(0, 2, 3, 1).reshape(-1, 12).double()
    rows = rows - rows.mean(0)
    directions = torch.linalg.svd(rows).Vh[:3].T
    # Up to sign, which is fixed.
    torch.testing.assert_close(
        (pca.basis * directions).sum(0).abs(), torch.ones(3).double()
    )
    largest = pca.basis.gather(0, pca.basis.abs().argmax(0)[None])
    assert (largest > 0).all()
    rgb = np.stack([pca.to_rgb(features) for features in maps])
    assert rgb.shape == (5, 6, 8, 3) and rgb.dtype == np.uint8
    projected = rows @ pca.basis
    level = 0.5 + projected / projected.std(0, unbiased=False) / 4
    wanted = (level.clamp(0, 1) * 255).round().numpy().reshape(rgb.shape)
    assert np.abs(rgb - wanted).max() <= 1


def test_enlarged_colours_are_smooth_and_keep_the_cells(maps):
    pca = FeaturePCA(maps)
    ramp = torch.linspace(-1, 1, 8).expand(3, 6, 8).double()
    features = torch.einsum('cd,dhw->chw', pca.basis, ramp * pca._unit[0])
    features = features + pca.mean[:, None, None]
    cells = pca.to_rgb(features)[..., 0].astype(int)
    large = pca.to_rgb(features, (60, 80))
    assert large.shape == (60, 80, 3) and large.dtype == np.uint8
    red = large[..., 0].astype(int)
    assert (np.diff(cells) > 30).all()
    # No steps at the cells' edges; between the cells' centres a ramp.
    assert 0 <= np.diff(red, axis=1).min()
    assert np.diff(red, axis=1).max() < 6
    np.testing.assert_allclose(red[30, 5:-5:10], cells[3, :-1], atol=4)


def test_one_feature_has_one_colour_in_all_frames_and_runs(maps):
    maps[4, :, 0, 0] = maps[0, :, 5, 7]
    state = torch.get_rng_state()
    pca, again = FeaturePCA(iter(maps)), FeaturePCA(maps)
    assert torch.equal(torch.get_rng_state(), state)
    first, last = pca.to_rgb(maps[0]), pca.to_rgb(maps[4])
    np.testing.assert_array_equal(first[5, 7], last[0, 0])
    np.testing.assert_array_equal(first, again.to_rgb(maps[0]))


def test_large_maps_are_sampled(maps):
    large = F.interpolate(maps, scale_factor=20)  # 19,200 cells each
    small, sampled = FeaturePCA(maps).basis, FeaturePCA(large).basis
    torch.testing.assert_close(small, sampled, atol=0.05, rtol=0)


def test_no_variance_is_grey():
    plain = torch.ones(4, 3, 3)
    assert (FeaturePCA([plain]).to_rgb(plain) == 128).all()


def test_wrong_maps_are_refused(maps):
    with pytest.raises(ValueError, match='found none'):
        FeaturePCA([])
    for wrong, complaint in (
        (maps[0, :3], r'\(12, h, w\), not \(3, 6, 8\)'),
        (maps, r'\(5, 12, 6, 8\)'),
    ):
        with pytest.raises(ValueError, match=complaint):
            FeaturePCA(maps).to_rgb(wrong)
    with pytest.raises(ValueError, match='C >= 3'):
        FeaturePCA(maps[:, :2])


def test_affinity_is_the_softmax_over_its_largest_weight(features):
    heat, cosine = point_affinity(features[:, 3, 4], features)
    assert divmod(int(heat.argmax()), 7) == (3, 4)
    assert heat.max() == 1 and cosine == pytest.approx(1, abs=1e-6)
    assert heat.shape == (5, 7) and (heat > 0).all()
    query = F.normalize(torch.randn(16), dim=0)
    heat, _ = point_affinity(query, features, temperature=0.3)
    logits = torch.einsum('c,chw->hw', query, features).flatten() / 0.3
    torch.testing.assert_close(
        (heat / heat.sum()).flatten(), logits.softmax(0)
    )
    with pytest.raises(ValueError, match=r'\(8,\) and \(16, 5, 7\)'):
        point_affinity(torch.ones(8), features)
    with pytest.raises(ValueError, match='temperature'):
        point_affinity(features[:, 0, 0], features, temperature=0)


def test_heat_is_blue_to_red_and_cold_places_stay_clear(frame):
    heat = np.zeros((4, 4), np.float32)
    heat[:, 2:] = 1
    out = overlay_heat(frame * 0, heat, alpha=1.0).astype(int)
    red, blue = out[30, 57], out[30, 1]
    assert red[0] > 100 and red[2] == 0
    assert blue[2] > 20 and blue[0] == 0
    # Values beyond the scale are its ends.
    beyond = overlay_heat(frame * 0, heat * 7 - 2, alpha=1.0)
    np.testing.assert_array_equal(beyond[30, [1, 57]], out[30, [1, 57]])
    np.testing.assert_array_equal(overlay_heat(frame, heat, 0), frame)
    cold = overlay_heat(frame * 2, heat * 0, alpha=0.6)
    assert (cold > 120).all()
    with pytest.raises(ValueError, match=r'\(1, 4, 4\)'):
        overlay_heat(frame, heat[None])


def test_a_point_is_shown_where_it_is(frame):
    heat = np.zeros((4, 4), np.float32)
    changed = overlay_heat(frame, heat) != overlay_heat(
        frame, heat, point=(20, 30)
    )
    assert changed[30, 20].any() and not changed[:, 40:].any()
