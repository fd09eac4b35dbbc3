"""A cell: its setting decides what of an earlier run still counts."""

import json

import pytest
import torch

from hvc_mm.engine.run_config import find_config, read_config
from hvc_mm.models import HVCResNet
from hvc_mm.scoreboard.backbone_spec import parse_backbone
from hvc_mm.scoreboard.benchmarks import BENCHMARKS
from hvc_mm.scoreboard.candidate import make_candidate
from hvc_mm.scoreboard.cell import make_cell, resize_frames, run_cell


@pytest.fixture(scope='module')
def candidate():
    return make_candidate(parse_backbone('r18=HVCResNet:depth=18,stage=2'))


def _cell(candidate, sample_dir, out, size=None, **options):
    cfg = read_config(
        find_config('hvc_davis'),
        {
            'data_root': str(sample_dir),
            'test_dataloader.num_workers': 0,
            'test_evaluator.num_workers': 0,
            **options,
        },
    )
    return make_cell(BENCHMARKS['davis'], candidate, cfg, out, size)


def test_the_backbone_stands_in_the_config(candidate, sample_dir, tmp_path):
    cell = _cell(candidate, sample_dir, tmp_path, (48, 80))
    assert cell.cfg.model.backbone.out_indices == (1,)
    assert cell.cfg.model.backbone.type == 'HVCResNet'
    (step,) = [
        s
        for s in cell.cfg.test_dataloader.dataset.pipeline
        if s.type == 'ResizeFrame'
    ]
    assert (step['size'], step.interpolation) == ((48, 80), 'area')
    assert cell.folder == tmp_path / 'runs/r18/davis' / cell.key
    assert len(cell.videos) == 2
    assert cell.result() is None and cell.finished_videos() == {}


def test_what_else_a_backbone_brings(sample_dir, tmp_path):
    spec = 'HVCResNet:out_indices=(0,1),map=1,data_preprocessor.mean=(1,2,3)'
    cell = _cell(make_candidate(parse_backbone(spec)), sample_dir, tmp_path)
    assert cell.cfg.model.feature_index == 1
    assert tuple(cell.cfg.model.data_preprocessor.mean) == (1, 2, 3)
    assert cell.cfg.model.data_preprocessor.bgr_to_rgb is True


def test_a_protocols_own_size_stays():
    cfg = read_config(find_config('hvc_vip'))
    resize_frames(cfg, (48, 80))
    assert cfg.test_dataloader.dataset.pipeline[2]['size'] == (560, 560)


def test_the_metric_counts_in_the_backbones_cells(tmp_path, monkeypatch):
    spec = 'HVCResNet:depth=18,stage=3,strides=(1,2,2,2)'
    coarse = make_candidate(parse_backbone(spec))
    from hvc_mm.scoreboard import cell as module

    cfg = read_config(find_config('hvc_jhmdb'))
    module._set_grid(cfg, coarse)
    assert cfg.test_evaluator.grid == 20

    # Half as many columns as rows: JHMDB's metric knows no such grid.
    monkeypatch.setattr(module, 'grid_of', lambda *_: (20, 10))
    with pytest.raises(ValueError, match='backbone HVCResNet: .*20x10; exp'):
        module._set_grid(cfg, coarse)


def test_the_key_changes_with_what_a_score_depends_on(
    candidate, sample_dir, tmp_path
):
    def key(candidate=candidate, size=None, **options):
        return _cell(candidate, sample_dir, tmp_path, size, **options).key

    first = key()
    assert key() == first
    assert key(**{'test_evaluator.chunk_frames': 3}) == first
    changed = [
        key(size=(48, 80)),
        key(**{'model.propagator.topk': 5}),
        key(**{'randomness.seed': 1}),
        key(**{'test_dataloader.dataset.max_frames': 4}),
        key(**{'test_evaluator.first_last_excluded': False}),
        key(make_candidate(parse_backbone('HVCResNet:depth=18,stage=1'))),
    ]
    assert len({first, *changed}) == 1 + len(changed)


