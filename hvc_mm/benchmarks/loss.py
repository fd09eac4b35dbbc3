"""The hybrid loss on the pair list against its dense form.

N: samples, C: channels, h w: feature grid.
"""

from __future__ import annotations

import argparse
import copy
from typing import Callable, Dict, List, Tuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms import RandomResizedCrop

from hvc_mm.models.heads import PseudoFlowHead
from hvc_mm.models.losses import (
    HybridCorrespondenceLoss,
    dense_hybrid_loss,
    find_positive_pairs,
    hybrid_correspondence_loss,
)

from .measure import peak_flops, peaks_and_times, single_thread
from .report import Mark, Report, ratio

# The recipe's: what the marks are set for.
CHANNELS, GRID, RADIUS = 256, (32, 32), 0.1
# Common sizes (height, width) among COCO's images.
_IMAGES = ((480, 640), (640, 480), (427, 640), (375, 500), (612, 612))
Grads = Tuple[Tensor, ...]
Runs = Dict[str, Callable[[], Grads]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``benchmark.py loss`` beside the common ones."""
    parser.add_argument(
        '--samples',
        type=int,
        nargs='+',
        help='batch sizes of the pair term (default: 8 16 32; quick: 8)',
    )
    parser.add_argument(
        '--whole-samples',
        type=int,
        default=32,
        help='batch size of the whole loss',
    )
    parser.add_argument('--radius', type=float, default=RADIUS)
    parser.add_argument('--seed', type=int, default=0)


def run(args: argparse.Namespace) -> Report:
    """Measure the pair term and the whole loss; forward and backward."""
    sizes = args.samples or ([8] if args.quick else [8, 16, 32])
    whole = args.whole_samples
    # Marks are for a CPU and the recipe's radius.
    judged = args.device == 'cpu' and args.radius == RADIUS
    report = Report(
        f'hybrid loss, forward + backward, C={CHANNELS}, '
        f'{GRID[0]}x{GRID[1]}, radius {args.radius:g}'
    )
    with single_thread(args.device):
        peak = peak_flops(args.device)
        report.notes.append(
            f'machine: {peak / 1e9:.0f} GFLOP/s fp32 on '
            f'{torch.get_num_threads()} thread(s), as all figures here; '
            "differences are relative to each gradient's largest entry"
        )
        for build in (pair_term, whole_loss):
            for warm in build(2, args.radius, args.device)[0].values():
                warm()
        for samples in sizes:
            torch.manual_seed(args.seed)
            runs, pairs = pair_term(samples, args.radius, args.device)
            row = _compare(f'pair term N={samples}', runs, args)
            row.update({'pairs/sample': pairs / samples, 'of peak': None})
            report.rows.append(row)
            asked = judged and 8 <= samples <= 32
            report.marks += _marks(row, asked, 28, 1 / 12)
        torch.manual_seed(args.seed)
        runs, pairs = whole_loss(whole, args.radius, args.device)
        row = _compare(f'whole loss N={whole}', runs, args)
        share = _whole_loss_flop(whole) / row['ours s'] / peak
        row.update({'pairs/sample': pairs / whole, 'of peak': share})
        report.rows.append(row)
        report.marks += _marks(row, judged and whole == 32, 3.3, 0.36)
    return report


def coco_like_boxes(samples: int) -> Tuple[Tensor, Tensor]:
    """Boxes of two independent crops of each of N images, ``(N, 4)`` each.

    Random resized crops of scale (0, 1) in images of COCO's usual sizes,
    by torch's random state.
    """
    boxes: List[List[float]] = []
    for view in range(2 * samples):
        height, width = _IMAGES[view % samples % len(_IMAGES)]
        top, left, rows, columns = RandomResizedCrop.get_params(
            torch.empty(0, height, width), (0, 1), (3 / 4, 4 / 3)
        )
        boxes.append(
            [
                left / (width - 1),
                top / (height - 1),
                (left + columns - 1) / (width - 1),
                (top + rows - 1) / (height - 1),
            ]
        )
    first, second = torch.tensor(boxes).chunk(2)
    return first, second


def pair_term(samples: int, radius: float, device: str) -> Tuple[Runs, int]:
    """One direction's loss and gradients, without the flow head.

    Returns:
        ``ours`` and ``dense``, functions that give the loss and the
        gradients of query and flow fields; and the number of pairs.
    """
    boxes = coco_like_boxes(samples)
    query, key = _unit_maps(2, samples, device)
    flows = torch.randn(2, samples, 2, *GRID, device=device).unbind()
    leaves = [part.requires_grad_() for part in (query, *flows)]

    def through(loss: Callable, *where: Tensor) -> Grads:
        static, dynamic = loss(query, key, *flows, *where, radius)
        return _with_grads(static + dynamic, leaves)

    there = [box.to(device) for box in boxes]
    runs = {
        'dense': lambda: through(dense_hybrid_loss, *there),
        'ours': lambda: through(hybrid_correspondence_loss, *boxes),
    }
    return runs, len(find_positive_pairs(*boxes, GRID, radius).query)


def whole_loss(samples: int, radius: float, device: str) -> Tuple[Runs, int]:
    """Both directions with the flow head, as in a training step.

    Returns:
        ``ours`` and ``dense``, functions that give the loss and the
        gradients of predictions and flow head; and the number of pairs.
    """
    boxes = coco_like_boxes(samples)
    p1, p2, z1, z2 = _unit_maps(4, samples, device)
    leaves = [p1.requires_grad_(), p2.requires_grad_()]
    head = PseudoFlowHead(CHANNELS).to(device)
    plain_head = copy.deepcopy(head)
    loss, plain_loss = HybridCorrespondenceLoss(radius), DenseLoss(radius)

    def ours() -> Grads:
        terms = loss(p1, p2, z1, z2, head, *boxes)
        return _with_grads(sum(terms.values()), leaves + _trained(head))

    def dense() -> Grads:
        terms = plain_loss(p1, p2, z1, z2, plain_head, *boxes)
        return _with_grads(sum(terms.values()), leaves + _trained(plain_head))

    runs = {'dense': dense, 'ours': ours}
    return runs, len(find_positive_pairs(*boxes, GRID, radius).query)


class DenseLoss(nn.Module):
    """:class:`HybridCorrespondenceLoss` as published, for comparison.

    Dense matrices, and the flow head run four times on joined maps.

    Args:
        pos_radius: See :class:`HybridCorrespondenceLoss`.
    """

    def __init__(self, pos_radius: float = 0.1) -> None:
        super().__init__()
        self.pos_radius = pos_radius

    def forward(
        self,
        p1: Tensor,
        p2: Tensor,
        z1: Tensor,
        z2: Tensor,
        flow_head: PseudoFlowHead,
        box1: Tensor,
        box2: Tensor,
    ) -> Dict[str, Tensor]:
        """Arguments and result of :class:`HybridCorrespondenceLoss`."""
        box1, box2 = box1.to(p1.device), box2.to(p1.device)
        there = dense_hybrid_loss(
            *(p1, z2, flow_head(p1, z2), flow_head(z2, p1)),
            *(box1, box2, self.pos_radius),
        )
        back = dense_hybrid_loss(
            *(p2, z1, flow_head(p2, z1), flow_head(z1, p2)),
            *(box2, box1, self.pos_radius),
        )
        return {
            'loss_static': there[0] + back[0],
            'loss_dynamic': there[1] + back[1],
        }


def _with_grads(total: Tensor, leaves: List[Tensor]) -> Grads:
    return (total.detach(), *torch.autograd.grad(total, leaves))


def _trained(head: PseudoFlowHead) -> List[Tensor]:
    """Parameters with a gradient worth comparing.

    A bias before a batch norm has none but rounding.
    """
    skipped = 'conv1.bias', 'conv2.bias'
    return [p for name, p in head.named_parameters() if name not in skipped]


def _unit_maps(number: int, samples: int, device: str) -> Tuple[Tensor, ...]:
    maps = torch.randn(number, samples, CHANNELS, *GRID, device=device)
    return tuple(F.normalize(part, dim=1) for part in maps)


def _compare(name: str, runs: Runs, args: argparse.Namespace) -> dict:
    """Largest difference, peaks and best times of ``ours`` and ``dense``."""
    results: Dict[str, Grads] = {}

    def keep(key: str) -> None:
        results[key] = runs[key]()

    memory, seconds = peaks_and_times(
        {key: lambda key=key: keep(key) for key in runs},
        args.repeats,
        args.device,
    )
    difference = max(
        float((ours - dense).abs().max() / dense.abs().max())
        for ours, dense in zip(results['ours'], results['dense'])
    )
    return {
        'what': name,
        'dense s': seconds['dense'],
        'ours s': seconds['ours'],
        'time ratio': ratio(seconds['dense'], seconds['ours']),
        'dense MB': memory['dense'],
        'ours MB': memory['ours'],
        'memory share': ratio(memory['ours'], memory['dense']),
        'largest difference': difference,
    }


def _marks(row: dict, judged: bool, gain: float, share: float) -> List[Mark]:
    """Time and memory of a row, with bounds where it is judged."""
    return [
        Mark(row['what'], row['time ratio'], gain if judged else None),
        Mark(
            'its memory', row['memory share'], share if judged else None, True
        ),
    ]


def _whole_loss_flop(samples: int) -> float:
    """Products that the whole loss needs: the head's first convolution.

    Two of C x C for each bin and direction, for the value, for the weight
    and for the gradient of the prediction.
    """
    bins = samples * GRID[0] * GRID[1]
    return 2 * 3 * 2 * 2 * bins * CHANNELS * CHANNELS
