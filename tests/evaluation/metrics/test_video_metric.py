"""What all metrics share: order, files, tables, flat memory."""

import csv
import json
import os
import subprocess
import sys
import threading
import zipfile
from multiprocessing import forkserver

import numpy as np
import pytest
from mmengine.evaluator import Evaluator

from hvc_mm.datasets import read_id_mask, write_id_mask
from hvc_mm.evaluation import (
    VideoMetric,
    VOSMetric,
    YouTubeVOSMetric,
)
from hvc_mm.evaluation.metrics import prediction_files


class CountFrames(VideoMetric):
    """The smallest metric: how many frames each video has."""

    default_prefix = 'count'

    def process_frame(self, video, sample):
        video.outcomes.append(sample['frame_name'])
        if video.is_complete:
            names = ','.join(video.outcomes)
            self.add_result({'video': video.name, 'frames': names})

    def summarise(self, results):
        if any(result['frames'] == 'bad' for result in results):
            raise ValueError('cannot summarise')
        return {result['video']: result['frames'] for result in results}


def _video(name, length):
    return [
        dict(video=name, frame_index=t, frame_name=str(t), video_length=length)
        for t in range(length)
    ]


def test_results_are_ordered_by_name_and_written_at_once(tmp_path, logged):
    metric = CountFrames(results_dir=str(tmp_path))
    metric.process(None, _video('b', 2) + _video('class/a', 2)[:1])
    assert [p.name for p in tmp_path.rglob('*.json')] == ['b.json']
    metric.process(None, _video('class/a', 2)[1:] + _video('a', 3))
    found = metric.evaluate(7)
    assert list(found.items()) == [
        ('count/a', '0,1,2'),
        ('count/b', '0,1'),
        ('count/class/a', '0,1'),
    ]
    path = tmp_path / 'count/videos/class/a.json'
    saved = json.loads(path.read_text())
    assert saved == {'video': 'class/a', 'frames': '0,1'}
    assert not any('data set' in message for message in logged)
    # The next evaluation starts from nothing.
    metric.process(None, _video('b', 1))
    assert metric.evaluate(5) == {'count/b': '0'}
    assert any('1 frames came, the data set has 5' in m for m in logged)


@pytest.mark.parametrize(
    'frames, message',
    [
        (_video('a', 3)[1:], 'a: frame 1 came, expected frame 0'),
        (_video('a', 3)[::2], 'a: frame 2 came, expected frame 1'),
        (_video('a', 3)[:2] + _video('b', 2), 'a ended after 2 of its 3'),
        (_video('a', 1) * 2, 'a came a second time'),
        (_video('a', 3)[:2], 'a ended after 2 of its 3 frames'),
        ([], 'no video came'),
    ],
)
def test_frames_that_are_missing_or_out_of_order(frames, message):
    metric = CountFrames()
    with pytest.raises(ValueError, match=message):
        metric.process(None, frames)
        metric.evaluate(3)


def test_results_that_cannot_be_summarised():
    metric = CountFrames()
    metric.add_result({'video': 'a', 'frames': 'bad'})
    with pytest.raises(ValueError, match='cannot summarise'):
        metric.evaluate(0)
    assert metric.results == []
    for _ in range(2):
        metric.add_result({'video': 'a', 'frames': '0'})
    with pytest.raises(ValueError, match='video a was scored on two ranks'):
        metric.evaluate(2)


@pytest.mark.parametrize(
    'options, error, message',
    [
        ({'format_only': True}, ValueError, 'format_only needs out_dir'),
        ({'zip_path': 'a.zip'}, ValueError, 'zip_path needs out_dir'),
        ({'chunk_frames': 0}, ValueError, 'chunk_frames must be >= 1'),
        ({'num_workers': -1}, ValueError, 'num_workers must be >= 0'),
        ({'out_dir': 'taken'}, NotADirectoryError, 'is a file'),
        (
            {'out_dir': 'masks', 'zip_path': 'taken'},
            *(FileExistsError, 'exists already'),
        ),
        ({'out_dir': 'gt'}, ValueError, 'gt is gt, which this run reads'),
        ({'results_dir': 'gt/new'}, ValueError, 'davis is in gt'),
        (
            {'out_dir': 'masks', 'zip_path': 'gt/a.zip'},
            *(ValueError, 'gt/a.zip is in gt'),
        ),
    ],
)
def test_options_that_cannot_work(
    options, error, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'gt').mkdir()
    (tmp_path / 'taken').write_text("somebody's")
    with pytest.raises(error, match=message):
        VOSMetric(**options).dataset_meta = {'inputs': ['gt']}
    files = [path for path in tmp_path.rglob('*') if path.is_file()]
    assert files == [tmp_path / 'taken']
    assert files[0].read_text() == "somebody's"


