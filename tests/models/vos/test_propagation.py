import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hvc_mm.models.vos import propagate


def is_near(dy, dx, radius, window, with_edge):
    distance = max(abs(dy), abs(dx))
    if window == 'disc':
        distance = (dy**2 + dx**2) ** 0.5
    at_edge = abs(distance - radius) < 1e-9
    return with_edge if at_edge else distance < radius


def by_hand(
    features,
    labels,
    query,
    radius,
    topk,
    temperature,
    window='disc',
    with_edge=False,
    reference_in_window=False,
    references=1,
):
    """The definition, one cell at a time, in Python numbers."""
    frames, _, height, width = features.shape
    result = torch.zeros(labels.shape[1:], dtype=torch.float64)
    for y in range(height):
        for x in range(width):
            found = []
            for t in range(frames):
                for v in range(height):
                    for u in range(width):
                        near = radius is None or is_near(
                            v - y, u - x, radius, window, with_edge
                        )
                        free = t < references and not reference_in_window
                        if near or free:
                            dot = features[t, :, v, u] @ query[0, :, y, x]
                            found.append((float(dot), labels[t, :, v, u]))
            found.sort(key=lambda pair: -pair[0])
            found = found[:topk]
            weight = [
                np.exp((s - found[0][0]) / temperature) for s, _ in found
            ]
            for (_, label), one in zip(found, weight):
                result[:, y, x] += label * one / sum(weight)
    return result[None]


def sample(frames=3, channels=6, labels=3, height=4, width=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    size = {'generator': generator, 'dtype': torch.float64}
    features = torch.randn(frames + 1, channels, height, width, **size)
    features = F.normalize(features, dim=1)
    soft = torch.rand(frames, labels, height, width, **size)
    return features[:-1], soft, features[-1:]


def test_golden_step(golden_dir):
    golden = np.load(golden_dir / 'propagate_step.npz')
    result = propagate(
        torch.from_numpy(golden['context_features']),
        torch.from_numpy(golden['context_labels']),
        torch.from_numpy(golden['query']),
        int(golden['radius']),
        int(golden['topk']),
        float(golden['temperature']),
    )
    np.testing.assert_allclose(result.numpy(), golden['output'], atol=1e-5)


@pytest.mark.parametrize('radius', [None, 0.5, 1, 1.5, 2, 2.3, 50])
@pytest.mark.parametrize('topk', [1, 7, 10**6])
def test_equals_the_definition(radius, topk):
    arguments = (*sample(), radius, topk, 0.1)
    torch.testing.assert_close(propagate(*arguments), by_hand(*arguments))


@pytest.mark.parametrize('window', ['disc', 'square'])
@pytest.mark.parametrize('with_edge', [True, False])
@pytest.mark.parametrize('reference_in_window', [True, False])
@pytest.mark.parametrize('radius', [1, 2, 2.5])
def test_other_windows_equal_the_definition(
    window, with_edge, reference_in_window, radius
):
    arguments = (*sample(), radius, 9, 0.1)
    limits = (window, with_edge, reference_in_window)
    torch.testing.assert_close(
        propagate(*arguments, 100, *limits), by_hand(*arguments, *limits)
    )


@pytest.mark.parametrize('in_window', [True, False])
@pytest.mark.parametrize('references', [0, 2, 3])
def test_several_references_equal_the_definition(references, in_window):
    arguments = (*sample(frames=4), 1.5, 9, 0.1)
    limits = dict(reference_in_window=in_window, references=references)
    torch.testing.assert_close(
        propagate(*arguments, **limits), by_hand(*arguments, **limits)
    )


def test_chunks_change_nothing():
    arguments = (*sample(), 2, 5, 0.1)
    whole = propagate(*arguments, query_chunk=1000)
    for chunk in (1, 7, 20):
        torch.testing.assert_close(
            propagate(*arguments, query_chunk=chunk), whole
        )


def test_is_differentiable():
    features, labels, query = sample(frames=2, height=2, width=3)
    query.requires_grad_()
    assert torch.autograd.gradcheck(
        lambda q: propagate(features, labels, q, 2, 4, 0.5), query
    )


@pytest.mark.parametrize(
    'change, message',
    [
        ({'radius': 0}, 'radius must be > 0 or None, got 0'),
        ({'topk': 0}, 'topk must be an integer >= 1, got 0'),
        ({'temperature': 0.0}, 'temperature must be > 0, got 0.0'),
        ({'query': torch.zeros(1, 6, 4, 4)}, r'\(1, 6, 4, 4\), expected'),
        (
            {'context_labels': torch.zeros(2, 3, 4, 5)},
            r'\(2, 3, 4, 5\), expected .* \(3, M, 4, 5\)',
        ),
    ],
)
def test_errors(change, message):
    features, labels, query = sample()
    arguments = {
        'context_features': features,
        'context_labels': labels,
        'query': query,
        'radius': 2,
        'topk': 3,
        'temperature': 0.1,
    }
    with pytest.raises(ValueError, match=message):
        propagate(**{**arguments, **change})
