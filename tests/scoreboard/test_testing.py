"""Several protocols share features: the scores are those of each alone."""

import json

import pytest
from mmengine.runner import Runner

from hvc_mm.engine.run_config import read_config
from hvc_mm.models import HVCResNet, LabelPropagationVOS
from hvc_mm.scoreboard import (
    BENCHMARKS,
    group_runs,
    make_backbone,
    prepare_run,
    score_together,
)

QUICK = {
    'test_dataloader.num_workers': 0,
    'test_evaluator.num_workers': 0,
}


@pytest.fixture(scope='module')
def backbone():
    return make_backbone('r', dict(type='HVCResNet', depth=18, stage=1))


@pytest.fixture
def prepare(backbone, sample_dir, tmp_path):
    def prepared(*protocols, out=tmp_path, size=(48, 80), name='davis'):
        runs = []
        for protocol in protocols:
            benchmark = BENCHMARKS[name]
            options = {**QUICK, 'data_root': str(sample_dir)}
            cfg = read_config(benchmark.config, options, protocol)
            runs.append(
                prepare_run(benchmark, backbone, cfg, out, size, protocol)
            )
        return runs

    return prepared


@pytest.fixture
def seen(monkeypatch):
    """Count the frames that the backbone sees."""
    shapes = []
    forward = HVCResNet.forward

    def counted(self, x):
        shapes.extend([tuple(x.shape[-2:])] * len(x))
        return forward(self, x)

    monkeypatch.setattr(HVCResNet, 'forward', counted)
    return shapes


def test_scores_are_those_of_each_protocol_alone(prepare, seen, tmp_path):
    names = ('crw', 'vfs', 'smtc8')
    runs = prepare(*names, out=tmp_path / 'together')
    (group, smtc) = group_runs(runs)
    assert [run.protocol for run in group] == ['crw', 'vfs']
    assert [run.protocol for run in smtc] == ['smtc8']  # another stride
    together = score_together(group)
    # Twelve frames, once each.
    assert seen == [(48, 80)] * 12

    # By mmengine's runner and the plain model, as tools/test.py has it.
    for run, result in zip(prepare('crw', 'vfs', out=tmp_path), together):
        figures = Runner.from_cfg(run.cfg).test()
        assert result['protocol']['name'] == run.protocol
        for head, key in (('J&F', 'J&F'), ('J', 'J_mean'), ('F', 'F_mean')):
            assert result['scores'][head] == figures[f'davis/{key}']
        assert result['seconds_per_frame'] > 0
    assert together[0]['scores'] != together[1]['scores']
    assert len(seen) == 36


def test_what_shares_features(prepare):
    def groups(*protocols, **options):
        found = group_runs(prepare(*protocols, **options))
        return [[run.protocol for run in group] for group in found]

    # HVC's protocol has the zero image, DINO's another std.
    names = (None, 'hvc', 'crw', 'vfs', 'dino')
    expected = [[None, 'hvc'], ['crw', 'vfs'], ['dino']]
    assert groups(*names) == expected
    # At their own size, 96x160, VFS's 480x800 differ.
    assert groups(*names, size=None) == [
        [None, 'hvc'],
        ['crw'],
        ['vfs'],
        ['dino'],
    ]


def test_without_batch_norm_the_zero_image_is_of_no_account(
    prepare, backbone, monkeypatch
):
    assert backbone.has_batch_norm
    monkeypatch.setattr(backbone, 'has_batch_norm', False)
    assert len(group_runs(prepare('hvc', 'crw'))) == 1


def test_goes_on_where_each_protocol_stopped(prepare, seen, monkeypatch):
    """One stopped after a video, another begins: both are whole then."""
    whole = score_together(prepare('crw', 'vfs'))
    (crw, vfs) = prepare('crw', 'vfs')
    first, second = crw.videos
    for run, videos in ((crw, [second]), (vfs, [first, second])):
        (run.folder / 'result.json').unlink()
        for video in videos:
            (run.folder / f'scores/davis/videos/{video}.json').unlink()
    seen.clear()
    tested = []
    propagate = LabelPropagationVOS.propagate

    def noted(self, features, sample):
        tested.append((sample.video, self.propagator.temperature))
        return propagate(self, features, sample)

    monkeypatch.setattr(LabelPropagationVOS, 'propagate', noted)
    again = score_together(prepare('crw', 'vfs'))
    # The first video by VFS alone, the second by both.
    assert len(seen) == 12
    assert tested[:6] == [(first, 0.07)] * 6
    assert set(tested[6:]) == {(second, 0.05), (second, 0.07)}
    assert len(tested) == 18
    for one, other in zip(whole, again):
        for key in set(one) - {'seconds_per_frame'}:
            assert one[key] == other[key], key
    # Whole: nothing runs any more.
    tested.clear()
    assert score_together(prepare('crw', 'vfs')) == again and not tested


def test_the_time_of_a_frame_is_features_and_own_propagation(
    prepare, monkeypatch
):
    clock = iter(range(10**6))
    monkeypatch.setattr('time.perf_counter', lambda: next(clock))
    for result in score_together(prepare('crw', 'vfs')):
        # One tick each; alone it would be the same.
        assert result['seconds_per_frame'] == 2


def test_a_wide_window_is_told_before_the_first_frame(prepare):
    # Cells of 4 pixels: 12x20 of them, and the disc's radius is 12.
    (crw, smtc) = prepare('crw', 'smtc16')
    assert crw.warning is None
    # Features at stride 16: 3x5 cells, and 7.
    assert 'the window (radius 7) holds the whole grid of 3x5 cells' in (
        smtc.warning
    )
    with pytest.warns(UserWarning, match='exceeds the grid of 3x5 cells'):
        score_together([smtc])


def test_a_config_of_a_group_is_in_its_first_folder(prepare):
    (crw, vfs) = prepare('crw', 'vfs')
    score_together([crw, vfs])
    (log,) = crw.folder.glob('*/*.log')
    text = log.read_text()
    assert 'protocol           crw, vfs' in text
    assert 'temperature=0.05' in text and "'temperature': 0.07" in text
    assert not list(vfs.folder.glob('*/*.log'))
    timing = vfs.folder / f'timing/{vfs.videos[0]}.json'
    assert json.loads(timing.read_text())['frames'] == 5
