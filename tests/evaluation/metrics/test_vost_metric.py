"""VOSTMetric: J over a video and over its last quarter, by plain loops."""

import json
import math

import numpy as np
import pytest

from hvc_mm.evaluation import VOSTMetric
from hvc_mm.registry import METRICS


def _iou(gt, pred):
    """Pixel by pixel."""
    both = either = 0
    for is_there, is_found in zip(gt.ravel(), pred.ravel()):
        both += bool(is_there and is_found)
        either += bool(is_there or is_found)
    return both / either if either else 1.0


def _by_hand(videos):
    """J and J_last over all objects, as the benchmark's text defines them."""
    means, last_means = [], []
    for gt, pred, annotated in videos:
        scored = sorted(annotated)[1:-1]
        for i in range(1, max(v for v in gt[0].ravel() if v != 255) + 1):
            scores = [_iou(gt[t] == i, pred[t] == i) for t in scored]
            means.append(sum(scores) / len(scores))
            last = scores[math.floor(len(scores) * 3 / 4) :]
            last_means.append(sum(last) / len(last))
    return [100 * sum(m) / len(m) for m in (means, last_means)]


def _videos(moving_video):
    """Of all frames, of every second one, and of one that is scored."""
    plain = *moving_video(0, 9, objects=1), range(9)
    sparse = *moving_video(1, 14, objects=3), range(0, 14, 2)
    short = *moving_video(2, 3), range(3)
    # It gets worse.
    plain[1][6:] = 0
    # Void is background, and what is found there is wrong.
    gt, pred, _ = sparse
    void = gt == 2
    void[:, :, ::2] = False
    gt[void] = 255
    return {'plain': plain, 'sparse': sparse, 'short': short}


@pytest.mark.parametrize('workers', [0, 2])
def test_as_by_hand(moving_video, make_video, score, tmp_path, workers):
    cfg = dict(
        type='VOSTMetric', num_workers=workers, results_dir=str(tmp_path)
    )
    cfg.update(chunk_frames=2, per_sequence=True)
    videos = _videos(moving_video)
    found = score(
        METRICS.build(cfg),
        *(make_video(name, *video) for name, video in videos.items()),
    )
    assert list(found) == [
        f'vost/{name}' for name in ('J_mean', 'J_last', 'J_recall', 'J_decay')
    ]
    expected = _by_hand(videos.values())
    assert list(found.values())[:2] == pytest.approx(expected)
    assert found['vost/J_last'] < found['vost/J_mean']
    written = json.loads((tmp_path / 'vost/results.json').read_text())
    by_name = {video['video']: video for video in written['videos']}
    frames = {name: video['frames'] for name, video in by_name.items()}
    assert frames['sparse'] == ['00002', '00004', '00006', '00008', '00010']
    assert frames['short'] == ['00001']
    entry = by_name['plain']['objects']['1']
    # Seven frames are scored; the last quarter begins at the sixth.
    assert entry['J_last'] == pytest.approx(np.mean(entry['J'][5:]))
    assert entry['J'][5:] == [0, 0]


def test_what_cannot_be_scored(moving_video, make_video, score):
    gt, pred = moving_video(0, 5)
    for annotated, said in (
        (range(1, 5), 'v: its first frame 00000 has no annotation'),
        ([0, 3], 'v has 2 annotated frame.*at least 3'),
        ([0], 'v has 1 annotated'),
    ):
        with pytest.raises(ValueError, match=said):
            score(
                VOSTMetric(num_workers=0),
                make_video('v', gt, pred, annotated),
            )
    with pytest.raises(ValueError, match='00000.png shows no object'):
        score(VOSTMetric(num_workers=0), make_video('v', gt * 0, pred))
    pred[4, 0, 0] = 9
    with pytest.raises(ValueError, match='v/00004: the prediction holds .* 9'):
        score(VOSTMetric(num_workers=0), make_video('v', gt, pred))


def test_late_objects_and_missing_ids_are_warned_of(
    moving_video, make_video, score, logged
):
    gt, pred = moving_video(0, 5, objects=3)
    gt[0][gt[0] == 3] = 0
    gt[0][gt[0] == 1] = 0
    pred[pred == 3] = 0
    score(VOSTMetric(num_workers=0), make_video('v', gt, pred))
    assert any('[3] enter after the first' in line for line in logged)
    assert any('holds the ids [2]; the protocol scores' in li for li in logged)
