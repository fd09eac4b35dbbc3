"""The pseudo-flow head's hidden layer in both directions, sample by sample.

N: samples, C: channels of one map, D: hidden channels, A: cells (h w).

On a CPU the head is bound by memory, not by products: written as layers it
makes some twenty full-size maps and keeps six for the backward pass, and the
whole loss takes twice the time and memory that it does with this. Here two
are kept, and all others are made for one sample at a time, in cache.

With ``conv1``'s weight in its halves ``W1, W2``::

    even = (W1 + W2)/2 (q + k)        odd = (W1 - W2)/2 (q - k)
    conv1(cat(q, k)) = even + odd + b    conv1(cat(k, q)) = even - odd + b

What follows is ``conv2(relu(bn1(.)))`` of either. ``bn1`` takes the batch's
mean away, so ``b`` only matters for its running mean.
"""

from __future__ import annotations

from typing import List, Tuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from hvc_mm.utils.compiling import not_compiled


def is_applicable(query: Tensor, norm: nn.Module) -> bool:
    """Tell if :func:`two_way_flow` can replace the plain layers.

    It does so on a CPU for a plain batch norm that uses the statistics of
    its batch. On a GPU the plain layers' kernels are the faster choice.
    """
    return (
        query.device.type == 'cpu'
        and type(norm) is nn.BatchNorm2d
        and norm.training
        and norm.affine
        and norm.track_running_stats
        and norm.momentum is not None
        and query.numel() > query.shape[1]  # or torch's own error is due
    )


def two_way_flow(
    query: Tensor,
    key: Tensor,
    conv1: nn.Conv2d,
    norm: nn.BatchNorm2d,
    conv2: nn.Conv2d,
) -> Tuple[Tensor, Tensor]:
    """Compute ``conv2(relu(norm(conv1(cat(.)))))`` of (q, k) and (k, q).

    Updates ``norm``'s running statistics, (query, key) first. Under autocast
    products are in its type, all else in the maps' own.

    Args:
        query: ``(N, C, h, w)``, any memory format.
        key: ``(N, C, h, w)``.
        conv1: 1x1, 2C -> D channels.
        norm: Over D channels, in training mode.
        conv2: 1x1, D -> 2 channels.

    Returns:
        Two fields ``(N, 2, h, w)``.
    """
    one = conv1.bias[:1, None].detach()
    product_type = torch.mm(one, one).dtype  # what autocast makes of it
    there, back, mean, variance = _TwoWayFlow.apply(
        query,
        key,
        conv1.weight.flatten(1),
        conv1.bias,
        norm.weight,
        norm.bias,
        conv2.weight.flatten(1),
        norm.eps,
        product_type,
    )
    values = query.numel() / query.shape[1]
    with torch.no_grad():
        for one_mean, one_variance in zip(mean, variance):
            norm.num_batches_tracked += 1
            norm.running_mean.lerp_(one_mean.to(norm.bias), norm.momentum)
            unbiased = one_variance.to(norm.bias) * (values / (values - 1))
            norm.running_var.lerp_(unbiased, norm.momentum)
    bias = conv2.bias[:, None, None]
    shape = len(query), 2, *query.shape[2:]
    return there.view(shape) + bias, back.view(shape) + bias


