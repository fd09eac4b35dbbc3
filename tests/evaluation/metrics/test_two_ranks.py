"""A distributed run gives the very numbers of one process."""

import json
import os
import socket
import subprocess
import sys

import torch

from hvc_mm.evaluation import VOSMetric
from hvc_mm.evaluation.metrics.prediction_files import (
    WrittenMask,
    check_zip,
)

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
    common = dict(
        os.environ,
        PYTHONPATH=str(root_dir),
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
        WORLD_SIZE=str(len(shares)),
    )
    ranks = [
        subprocess.Popen(
            [sys.executable, 'rank.py'],
            cwd=folder,
            env=dict(common, RANK=str(rank), LOCAL_RANK=str(rank)),
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
        [videos[0] + videos[3], videos[0], videos[0]],
        [videos[1] + videos[2], videos[1][:-1], videos[0]],
    ]
    first, second = _run_ranks(tmp_path, root_dir, shares)
    assert first[0] == second[0] == expected
    frames = [
        WrittenMask(frame['video'], frame['frame_name'], (24, 32))
        for video in videos
        for frame in video
    ]
    check_zip(tmp_path / 'all.zip', frames)

    message = 'video c ended after 4 of its 5 frames'
    assert second[1] == f'ValueError: {message}'
    assert first[1].startswith('RuntimeError: scoring failed on another rank')
    assert first[1].endswith(message)
    assert first[2].startswith('ValueError: video b was scored on two ranks')
    assert second[2].startswith('RuntimeError: scoring failed on another rank')