@pytest.mark.parametrize(
    'options, begun',
    [
        ({'num_workers': 2}, 1),
        ({'num_workers': 0}, 0),
        ({'out_dir': 'masks', 'format_only': True}, 0),
    ],
)
def test_imports_of_scoring_begin_before_the_first_frame(
    options, begun, tmp_path, monkeypatch
):
    calls = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        forkserver, 'ensure_running', lambda: calls.append(None)
    )
    metric = VOSMetric(**options)
    assert not calls
    metric.dataset_meta = {}
    assert len(calls) == begun


def test_two_metrics_share_a_folder(moving_video, make_video, tmp_path):
    """Neither writes over the other's files."""
    video = make_video('v', *moving_video())
    options = dict(num_workers=0, results_dir=str(tmp_path))
    metrics = [
        VOSMetric(**options),
        YouTubeVOSMetric(**options),
        VOSMetric(prefix='merged', merge_ids=True, **options),
    ]
    evaluator = Evaluator(metrics)
    for sample in video:
        evaluator.process([sample])
    found = evaluator.evaluate(len(video))
    for name in ('davis', 'ytvos', 'merged'):
        saved = json.loads((tmp_path / name / 'results.json').read_text())
        assert saved['unit'] == 'percent'
        for key, value in saved['overall'].items():
            assert found[f'{name}/{key}'] == value
        assert (tmp_path / name / 'results.csv').is_file()
        assert (tmp_path / name / 'videos/v.json').is_file()


@pytest.mark.parametrize('unit', [{}, {'unit': 'fraction'}])
def test_fractions_of_earlier_versions_are_refused(
    moving_video, make_video, unit
):
    metric = VOSMetric(num_workers=0)
    metric.process(None, make_video('old', *moving_video()))
    (result,) = metric.results
    metric.results.append({**result, 'video': 'new'})
    assert metric.compute_metrics(metric.results)['J&F'] > 1
    assert result.pop('unit') == 'percent'
    result.update(unit)
    with pytest.raises(ValueError, match='video old.*expected percent'):
        metric.compute_metrics(metric.results)


def test_tables_are_not_cut(tmp_path, logged):
    metric = CountFrames(results_dir=str(tmp_path))
    columns = ['sequence', *(f'column{i}' for i in range(9))]
    row = ['a-long-name [bold]', *[12.345] * 8, 7]
    metric.log_table('Title', columns, [row])
    (text,) = logged
    assert text.startswith('INFO: \nTitle')
    # rich would take [bold] for markup and drop it.
    for word in [*columns, 'a-long-name [bold]', '12.3', '7']:
        assert word in text
    assert '12.34' not in text
    metric.write_results({'a': 1}, ['name', 'J'], [['a, b', 1 / 3], ['c', 1]])
    with (tmp_path / 'count/results.csv').open() as file:
        rows = list(csv.reader(file))
    assert rows[:2] == [['name', 'J'], ['a, b', repr(1 / 3)]]
    saved = json.loads((tmp_path / 'count/results.json').read_text())
    assert saved == {'a': 1}


@pytest.mark.parametrize('chunk_frames', [1, 3, 100])
def test_chunks_do_not_change_the_scores(
    moving_video, make_video, score, chunk_frames
):
    video = make_video('v', *moving_video(0, 8))
    chunks = VOSMetric(num_workers=0, chunk_frames=chunk_frames)
    whole = VOSMetric(num_workers=0)
    expected = score(whole, video)
    assert score(chunks, video) == expected
    # A model may reuse its buffer: what came first must be kept.
    for sample in video:
        chunks.process(None, [sample])
        sample['pred_ids'].zero_()
    assert chunks.evaluate(8) == expected


def test_predictions_from_files(moving_video, make_video, score, tmp_path):
    """Read only where a frame counts, and named when missing."""
    video = make_video('v', *moving_video(0, 5))
    expected = score(VOSMetric(num_workers=0), video)
    for sample in video:
        path = tmp_path / 'pred' / f'{sample["frame_name"]}.png'
        if 0 < sample['frame_index'] < 4:
            write_id_mask(path, sample['pred_ids'].numpy())
        del sample['pred_ids']
        sample['pred_path'] = str(path)
    assert score(VOSMetric(num_workers=0), video) == expected
    os.remove(tmp_path / 'pred/00002.png')
    with pytest.raises(FileNotFoundError, match=r'pred/00002\.png'):
        VOSMetric(num_workers=0).process(None, video)


def test_masks_that_count_are_written_and_packed(
    moving_video, make_video, score, tmp_path
):
    """`is_scored=False`: propagated for the others' sake only."""
    video = make_video('v', *moving_video(0, 7))
    kept = {}
    for t, sample in enumerate(video):
        sample['is_scored'] = t % 3 == 0
        if t % 3:
            del sample['pred_ids']
        else:
            kept[f'{t:05d}.png'] = sample['pred_ids'].numpy()
    masks = tmp_path / 'masks'
    options = dict(
        format_only=True,
        out_dir=str(masks),
        zip_path=str(tmp_path / 'a.zip'),
        zip_root='Annotations',
    )
    # An earlier run, of a longer video and of another one.
    earlier = [make_video(name, *moving_video(0, 9)) for name in ('v', 'old')]
    assert score(VOSMetric(**options), *earlier) == {}
    assert score(VOSMetric(**options), video) == {}
    assert [path.name for path in masks.iterdir() if path.is_dir()] == ['v']
    assert sorted(p.name for p in (masks / 'v').iterdir()) == sorted(kept)
    for name, ids in kept.items():
        np.testing.assert_array_equal(read_id_mask(masks / 'v' / name), ids)
    with zipfile.ZipFile(tmp_path / 'a.zip') as archive:
        assert archive.namelist() == [f'Annotations/v/{n}' for n in kept]


