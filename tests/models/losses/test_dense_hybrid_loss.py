import math

import pytest
import torch

from hvc_mm.models.losses import dense_hybrid_loss


def by_loops(query, key, there, back, query_box, key_box, radius):
    """Both terms, cell by cell, in Python floats."""
    samples, _, height, width = query.shape
    cells = [(row, col) for row in range(height) for col in range(width)]

    def geometry(box):
        x1, y1, x2, y2 = box.tolist()
        size = (x2 - x1) / width, (y2 - y1) / height
        centres = [
            (x1 + (col + 0.5) * size[0], y1 + (row + 0.5) * size[1])
            for row, col in cells
        ]
        return centres, math.hypot(*size)

    def cosine(one, other):
        return float(one @ other / one.norm() / other.norm())

    static = dynamic = 0.0
    for i in range(samples):
        of_query, diagonal_q = geometry(query_box[i])
        of_key, diagonal_k = geometry(key_box[i])
        found = [
            (a, b)
            for a, centre_q in zip(cells, of_query)
            for b, centre_k in zip(cells, of_key)
            if math.dist(centre_q, centre_k) / max(diagonal_q, diagonal_k)
            < radius
        ]
        for (ra, ca), (rb, cb) in found:
            share = -2 / samples / (len(found) + 1e-6)
            static += share * float(query[i, :, ra, ca] @ key[i, :, rb, cb])
            dynamic += share * cosine(there[i, :, ra, ca], back[i, :, rb, cb])
    return static, dynamic


@pytest.mark.parametrize('chunk', [None, 1, 2])
@pytest.mark.parametrize('radius', [0.2, 0.7, 2.0, 50.0])
def test_equals_loops_over_the_cells(radius, chunk):
    torch.manual_seed(5)
    maps = [torch.randn(3, depth, 3, 5).double() for depth in (4, 4, 2, 2)]
    corners = torch.rand(2, 3, 2, 2, dtype=torch.float64)
    boxes = torch.cat([corners.amin(2), corners.amax(2)], dim=-1)
    got = dense_hybrid_loss(*maps, *boxes, radius, chunk=chunk)
    want = by_loops(*maps, *boxes, radius)
    assert [float(term) for term in got] == pytest.approx(want, abs=1e-12)
