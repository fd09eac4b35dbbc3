import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hvc_mm.models.losses import hybrid_correspondence_loss
from hvc_mm.registry import MODELS


def test_loss_is_the_sum_over_both_directions(model, batch):
    views, samples = batch
    twin = copy.deepcopy(model)
    losses = model(views, samples, mode='loss')
    p1, p2 = (
        F.normalize(twin.predictor(twin.projector(twin.backbone(v))), dim=1)
        for v in views
    )
    target = twin.target.module
    z1, z2 = (
        F.normalize(target['projector'](target['backbone'](v)), dim=1).detach()
        for v in views
    )
    boxes = [
        torch.from_numpy(np.stack([s.get(f'box{i}') for s in samples]))
        for i in (1, 2)
    ]
    expected = torch.zeros(2)
    for q, k, box_q, box_k in ((p1, z2, *boxes), (p2, z1, *boxes[::-1])):
        forward, backward = twin.flow_head(q, k), twin.flow_head(k, q)
        expected += torch.stack(
            hybrid_correspondence_loss(
                q, k, forward, backward, box_q, box_k, pos_radius=0.5
            )
        )
    assert list(losses) == ['loss_static', 'loss_dynamic']
    torch.testing.assert_close(
        torch.stack(list(losses.values())), expected, rtol=1e-4, atol=1e-5
    )
    assert losses['loss_static'] != 0


def test_gradients_reach_the_online_network_only(model, batch):
    views, samples = batch
    sum(model(views, samples, mode='loss').values()).backward()
    for name, parameter in model.named_parameters():
        if name.startswith('target.'):
            assert not parameter.requires_grad, name
        else:
            assert parameter.grad is not None, name
    assert model.backbone.conv1.weight.grad.abs().sum() > 0


def test_target_moves_before_it_sees_the_views(model, batch):
    """A changed online network shows in the target within the same step."""
    model(*batch, mode='loss')
    with torch.no_grad():
        model.projector.conv3.bias.add_(1.0)
    before = model.target.module['projector'].conv3.bias.clone()
    momentum = model.target.momentum(1)
    model(*batch, mode='loss')
    after = model.target.module['projector'].conv3.bias
    torch.testing.assert_close(
        after - before, torch.full_like(after, 1 - momentum)
    )
    assert int(model.target.steps) == 2


def test_target_batch_norms_keep_their_own_statistics(model, batch):
    with torch.no_grad():
        model(*batch, mode='loss')
        model.projector.conv1.bias.add_(5.0)
        model(*batch, mode='loss')
    online = model.projector.bn1.running_mean
    target = model.target.module['projector'].bn1.running_mean
    assert model.target.training
    assert (online - target).abs().max() > 0.1
    assert target.abs().max() > 0


def test_tensor_mode_alone_predicts_nothing(model, batch):
    assert model(batch[0][0])[0].shape == (3, 128, 4, 4)
    assert len(model(batch[0])) == 2
    with pytest.raises(ValueError, match='predict'):
        model(*batch, mode='predict')


def test_channels_last_changes_the_memory_format_alone(batch, hvc_cfg):
    def build(channels_last):
        hvc_cfg['data_preprocessor']['channels_last'] = channels_last
        torch.manual_seed(0)
        return MODELS.build(hvc_cfg).train()

    def weights_last(model):
        # Where a map's height is 1 the formats do not differ.
        wide = [p for p in model.parameters() if p.dim() == 4]
        wide = [p for p in wide if p.shape[-1] > 1 and p.shape[1] > 1]
        layout = torch.channels_last
        return {p.is_contiguous(memory_format=layout) for p in wide}

    plain, last = build(False), build(True)
    assert weights_last(plain) == {False} and weights_last(last) == {True}
    views, samples = batch
    found = []
    for model in (plain, last):
        data = dict(inputs=views, data_samples=samples)
        inputs = model.data_preprocessor(data, True)['inputs']
        losses = model(inputs, samples, mode='loss')
        sum(losses.values()).backward()
        found.append((losses, model.backbone.conv1.weight.grad))
    (losses, gradient), (others, other) = found
    for name in losses:
        torch.testing.assert_close(losses[name], others[name])
    scale = gradient.abs().max()
    assert scale > 0
    assert (gradient - other).abs().max() < 1e-4 * scale
    last.load_state_dict(plain.state_dict())
    last.init_weights()
    assert weights_last(last) == {True}


@pytest.mark.parametrize(('depth', 'channels'), [(18, 128), (50, 512)])
def test_projector_takes_the_backbones_channels(hvc_cfg, depth, channels):
    hvc_cfg['backbone']['depth'] = depth
    torch.manual_seed(0)
    hvc_cfg['projector']['in_channels'] = channels
    expected = MODELS.build(hvc_cfg).state_dict()
    torch.manual_seed(0)
    del hvc_cfg['projector']['in_channels']
    model = MODELS.build(hvc_cfg)
    assert model.training and model.backbone.training
    # Neither weights nor statistics are others for having been looked at.
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
