"""What the scoreboard takes from each benchmark's config and metric."""

import numpy as np
import pytest

from hvc_mm.engine.run_config import find_config, read_config
from hvc_mm.evaluation import PCKMetric, VOSMetric
from hvc_mm.evaluation.functional import iou_from_confusion
from hvc_mm.registry import METRICS
from hvc_mm.scoreboard.benchmarks import BENCHMARKS, missing_data


@pytest.mark.parametrize(
    'benchmark', BENCHMARKS.values(), ids=lambda b: b.name
)
def test_its_config_has_what_is_shown(benchmark):
    cfg = read_config(find_config(benchmark.config))
    metric = METRICS.get(cfg.test_evaluator.type)
    for key in benchmark.scores.values():
        assert key.startswith(f'{metric.default_prefix}/')
    name = cfg.test_dataloader.dataset.benchmark.name
    assert name == benchmark.title
    sizes = [
        step.size
        for step in cfg.test_dataloader.dataset.pipeline
        if step.type == 'ResizeFrame'
    ]
    assert (sizes == [None]) is benchmark.takes_own_size


def _video(name, score):
    """A video's result as VOSMetric makes it, J and F constant."""
    curve = [score] * 8
    entry = dict(J=curve, F=curve, J_mean=score, F_mean=score)
    entry.update({f'{m}_{s}': 0.0 for m in 'JF' for s in ('recall', 'decay')})
    entry['J&F'] = score
    return dict(
        video=name,
        unit='percent',
        objects={'1': dict(entry), '2': dict(entry)},
    )


def test_davis():
    benchmark = BENCHMARKS['davis']
    results = [_video('a', 25.0), _video('b', 75.0)]
    metric = VOSMetric(num_workers=0)
    metric.results = results
    scores = benchmark.scores_of(metric.evaluate(0))
    assert scores == {'J&F': 50.0, 'J': 50.0, 'F': 50.0}
    assert benchmark.headline == 'J&F'
    assert benchmark.sequence_score(results[1], {}) == 75
    results[1]['objects']['2']['J'] = [0.0] * 8
    assert benchmark.curve(results[1]) == [37.5] * 8


def test_vip():
    hist = np.array([[3, 1], [0, 4]])
    result = dict(mIoU=100 * float(iou_from_confusion(hist).mean()))
    score = BENCHMARKS['vip'].sequence_score(result, {})
    assert score == pytest.approx(100 * (3 / 4 + 4 / 5) / 2)
    assert BENCHMARKS['vip'].scores_of({'vip/mIoU': 50.0}) == {'mIoU': 50.0}


def test_jhmdb_counts_in_the_metrics_cells():
    rng = np.random.default_rng(0)
    gt = rng.uniform(40, 280, (2, 15, 4))
    metric = PCKMetric(grid=20)
    result = dict(
        video='a/b',
        size=[320, 320],
        grid=20,
        gt=gt.tolist(),
        pred_cells=(gt / 16 + rng.normal(0, 0.6, gt.shape)).tolist(),
    )
    metric.results = [result]
    benchmark = BENCHMARKS['jhmdb']
    scores = benchmark.scores_of(metric.evaluate(0))
    assert 10 < scores['PCK@0.1'] < 100
    own = benchmark.sequence_score(result, dict(grid=20))
    assert own == pytest.approx(scores['PCK@0.1'])
    assert benchmark.sequence_score(result, dict(grid=40)) < own


def test_data_that_are_not_there(tmp_path):
    root = tmp_path / 'DAVIS'
    dataset = dict(data_root=str(root), ann_file='lists/val.txt')
    assert missing_data(dataset) == f'there is no folder {root}'
    (root / 'lists').mkdir(parents=True)
    assert 'there is no list' in missing_data(dataset)
    (root / 'lists/val.txt').write_text('')
    assert missing_data(dataset) is None
    assert missing_data(dict(data_root=str(root))) is None
