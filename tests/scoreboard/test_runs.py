"""A run: its setting decides what of an earlier one still counts."""

import json
import shutil
from types import SimpleNamespace

import cv2
import pytest
import torch

from hvc_mm.engine.run_config import read_config
from hvc_mm.models import HVCResNet, LabelPropagationVOS
from hvc_mm.registry import METRICS
from hvc_mm.scoreboard import (
    BENCHMARKS,
    make_backbone,
    parse_backbones,
    prepare_run,
    score_together,
)


def score(run):
    (result,) = score_together([run])
    return result


def make(text):
    ((name, entry),) = parse_backbones([text]).items()
    return make_backbone(name, entry)


@pytest.fixture(scope='module')
def backbone():
    return make('r18=HVCResNet:depth=18,stage=2')


def prepare(
    backbone,
    sample_dir,
    out,
    size=None,
    name='davis',
    protocol=None,
    **options,
):
    for part in ('test_dataloader', 'test_evaluator'):
        options[f'{part}.num_workers'] = 0
    options['data_root'] = str(sample_dir)
    cfg = read_config(BENCHMARKS[name].config, options, protocol)
    return prepare_run(BENCHMARKS[name], backbone, cfg, out, size, protocol)


@pytest.mark.parametrize('benchmark', BENCHMARKS.values())
def test_a_benchmarks_config_has_what_is_shown(benchmark):
    cfg = read_config(benchmark.config)
    whole = cfg.test_dataloader.dataset.benchmark
    assert whole.name == benchmark.title
    assert METRICS.get(cfg.test_evaluator.type)
    assert next(iter(benchmark.scores)) == benchmark.headline


def test_the_backbone_is_put_into_the_config(backbone, sample_dir, tmp_path):
    run = prepare(backbone, sample_dir, tmp_path, (48, 80))
    own = run.cfg.model.backbone
    assert own.to_dict() == dict(type='HVCResNet', depth=18, out_indices=(1,))
    assert run.cfg.load_from is None and run.cfg.model.feature_index is None
    pipeline = run.cfg.test_dataloader.dataset.pipeline
    (step,) = [step for step in pipeline if step.type == 'ResizeFrame']
    assert (step['size'], step.interpolation) == ((48, 80), 'area')
    assert run.input_size == (48, 80)
    assert run.folder == tmp_path / 'runs/r18/davis/own' / run.key
    assert len(run.videos) == 2 and run.finished_videos() == {}
    spec = 'HVCResNet:out_indices=(0,1),map=1,data_preprocessor.mean=(1,2,3)'
    cfg = prepare(make(spec), sample_dir, tmp_path).cfg
    assert cfg.model.feature_index == 1
    assert tuple(cfg.model.data_preprocessor.mean) == (1, 2, 3)
    assert cfg.model.data_preprocessor.bgr_to_rgb is True


def test_the_key_changes_with_what_a_score_depends_on(
    backbone, sample_dir, tmp_path
):
    def key(backbone=backbone, size=None, data=sample_dir, **options):
        return prepare(backbone, data, tmp_path, size, **options).key

    first = key()
    video, _ = prepare(backbone, sample_dir, tmp_path).videos
    assert key() == first
    assert key(**{'test_evaluator.chunk_frames': 3}) == first
    keys = {
        key(size=(48, 80)),
        key(**{'model.propagator.topk': 5}),
        key(**{'randomness.seed': 1}),
        key(**{'test_dataloader.dataset.max_frames': 4}),
        key(**{'test_evaluator.first_last_excluded': False}),
        key(make('HVCResNet:depth=18,stage=1')),
        key(protocol='dino'),
    }
    for seed in (0, 1):  # weights of one name
        torch.manual_seed(seed)
        torch.save(HVCResNet(18).state_dict(), tmp_path / 'w.pth')
        keys.add(key(make(str(tmp_path / 'w.pth'))))
    # Files of one name.
    shutil.copytree(sample_dir / 'DAVIS', tmp_path / 'data/DAVIS')
    keys.add(key(data=tmp_path / 'data'))
    frame = tmp_path / f'data/DAVIS/JPEGImages/480p/{video}/00003.jpg'
    frame.write_bytes(frame.read_bytes() + b'\0')
    keys.add(key(data=tmp_path / 'data'))
    assert len(keys | {first}) == 12


@pytest.fixture
def seen(monkeypatch):
    """Note every frame that is propagated; fail at the ``stop``-th one."""
    frames = []
    propagate = LabelPropagationVOS.propagate

    def counted(self, features, sample):
        frames.append((sample.video, sample.frame_index))
        if len(frames) == stop.get('at'):
            raise RuntimeError('no power')
        return propagate(self, features, sample)

    stop = {}
    monkeypatch.setattr(LabelPropagationVOS, 'propagate', counted)
    return SimpleNamespace(frames=frames, stop=stop)


@pytest.fixture(scope='module')
def whole(backbone, sample_dir, tmp_path_factory):
    """A run that came to its end at once."""
    run = prepare(backbone, sample_dir, tmp_path_factory.mktemp('whole'))
    return run, score(run)