def test_a_disk_that_stalls_or_fails(
    moving_video, make_video, score, tmp_path, monkeypatch, file_limit
):
    """It holds the run up instead of filling memory; errors come back."""
    video = make_video('v', *moving_video(0, 12))
    go = threading.Event()

    def stall(path, _):
        go.wait(10)
        path.touch()

    options = dict(format_only=True, out_dir=str(tmp_path / 'masks'))
    with monkeypatch.context() as patch:
        patch.setattr(prediction_files, 'save_id_mask', stall)
        metric = VOSMetric(**options)
        metric.process(None, video[:8])
        ninth = threading.Thread(target=metric.process, args=(None, video[8:]))
        ninth.start()
        ninth.join(0.1)
        assert ninth.is_alive() and len(metric.files._jobs._pending) <= 8
        go.set()
        ninth.join(10)
        assert metric.evaluate(12) == {}
    with file_limit(60), pytest.raises(OSError, match=r'v/000\d\d\.png'):
        score(VOSMetric(**options), video)
    assert not list((tmp_path / 'masks').rglob('*.png'))


def test_masks_of_others_are_kept(moving_video, make_video, score, tmp_path):
    write_id_mask(tmp_path / 'v/notes.png', np.ones((2, 2), int))
    video = make_video('v', *moving_video())
    options = dict(num_workers=0, out_dir=str(tmp_path / 'v'))
    with pytest.raises(FileExistsError, match=r'v/notes\.png'):
        score(VOSMetric(**options), video)
    assert [path.name for path in (tmp_path / 'v').iterdir()] == ['notes.png']
    score(VOSMetric(force=True, **options), video)
    assert (tmp_path / 'v/notes.png').is_file()
    assert (tmp_path / 'v/v/00000.png').is_file()


def test_results_on_a_full_disk(
    moving_video, make_video, score, tmp_path, file_limit
):
    metric = VOSMetric(num_workers=0, results_dir=str(tmp_path / 'scores'))
    video = make_video('v', *moving_video())
    with file_limit(60), pytest.raises(OSError, match=r'videos/v\.json'):
        score(metric, video)
    assert not [p for p in (tmp_path / 'scores').rglob('*') if p.is_file()]


@pytest.mark.parametrize('name', ['results.json', 'results.csv'])
def test_the_summary_on_a_full_disk(tmp_path, file_limit, name):
    metric = VOSMetric(num_workers=0, results_dir=str(tmp_path))
    rows = [[0.5] * 30] * (name == 'results.csv')
    summary = dict(scores=[0.5] * (0 if rows else 30))
    with file_limit(100), pytest.raises(OSError, match=rf'/{name}'):
        metric.write_results(summary, [f'c{i}' for i in range(30)], rows)
    left = {p.name for p in tmp_path.rglob('*') if p.is_file()}
    assert left <= {'results.json', '.hvc_outputs.jsonl'} - {name}


_LONG_VIDEO = """
import resource, sys
import numpy as np, torch
from hvc_mm.evaluation import VOSMetric

if __name__ == '__main__':
    path, length = sys.argv[1], int(sys.argv[2])
    metric = VOSMetric(num_workers=1, out_dir=sys.argv[3])
    pred = np.zeros((480, 854), np.uint8)
    pred[100:300, 200:400] = 1

    def frame(t):
        return dict(
            video='v', frame_index=t, frame_name=str(t), video_length=length,
            ori_shape=(480, 854), gt_path=path,
            pred_ids=torch.from_numpy(pred.copy()),
        )

    for t in range(20):
        metric.process(None, [frame(t)])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for t in range(20, length):
        metric.process(None, [frame(t)])
    metric.evaluate(length)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print((after - before) / 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_video(tmp_path, root_dir):
    gt = np.zeros((480, 854), np.uint8)
    gt[100:290, 210:400] = 1
    write_id_mask(tmp_path / 'gt.png', gt)
    script = tmp_path / 'long_video.py'
    script.write_text(_LONG_VIDEO)
    growth = []
    for length in (100, 500):
        command = [sys.executable, script, 'gt.png', length, f'out{length}']
        done = subprocess.run(
            list(map(str, command)),
            cwd=tmp_path,
            env={**os.environ, 'PYTHONPATH': str(root_dir)},
            capture_output=True,
            text=True,
            check=True,
        )
        growth.append(float(done.stdout.splitlines()[-1]))
    # 400 more masks would be 156 MB.
    assert growth[1] - growth[0] < 15, growth
