"""Frames come in order, results are per video, on one rank or several."""

import json
import os
import socket
import subprocess
import sys

import pytest
import torch
from mmengine.evaluator import Evaluator

from hvc_mm.evaluation import VOSMetric, YouTubeVOSMetric
from hvc_mm.evaluation.metrics.submission_zip import (
    SubmissionFrame,
    check_submission_zip,
)
from hvc_mm.evaluation.metrics.video_metric import (
    OpenVideo,
    VideoMetric,
)


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
        {
            'video': name,
            'frame_index': t,
            'frame_name': str(t),
            'video_length': length,
        }
        for t in range(length)
    ]


def test_results_are_ordered_by_name(tmp_path):
    metric = CountFrames(results_dir=str(tmp_path))
    metric.process(None, _video('b', 2) + _video('class/a', 1)[:1])
    metric.process(None, _video('a', 3))
    found = metric.evaluate(6)
    assert list(found.items()) == [
        ('count/a', '0,1,2'),
        ('count/b', '0,1'),
        ('count/class/a', '0'),
    ]
    saved = json.loads((tmp_path / 'count/videos/class/a.json').read_text())
    assert saved == {'video': 'class/a', 'frames': '0'}
    # The next evaluation starts from nothing.
    metric.process(None, _video('b', 1))
    assert metric.evaluate(1) == {'count/b': '0'}


def test_a_result_is_on_the_disk_when_its_video_ends(tmp_path):
    metric = CountFrames(results_dir=str(tmp_path))
    metric.process(None, _video('a', 2)[:1])
    assert not list(tmp_path.rglob('*.json'))
    metric.process(None, _video('a', 2)[1:])
    assert [p.name for p in tmp_path.rglob('*.json')] == ['a.json']


def test_two_metrics_share_a_folder(moving_video, make_video, tmp_path):
    """Neither writes over the other's files."""
    video = make_video('v', *moving_video())
    evaluator = Evaluator(
        [
            VOSMetric(num_workers=0, results_dir=str(tmp_path)),
            YouTubeVOSMetric(num_workers=0, results_dir=str(tmp_path)),
            VOSMetric(
                num_workers=0,
                prefix='merged',
                merge_ids=True,
                results_dir=str(tmp_path),
            ),
        ]
    )
    for sample in video:
        evaluator.process([sample])
    found = evaluator.evaluate(len(video))
    for name in ('davis', 'ytvos', 'merged'):
        saved = json.loads((tmp_path / name / 'results.json').read_text())
        assert saved['unit'] == 'percent'
        assert (
            saved['overall'].items()
            <= {
                key[len(name) + 1 :]: value
                for key, value in found.items()
                if key.startswith(f'{name}/')
            }.items()
        )
        assert (tmp_path / name / 'results.csv').is_file()
        assert (tmp_path / name / 'videos/v.json').is_file()


@pytest.mark.parametrize('unit', [{}, {'unit': 'fraction'}])
def test_fractions_of_earlier_versions_are_refused(
    moving_video, make_video, unit
):
    metric = VOSMetric(num_workers=0)
    metric.process(None, make_video('old', *moving_video()))
    metric.finish()
    (result,) = metric.results
    assert result['unit'] == 'percent'
    metric.results.append({**result, 'video': 'new'})
    assert metric.compute_metrics(metric.results)['J&F'] > 1
    del result['unit']
    result.update(unit)
    with pytest.raises(ValueError, match='video old.*expected percent'):
        metric.compute_metrics(metric.results)


@pytest.mark.parametrize(
    'frames, message',
    [
        (_video('a', 3)[1:], 'a: frame 1 came, expected frame 0'),
        (_video('a', 3)[::2], 'a: frame 2 came, expected frame 1'),
        (_video('a', 3)[:2] + _video('b', 2), 'a ended after 2 of its 3'),
        (_video('a', 1) * 2, 'a came a second time'),
    ],
)
def test_frames_out_of_order(frames, message):
    with pytest.raises(ValueError, match=message):
        CountFrames().process(None, frames)