def test_the_key_changes_with_the_files(candidate, sample_dir, tmp_path):
    import shutil

    data = tmp_path / 'data'
    shutil.copytree(sample_dir / 'DAVIS', data / 'DAVIS')
    first = _cell(candidate, data, tmp_path).key
    frame = next((data / 'DAVIS/JPEGImages').rglob('00003.jpg'))
    frame.write_bytes(frame.read_bytes() + b'\0')
    assert _cell(candidate, data, tmp_path).key != first


def test_the_key_changes_with_the_weights(sample_dir, tmp_path):
    keys = set()
    for seed in (0, 1):
        torch.manual_seed(seed)
        torch.save(HVCResNet(18).state_dict(), tmp_path / 'w.pth')
        own = make_candidate(parse_backbone(str(tmp_path / 'w.pth')))
        keys.add(_cell(own, sample_dir, tmp_path).key)
    assert len(keys) == 2


def test_goes_on_where_it_stopped(
    candidate, sample_dir, tmp_path, monkeypatch
):
    whole = run_cell(_cell(candidate, sample_dir, tmp_path / 'whole'))
    assert 0 < whole['scores']['J&F'] < 100
    assert set(whole['sequences']) == set(whole['curves'])
    assert whole['counts']['frames'] == 12
    assert whole['whole']['frames'] == 1999
    assert 'radius=12, topk=15, temperature=0.1' in whole['protocol']
    assert 'bound_th=0.008' in whole['protocol']
    assert 'out_dir' not in whole['protocol']
    # The first frame of a process isn't timed.
    timed = [
        json.loads(path.read_text())
        for path in (tmp_path / 'whole').glob('**/timing/*.json')
    ]
    assert [t['frames'] for t in timed].count(6) == 1
    assert sum(t['frames'] for t in timed) == 11
    seconds = sum(t['seconds'] for t in timed)
    assert whole['seconds_per_frame'] == pytest.approx(seconds / 11)
    assert len(next(iter(whole['curves'].values()))) == 4

    seen = []
    predict = _count_frames(monkeypatch, seen, stop_at=9)
    cell = _cell(candidate, sample_dir, tmp_path / 'parts')
    with pytest.raises(RuntimeError, match='no power'):
        run_cell(cell)
    assert len(seen) == 9
    assert list(cell.finished_videos()) == cell.videos[:1]

    # The same setting, read anew: only the second video is left.
    monkeypatch.setattr(*predict)
    seen.clear()
    _count_frames(monkeypatch, seen)
    again = run_cell(_cell(candidate, sample_dir, tmp_path / 'parts'))
    assert seen == [(cell.videos[1], i) for i in range(6)]
    timing = ('seconds_per_frame',)
    for key in set(whole) - set(timing):
        assert again[key] == whole[key], key

    # Finished: nothing runs any more.
    seen.clear()
    cell = _cell(candidate, sample_dir, tmp_path / 'parts')
    assert run_cell(cell) == again
    assert seen == []
    cell.result_path.write_text(json.dumps({**again, 'seed': 'as written'}))
    assert run_cell(cell)['seed'] == 'as written'

    # Stopped between the last video and the summary.
    cell.result_path.unlink()
    assert run_cell(cell) == again
    assert seen == []
    written = json.loads(cell.result_path.read_text())
    assert written == again


def _count_frames(monkeypatch, seen, stop_at=None):
    """Note every frame that is propagated; perhaps fail at one."""
    from hvc_mm.models import LabelPropagationVOS

    predict = LabelPropagationVOS.predict

    def counted(self, inputs, data_samples):
        for sample in data_samples:
            seen.append((sample.video, sample.frame_index))
        if len(seen) == stop_at:
            raise RuntimeError('no power')
        return predict(self, inputs, data_samples)

    monkeypatch.setattr(LabelPropagationVOS, 'predict', counted)
    return LabelPropagationVOS, 'predict', predict
