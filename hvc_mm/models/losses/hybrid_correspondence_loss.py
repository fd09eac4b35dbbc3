"""HVC's hybrid loss, from the list of positive pairs.

N: samples, C: channels, P: positive pairs of the batch, h w: feature grid.

For query ``q``, key ``k`` and the pseudo-flow fields ``F(q, k)``, ``F(k, q)``
normalised over their two channels (HVC, arXiv 2404.13505):

    static  = -2 mean_N ( sum_P <q_a, k_b> / (n + 1e-6) )
    dynamic = -2 mean_N ( sum_P <F(q, k)_a, F(k, q)_b> / (n + 1e-6) )

with P the n pairs of cells (a, b) of a sample whose centres are close.
"""

from __future__ import annotations

from typing import Dict, Iterator, Tuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from hvc_mm.registry import MODELS
from hvc_mm.utils.compiling import not_compiled

from .positive_pairs import PositivePairs, check_maps, find_positive_pairs

# Pairs whose rows are held at a time: 4 MB of C = 256 in fp32.
_BLOCK = 1 << 12


def hybrid_correspondence_loss(
    query: Tensor,
    key: Tensor,
    flow_forward: Tensor,
    flow_backward: Tensor,
    query_box: Tensor,
    key_box: Tensor,
    pos_radius: float = 0.1,
) -> Tuple[Tensor, Tensor]:
    """Compute the static and the dynamic term of the hybrid loss.

    The pairs of cells that show the same place in both crops are listed
    from the boxes. The static term averages the products of their features,
    the dynamic one those of their pseudo-flow vectors, over each sample's
    pairs and then over samples. Equal to
    :func:`~hvc_mm.models.losses.dense_hybrid_loss` for any radius.
    Everything is computed in fp32 (or the inputs' fp64), under autocast too.

    Args:
        query: ``(N, C, h, w)``, L2-normalised over C.
        key: ``(N, C, h, w)``, L2-normalised over C.
        flow_forward: ``(N, 2, h, w)``, raw field F(query, key).
        flow_backward: ``(N, 2, h, w)``, raw field F(key, query).
        query_box: ``(N, 4)``, crop of the query in the image,
            ``(x1, y1, x2, y2)``. On the CPU, also when the maps are on a
            GPU, it costs no synchronisation.
        key_box: ``(N, 4)``, likewise of the key.
        pos_radius: A pair is positive when the distance of its cells'
            centres is below this many of the larger cell's diagonals.

    Returns:
        ``(static, dynamic)``, scalars in [-2, 2]; the factor -2 is in them.

    Raises:
        ValueError: Shapes that do not fit, empty boxes, a radius <= 0.

    Example:
        >>> q, k = (F.normalize(torch.randn(2, 8, 4, 4)) for _ in range(2))
        >>> there, back = torch.randn(2, 2, 2, 4, 4)
        >>> box = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.2, 0.1, 0.9, 0.8]])
        >>> static, dynamic = hybrid_correspondence_loss(
        ...     q, k, there, back, box, box)
    """
    check_maps(query, key, flow_forward, flow_backward, query_box)
    grid = tuple(query.shape[2:])
    pairs = find_positive_pairs(query_box, key_box, grid, pos_radius)
    pairs = pairs.to(query.device)
    return _hybrid_terms(query, key, flow_forward, flow_backward, pairs)


