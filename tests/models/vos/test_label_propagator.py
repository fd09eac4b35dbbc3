import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hvc_mm.models.vos import (
    DenseLabelPropagator,
    LabelPropagator,
    label_propagator,
    propagate,
)
from hvc_mm.models.vos.propagation import outside_disc
from hvc_mm.registry import MODELS

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


def video(rng, grid, channels, frames, newcomers):
    """Features, labels of some frames; every plane of a newcomer is soft."""
    size = {'generator': rng, 'dtype': torch.float64}
    known = 2
    for t in range(frames):
        features = torch.randn(1, channels, *grid, **size)
        labels = None
        if t == 0:
            labels = torch.rand(1, known, *grid, **size)
        elif t in newcomers:
            new = torch.rand(1, 1 + t % 2, *grid, **size) / 3
            labels = F.pad(new, (0, 0, 0, 0, known, 0))
            known = labels.shape[1]
        yield F.normalize(features, dim=1), labels


def largest_difference(one, other, frames):
    worst = 0.0
    for features, labels in frames:
        mine = one.step(features, labels)
        theirs = other.step(features, labels)
        assert mine.shape == theirs.shape
        worst = max(worst, float((mine - theirs).abs().max()))
    return worst


@pytest.mark.parametrize('seed', range(40))
def test_equals_the_dense_form(seed):
    """In float64, on random grids, radii, k, contexts and newcomers."""
    pick = random.Random(seed)
    grid = pick.randint(1, 12), pick.randint(1, 14)
    context = pick.choice([0, 1, 2, 3, 6])
    settings = {
        'radius': pick.choice([None, 0.5, 1, 1.5, 2, 2.3, 3, 4.7, 40]),
        'topk': pick.choice([1, 2, 5, 15, 300]),
        'temperature': pick.choice([0.05, 0.1, 1.0]),
        'context': context,
    }
    frames = pick.randint(2, 2 * context + 5)
    newcomers = [t for t in range(1, frames) if pick.random() < 0.25]
    rng = torch.Generator().manual_seed(seed)
    found = largest_difference(
        LabelPropagator(**settings),
        DenseLabelPropagator(**settings),
        video(rng, grid, pick.choice([2, 8]), frames, newcomers),
    )
    assert found < 1e-10, (grid, settings, newcomers)


@pytest.mark.parametrize('newcomers', [[], [3], [2, 3, 9]])
def test_equals_the_dense_form_in_float32(newcomers):
    settings = {'radius': 4, 'topk': 6, 'context': 5}
    mine = LabelPropagator(**settings)
    exact = DenseLabelPropagator(**settings)
    rng = torch.Generator().manual_seed(0)
    for features, labels in video(rng, (11, 13), 16, 14, newcomers):
        narrow = None if labels is None else labels.float()
        if exact.time == 0:
            exact.step(features, labels)
            mine.step(features.float(), narrow)
            continue
        expected = exact.predict(features)
        found = mine.predict(features.float())
        assert found.dtype == torch.float32
        near = gap_at_k(exact, features) < 1e-6
        error = (found - expected).abs().amax(1).flatten()
        assert error[~near].max() < 2e-6
        assert near.float().mean() < 0.02
        # Both go on from the same labels.
        exact.observe(features, expected, labels)
        mine.observe(features.float(), expected.float(), narrow)


