"""What a run depends on: which runs are the same, and which share features."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from mmengine.config import Config
from mmengine.registry import DefaultScope

from hvc_mm.datasets.image_io import read_image_size
from hvc_mm.datasets.transforms import ResizeFrame
from hvc_mm.models.vos.window import holds_grid
from hvc_mm.registry import MODELS
from hvc_mm.version import __version__

from .entries import Backbone

__all__ = [
    'Survey',
    'digest_features',
    'digest_setting',
    'frame_sizes',
    'survey_data',
    'wide_window',
]

# What a score doesn't depend on.
_NOT_SETTING = ('num_workers', 'chunk_frames', 'results_dir', 'force')
# Digits of a folder's name: few enough to read, enough to differ.
_KEY_LENGTH = 12


class Survey(NamedTuple):
    """What a data set has.

    Attributes:
        sizes: By video, in order, height and width of its first frame.
        fingerprint: Digest of the names and sizes of all files.
    """

    sizes: Dict[str, Tuple[int, int]]
    fingerprint: str


def survey_data(dataset: Any) -> Survey:
    """List the videos, and digest which files there are.

    Args:
        dataset: A built :class:`~hvc_mm.datasets.VideoDataset`.

    Raises:
        ValueError, OSError: A first frame can't be read.
    """
    # Contents aren't read: it is to notice another sample in the same folder,
    # not a forger.
    first: Dict[str, str] = {}
    digest = hashlib.sha256()
    for index in range(len(dataset)):
        item = dataset.get_data_info(index)
        first.setdefault(item['video'], item['img_path'])
        for path in (item['img_path'], item.get('gt_path')):
            size = os.path.getsize(path) if path else 0
            name = os.path.basename(path or '')
            digest.update(f'{item["video"]}/{name} {size}\n'.encode())
    sizes = {video: read_image_size(path) for video, path in first.items()}
    return Survey(sizes, digest.hexdigest())


def digest_setting(cfg: Config, backbone: Backbone, data: Survey) -> str:
    """Digest all that a run's score depends on."""
    evaluator = cfg.test_evaluator.items()
    setting = {
        'model': cfg.model,
        'weights': backbone.weights,
        'load_from': cfg.load_from,
        'dataset': cfg.test_dataloader.dataset,
        'files': data.fingerprint,
        'metric': {k: v for k, v in evaluator if k not in _NOT_SETTING},
        'randomness': cfg.get('randomness'),
        'hvc_mm': __version__,
    }
    return _digest(setting)[:_KEY_LENGTH]


def digest_features(cfg: Config, backbone: Backbone, data: Survey) -> str:
    """Digest all that a run's features depend on.

    Frames count by what comes of them, not by how: ``short_side=480`` leaves
    frames of 480 rows as they are. The zero image is of no account for a
    backbone without batch norms.
    """
    model = dict(cfg.model)
    for part in ('propagator', 'codec'):
        model.pop(part)
    if not backbone.has_batch_norm:
        model.pop('warmup_zero_image', None)
    # Not set, and set to nothing, are the same.
    model = {key: value for key, value in model.items() if value is not None}
    dataset = dict(cfg.test_dataloader.dataset)
    steps = dataset.pop('pipeline')
    setting = {
        'model': model,
        'weights': backbone.weights,
        'load_from': cfg.load_from,
        'dataset': dataset,
        'steps': [s for s in steps if s['type'] != 'ResizeFrame'],
        'frames': frame_sizes(cfg, data),
        'files': data.fingerprint,
        'randomness': cfg.get('randomness'),
    }
    return _digest(setting)


def wide_window(
    cfg: Config, backbone: Backbone, data: Survey
) -> Optional[str]:
    """Tell where a protocol's window is no limit, as it holds all cells.

    Returns:
        One line on the first such video; None where there is none.
    """
    with DefaultScope.overwrite_default_scope('hvc_mm'):
        window = MODELS.build(cfg.model.propagator).window
    stride = cfg.model.get('feature_stride') or backbone.stride
    for video, (size, _) in frame_sizes(cfg, data).items():
        height, width = (max(1, round(side / stride)) for side in size)
        if holds_grid(window, height, width):
            return (
                f'the window (radius {window.radius:g}) holds the whole grid '
                f'of {height}x{width} cells of {video}: any cell may match '
                'any other, which is not what the protocol means'
            )
    return None


def frame_sizes(cfg: Config, data: Survey) -> Dict[str, Tuple]:
    """Tell each video's size in the network, and how it comes to that.

    Returns:
        By video height and width in pixels, and the steps that change them.
    """
    found: Dict[str, Tuple] = {}
    steps: List[dict] = [
        dict(step)
        for step in cfg.test_dataloader.dataset.pipeline
        if step['type'] == 'ResizeFrame'
    ]
    for video, size in data.sizes.items():
        how = []
        for step in steps:
            resize = ResizeFrame(
                **{k: v for k, v in step.items() if k != 'type'}
            )
            target = resize.target_size(*size)
            if target != size:
                how.append((target, resize.interpolation, resize.backend))
            size = target
        found[video] = (size, how)
    return found


def _digest(setting: Dict[str, Any]) -> str:
    text = json.dumps(setting, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
