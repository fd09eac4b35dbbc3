"""Where a frame's time goes in a test, part by part.

h w: grid, C: channels, M: label channels.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from collections import defaultdict, deque
from contextlib import contextmanager
from pathlib import Path
from typing import (
    Callable,
    Dict,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
)

import mmcv
import numpy as np
import torch
from measuring import Report, best_times, is_gpu
from mmcv.cnn import fuse_conv_bn
from torch.nn import functional as F

from hvc_mm.apis import init_model, open_frames
from hvc_mm.apis.inference import frame_pipeline
from hvc_mm.datasets.id_masks import read_id_mask, write_id_mask
from hvc_mm.datasets.image_io import read_image, write_picture
from hvc_mm.engine.config_file import find_config, load_config
from hvc_mm.evaluation.functional import boundary_accuracy, region_similarity
from hvc_mm.models.vos import LabelPropagationVOS

# A frame's way through a test, in its order.
PARTS = ('reading', 'backbone', 'propagation', 'codec', 'scoring', 'writing')
CONFIGS = ('hvc_davis', 'hvc_moco_davis')
OBJECTS = 3
# Characters of a bar.
WIDTH = 60


class Clip(NamedTuple):
    """A short video on the disk.

    Attributes:
        folder: Where further files may go.
        frames: Pictures, in order.
        ids: The first frame's mask, ``(H, W)`` uint8; also a file.
    """

    folder: Path
    frames: List[Path]
    ids: np.ndarray


class Clock:
    """Add up seconds by part.

    Args:
        device: What is waited for before the time is read.

    Attributes:
        seconds: Of the process; with several threads and on a GPU, of the
            wall clock.
        wall: Of the wall clock.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds: Dict[str, float] = defaultdict(float)
        self.wall: Dict[str, float] = defaultdict(float)

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Measure what is done within for a part."""
        before = self._now()
        yield
        for total, start, now in zip(
            (self.seconds, self.wall), before, self._now()
        ):
            total[part] += now - start

    def _now(self) -> Tuple[float, float]:
        wall = time.perf_counter()
        if is_gpu(self.device):
            torch.cuda.synchronize(self.device)
            wall = time.perf_counter()
        elif torch.get_num_threads() == 1:
            return time.process_time(), wall
        return wall, wall


def measure_parts(
    args: argparse.Namespace, sizes: Sequence[Tuple[int, int]]
) -> Report:
    """Measure a frame's parts, and the backbone in other forms.

    Args:
        args: ``device``, ``quick``, ``repeats``; ``frames``, those timed;
            ``config``, ``checkpoint`` and ``video`` as given, or None.
        sizes: Of the frames, ``(H, W)`` each.
    """
    timed = args.frames or (2 if args.quick else 5)
    report = Report(f'parts of a frame, {OBJECTS} objects, ms')
    names = [args.config] if args.config else CONFIGS
    for name in names[: 1 if args.quick else None]:
        for height, width in sizes:
            what = f'{height}x{width} {Path(name).stem}'
            model = build_model(name, args.checkpoint, args.device)
            # The first frame, a full context, and those that are timed.
            count = 1 + model.propagator.context + timed
            with tempfile.TemporaryDirectory() as folder:
                size = height, width
                clip = make_clip(Path(folder), size, count, args.video)
                # A video may be shorter.
                timed = min(timed, len(clip.frames) - 1)
                clock = time_parts(model, clip, timed, args.device)
                frame = read_frame(model, clip.frames[0], clip.ids)
            report.rows.append(row_of(what, clock, timed))
            report.notes.append(f'{what:>24} {bar_of(clock.seconds)}')
            report.notes.append(
                describe_forms(what, time_backbones(model, frame, args))
            )
    letters = ', '.join(f'{part[0]}: {part}' for part in PARTS)
    report.notes.append(f'bars: {letters}')
    return report


def build_model(
    name: str, checkpoint: Optional[str], device: str
) -> LabelPropagationVOS:
    """Build a propagation model by the name of its config.

    Without a checkpoint no weights of other networks are fetched either.
    """
    config = load_config(find_config(name))
    if checkpoint is None:
        for member in config.model.backbone.get('members', []):
            member.pop('init_cfg', None)
    torch.manual_seed(0)
    return init_model(config, checkpoint, device)


def make_clip(
    folder: Path, size: Tuple[int, int], count: int, video: Optional[str]
) -> Clip:
    """Write frames as JPEG files, and a mask of the first one's objects.

    Args:
        folder: Where.
        size: Of the frames, ``(H, W)``.
        count: Frames, at most.
        video: What the last of them are taken from; None: a picture that
            moves.
    """
    if video is None:
        pictures = moving_picture(size, count)
    else:
        kept = deque(open_frames(video), maxlen=count)
        pictures = (mmcv.imresize(one.image, size[::-1]) for one in kept)
    frames = []
    for picture in pictures:
        frames.append(folder / f'{len(frames):05d}.jpg')
        write_picture(frames[-1], picture)
    if len(frames) < 3:
        raise SystemExit(
            f'error: {video} has {len(frames)} frames, at least 3 are needed'
        )
    ids = np.zeros(size, np.uint8)
    for i in range(OBJECTS):
        left = size[1] * (i + 1) // 5
        ids[size[0] // 3 : size[0] // 2, left : left + size[1] // 8] = i + 1
    write_id_mask(folder / 'ids.png', ids)
    return Clip(folder, frames, ids)


def moving_picture(size: Tuple[int, int], count: int) -> Iterator[np.ndarray]:
    """Move a picture with detail of a photograph's kind, rather than noise."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(
        1, 3, size[0] // 16, size[1] // 16, generator=generator
    )
    picture = F.interpolate(coarse, size, mode='bicubic').clamp(0, 1)
    picture = (255 * picture[0]).byte().permute(1, 2, 0).numpy()
    for t in range(count):
        yield np.roll(picture, 4 * t, axis=1)


