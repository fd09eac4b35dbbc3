"""Label propagation and inference, windowed against dense.

h w: grid, C: channels, M: label channels, T: frames.
"""

from __future__ import annotations

import argparse
import copy
from collections import deque
from pathlib import Path
from typing import (
    Dict,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import torch
from benchmark_frame import measure_parts
from measuring import (
    Report,
    Target,
    best_times,
    comparison,
    is_gpu,
    peak_flops,
    peak_memory,
    ratio,
)
from mmcv.cnn import fuse_conv_bn
from torch import Tensor, nn
from torch.nn import functional as F

from hvc_mm.apis import init_model, open_frames, video_features
from hvc_mm.engine.config_file import find_config, load_config
from hvc_mm.models.vos import LabelPropagator, propagate
from hvc_mm.models.vos.propagation import propagate_cells
from hvc_mm.models.vos.window import Window
from hvc_mm.registry import MODELS
from hvc_mm.structures import VOSDataSample

# The released setting.
RADIUS, TOPK, TEMPERATURE = 12, 15, 0.1
# Label channels of the first frame: background and three objects.
CHANNELS = 4
# Share of cells that must have the dense form's id.
LEAST_SAME = 0.99
# Query cells that the dense form works on at a time.
CHUNK = 100
# Frames at half of DAVIS's usual size, and at all of it.
SIZES = ((240, 432), (480, 854))
# What searches: for `--native`.
NATIVE = {
    'auto': None,
    'on': True,
    'off': False,
    'both': True,
    'triton': 'triton',
}
Frames = List[Tuple[Tensor, Tensor]]


class Case(NamedTuple):
    """A setting that is measured, and the targets it is held to."""

    name: str
    grid: Tuple[int, int]
    channels: int
    context: int
    time: int  # of the frame that is predicted
    second: Optional[int] = None  # time of a second reference
    gain: Optional[float] = None  # least ratio of times
    memory: Optional[float] = None  # most share of the dense form's
    quick: bool = False
    gpu_seconds: Optional[float] = None  # most, on a GPU
    triton_seconds: Optional[float] = None  # the same with Triton


CASES = (
    Case('30x54 C=256', (30, 54), 256, 20, 25, None, 2.7, quick=True),
    Case('two references', (30, 54), 256, 20, 25, 3),
    Case('two references t=10', (30, 54), 256, 20, 10, 3, 6.0),
    Case(
        '60x107 C=256',
        (60, 107),
        256,
        50,
        55,
        gain=12.0,
        triton_seconds=1e-3,
    ),
    Case('60x107 C=256 t=10', (60, 107), 256, 50, 10, None, 30.0),
    Case(
        '60x107 C=1280',
        (60, 107),
        1280,
        50,
        55,
        gain=10.0,
        memory=0.1,
        gpu_seconds=8e-3,
        triton_seconds=2.5e-3,
    ),
)


def measure_propagation(args: argparse.Namespace) -> Report:
    """Measure one step of label propagation, windowed against dense.

    On a CPU the dense form runs some chunks of 100 query cells; its time is
    scaled to the whole grid. With ``--native both`` the search by torch is
    measured next to the compiled kernel, in turn with it. With ``--features
    real`` features are those of a video's frames, of ``--video`` or of the
    first one in ``data/DAVIS``; else they are noise. ``both``: one after
    the other.
    """
    if args.native == 'triton' and not is_gpu(args.device):
        raise SystemExit(
            f'error: --native triton needs --device cuda:0 .., not '
            f'{args.device}'
        )
    title = f'label propagation, one frame, radius {RADIUS}, top-{TOPK}'
    peak = peak_flops(args.device)
    report = Report(title, notes=[f'machine: {peak / 1e9:.0f} GFLOP/s fp32'])
    if args.video or args.features != 'noise':
        features = read_features(args)
        case = case_of_video(features)
        report.rows.append(measure_case(case, args, features))
        if args.features != 'both':
            return report
    for case in CASES:
        wanted = case.name in args.cases if args.cases else case.quick
        if not wanted and (args.cases or args.quick):
            continue
        row = measure_case(case, args)
        row['of peak'] = needed_flop(case) / row['ours s'] / peak
        report.rows.append(row)
        if args.compute_dtype is None:
            report.targets += case_targets(case, row, args)
        report.targets.append(same_ids(row))
    return report


def case_targets(
    case: Case, row: dict, args: argparse.Namespace
) -> List[Target]:
    """Hold a case's figures to its targets for this kind of device."""
    found = []
    on_gpu = is_gpu(args.device)
    if case.gain and (case.gpu_seconds or not on_gpu):
        found.append(Target(case.name, row['time ratio'], case.gain))
    if case.memory and not on_gpu:
        share = (row['memory share'], case.memory, True, '{:.3f}')
        found.append(Target('its memory', *share))
    limit = case.gpu_seconds if on_gpu else None
    if args.native == 'triton':
        limit = case.triton_seconds
    if limit:
        seconds = (row['ours s'], limit, True, '{:.4f} s a frame')
        found.append(Target('its time', *seconds))
    return found


def same_ids(row: dict) -> Target:
    """Hold the share of equal ids to all but a tie here and there.

    Noise has few ties; of a video's features ``exactness`` tells how many.
    """
    return Target('equal ids', row['equal ids'], LEAST_SAME, form='{:.4f}')


def read_features(args: argparse.Namespace) -> List[Tensor]:
    """Compute features ``(1, C, h, w)`` of a video's last 52 frames."""
    video = args.video or first_video(args.config)
    model = init_model(args.config, args.checkpoint, args.device)
    found = video_features(model, open_frames(video))
    features = [*deque((one[None] for _, one in found), maxlen=52)]
    if len(features) < 3:
        raise SystemExit(
            f'error: {video} has {len(features)} frames, at least 3 are needed'
        )
    return features


def first_video(config: str) -> str:
    """Find the frames of the first video of a config's data set."""
    dataset = load_config(find_config(config)).test_dataloader.dataset
    folder = Path(dataset.data_root) / 'JPEGImages/480p'
    videos = sorted(folder.glob('*/'))
    if not videos:
        raise SystemExit(
            f'error: {folder} has no video, expected DAVIS or the sample of '
            'it (tools/dataset_converters/make_sample.py data), or --video'
        )
    return str(videos[0])


def case_of_video(features: Sequence[Tensor]) -> Case:
    """Predict a video's last frame, from a context as long as there is."""
    _, channels, *grid = features[0].shape
    time = len(features) - 2
    name = f'{grid[0]}x{grid[1]} C={channels}, video'
    return Case(name, tuple(grid), channels, min(50, time), time)


def measure_case(
    case: Case,
    args: argparse.Namespace,
    features: Optional[Sequence[Tensor]] = None,
) -> dict:
    """Measure a step's time, extra memory and largest difference.

    Args:
        features: Of ``case.time + 2`` frames; None for noise.
    """
    forms, frames, queries = make_video(case, args, features)
    query = queries[-1]
    ours = forms.pop('ours')
    count = case.grid[0] * case.grid[1]
    cells = torch.arange(count, device=query.device)
    if not is_gpu(args.device):
        cells = spread(cells, args.chunks)
    starts = [0] if case.second is None else [0, case.second]
    held: Dict[str, list] = {}

    def stack() -> None:
        held['contexts'] = [
            stack_context(frames, start, case.context) for start in starts
        ]

    def dense() -> None:
        held['dense'] = dense_labels(held['contexts'], query, cells)

    def windowed() -> None:
        # Two frames in turn: the kernel is led by the matches of another.
        found = [ours.predict(one) for one in queries][-1]
        held['ours'] = found[0].flatten(1)[:, cells]

    memory = {
        'dense': peak_memory(lambda: (stack(), dense()), args.device),
        'ours': peak_memory(windowed, args.device),
    }
    runs = {'stack': stack, 'dense': dense, 'ours': windowed}
    for form, other in forms.items():
        runs[form] = lambda other=other: [*map(other.predict, queries)]
    seconds = best_times(runs, args.repeats, args.device)
    seconds['dense'] *= count / len(cells)
    seconds['dense'] += seconds['stack']
    for form in ('ours', *forms):
        seconds[form] /= len(queries)
    same = held['ours'].argmax(0) == held['dense'].argmax(0)
    difference = (held['ours'] - held['dense']).abs().max()
    row = comparison(case.name, seconds, memory)
    row['largest difference'] = float(difference)
    row['equal ids'] = float(same.float().mean())
    for form in forms:
        row[f'{form} s'] = seconds[form]
        row[f'over {form}'] = ratio(seconds[form], seconds['ours'])
    return row


def make_video(
    case: Case,
    args: argparse.Namespace,
    features: Optional[Sequence[Tensor]] = None,
) -> Tuple[Dict[str, LabelPropagator], Frames, List[Tensor]]:
    """Show propagators the first frames of a video.

    Gives the propagators by form of the search, the frames' features
    ``(1, C, h, w)`` and labels ``(1, M, h, w)``, and the features of the
    next two frames.
    """
    torch.manual_seed(args.seed)
    settings = (RADIUS, TOPK, TEMPERATURE, case.context)
    native = {'ours': NATIVE[args.native]}
    if args.native == 'both':
        native['torch'] = False
    forms = {
        form: LabelPropagator(
            *settings, compute_dtype=args.compute_dtype, native=wanted
        )
        for form, wanted in native.items()
    }
    shape = (1, case.channels, *case.grid)
    ids = torch.randint(0, CHANNELS, case.grid, device=args.device)
    labels = F.one_hot(ids, CHANNELS).permute(2, 0, 1)[None].float()
    frames: Frames = []
    if features is None:
        features = [
            F.normalize(torch.randn(shape, device=args.device), dim=1)
            for _ in range(case.time + 2)
        ]
    for time, frame in enumerate(features[: case.time]):
        new = labels if time == 0 else None
        if time == case.second:
            new = torch.cat([0 * labels, labels[:, 1:2] / 2], dim=1)
        # What came before is given, not predicted: it would take minutes.
        for form in forms.values():
            kept = form.observe(frame, labels, new)
        frames.append((frame, kept))
    return forms, frames, features[case.time :]


def stack_context(
    frames: Frames, start: int, context: int
) -> Tuple[Tensor, Tensor]:
    """Stack the context of the next frame for a reference, as published.

    Early on the reference (of time ``start``) takes the place of the frames
    before it. Gives features ``(1 + context, C, h, w)`` and labels
    ``(1 + context, M, h, w)``.
    """
    latest = range(len(frames) - context, len(frames))
    features, labels = zip(*(frames[max(t, start)] for t in (start, *latest)))
    channels = frames[-1][1].shape[1]
    padded = [
        F.pad(own, (0, 0, 0, 0, 0, channels - own.shape[1])) for own in labels
    ]
    return torch.cat(features), torch.cat(padded)


@torch.no_grad()
def dense_labels(
    contexts: Sequence[Tuple[Tensor, Tensor]], query: Tensor, cells: Tensor
) -> Tensor:
    """Propagate labels ``(M, n)`` to some cells, in chunks.

    Each reference has a context; what came with the last one is its own.
    """
    settings = Window(RADIUS), TOPK, TEMPERATURE
    results = []
    for some in cells.split(CHUNK):
        found = [
            propagate_cells(*context, query, some, *settings)
            for context in contexts
        ]
        results.append(torch.cat([found[0][:CHANNELS], found[-1][CHANNELS:]]))
    return torch.cat(results, dim=1)


def spread(cells: Tensor, chunks: int) -> Tensor:
    """Pick chunks of cells, evenly over the grid; all if there are few."""
    parts = cells.split(CHUNK)
    if chunks >= len(parts):
        return cells
    picked = [parts[len(parts) * i // chunks] for i in range(chunks)]
    return torch.cat(picked)


def needed_flop(case: Case) -> float:
    """Count the products of each reference's grid and the latest's discs."""
    height, width = case.grid
    pairs = sum(
        (height - abs(dy)) * (width - abs(dx))
        for dy in range(1 - height, height)
        for dx in range(1 - width, width)
        if dy * dy + dx * dx < RADIUS**2
    )
    references = 1 if case.second is None else 2
    total = pairs * min(case.time, case.context)
    return 2 * case.channels * (total + references * (height * width) ** 2)


class DensePropagator:
    """Propagate from the first frame by stacked contexts, as published."""

    def __init__(self, settings: LabelPropagator) -> None:
        self.settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget the video."""
        self.frames: Frames = []

    def step(
        self, features: Tensor, new_labels: Optional[Tensor] = None
    ) -> Tensor:
        """Give labels ``(1, M, h, w)`` to features ``(1, C, h, w)``."""
        labels = new_labels
        if self.frames:
            own = self.settings
            context = stack_context(self.frames, 0, own.context)
            numbers = (own.window.radius, own.topk, own.temperature, CHUNK)
            labels = propagate(*context, features, *numbers)
        self.frames.append((features, labels))
        return labels


def measure_inference(args: argparse.Namespace) -> Report:
    """Measure seconds per frame of a whole test run but files and scores.

    The frames are early ones, whose context holds the reference many times.
    With ``--parts`` another table shows where a frame's time goes, from its
    file to its mask and score, with a full context: of a moving picture with
    random weights, or as ``--video``, ``--config`` and ``--checkpoint`` say.
    """
    if not args.parts and (args.video or args.config or args.checkpoint):
        raise SystemExit(
            'error: --video, --config and --checkpoint of inference need '
            '--parts'
        )
    if args.parts:
        return measure_parts(args, SIZES[:1] if args.quick else SIZES)
    count = args.frames or (3 if args.quick else 8)
    report = Report(f'inference of hvc_davis, {count} frames, one object')
    models = make_models(args.device)
    for size in SIZES[:1] if args.quick else SIZES:
        batches = make_batches(size, count + 1)
        figures = {
            form: time_frames(model, batches, args.device)
            for form, model in models.items()
        }
        dense, dense_ids = figures.pop('dense')
        for form, (seconds, ids) in figures.items():
            row = {
                'what': f'{size[0]}x{size[1]}{form}',
                'dense s a frame': dense,
                'ours s a frame': seconds,
                'time ratio': ratio(dense, seconds),
                'equal ids': (ids == dense_ids).float().mean().item(),
            }
            report.rows.append(row)
            report.targets.append(Target(row['what'], row['time ratio']))
    return report


def make_models(device: str) -> Dict[str, nn.Module]:
    """Build the model of ``configs/hvc_davis.py`` in each form."""
    config = load_config(find_config('hvc_davis')).model
    torch.manual_seed(0)
    model = MODELS.build(config).eval().to(device)
    model.warm_up()
    dense, folded = copy.deepcopy(model), copy.deepcopy(model)
    dense.propagator = DensePropagator(model.propagator)
    fuse_conv_bn(folded.backbone)
    return {'dense': dense, '': model, ', folded batch norm': folded}


def make_batches(size: Tuple[int, int], count: int) -> List[dict]:
    """Move a picture of noise; one square is given on the first frame."""
    generator = torch.Generator().manual_seed(0)
    picture = torch.randint(256, (3, *size), generator=generator).byte()
    ids = torch.zeros(size, dtype=torch.uint8)
    ids[size[0] // 4 : size[0] // 2, size[1] // 4 : size[1] // 2] = 1
    samples = [
        VOSDataSample(metainfo=dict(starts_video=t == 0, ori_shape=size))
        for t in range(count)
    ]
    samples[0].prompt_ids = ids
    return [
        dict(inputs=[picture.roll(4 * t, -1)], data_samples=[sample])
        for t, sample in enumerate(samples)
    ]


def time_frames(
    model: nn.Module, batches: List[dict], device: str
) -> Tuple[float, Tensor]:
    """Measure seconds a frame after the first one, and masks (T, H, W)."""
    masks: Dict[int, Tensor] = {}

    def play(count: int) -> None:
        ids = []
        for batch in batches[:count]:
            samples = [sample.clone() for sample in batch['data_samples']]
            (found,) = model.test_step({**batch, 'data_samples': samples})
            ids.append(found.pred_ids)
        masks[count] = torch.stack(ids)

    count = len(batches)
    runs = {'first': lambda: play(1), 'all': lambda: play(count)}
    seconds = best_times(runs, 1, device)
    each = (seconds['all'] - seconds['first']) / (count - 1)
    return each, masks[count]