class _TwoWayFlow(torch.autograd.Function):
    """Give both fields without ``conv2``'s bias, ``(N, 2, A)``.

    And, without gradient, mean and biased variance of ``conv1``'s output in
    both directions, ``(2, D)`` each.
    """

    @staticmethod
    def forward(
        ctx, query, key, weight1, bias1, scale, shift, weight2, eps, kind
    ):
        weight_q, weight_k = weight1.chunk(2, dim=1)
        weight_even = (weight_q + weight_k) / 2
        weight_odd = (weight_q - weight_k) / 2
        # The mean of a linear map is the map of the mean: with it at hand
        # before the first product, squares can be summed about the mean.
        mean_q, mean_k = (
            maps.mean((0, 2, 3), dtype=scale.dtype) for maps in (query, key)
        )
        mean_even = weight_even @ (mean_q + mean_k)
        mean_odd = weight_odd @ (mean_q - mean_k)
        left_even, left_odd = weight_even.to(kind), weight_odd.to(kind)

        size = len(query), len(weight1), query[0, 0].numel()
        even, odd = (query.new_empty(size, dtype=kind) for _ in range(2))
        squares = scale.new_zeros(2, size[1])
        for i in range(size[0]):
            q, k = query[i].flatten(1), key[i].flatten(1)
            torch.mm(left_even, (q + k).to(kind), out=even[i])
            torch.mm(left_odd, (q - k).to(kind), out=odd[i])
            even[i] -= mean_even[:, None]
            odd[i] -= mean_odd[:, None]
            for direction, x in enumerate(_both(even[i], odd[i], scale)):
                squares[direction] += x.square_().sum(1)
        variance = squares / (size[0] * size[2])
        inverse = (variance + eps).rsqrt()

        flows = scale.new_empty(2, size[0], 2, size[2])
        for i in range(size[0]):
            for direction, x in enumerate(_both(even[i], odd[i], scale)):
                x *= (scale * inverse[direction])[:, None]
                x += shift[:, None]
                torch.mm(weight2, x.relu_(), out=flows[direction, i])

        ctx.save_for_backward(
            query,
            key,
            weight_even,
            weight_odd,
            scale,
            shift,
            weight2,
            even,
            odd,
            inverse,
        )
        mean = torch.stack([mean_even + mean_odd, mean_even - mean_odd])
        mean += bias1
        ctx.mark_non_differentiable(mean, variance)
        return flows[0], flows[1], mean, variance

    @staticmethod
    @not_compiled
    @once_differentiable
    def backward(ctx, *grads):
        query, key, weight_even, weight_odd, scale, shift, weight2 = (
            ctx.saved_tensors[:7]
        )
        even, odd, inverse = ctx.saved_tensors[7:]
        samples, _, cells = even.shape
        kind = even.dtype
        gains = scale * inverse

        # Of the relu's gradient g the batch norm needs the sums of g and of
        # g x over the batch. g is weight2^T grad where the relu is open, so
        # both follow from two thin products.
        open_sum = torch.zeros_like(weight2).repeat(2, 1, 1)
        x_sum = torch.zeros_like(open_sum)
        for i in range(samples):
            for direction, x in enumerate(_both(even[i], odd[i], scale)):
                grad = grads[direction][i]
                gate = _open(x, gains[direction], shift)
                open_sum[direction] += grad @ gate.t()
                x_sum[direction] += grad @ gate.mul_(x).t()
        sum_g = (weight2 * open_sum).sum(1)
        sum_gx = (weight2 * x_sum).sum(1)

        level = gains * sum_g / (samples * cells)
        slope = gains * inverse**2 * sum_gx / (samples * cells)
        needed = ctx.needs_input_grad[:2]
        map_grads = [
            torch.empty_like(one) if need else None
            for one, need in zip((query, key), needed)
        ]
        grad_even = torch.zeros_like(weight_even)
        grad_odd = torch.zeros_like(weight_odd)
        right_even = weight_even.t().to(kind)
        right_odd = weight_odd.t().to(kind)
        for i in range(samples):
            both: List[Tensor] = []
            for direction, x in enumerate(_both(even[i], odd[i], scale)):
                gate = _open(x, gains[direction], shift)
                thin = (weight2 * gains[direction]).t()
                gate *= thin @ grads[direction][i]
                gate -= level[direction][:, None]
                both.append(gate.sub_(x.mul_(slope[direction][:, None])))
            to_even = (both[0] + both[1]).to(kind)
            to_odd = both[0].sub_(both[1]).to(kind)
            q, k = query[i].flatten(1), key[i].flatten(1)
            grad_even += to_even @ (q + k).t().to(kind)
            grad_odd += to_odd @ (q - k).t().to(kind)
            if any(needed):
                through_even = right_even @ to_even
                through_odd = right_odd @ to_odd
            if needed[0]:
                map_grads[0][i] = (through_even + through_odd).view_as(
                    query[i]
                )
            if needed[1]:
                map_grads[1][i] = (through_even - through_odd).view_as(key[i])

        halves = (grad_even + grad_odd) / 2, (grad_even - grad_odd) / 2
        per_gain = gains[:, None] * x_sum + shift * open_sum
        return (
            *map_grads,
            torch.cat(halves, dim=1),
            torch.zeros_like(scale),
            (inverse * sum_gx).sum(0),
            sum_g.sum(0),
            per_gain.sum(0),
            None,
            None,
        )


def _both(even: Tensor, odd: Tensor, like: Tensor) -> Tuple[Tensor, Tensor]:
    """Give one sample's ``conv1`` outputs about their mean, (D, A) each."""
    even, odd = even.to(like.dtype), odd.to(like.dtype)
    return even + odd, even - odd


def _open(x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """Give 1 where the relu after the batch norm lets through, else 0."""
    return (x * gain[:, None]).add_(shift[:, None]).gt_(0)
