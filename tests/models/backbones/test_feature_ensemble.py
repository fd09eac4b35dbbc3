import pytest
import torch
import torch.nn.functional as F

from hvc_mm.checkpoint import CheckpointError
from hvc_mm.models import LabelPropagationVOS
from hvc_mm.models.backbones import FeatureEnsemble, unit_features
from hvc_mm.registry import MODELS

R18 = dict(type='hvc_mm.HVCResNet', depth=18, out_indices=(1,))
R50 = dict(type='hvc_mm.HVCResNet', depth=50, out_indices=(0, 1))


def test_members_are_weighted_and_concatenated():
    torch.manual_seed(0)
    ensemble = FeatureEnsemble(
        [R18, R50], weights=[1.05, 1], feature_index=[None, 1]
    ).eval()
    x = torch.randn(2, 3, 32, 48)
    with torch.no_grad():
        (combined,) = ensemble(x)
        first = F.normalize(ensemble.members[0](x)[0], dim=1)
        second = F.normalize(ensemble.members[1](x)[1], dim=1)
    expected = F.normalize(torch.cat([1.05 * first, second], 1), dim=1)
    assert combined.shape == (2, 128 + 512, 4, 6)
    torch.testing.assert_close(combined, expected)
    share = combined[:, :128].norm(dim=1) / combined[:, 128:].norm(dim=1)
    torch.testing.assert_close(share, torch.full_like(share, 1.05))


def test_refuses_members_that_do_not_fit():
    with pytest.raises(ValueError, match='2 members, 1 weights'):
        FeatureEnsemble([R18, R18], weights=[1.0])
    ensemble = FeatureEnsemble([R18, dict(R18, out_indices=(0,))])
    with pytest.raises(ValueError, match='grids'):
        ensemble(torch.zeros(1, 3, 32, 32))


def test_frames_of_a_few_pixels_have_a_grid():
    network = MODELS.build(R18).eval()
    with torch.no_grad():
        for size in ((1, 40), (40, 1), (1, 1), (2, 300)):
            maps = network(torch.zeros(1, 3, *size))
            assert unit_features(maps, size=size).shape[0] == 1


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


def test_one_map_is_normalised_in_fp32():
    maps = (torch.randn(2, 5, 3, 4, dtype=torch.bfloat16),)
    unit = unit_features(maps)
    assert unit.dtype == torch.float32
    torch.testing.assert_close(unit.norm(dim=1), torch.ones(2, 3, 4))


def test_several_maps_are_brought_to_the_grid_of_the_first():
    maps = (torch.randn(1, 2, 4, 4), torch.randn(1, 3, 2, 2))
    both = unit_features(maps, (0, -1))
    assert both.shape == (1, 5, 4, 4)
    for half in (both[:, :2], both[:, 2:]):  # each has the same share
        torch.testing.assert_close(
            half.norm(dim=1), torch.full((1, 4, 4), 0.5**0.5)
        )
    torch.testing.assert_close(unit_features(maps, 0), unit_features(maps[0]))


def test_maps_that_are_not_there_or_do_not_fit_are_refused():
    maps = (torch.zeros(1, 2, 4, 4), torch.zeros(1, 3, 2, 2))
    with pytest.raises(ValueError, match='2 maps .* set feature_index'):
        unit_features(maps)
    with pytest.raises(ValueError, match='feature_index 2'):
        unit_features(maps, 2)
    channels_last = torch.zeros(1, 60, 107, 192)
    unit_features(channels_last.movedim(3, 1), size=(480, 854))
    with pytest.raises(
        ValueError, match=r'shape \(1, 60, 107, 192\).*107x192'
    ):
        unit_features(channels_last, size=(480, 854))
