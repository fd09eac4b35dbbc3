"""The hybrid loss where pairs are many: one sample's matrix at a time.

N: samples, C: channels, h w: feature grid, A = h w: bins of a map.

With ``M`` (A, A) holding ``1 / (N (n + 1e-6))`` at a sample's n positive
pairs and 0 elsewhere, a term is the sum over samples of ``<q, M k>``. So
``M k`` is the gradient of ``q`` and ``M^T q`` that of ``k``: the matrix is
needed once, and one product does for the value and for a gradient.
"""

from __future__ import annotations

from typing import Tuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from hvc_mm.utils.compiling import not_compiled

from .positive_pairs import positive_mask


def many_pairs_terms(
    query: Tensor,
    key: Tensor,
    flow_forward: Tensor,
    flow_backward: Tensor,
    query_box: Tensor,
    key_box: Tensor,
    pos_radius: float,
) -> Tuple[Tensor, Tensor]:
    """Weighted sums of products over all positive pairs, without factor.

    Args:
        query: ``(N, C, h, w)``.
        key: ``(N, C, h, w)``.
        flow_forward: ``(N, 2, h, w)``, normalised.
        flow_backward: ``(N, 2, h, w)``, normalised.
        query_box: ``(N, 4)``, ``(x1, y1, x2, y2)``, on the maps' device.
        key_box: ``(N, 4)``.
        pos_radius: Distance bound in larger bin diagonals, exclusive.

    Returns:
        ``(static, dynamic)``, scalars in [-1, 1]: means over samples of the
        means over positive pairs.
    """
    return _ManyPairs.apply(
        query, key, flow_forward, flow_backward, query_box, key_box, pos_radius
    )


class _ManyPairs(torch.autograd.Function):
    """Computes the gradients with the values, and keeps only those."""

    @staticmethod
    def forward(ctx, query, key, there, back, query_box, key_box, radius):
        samples, _, height, width = query.shape
        maps = query, key, there, back
        grads = [
            torch.empty_like(one) if needed else None
            for one, needed in zip(maps, ctx.needs_input_grad)
        ]
        sums = there.new_zeros(2)
        for i in range(samples):
            matrix = positive_mask(
                query_box[i : i + 1],
                key_box[i : i + 1],
                (height, width),
                radius,
            )[0].to(there.dtype)
            matrix *= 1 / (samples * (matrix.sum() + 1e-6))
            for term in range(2):
                of_query, of_key = 2 * term, 2 * term + 1
                q, k = (
                    maps[at][i].flatten(1).to(there.dtype)
                    for at in (of_query, of_key)
                )
                gathered = k @ matrix.t()
                sums[term] += (q * gathered).sum()
                if grads[of_query] is not None:
                    grads[of_query][i] = gathered.view(-1, height, width)
                if grads[of_key] is not None:
                    grads[of_key][i] = (q @ matrix).view(-1, height, width)
        ctx.save_for_backward(*grads)
        return sums[0], sums[1]

    @staticmethod
    @not_compiled
    @once_differentiable
    def backward(ctx, grad_static, grad_dynamic):
        outer = grad_static, grad_static, grad_dynamic, grad_dynamic
        grads = (
            one if one is None else one * grad
            for one, grad in zip(ctx.saved_tensors, outer)
        )
        return (*grads, None, None, None)
