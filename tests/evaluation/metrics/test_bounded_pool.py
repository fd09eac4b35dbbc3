"""Jobs in processes: in order, bounded, and loud when one fails."""

import os
import time

import pytest

from hvc_mm.evaluation.metrics.bounded_pool import BoundedPool


@pytest.fixture
def pool():
    """A pool of one worker that keeps what it is given."""
    pool = BoundedPool(1, lambda key, result: pool.got.append((key, result)))
    pool.got = []
    yield pool
    pool.close()


def test_results_come_in_order_and_from_another_process(pool):
    pool.submit('slow', time.sleep, 0.1)
    for key in range(5):
        pool.submit(key, abs, -key)
    pool.submit('where', os.getpid)
    pool.drain()
    assert pool.got[:-1] == [('slow', None)] + [(k, k) for k in range(5)]
    assert pool.got[-1][0] == 'where' and pool.got[-1][1] != os.getpid()


def test_submit_waits_while_two_jobs_are_under_way(pool):
    for key in range(4):
        pool.submit(key, time.sleep, 0.05)
        assert len(pool._pending) <= 2
        assert len(pool.got) >= key - 1


def test_without_workers_jobs_run_here_at_once():
    got = []
    pool = BoundedPool(0, lambda key, result: got.append((key, result)))
    pool.submit('where', os.getpid)
    assert got == [('where', os.getpid())]
    pool.drain()
    pool.close()


def test_an_error_is_raised_with_its_type(pool):
    pool.submit('bad', int, 'no number')
    with pytest.raises(ValueError, match='no number'):
        pool.drain()
    # The pool goes on afterwards.
    pool.submit('good', int, '7')
    pool.drain()
    assert pool.got == [('good', 7)]


def test_a_worker_that_dies_is_reported(pool):
    pool.submit('dies', os._exit, 1)
    with pytest.raises(RuntimeError, match='worker died'):
        pool.drain()
    with pytest.raises(RuntimeError, match='worker died'):
        pool.submit('next', abs, 1)


def test_closing_drops_what_waits(pool):
    for _ in range(2):
        pool.submit('slow', time.sleep, 0.05)
    pool.close()
    pool.drain()
    assert pool.got == []
    pool.submit('again', abs, -3)
    pool.drain()
    assert pool.got == [('again', 3)]


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(ValueError, match='-1'):
        BoundedPool(-1, print)
