"""Choice and normalisation of a backbone's maps."""

import pytest
import torch

from hvc_mm.models.backbones import unit_features


def test_normalises_one_map_in_fp32():
    maps = (torch.randn(2, 5, 3, 4, dtype=torch.bfloat16),)
    unit = unit_features(maps)
    assert unit.dtype == torch.float32
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(2, 3, 4))


def test_joins_several_maps_on_the_first_ones_grid():
    maps = (torch.randn(1, 2, 4, 4), torch.randn(1, 3, 2, 2))
    joined = unit_features(maps, (0, -1))
    assert joined.shape == (1, 5, 4, 4)
    halves = joined[:, :2].norm(dim=1), joined[:, 2:].norm(dim=1)
    for half in halves:  # each stage has the same say
        torch.testing.assert_close(half, torch.full((1, 4, 4), 0.5**0.5))
    torch.testing.assert_close(unit_features(maps, 0), unit_features(maps[0]))


def test_refuses_to_guess_and_what_is_not_there():
    maps = (torch.zeros(1, 2, 4, 4), torch.zeros(1, 3, 2, 2))
    with pytest.raises(ValueError, match='2 maps .* set feature_index'):
        unit_features(maps)
    with pytest.raises(ValueError, match='feature_index 2'):
        unit_features(maps, 2)