def test_a_result_is_complete(whole):
    run, result = whole
    scores = result['scores']
    assert 1 < scores['J&F'] < 100  # percent
    assert scores['J&F'] == pytest.approx((scores['J'] + scores['F']) / 2)
    assert set(result['sequences']) == set(result['curves']) == set(run.videos)
    for name in run.videos:
        # J of the first video's curve, percent; 4 of 6 frames are scored.
        assert len(result['curves'][name]) == 4
        assert 1 < max(result['curves'][name]) <= 100
        assert set(result['sequences'][name]) == {'J&F', 'J', 'F'}
    objects = [
        entry['J&F']
        for video in run.finished_videos().values()
        for entry in video['result']['objects'].values()
    ]
    assert scores['J&F'] == pytest.approx(sum(objects) / len(objects))
    assert result['benchmark']['counts']['frames'] == 12
    assert result['benchmark']['whole']['frames'] == 1999
    assert result['backbone']['name'] == 'r18'
    protocol = result['protocol']
    assert 'radius=12, topk=15, temperature=0.1' in protocol['text']
    assert 'bound_th=0.008' in protocol['text']
    assert 'out_dir' not in protocol['text']
    assert protocol['name'] is None and protocol['input_size'] is None
    # Also what the config leaves at its default.
    propagator = protocol['model']['propagator']
    assert propagator['topk'] == 15 and propagator['window'] == 'disc'
    assert protocol['model']['codec']['shrink'] == 'aligned'
    assert protocol['model']['warmup_zero_image'] == [256, 256]
    assert protocol['frames']['interpolation'] == 'bilinear'
    # A strip a video, and its ground truth.
    assert result['strips'] == 'strips'
    for kind in ('strips', 'ground_truth'):
        strips = sorted((run.folder / kind).rglob('*.jpg'))
        names = [str(path.relative_to(run.folder / kind)) for path in strips]
        assert names == sorted(f'{name}.jpg' for name in run.videos)
        assert {cv2.imread(str(path)).shape[1] for path in strips} == {960}
    # The scores can be computed from what is kept of the videos.
    kept = result['pooled']['videos'].values()
    for head, value in scores.items():
        total = sum(each['numerators'][head][0] for each in kept)
        count = sum(each['denominators'][0] for each in kept)
        assert count == len(objects)
        assert total / count == pytest.approx(value, rel=1e-12)
    # The first frame of a process isn't timed.
    timed = [
        json.loads(path.read_text())
        for path in (run.folder / 'timing').rglob('*.json')
    ]
    assert sorted(entry['frames'] for entry in timed) == [5, 6]
    seconds = sum(entry['seconds'] for entry in timed)
    assert result['seconds_per_frame'] == pytest.approx(seconds / 11)


def test_goes_on_where_it_stopped(whole, backbone, sample_dir, tmp_path, seen):
    seen.stop['at'] = 9
    run = prepare(backbone, sample_dir, tmp_path)
    with pytest.raises(RuntimeError, match='no power'):
        score(run)
    assert list(run.finished_videos()) == run.videos[:1]

    # The same setting, read anew: only the second video is left.
    seen.stop.clear()
    seen.frames.clear()
    again = score(prepare(backbone, sample_dir, tmp_path))
    assert seen.frames == [(run.videos[1], i) for i in range(6)]
    for key in set(again) - {'seconds_per_frame'}:
        assert again[key] == whole[1][key], key

    # Finished: nothing runs any more.
    seen.frames.clear()
    path = run.folder / 'result.json'
    path.write_text(json.dumps({**again, 'seed': 12345}))
    assert score(prepare(backbone, sample_dir, tmp_path))['seed'] == 12345
    # Stopped between the last video and the summary.
    path.unlink()
    assert score(prepare(backbone, sample_dir, tmp_path)) == again
    assert json.loads(path.read_text()) == again and not seen.frames
    summary = run.folder / 'scores/davis/results.json'
    overall = json.loads(summary.read_text())['overall']
    assert overall['J&F'] == again['scores']['J&F']


def test_fractions_of_an_older_version_are_scored_again(
    whole, sample_dir, tmp_path, seen, capsys
):
    """hvc_mm 0.1 wrote fractions: they never enter a mean of percents."""
    run, result = whole
    shutil.copytree(run.folder, tmp_path / 'runs/r18/davis/own' / run.key)
    run = prepare(run.backbone, sample_dir, tmp_path)
    (run.folder / 'result.json').unlink()
    path = run.folder / f'scores/davis/videos/{run.videos[0]}.json'
    old = json.loads(path.read_text())
    del old['unit']
    for entry in old['objects'].values():
        for key, value in entry.items():
            several = isinstance(value, list)
            entry[key] = [v / 100 for v in value] if several else value / 100
    path.write_text(json.dumps(old))
    assert list(run.finished_videos()) == run.videos[1:]
    assert f'{run.videos[0]} is scored again' in capsys.readouterr().out
    assert score(run)['scores'] == result['scores']
    assert [name for name, _ in seen.frames] == [run.videos[0]] * 6
    # A summary without its unit is none.
    (run.folder / 'result.json').write_text(
        json.dumps({'scores': {'J&F': 0.5}})
    )
    assert score(run)['scores'] == result['scores']
