import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hvc_mm.models.vos import DenseLabelPropagator, LabelPropagator

FORMS = [LabelPropagator, DenseLabelPropagator]


def shrink(ids, channels, grid):
    """One-hot planes of the ids, at the grid's size."""
    planes = F.one_hot(torch.from_numpy(ids).long(), channels)
    planes = planes.permute(2, 0, 1)[None].float()
    return F.interpolate(planes, grid, mode='bilinear', align_corners=True)


@pytest.mark.parametrize('form', FORMS)
@pytest.mark.parametrize('name', ['single', 'late_object', 'ensemble'])
def test_golden_sequence(golden_dir, name, form):
    golden = np.load(golden_dir / f'sequence_{name}.npz')
    frames = torch.from_numpy(golden['frames'])
    propagator = form(
        int(golden['radius']),
        int(golden['topk']),
        float(golden['temperature']),
        int(golden['context']),
    )
    late = int(golden['late_frame'])
    first = golden['first_frame_ids']
    for t, frame in enumerate(frames):
        features = F.normalize(F.avg_pool2d(frame[None, :6], 4), dim=1)
        if golden['ensemble']:
            second = F.normalize(F.avg_pool2d(frame[None, 6:10], 4), dim=1)
            weighted = features * float(golden['ensemble_weight'])
            features = F.normalize(torch.cat([weighted, second], 1), dim=1)
        grid = features.shape[2:]
        labels = None
        if t == 0:
            labels = shrink(first, int(first.max()) + 1, grid)
        elif late and t == late:
            newcomer = golden['late_frame_ids']
            labels = shrink(newcomer, int(newcomer.max()) + 1, grid)
            # Its file also shows the object that is known by then.
            labels[:, : int(first.max()) + 1] = 0
        soft = propagator.step(features, labels)
        soft = F.interpolate(
            soft, frame.shape[1:], mode='bilinear', align_corners=True
        )
        confidence, ids = soft[0].max(dim=0)
        np.testing.assert_array_equal(ids.numpy(), golden['pred_ids'][t])
        np.testing.assert_allclose(
            confidence.numpy(), golden['pred_conf'][t], atol=1e-4
        )