def gap_at_k(dense, features):
    """How far the last kept affinity of each cell is from the first
    dropped one; ``(h * w,)``, the least over the references."""
    smallest = torch.ones(features[0, 0].numel())
    for reference in dense.references:
        keys, _ = dense.gather(reference)
        scores = features[0].flatten(1).t() @ keys.flatten(2)
        cells = torch.arange(len(smallest))
        far = outside_disc(cells, *features.shape[2:], dense.radius)
        scores[1:].masked_fill_(far, float('-inf'))
        flat = scores.transpose(0, 1).flatten(1)
        top, index = flat.topk(dense.topk + 1, dim=1)
        # Copies of one frame tie, and it does not matter which is taken.
        times = torch.tensor(dense.context_of(reference.time))
        cell = times[index // len(cells)] * len(cells) + index % len(cells)
        gap = top[:, -2] - top[:, -1]
        gap[cell[:, -2] == cell[:, -1]] = 1
        smallest = smallest.minimum(gap)
    return smallest


def test_bank_does_not_grow_with_the_video():
    propagator = LabelPropagator(radius=2, topk=3, context=4)
    sizes = set()
    for t in range(60):
        features = F.normalize(torch.rand(1, 4, 6, 7), dim=1)
        labels = torch.rand(1, 3, 6, 7) if t == 0 else None
        propagator.step(features, labels)
        if t >= 5:
            sizes.add(sum(held(propagator)))
    assert len(sizes) == 1


def held(propagator):
    """Bytes of every tensor that the propagator reaches, each once."""
    seen, stack = {}, [propagator]
    visited = set()
    while stack:
        one = stack.pop()
        if id(one) in visited:
            continue
        visited.add(id(one))
        if isinstance(one, torch.Tensor):
            seen[one.untyped_storage().data_ptr()] = (
                one.untyped_storage().nbytes()
            )
        elif isinstance(one, dict):
            stack += one.values()
        elif isinstance(one, (list, tuple)):
            stack += one
        elif hasattr(one, '__dict__'):
            stack += vars(one).values()
    return seen.values()


def test_references_cost_one_frame_each():
    """Of features; and labels of their own channels alone."""
    grid, context = (6, 8), 4
    sizes = []
    for count in (1, 2, 3):
        propagator = LabelPropagator(radius=2, topk=3, context=context)
        for t in range(20):
            features = F.normalize(torch.rand(1, 32, *grid), dim=1)
            labels = torch.rand(1, 2, *grid) if t == 0 else None
            if 0 < t < count:
                labels = torch.zeros(1, 2 + t, *grid)
                labels[:, 1 + t] = 0.5
            propagator.step(features, labels)
        # What it works with besides (scores of several segments) is not
        # kept frames.
        step = propagator._step
        step._scratch = None
        sizes.append(sum(held(propagator)))
    cells = grid[0] * grid[1]
    frame = 4 * cells * 32 + 4 * cells * (context + 1)
    for one, more in zip(sizes, sizes[1:]):
        assert 0 < more - one < 1.2 * frame


@pytest.mark.parametrize('bank', [None, 'bfloat16', torch.bfloat16])
def test_products_in_half_precision(bank):
    """Selection in float32 leaves only keys' own rounding, if any."""
    settings = {'radius': 4, 'topk': 5, 'context': 5}
    mine = LabelPropagator(
        **settings, compute_dtype='bfloat16', bank_dtype=bank
    )
    exact = DenseLabelPropagator(**settings)
    rng = torch.Generator().manual_seed(0)
    errors = []
    for features, labels in video(rng, (12, 13), 32, 9, [3]):
        features = features.float()
        labels = None if labels is None else labels.float()
        found = mine.step(features, labels)
        errors.append((found - exact.step(features, labels)).abs().amax(1))
    errors = torch.cat(errors)
    if bank is None:
        assert (errors > 1e-4).float().mean() < 0.01
    else:
        assert 0.01 < (errors > 1e-4).float().mean()
        assert errors.mean() < 0.05


def test_bank_elsewhere_is_read_in_parts(monkeypatch):
    """A bank of another type or device moves over a few frames at a time;
    a float64 bank for float32 features changes no value."""
    monkeypatch.setattr(label_propagator, 'FRAMES_PER_LOAD', 2)
    settings = {'radius': 3, 'topk': 4, 'context': 5}
    mine = LabelPropagator(
        **settings, bank_dtype=torch.float64, bank_device='cpu'
    )
    rng = torch.Generator().manual_seed(0)
    frames = [
        (features.float(), None if labels is None else labels.float())
        for features, labels in video(rng, (7, 9), 8, 13, [2, 9])
    ]
    other = LabelPropagator(**settings)
    assert largest_difference(mine, other, frames) < 1e-6
    reads = []
    read = mine._bank.read
    monkeypatch.setattr(
        mine._bank,
        'read',
        lambda start, stop, *rest: (
            reads.append((start, stop)) or read(start, stop, *rest)
        ),
    )
    mine.predict(frames[0][0])
    assert reads == [(0, 2), (2, 4), (4, 5)]


@pytest.mark.parametrize('value', ['int64', 'half_float', torch.int8, 16])
def test_types_must_be_floating(value):
    for name in ('compute_dtype', 'bank_dtype'):
        with pytest.raises(ValueError, match=f'{name} must be a floating'):
            LabelPropagator(**{name: value})


def test_is_built_by_name():
    propagator = MODELS.build({'type': 'LabelPropagator', 'context': 7})
    assert isinstance(propagator, LabelPropagator)
    assert propagator.context == 7


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
@pytest.mark.parametrize('bank_device', [None, 'cpu'])
def test_gpu_equals_cpu(bank_device):
    settings = {'radius': 4, 'topk': 6, 'context': 5}
    mine = LabelPropagator(**settings, bank_device=bank_device)
    exact = DenseLabelPropagator(**settings)
    rng = torch.Generator().manual_seed(0)
    for features, labels in video(rng, (20, 23), 16, 14, [3, 9]):
        found = mine.step(
            features.cuda(), None if labels is None else labels.cuda()
        )
        expected = exact.step(features, labels)
        torch.testing.assert_close(found.cpu(), expected)