def read_frame(
    model: LabelPropagationVOS, path: Path, ids: np.ndarray
) -> dict:
    """Read a frame and its mask as a test does, ``(3, H, W)`` uint8."""
    image = read_image(path)
    shape = image.shape[:2]
    item = dict(img=image, ori_shape=shape, img_shape=shape)
    item.update(video='clip', frame_index=0, frame_name=path.stem)
    item.update(starts_video=True, img_path=str(path), prompt_ids=ids)
    return frame_pipeline(model.cfg)(item)


@torch.no_grad()
def time_parts(
    model: LabelPropagationVOS, clip: Clip, timed: int, device: str
) -> Clock:
    """Play a clip and time its last frames, of all but the first one."""
    propagator, codec = model.propagator, model.codec
    clock = Clock(device)
    for index, path in enumerate(clip.frames):
        if index == max(1, len(clip.frames) - timed):
            clock = Clock(device)
        with clock.of('reading'):
            item = read_frame(model, path, clip.ids)
        with clock.of('backbone'):
            data = model.data_preprocessor(
                dict(
                    inputs=[item['inputs']],
                    data_samples=[item['data_samples']],
                )
            )
            (features,) = model.extract_feat(data['inputs'])
        sample = item['data_samples']
        if index == 0:
            labels = codec.encode(sample, features.shape[-2:])
            propagator.step(features, labels.to(features))
            continue
        with clock.of('propagation'):
            soft_labels = propagator.step(features)
        with clock.of('codec'):
            codec.decode(soft_labels, sample)
        ids = sample.pred_ids.numpy()
        with clock.of('scoring'):
            score(read_id_mask(clip.folder / 'ids.png'), ids)
        with clock.of('writing'):
            write_id_mask(clip.folder / f'pred/{path.stem}.png', ids)
    return clock


def score(truth: np.ndarray, ids: np.ndarray) -> None:
    """Score the objects of a frame ``(H, W)`` with J and F."""
    for i in range(1, OBJECTS + 1):
        masks = (truth == i)[None], (ids == i)[None]
        region_similarity(*masks)
        boundary_accuracy(*masks)


def row_of(what: str, clock: Clock, count: int) -> dict:
    """Make a line of the table, milliseconds a frame."""
    row = {'what': what}
    row.update({part: 1e3 * clock.seconds[part] / count for part in PARTS})
    row['all'] = 1e3 * sum(clock.seconds.values()) / count
    row['all, wall clock'] = 1e3 * sum(clock.wall.values()) / count
    return row


def bar_of(seconds: Dict[str, float]) -> str:
    """Draw shares as letters, one for every part of the width."""
    total = sum(seconds.values())
    bar, done = '', 0.0
    for part in PARTS:
        done += seconds[part] / total
        bar += part[0] * (round(done * WIDTH) - len(bar))
    return f'|{bar}|'


@torch.no_grad()
def time_backbones(
    model: LabelPropagationVOS, item: dict, args: argparse.Namespace
) -> Dict[str, float]:
    """Time other forms of the backbone on a frame, in turn."""
    inputs = model.data_preprocessor(
        dict(inputs=[item['inputs']], data_samples=None)
    )['inputs']
    (frame,) = inputs
    plain = frame[None].contiguous()
    last = plain.contiguous(memory_format=torch.channels_last)
    folded = fuse_conv_bn(copy.deepcopy(model.backbone))
    converted = copy.deepcopy(folded).to(memory_format=torch.channels_last)
    runs: Dict[str, Callable[[], object]] = {
        'as tested': lambda: model.backbone(frame[None]),
        'torch default format': lambda: model.backbone(plain),
        'folded': lambda: folded(last),
        'folded, default format': lambda: folded(plain),
        'folded, weights channels-last': lambda: converted(last),
    }
    return best_times(runs, args.repeats, args.device)


def describe_forms(what: str, seconds: Dict[str, float]) -> str:
    """Say how much faster each form is than the one that is tested."""
    base = seconds['as tested']
    forms = ', '.join(
        f'{form} x{base / own:.2f}' for form, own in seconds.items()
    )
    return f'{what:>24} backbone {1e3 * base:.0f} ms: {forms}'
