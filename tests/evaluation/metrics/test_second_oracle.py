"""J and F of whole videos against the package vos-benchmark.

Where the two differ on purpose:

- vos-benchmark counts an object from the frame where it first appears, that
  frame included; YouTube-VOS leaves out the frame that the object is given
  on.
- It takes void (255) for one more object; here void is background.
- It averages over the objects that are seen in the frames it is fed; DAVIS
  counts the ids 1 to the largest one of the first frame.
"""

import pytest

from hvc_mm.evaluation import VOSMetric, YouTubeVOSMetric

evaluator = pytest.importorskip(
    'vos_benchmark.evaluator', reason='the package vos-benchmark is missing'
)


def _theirs(gt, pred):
    """J and F per object id in percent, over the frames given."""
    oracle = evaluator.Evaluator()
    for truth, ids in zip(gt, pred):
        oracle.feed_frame(ids, truth)
    return oracle.conclude()


def _ours(metric, video):
    metric.process(None, video)
    metric.finish()
    return metric.results[0]['objects']


@pytest.mark.parametrize('seed', range(3))
def test_davis_videos(moving_video, make_video, seed):
    """Overlaps, objects that vanish and come back, lost and false ones."""
    gt, pred = moving_video(seed, 12, (48, 64), objects=4)
    gt[5:8][gt[5:8] == 1] = 0
    pred[6:9][pred[6:9] == 1] = 0
    gt[9:][gt[9:] == 2] = 0
    pred[3:][pred[3:] == 3] = 0
    seen = [i for i in range(1, 5) if (gt[1:-1] == i).any()]
    region, boundary = _theirs(gt[1:-1], pred[1:-1])
    found = _ours(VOSMetric(num_workers=0), make_video('v', gt, pred))
    assert sorted(region) == seen
    for i in seen:
        entry = found[str(i)]
        assert entry['J_mean'] == pytest.approx(region[i], abs=1e-9)
        assert entry['F_mean'] == pytest.approx(boundary[i], abs=1e-9)


def test_new_objects(moving_video, make_video):
    """The frame that an object is given on is the only difference."""
    gt, pred = moving_video(7, 12, (48, 64), objects=3)
    gt[:4][gt[:4] == 2] = 0
    pred[:4][pred[:4] == 2] = 0
    gt[8:][gt[8:] == 1] = 0
    theirs = _theirs(gt, pred)
    found = _ours(YouTubeVOSMetric(num_workers=0), make_video('v', gt, pred))
    for i, first in ((1, 0), (2, 4), (3, 0)):
        on_first = _theirs(gt[first : first + 1], pred[first : first + 1])
        count = 12 - first
        for m, ours in enumerate(('J_mean', 'F_mean')):
            later = (theirs[m][i] * count - on_first[m][i]) / (count - 1)
            assert found[str(i)][ours] == pytest.approx(later, abs=1e-9)
