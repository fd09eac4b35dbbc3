"""Videos on the disk, and the samples that a model would give for them."""

import json
import logging

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger

from hvc_mm.datasets.image_io import read_id_mask, write_id_mask
from hvc_mm.structures import VOSDataSample


@pytest.fixture
def make_video(tmp_path):
    """Write annotations; return one dict per frame, as a metric gets it."""

    def make(name, gt, pred, annotated=None, **extra):
        samples = []
        for t, (truth, ids) in enumerate(zip(gt, pred)):
            path = tmp_path / 'gt' / name / f'{t:05d}.png'
            if annotated is None or t in annotated:
                write_id_mask(path, truth)
            else:
                path = None
            sample = VOSDataSample(
                metainfo={
                    'video': name,
                    'frame_index': t,
                    'frame_name': f'{t:05d}',
                    'video_length': len(gt),
                    'starts_video': t == 0,
                    'ori_shape': tuple(truth.shape),
                    'gt_path': path and str(path),
                    **extra,
                }
            )
            sample.pred_ids = torch.from_numpy(ids.astype(np.uint8))
            samples.append(sample.to_dict())
        return samples

    return make


@pytest.fixture
def moving_video():
    """Ground truth and a prediction that is a little off, by seed."""

    def make(seed=0, frames=6, shape=(24, 32), objects=2):
        rng = np.random.default_rng(seed)
        gt = np.zeros((frames, *shape), np.uint8)
        pred = np.zeros_like(gt)
        for i in range(1, objects + 1):
            y, x = rng.integers(0, shape[0] - 9), rng.integers(0, shape[1] - 9)
            for t in range(frames):
                left = (x + t) % (shape[1] - 8)
                gt[t, y : y + 8, left : left + 8] = i
                off = rng.integers(0, 3)
                pred[t, y + off : y + 8, left : left + 8 - off] = i
        return gt, pred

    return make


@pytest.fixture
def logged():
    """The messages that reach the current logger, as a list."""
    messages = []
    handler = logging.Handler()
    handler.emit = lambda record: messages.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield messages
    logger.removeHandler(handler)


@pytest.fixture
def published_videos(shared_dir):
    """Two sequences as a published method segmented them, and its scores."""
    published = shared_dir / 'golden/published_davis17'
    truth = shared_dir / 'data/DAVIS/Annotations/480p'
    scores = json.loads((published / 'scores.json').read_text())
    videos = []
    for name in sorted(scores):
        paths = sorted((published / name).iterdir())
        videos.append(
            [
                {
                    'video': name,
                    'frame_index': t,
                    'frame_name': path.stem,
                    'video_length': len(paths),
                    'ori_shape': (480, 854),
                    'gt_path': str(truth / name / path.name),
                    'pred_ids': torch.from_numpy(read_id_mask(path)),
                }
                for t, path in enumerate(paths)
            ]
        )
    return videos, scores