def test_a_video_that_does_not_end():
    metric = CountFrames()
    metric.process(None, _video('a', 3)[:2])
    with pytest.raises(ValueError, match='a ended after 2 of its 3 frames'):
        metric.evaluate(3)


def test_missing_frames_of_the_data_set_are_noted(logged):
    metric = CountFrames()
    metric.process(None, _video('a', 3))
    metric.evaluate(3)
    assert not any('data set' in message for message in logged)
    metric.process(None, _video('a', 3))
    metric.evaluate(5)
    assert any('3 frames came, the data set has 5' in m for m in logged)


def test_an_error_of_the_summary_is_raised():
    metric = CountFrames()
    metric.add_result({'video': 'a', 'frames': 'bad'})
    with pytest.raises(ValueError, match='cannot summarise'):
        metric.evaluate(0)


def test_open_video():
    video = OpenVideo('a', 2, seen=1)
    assert not video.is_complete
    video.seen += 1
    assert video.is_complete


_RANK = """
import json, os, sys
import torch
from torch.distributed import barrier, get_rank, init_process_group
from mmengine.evaluator import Evaluator

from hvc_mm.evaluation import VOSMetric, YouTubeVOSMetric

if __name__ == '__main__':
    init_process_group('gloo')
    found = []
    for samples in torch.load('shares.pth')[get_rank()]:
        zip_path = None if found else 'all.zip'
        metric = VOSMetric(num_workers=0, out_dir='masks', zip_path=zip_path)
        try:
            metric.process(None, samples)
            found.append(metric.evaluate(22))
        except Exception as error:
            found.append(f'{type(error).__name__}: {error}')
    with open(f'found{get_rank()}.json', 'w') as file:
        json.dump(found, file)
    barrier()
    # Not a plain end: gloo's destructor joins a thread that may be waiting
    # for the interpreter, and then hangs or aborts.
    os._exit(0)
"""


def _run_ranks(folder, root_dir, shares):
    """Score some rounds of samples on each rank; what each of them found."""
    torch.save(shares, folder / 'shares.pth')
    (folder / 'rank.py').write_text(_RANK)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    ranks = [
        subprocess.Popen(
            [sys.executable, 'rank.py'],
            cwd=folder,
            env={
                **os.environ,
                'PYTHONPATH': str(root_dir),
                'MASTER_ADDR': '127.0.0.1',
                'MASTER_PORT': str(port),
                'RANK': str(rank),
                'LOCAL_RANK': str(rank),
                'WORLD_SIZE': str(len(shares)),
            },
        )
        for rank in range(len(shares))
    ]
    try:
        for process in ranks:
            assert process.wait(180) == 0
    finally:
        for process in ranks:
            process.kill()
    return [
        json.loads((folder / f'found{rank}.json').read_text())
        for rank in range(len(shares))
    ]


def test_two_ranks_equal_one(moving_video, make_video, tmp_path, root_dir):
    """And where one of them fails, the other one hears of it."""
    videos = [
        make_video(name, *moving_video(i, 4 + i, objects=i + 1))
        for i, name in enumerate('bcad')
    ]
    one = VOSMetric(num_workers=0)
    for video in videos:
        one.process(None, video)
    expected = one.evaluate(22)

    shares = [
        [videos[0] + videos[3], videos[0]],
        [videos[1] + videos[2], videos[1][:-1]],
    ]
    first, second = _run_ranks(tmp_path, root_dir, shares)
    assert first[0] == second[0] == expected
    frames = [
        SubmissionFrame(frame['video'], frame['frame_name'], (24, 32))
        for video in videos
        for frame in video
    ]
    check_submission_zip(tmp_path / 'all.zip', frames)

    message = 'video c ended after 4 of its 5 frames'
    assert second[1] == f'ValueError: {message}'
    assert first[1].startswith('RuntimeError: scoring failed on another rank')
    assert first[1].endswith(message)
