"""One step of label propagation, windowed against dense.

h w: grid, C: channels, T: context frames.
"""

from __future__ import annotations

import argparse
from typing import Dict, List, NamedTuple, Optional, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

from hvc_mm.models.vos import DenseLabelPropagator, LabelPropagator
from hvc_mm.models.vos.propagation import propagate_cells
from hvc_mm.models.vos.streaming_propagator import pad_channels

from .measure import best_times, peak_flops, peak_memory, single_thread
from .report import Mark, Report, ratio

# The released setting.
RADIUS, TOPK, TEMPERATURE = 12, 15, 0.1
OBJECTS = 3
# Query cells that the dense form works on at a time.
CHUNK = 100


class Case(NamedTuple):
    """What is measured, and the marks it is held against.

    Attributes:
        name: For the table.
        grid: ``(h, w)``.
        channels: C.
        context: Frames kept.
        time: The frame predicted.
        newcomers: Times of further references.
        time_mark: Least ratio of times; None: no mark.
        memory_mark: Most share of the dense form's extra memory.
        quick: Part of ``--quick``.
    """

    name: str
    grid: tuple
    channels: int
    context: int
    time: int
    newcomers: tuple = ()
    time_mark: Optional[float] = None
    memory_mark: Optional[float] = None
    quick: bool = False


