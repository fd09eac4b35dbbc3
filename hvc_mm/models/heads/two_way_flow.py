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

from typing import Sequence, Tuple

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
    """Compute both fields without ``conv2``'s bias, ``(N, 2, A)`` each.

    And, without gradient, mean and biased variance of ``conv1``'s output in
    both directions, ``(2, D)`` each. Under autocast the products with the
    maps are of type ``kind``.
    """

    @staticmethod
    def forward(
        ctx, query, key, weight1, bias1, scale, shift, weight2, eps, kind
    ):
        """Keep ``conv1``'s output about its mean, of each sample."""
        weight_q, weight_k = weight1.chunk(2, dim=1)
        weights = (weight_q + weight_k) / 2, (weight_q - weight_k) / 2
        # The mean of a linear map is the map of the mean: with it at hand
        # before the first product, squares can be summed about the mean.
        mean_q, mean_k = (
            maps.mean((0, 2, 3), dtype=scale.dtype) for maps in (query, key)
        )
        means = weights[0] @ (mean_q + mean_k), weights[1] @ (mean_q - mean_k)
        size = len(query), len(weight1), query[0, 0].numel()
        hidden = [query.new_empty(size, dtype=kind) for _ in range(2)]
        squares = scale.new_zeros(2, size[1])
        for i in range(size[0]):
            maps = _sum_and_difference(query[i], key[i], kind)
            for out, weight, one, mean in zip(hidden, weights, maps, means):
                torch.mm(weight.to(kind), one, out=out[i])
                out[i] -= mean[:, None]
            for direction, x in enumerate(_both(hidden, i, scale)):
                squares[direction] += x.square_().sum(1)
        variance = squares / (size[0] * size[2])
        inverse = (variance + eps).rsqrt()

        flows = scale.new_empty(2, size[0], 2, size[2])
        for i in range(size[0]):
            for direction, x in enumerate(_both(hidden, i, scale)):
                x *= (scale * inverse[direction])[:, None]
                x += shift[:, None]
                torch.mm(weight2, x.relu_(), out=flows[direction, i])
        ctx.save_for_backward(
            query, key, *weights, scale, shift, weight2, *hidden, inverse
        )
        mean = torch.stack([means[0] + means[1], means[0] - means[1]]) + bias1
        ctx.mark_non_differentiable(mean, variance)
        return flows[0], flows[1], mean, variance

    @staticmethod
    @not_compiled
    @once_differentiable
    def backward(ctx, *grads):
        """Go through the layers sample by sample, as in the forward pass."""
        query, key, *weights, scale, shift, weight2 = ctx.saved_tensors[:7]
        *hidden, inverse = ctx.saved_tensors[7:]
        gains = scale * inverse
        opened, by_x = _relu_sums(hidden, gains, shift, grads, weight2)
        # The sums over the batch of the relu's gradient g, and of g x.
        sum_g = (weight2 * opened).sum(1)
        sum_gx = (weight2 * by_x).sum(1)
        values = query.numel() / query.shape[1]
        level = gains * sum_g / values
        slope = gains * inverse**2 * sum_gx / values

        needed = ctx.needs_input_grad[:2]
        map_grads = [
            torch.empty_like(one) if need else None
            for one, need in zip((query, key), needed)
        ]
        weight_grads = [torch.zeros_like(weight) for weight in weights]
        kind = hidden[0].dtype
        for i in range(len(query)):
            there, back = (
                _norm_grad(x, *one, shift, grad[i], weight2)
                for x, grad, *one in zip(
                    _both(hidden, i, scale), grads, gains, level, slope
                )
            )
            towards = (there + back).to(kind), there.sub_(back).to(kind)
            maps = _sum_and_difference(query[i], key[i], kind)
            for total, to, one in zip(weight_grads, towards, maps):
                total += to @ one.t()
            if any(needed):
                even, odd = (
                    w.t().to(kind) @ t for w, t in zip(weights, towards)
                )
            if needed[0]:
                map_grads[0][i] = (even + odd).view_as(query[i])
            if needed[1]:
                map_grads[1][i] = (even - odd).view_as(key[i])

        even, odd = weight_grads
        per_gain = gains[:, None] * by_x + shift * opened
        return (
            *map_grads,
            torch.cat([even + odd, even - odd], dim=1) / 2,
            torch.zeros_like(scale),  # bn1 takes conv1's bias away
            (inverse * sum_gx).sum(0),
            sum_g.sum(0),
            per_gain.sum(0),
            None,
            None,
        )


def _sum_and_difference(
    query: Tensor, key: Tensor, kind: torch.dtype
) -> Tuple[Tensor, Tensor]:
    """Compute q + k and q - k of one sample's maps, ``(C, A)`` each."""
    q, k = query.flatten(1), key.flatten(1)
    return (q + k).to(kind), (q - k).to(kind)


def _both(
    hidden: Sequence[Tensor], sample: int, like: Tensor
) -> Tuple[Tensor, Tensor]:
    """Compute ``conv1``'s outputs about their mean, ``(D, A)`` each.

    Args:
        hidden: The even and the odd part, ``(N, D, A)`` each.
        sample: Which one.
        like: Has the result's type.
    """
    even, odd = (part[sample].to(like.dtype) for part in hidden)
    return even + odd, even - odd


def _open(x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """Compute 1 where the relu after the batch norm lets through, else 0."""
    return (x * gain[:, None]).add_(shift[:, None]).gt_(0)


def _relu_sums(
    hidden: Sequence[Tensor],
    gains: Tensor,
    shift: Tensor,
    grads: Sequence[Tensor],
    weight2: Tensor,
) -> Tuple[Tensor, Tensor]:
    """Sum the fields' gradients over the cells where the relu is open.

    The batch norm needs the sums of the relu's gradient g and of g x over
    the batch. g is ``weight2^T grad`` where the relu is open, so both follow
    from these two thin products.

    Returns:
        Per direction ``grad gate^T`` and ``grad (gate x)^T``,
        ``(2, 2, D)`` each.
    """
    opened = torch.zeros_like(weight2).repeat(2, 1, 1)
    by_x = torch.zeros_like(opened)
    for i in range(len(hidden[0])):
        for direction, x in enumerate(_both(hidden, i, gains)):
            grad = grads[direction][i]
            gate = _open(x, gains[direction], shift)
            opened[direction] += grad @ gate.t()
            by_x[direction] += grad @ gate.mul_(x).t()
    return opened, by_x


def _norm_grad(
    x: Tensor,
    gain: Tensor,
    level: Tensor,
    slope: Tensor,
    shift: Tensor,
    grad: Tensor,
    weight2: Tensor,
) -> Tensor:
    """Compute the gradient of one direction's ``x``, ``(D, A)``.

    Args:
        x: ``conv1``'s output about its mean, ``(D, A)``; overwritten.
        gain: ``bn1``'s factor ``(D,)``.
        level: What its mean takes away, ``(D,)``.
        slope: What its variance takes away, per x, ``(D,)``.
        shift: ``bn1``'s bias ``(D,)``.
        grad: Of the field, ``(2, A)``.
        weight2: ``(2, D)``.
    """
    gate = _open(x, gain, shift)
    gate *= (weight2 * gain).t() @ grad
    gate -= level[:, None]
    return gate.sub_(x.mul_(slope[:, None]))