@MODELS.register_module()
class HybridCorrespondenceLoss(nn.Module):
    """Compute the hybrid loss of two views, in both directions.

    ``L(p1, z2, box1, box2) + L(p2, z1, box2, box1)``, where the second
    direction's positive pairs are the first one's, swapped.

    Args:
        pos_radius: See :func:`hybrid_correspondence_loss`.
        static_weight: Factor of the static (spatial) term.
        dynamic_weight: Factor of the dynamic (pseudo-flow) term.

    Example:
        >>> from hvc_mm.models.heads import PseudoFlowHead
        >>> loss, head = HybridCorrespondenceLoss(), PseudoFlowHead(8)
        >>> p1, p2, z1, z2 = F.normalize(torch.randn(4, 2, 8, 4, 4), dim=2)
        >>> box = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.2, 0.1, 0.9, 0.8]])
        >>> sorted(loss(p1, p2, z1, z2, head, box, box))
        ['loss_dynamic', 'loss_static']
    """

    def __init__(
        self,
        pos_radius: float = 0.1,
        static_weight: float = 1.0,
        dynamic_weight: float = 1.0,
    ) -> None:
        super().__init__()
        if not pos_radius > 0:
            raise ValueError(f'expected pos_radius > 0, got {pos_radius}')
        self.pos_radius = pos_radius
        self.static_weight = static_weight
        self.dynamic_weight = dynamic_weight

    # Its shapes are the number of pairs, another one for each batch.
    @not_compiled
    def forward(
        self,
        p1: Tensor,
        p2: Tensor,
        z1: Tensor,
        z2: Tensor,
        flow_head: nn.Module,
        box1: Tensor,
        box2: Tensor,
    ) -> Dict[str, Tensor]:
        """Compute both terms, summed over both directions.

        Args:
            p1: ``(N, C, h, w)``, prediction of view 1, L2-normalised.
            p2: ``(N, C, h, w)``, prediction of view 2, L2-normalised.
            z1: ``(N, C, h, w)``, target projection of view 1, likewise.
            z2: ``(N, C, h, w)``, target projection of view 2, likewise.
            flow_head: A :class:`~hvc_mm.models.heads.PseudoFlowHead`, or a
                module with its ``forward_backward(query, key)``. It is
                applied to (p1, z2), (z2, p1), (p2, z1), (z1, p2), in this
                order.
            box1: ``(N, 4)``, crop of view 1, ``(x1, y1, x2, y2)``; on the
                CPU it makes no GPU wait.
            box2: ``(N, 4)``, crop of view 2.

        Returns:
            ``loss_static`` and ``loss_dynamic``, scalars in [-4, 4] times
            their weights.

        Raises:
            ValueError: Shapes that do not fit, empty boxes.
        """
        there = (p1, z2, *flow_head.forward_backward(p1, z2))
        back = (p2, z1, *flow_head.forward_backward(p2, z1))
        check_maps(*there, box1)
        check_maps(*back, box2)
        grid = tuple(p1.shape[2:])
        pairs = find_positive_pairs(box1, box2, grid, self.pos_radius)
        pairs = pairs.to(p1.device)
        first = _hybrid_terms(*there, pairs)
        second = _hybrid_terms(*back, pairs.transposed())
        static, dynamic = first[0] + second[0], first[1] + second[1]
        return {
            'loss_static': static * self.static_weight,
            'loss_dynamic': dynamic * self.dynamic_weight,
        }


def _hybrid_terms(
    query: Tensor,
    key: Tensor,
    flow_forward: Tensor,
    flow_backward: Tensor,
    pairs: PositivePairs,
) -> Tuple[Tensor, Tensor]:
    """Compute both terms of maps ``(N, C, h, w)`` and fields
    ``(N, 2, h, w)`` from the pair list, on their device."""
    with torch.autocast(query.device.type, enabled=False):
        static = _PairSum.apply(query, key, *pairs[:4])
        there = _unit(_rows(flow_forward, pairs.sample, pairs.query))
        back = _unit(_rows(flow_backward, pairs.sample, pairs.key))
        cosine = (there * back).sum(1)
        dynamic = (cosine * pairs.weight.to(cosine)).sum()
        return -2 * static, -2 * dynamic


class _PairSum(torch.autograd.Function):
    """Sum ``weight <query[a], key[b]>`` over P, in blocks of pairs.

    The gradient is written down so that the gathered rows need not be kept
    and only one full-size map is made for each input that needs a gradient.
    It is summed in fp32 whatever the inputs are, and in a fixed order on a
    GPU too.
    """

    @staticmethod
    def forward(ctx, query, key, sample, at_query, at_key, weight):
        ctx.save_for_backward(query, key, sample, at_query, at_key, weight)
        total = query.new_zeros((), dtype=_at_least_fp32(query[:0]).dtype)
        for block in _blocks(sample):
            rows_q = _rows(query, sample[block], at_query[block])
            rows_k = _rows(key, sample[block], at_key[block])
            total += ((rows_q * rows_k).sum(1) * weight[block].to(total)).sum()
        return total

    @staticmethod
    @not_compiled
    @once_differentiable
    def backward(ctx, grad):
        query, key, sample, at_query, at_key, weight = ctx.saved_tensors
        weight = weight.to(grad) * grad
        grads = []
        for needed, mine, at_mine, other, at_other in (
            (ctx.needs_input_grad[0], query, at_query, key, at_key),
            (ctx.needs_input_grad[1], key, at_key, query, at_query),
        ):
            if not needed:
                grads.append(None)
                continue
            total = torch.zeros_like(mine, dtype=grad.dtype)
            by_cell = total.flatten(2).transpose(1, 2)
            for block in _blocks(sample):
                rows = _rows(other, sample[block], at_other[block])
                by_cell.index_put_(
                    (sample[block], at_mine[block]),
                    rows * weight[block, None],
                    accumulate=True,
                )
            grads.append(total.to(mine.dtype))
        return (*grads, None, None, None, None)


def _rows(maps: Tensor, sample: Tensor, cell: Tensor) -> Tensor:
    """Gather P cells, ``(N, C, h, w)`` -> ``(P, C)``, in fp32 or fp64."""
    return _at_least_fp32(maps.flatten(2).transpose(1, 2)[sample, cell])


def _blocks(pairs: Tensor) -> Iterator[slice]:
    for start in range(0, len(pairs), _BLOCK):
        yield slice(start, start + _BLOCK)


def _unit(flow: Tensor) -> Tensor:
    """Normalise flow vectors ``(P, 2)``, in fp32 or fp64."""
    return F.normalize(_at_least_fp32(flow), dim=1)


def _at_least_fp32(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()
