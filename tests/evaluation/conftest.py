"""Videos on the disk, and the samples that a model would give for them."""

import json

import numpy as np
import pytest
import torch

from hvc_mm.datasets import read_id_mask, write_id_mask
from hvc_mm.structures import VOSDataSample


@pytest.fixture(scope='session')
def published(shared_dir):
    """Two sequences of DAVIS as a published method segmented them.

    By name: ground truth and prediction, ``(T, 480, 854)`` ids, the files of
    the ground truth, and the scores that were published.
    """
    folder = shared_dir / 'golden/published_davis17'
    truth = shared_dir / 'data/DAVIS/Annotations/480p'
    videos = {}
    for name, scores in json.loads(
        (folder / 'scores.json').read_text()
    ).items():
        paths = sorted((truth / name).iterdir())
        gt = np.stack([read_id_mask(path) for path in paths])
        pred = [read_id_mask(folder / name / path.name) for path in paths]
        videos[name] = gt, np.stack(pred), paths, scores
    return videos


@pytest.fixture
def make_video(tmp_path):
    """Write annotations; return one dict per frame, as a metric gets it."""

    def make(name, gt, pred, annotated=None, **extra):
        samples = []
        for t, (truth, ids) in enumerate(zip(gt, pred)):
            path = None
            if annotated is None or t in annotated:
                path = str(tmp_path / 'gt' / name / f'{t:05d}.png')
                write_id_mask(path, truth)
            meta = dict(
                video=name,
                frame_index=t,
                frame_name=f'{t:05d}',
                video_length=len(gt),
                starts_video=t == 0,
                ori_shape=tuple(truth.shape),
                gt_path=path,
                **extra,
            )
            sample = VOSDataSample(metainfo=meta)
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
def score():
    """Give a metric whole videos, in batches that cross them."""

    def run(metric, *videos):
        samples = [sample for video in videos for sample in video]
        for start in range(0, len(samples), 3):
            metric.process(None, samples[start : start + 3])
        return metric.evaluate(len(samples))

    return run
