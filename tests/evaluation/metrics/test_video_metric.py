"""Frames come in order, results are per video, on one rank or several."""

import json
import os
import socket
import subprocess
import sys

import pytest

from hvc_mm.evaluation.metrics.video_metric import (
    OpenVideo,
    VideoMetric,
    write_json,
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
    saved = json.loads((tmp_path / 'videos/class/a.json').read_text())
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


def test_json_files_are_whole_or_absent(tmp_path):
    path = tmp_path / 'new' / 'x.json'
    write_json(path, {'a': 1})
    with pytest.raises(TypeError):
        write_json(path, {'a': object()})
    assert json.loads(path.read_text()) == {'a': 1}
    assert [p.name for p in path.parent.iterdir()] == ['x.json']


_RANK = """
import json, sys
import torch
from torch.distributed import get_rank, init_process_group
from hvc_mm.evaluation import VOSMetric

if __name__ == '__main__':
    init_process_group('gloo')
    shares, out_dir, zip_path, out = sys.argv[1:]
    samples = torch.load(shares)[get_rank()]
    metric = VOSMetric(
        num_workers=0, out_dir=out_dir, zip_path=zip_path or None
    )
    try:
        metric.process(None, samples)
        found = metric.evaluate(20)
    except Exception as error:
        found = f'{type(error).__name__}: {error}'
    with open(f'{out}{get_rank()}.json', 'w') as file:
        json.dump(found, file)
"""


def _run_ranks(tmp_path, root_dir, shares, zip_path=''):
    """Score a share of the samples on each rank; what each of them found."""
    import torch

    torch.save(shares, tmp_path / 'shares.pth')
    script = tmp_path / 'rank.py'
    script.write_text(_RANK)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    arguments = ['shares.pth', 'masks', zip_path, 'found']
    ranks = [
        subprocess.Popen(
            [sys.executable, script.name, *arguments],
            cwd=tmp_path,
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
    for process in ranks:
        assert process.wait(120) == 0
    return [
        json.loads((tmp_path / f'found{rank}.json').read_text())
        for rank in range(len(shares))
    ]


def test_two_ranks_equal_one(moving_video, make_video, tmp_path, root_dir):
    from hvc_mm.evaluation import VOSMetric
    from hvc_mm.evaluation.metrics.submission_zip import (
        SubmissionFrame,
        check_submission_zip,
    )

    videos = [
        make_video(name, *moving_video(i, 4 + i, objects=i + 1))
        for i, name in enumerate('bcad')
    ]
    one = VOSMetric(num_workers=0)
    for video in videos:
        one.process(None, video)
    expected = one.evaluate(22)
    shares = [videos[0] + videos[3], videos[1] + videos[2]]
    found = _run_ranks(tmp_path, root_dir, shares, 'all.zip')
    assert found == [expected, expected]
    frames = [
        SubmissionFrame(frame['video'], frame['frame_name'], (24, 32))
        for video in videos
        for frame in video
    ]
    check_submission_zip(tmp_path / 'all.zip', frames)


def test_no_rank_waits_for_one_that_failed(
    moving_video, make_video, tmp_path, root_dir
):
    gt, pred = moving_video(0)
    good, bad = make_video('good', gt, pred), make_video('bad', gt, pred)
    one, two = _run_ranks(tmp_path, root_dir, [good, bad[:-1]])
    assert one.startswith('RuntimeError: scoring failed on another rank')
    assert two.startswith('ValueError: video bad ended after 5 of its 6')
    assert 'video bad ended' in one
