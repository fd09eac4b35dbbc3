import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hvc_mm.models.vos import (
    DenseLabelPropagator,
    LabelPropagator,
    propagate,
)

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


@pytest.mark.parametrize('radius', [None, 2.5])
@pytest.mark.parametrize('form', FORMS)
def test_a_reference_that_is_not_repeated_is_in_the_context_once(form, radius):
    """Against the step itself, with the context listed by hand."""
    generator = torch.Generator().manual_seed(1)
    features = F.normalize(
        torch.randn(7, 6, 4, 5, generator=generator, dtype=torch.double), dim=1
    )
    first = torch.rand(1, 3, 4, 5, generator=generator, dtype=torch.double)
    propagator = form(radius, 4, 0.1, 3, repeat_reference=False)
    labels = [propagator.step(features[:1], first)]
    for t in range(1, 7):
        times = [0, *range(max(1, t - 3), t)]
        expected = propagate(
            features[times],
            torch.cat([labels[s] for s in times]),
            features[t : t + 1],
            radius,
            4,
            0.1,
        )
        labels.append(propagator.step(features[t : t + 1]))
        torch.testing.assert_close(labels[-1], expected)
