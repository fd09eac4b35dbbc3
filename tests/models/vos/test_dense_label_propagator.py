import pytest
import torch
import torch.nn.functional as F

from hvc_mm.models.vos import DenseLabelPropagator, propagate


def frames(count, grid=(4, 5)):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(count, 6, *grid, generator=generator)
    return F.normalize(values.double(), dim=1).split(1)


@pytest.mark.parametrize(
    'time, reference, expected',
    [
        (1, 0, [0, 0, 0, 0]),
        (2, 0, [0, 0, 0, 1]),
        (5, 0, [0, 2, 3, 4]),
        (5, 3, [3, 3, 3, 4]),
        (9, 3, [3, 6, 7, 8]),
    ],
)
def test_context_list(time, reference, expected):
    propagator = DenseLabelPropagator(context=3)
    propagator.time = time
    assert propagator.context_of(reference) == expected


def test_is_the_step_on_the_context_list():
    """Two references: each predicts, each gives its own channels."""
    propagator = DenseLabelPropagator(radius=2, topk=5, context=2)
    video, kept = frames(7), []
    for t, features in enumerate(video):
        labels = None
        if t == 0:
            labels = torch.rand(1, 2, 4, 5).double()
        if t == 3:
            labels = torch.zeros(1, 3, 4, 5).double()
            labels[:, 2, 2:] = 0.5
        kept.append(propagator.step(features, labels))
        if t < 4:
            continue
        own = []
        for reference in (0, 3):
            times = [reference] + [max(s, reference) for s in range(t - 2, t)]
            planes = [
                F.pad(kept[s], (0, 0, 0, 0, 0, 3 - kept[s].shape[1]))
                for s in times
            ]
            own.append(
                propagate(
                    torch.cat([video[s] for s in times]),
                    torch.cat(planes),
                    features,
                    radius=2,
                    topk=5,
                    temperature=0.1,
                )
            )
        expected = torch.cat([own[0][:, :2], own[1][:, 2:]], dim=1)
        torch.testing.assert_close(kept[t], expected)


def test_keeps_no_more_than_it_needs():
    propagator = DenseLabelPropagator(radius=2, context=3)
    for t, features in enumerate(frames(12)):
        labels = torch.rand(1, 2, 4, 5).double() if t == 0 else None
        if t == 4:
            labels = torch.zeros(1, 3, 4, 5)
            labels[:, 2] = 0.5
        propagator.step(features, labels)
    assert sorted(propagator._frames) == [0, 4, 9, 10, 11]