CASES = (
    Case('30x54 C=256', (30, 54), 256, 20, 25, (), 2.7, quick=True),
    Case('two references', (30, 54), 256, 20, 25, (3,)),
    Case('two references t=10', (30, 54), 256, 20, 10, (3,), 6.0),
    Case('60x107 C=256', (60, 107), 256, 50, 55, (), 12.0),
    Case('60x107 C=256 t=10', (60, 107), 256, 50, 10, (), 30.0),
    Case('60x107 C=1280', (60, 107), 1280, 50, 55, (), 10.0, 0.1),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``benchmark.py propagation`` beside the common ones."""
    parser.add_argument(
        '--cases',
        nargs='+',
        metavar='NAME',
        choices=[case.name for case in CASES],
        help='of ' + ', '.join(repr(case.name) for case in CASES),
    )
    parser.add_argument(
        '--chunks',
        type=int,
        default=3,
        help='query chunks of 100 that the dense form runs on a CPU; its '
        'time is scaled to the whole grid',
    )
    parser.add_argument(
        '--compute-dtype', help='of LabelPropagator; no marks then'
    )
    parser.add_argument('--seed', type=int, default=0)


def run(args: argparse.Namespace) -> Report:
    """Measure each case: time, extra memory, largest difference."""
    judged = args.device == 'cpu' and args.compute_dtype is None
    report = Report(
        f'label propagation, one frame, radius {RADIUS}, top-{TOPK}'
    )
    with single_thread(args.device):
        peak = peak_flops(args.device)
        report.notes.append(
            f'machine: {peak / 1e9:.0f} GFLOP/s fp32 on '
            f'{torch.get_num_threads()} thread(s), as all figures here; '
            '"of peak": the products that the disc asks for, over time and '
            'this limit; a video held by both forms is not in the memory'
        )
        for case in CASES:
            if args.cases and case.name not in args.cases:
                continue
            if args.quick and not args.cases and not case.quick:
                continue
            row = measure(case, args)
            row['of peak'] = needed_flop(case) / row['ours s'] / peak
            report.rows.append(row)
            if judged and case.time_mark:
                report.marks.append(
                    Mark(case.name, row['time ratio'], case.time_mark)
                )
            if judged and case.memory_mark:
                share = row['memory share']
                report.marks.append(
                    Mark('its memory', share, case.memory_mark, at_most=True)
                )
    return report


def measure(case: Case, args: argparse.Namespace) -> dict:
    """One line of the table."""
    ours, dense, query = prepare(case, args)
    count = case.grid[0] * case.grid[1]
    cells = torch.arange(count, device=query.device)
    if torch.device(args.device).type == 'cpu':
        cells = spread(cells, args.chunks)
    held: Dict[str, object] = {}

    def gather() -> None:
        held['context'] = [dense.gather(one) for one in dense.references]

    def propagate() -> None:
        held['dense'] = dense_labels(dense, held['context'], query, cells)

    def windowed() -> None:
        held['ours'] = ours.predict(query)

    def whole_dense() -> None:
        gather()
        propagate()

    memory = {'dense': peak_memory(whole_dense, args.device)}
    memory['ours'] = peak_memory(windowed, args.device)
    runs = {'gather': gather, 'dense': propagate, 'ours': windowed}
    seconds = best_times(runs, args.repeats, args.device, warm_up=False)
    scaled = seconds['gather'] + seconds['dense'] * count / len(cells)
    part = held['ours'][0].flatten(1)[:, cells]
    same = part.argmax(0) == held['dense'].argmax(0)
    return {
        'what': case.name,
        'T': case.context,
        't': case.time,
        'dense s': scaled,
        'ours s': seconds['ours'],
        'time ratio': ratio(scaled, seconds['ours']),
        'dense MB': memory['dense'],
        'ours MB': memory['ours'],
        'memory share': ratio(memory['ours'], memory['dense']),
        'largest difference': float((part - held['dense']).abs().max()),
        'equal ids': float(same.float().mean()),
    }


def prepare(
    case: Case, args: argparse.Namespace
) -> Tuple[LabelPropagator, DenseLabelPropagator, Tensor]:
    """Both forms before frame ``case.time`` of one video of noise, and the
    features of that frame."""
    torch.manual_seed(args.seed)
    settings = (RADIUS, TOPK, TEMPERATURE, case.context)
    ours = LabelPropagator(*settings, compute_dtype=args.compute_dtype)
    dense = DenseLabelPropagator(*settings, query_chunk=CHUNK)
    shape = (1, case.channels, *case.grid)
    planes = random_planes(case.grid, args.device)
    for time in range(case.time):
        features = F.normalize(torch.randn(shape, device=args.device), dim=1)
        new = planes if time == 0 else None
        if time in case.newcomers:
            new = torch.cat([0 * planes, planes[:, 1:2] / 2], dim=1)
        # What came before is given, not predicted: it would take minutes.
        for form in (ours, dense):
            form.observe(features, planes, new)
        if new is not None:
            planes = pad_channels(planes, new.shape[1])
    query = F.normalize(torch.randn(shape, device=args.device), dim=1)
    return ours, dense, query


def random_planes(grid: Tuple[int, int], device: str) -> Tensor:
    """One-hot planes ``(1, 1 + OBJECTS, h, w)`` of random ids."""
    ids = torch.randint(0, 1 + OBJECTS, grid, device=device)
    return F.one_hot(ids, 1 + OBJECTS).permute(2, 0, 1)[None].float()


def spread(cells: Tensor, chunks: int) -> Tensor:
    """``chunks`` chunks of cells, evenly over the grid; all if few."""
    parts = cells.split(CHUNK)
    if chunks >= len(parts):
        return cells
    picked = [parts[len(parts) * i // chunks] for i in range(chunks)]
    return torch.cat(picked)


@torch.no_grad()
def dense_labels(
    dense: DenseLabelPropagator,
    contexts: List[Tuple[Tensor, Tensor]],
    query: Tensor,
    cells: Tensor,
) -> Tensor:
    """Labels ``(M, n)`` of some cells, in chunks, over all references."""
    results = []
    for some in cells.split(CHUNK):
        result = 0
        for reference, (features, labels) in zip(dense.references, contexts):
            predicted = propagate_cells(
                features, labels, query, some, RADIUS, TOPK, TEMPERATURE
            )
            own = reference.mask(len(predicted)).to(predicted)[..., 0]
            result = result + own * predicted
        results.append(result)
    return torch.cat(results, dim=1)


def needed_flop(case: Case) -> float:
    """Products that the result depends on: the whole grid of each reference
    frame, the disc in each of the latest frames."""
    height, width = case.grid
    pairs = sum(
        (height - abs(dy)) * (width - abs(dx))
        for dy in range(1 - height, height)
        for dx in range(1 - width, width)
        if dy * dy + dx * dx < RADIUS**2
    )
    references = 1 + len(case.newcomers)
    total = pairs * min(case.time, case.context)
    return 2 * case.channels * (total + references * (height * width) ** 2)
