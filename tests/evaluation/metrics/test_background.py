"""Jobs in workers: in order, bounded, and loud when one fails."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from hvc_mm.evaluation.metrics.background import (
    BackgroundJobs,
    scoring_processes,
)


@pytest.fixture(params=['process', 'thread'])
def jobs(request):
    """One worker; what it is given back is in ``jobs.got``."""
    make = {
        'process': partial(scoring_processes, 1),
        'thread': partial(ThreadPoolExecutor, 1),
    }[request.param]
    jobs = BackgroundJobs(make, 2, lambda *pair: jobs.got.append(pair))
    jobs.got, jobs.kind = [], request.param
    yield jobs
    jobs.close()


def test_results_come_in_order_and_few_jobs_wait(jobs):
    jobs.submit('slow', time.sleep, 0.1)
    for key in range(5):
        jobs.submit(key, abs, -key)
        assert len(jobs._pending) <= 2 and len(jobs.got) >= key
    jobs.submit('where', os.getpid)
    jobs.drain()
    assert jobs.got[:-1] == [('slow', None)] + [(k, k) for k in range(5)]
    name, process = jobs.got[-1]
    assert name == 'where'
    assert (process == os.getpid()) is (jobs.kind == 'thread')


def test_an_error_is_raised_with_its_type(jobs):
    jobs.submit('bad', int, 'no number')
    with pytest.raises(ValueError, match='no number'):
        jobs.drain()
    # The workers go on afterwards.
    jobs.submit('good', int, '7')
    jobs.drain()
    assert jobs.got == [('good', 7)]


def test_closing_drops_what_waits(jobs):
    for _ in range(2):
        jobs.submit('slow', time.sleep, 0.05)
    jobs.close()
    jobs.drain()
    assert jobs.got == []
    jobs.submit('again', abs, -3)
    jobs.drain()
    assert jobs.got == [('again', 3)]


@pytest.mark.parametrize('jobs', ['process'], indirect=True)
def test_a_worker_that_dies_is_reported(jobs):
    jobs.submit('dies', os._exit, 1)
    with pytest.raises(RuntimeError, match='worker died'):
        jobs.drain()
    with pytest.raises(RuntimeError, match='worker died'):
        jobs.submit('next', abs, 1)
