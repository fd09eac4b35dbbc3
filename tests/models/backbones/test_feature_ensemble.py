import pytest
import torch
import torch.nn.functional as F

from hvc_mm.checkpoint import CheckpointError
from hvc_mm.models import LabelPropagationVOS
from hvc_mm.models.backbones import FeatureEnsemble, unit_features
from hvc_mm.registry import MODELS

R18 = dict(type='hvc_mm.HVCResNet', depth=18, out_indices=(1,))
R50 = dict(type='hvc_mm.HVCResNet', depth=50, out_indices=(0, 1))


def test_joins_weighted_unit_features():
    torch.manual_seed(0)
    ensemble = FeatureEnsemble(
        [R18, R50], weights=[1.05, 1], feature_index=[None, 1]
    ).eval()
    x = torch.randn(2, 3, 32, 48)
    with torch.no_grad():
        (joined,) = ensemble(x)
        first = F.normalize(ensemble.members[0](x)[0], dim=1)
        second = F.normalize(ensemble.members[1](x)[1], dim=1)
    expected = F.normalize(torch.cat([1.05 * first, second], 1), dim=1)
    assert joined.shape == (2, 128 + 512, 4, 6)
    torch.testing.assert_close(joined, expected)
    share = joined[:, :128].norm(dim=1) / joined[:, 128:].norm(dim=1)
    torch.testing.assert_close(share, torch.full_like(share, 1.05))


def test_refuses_members_that_do_not_fit():
    with pytest.raises(ValueError, match='2 members, 1 weights'):
        FeatureEnsemble([R18, R18], weights=[1.0])
    ensemble = FeatureEnsemble([R18, dict(R18, out_indices=(0,))])
    with pytest.raises(ValueError, match='grids'):
        ensemble(torch.zeros(1, 3, 32, 32))


def test_members_start_from_the_files_that_their_configs_name(tmp_path):
    torch.manual_seed(0)
    path = str(tmp_path / 'r18.pth')
    own = MODELS.build(R18).state_dict()
    torch.save(own, path)
    named = dict(
        R18, init_cfg=dict(type='hvc_mm.PretrainedBackbone', checkpoint=path)
    )
    ensemble = FeatureEnsemble([R18, named])
    ensemble.init_weights()
    first, second = (m.state_dict() for m in ensemble.members)
    assert all(torch.equal(second[name], own[name]) for name in own)
    assert not torch.equal(first['conv1.weight'], own['conv1.weight'])


def test_a_members_missing_file_stops_the_run():
    missing = dict(type='hvc_mm.PretrainedBackbone', checkpoint='no/moco.tar')
    ensemble = dict(
        type='hvc_mm.FeatureEnsemble',
        members=[R18, dict(R50, out_indices=(1,), init_cfg=missing)],
    )
    with pytest.raises(CheckpointError, match='no/moco.tar: there is no such'):
        LabelPropagationVOS(ensemble)


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
