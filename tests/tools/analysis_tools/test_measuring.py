"""Times and peaks are those of the work; targets are missed rightly."""

import math
import time

import pytest
import torch


@pytest.fixture
def measuring(load_tool):
    return load_tool('analysis_tools/measuring.py')


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def busy(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.mark.parametrize(
    'value, bound, at_most, missed',
    [
        (28.0, 28, False, False),
        (27.9, 28, False, True),
        (0.36, 0.36, True, False),
        (0.37, 0.36, True, True),
        (None, 28, False, False),
        (None, 0.36, True, False),
        (math.nan, 28, False, True),
        (math.nan, 0.36, True, True),
        (3.0, None, False, False),
        (math.nan, None, False, False),
    ],
)
def test_a_target_is_missed_on_the_wrong_side(
    measuring, value, bound, at_most, missed
):
    target = measuring.Target('it', value, bound, at_most)
    assert target.missed is missed
    assert ('MISSED' in str(target)) is missed


def test_a_target_as_text(measuring):
    limit = measuring.Target('it', 0.009, 0.008, True, '{:.4f} s')
    assert str(limit) == 'it 0.0090 s (<= 0.0080 s) MISSED'
    assert str(measuring.Target('it', 30.26, 28)) == 'it x30.3 (>= x28.0)'
    assert str(measuring.Target('it', None, 2)) == 'it n/a (>= x2.0)'
    assert str(measuring.Target('it', 262.6, form='{:.0f}')) == 'it 263'


def test_best_times_are_process_times_in_turn(measuring):
    calls = []
    lengths = iter([0.12, 0.15, 0.06, 0.08, 0.12, 0.1])

    def short():
        calls.append('short')
        busy(next(lengths))

    def waits():
        calls.append('waits')
        time.sleep(0.2)
        busy(0.06)

    best = measuring.best_times({'short': short, 'waits': waits}, 3, 'cpu')
    # Once to warm up, then timed, in turn.
    assert calls == ['short', 'short', 'waits', 'waits'] * 3
    assert 0.08 <= best['short'] < 0.1
    assert 0.06 <= best['waits'] < 0.16


def test_peak_memory_sees_what_was_freed_again(measuring, monkeypatch):
    def work():
        kept = torch.ones(8, 1024, 1024)  # 32 MB
        torch.ones(16, 1024, 1024)  # 64 MB for a moment
        return kept

    peak = measuring.peak_memory(work, 'cpu')
    if peak is None:
        pytest.skip('this system has no resettable peak')
    assert 90 <= peak <= 110
    # An earlier peak is forgotten.
    ones = lambda: torch.ones(4, 1024, 1024)  # noqa: E731
    assert measuring.peak_memory(ones, 'cpu') <= 25
    monkeypatch.setattr(measuring, '_PROC', measuring.Path('no/such/folder'))
    assert measuring.peak_memory(work, 'cpu') is None


def test_ratios(measuring):
    row = measuring.comparison(
        'it', dict(dense=6.0, ours=2.0), dict(dense=100, ours=25)
    )
    assert (row['time ratio'], row['memory share']) == (3, 0.25)
    assert measuring.ratio(1.0, 0.0) == math.inf
    assert measuring.ratio(None, 1.0) is measuring.ratio(1.0, None) is None


def test_the_machine_is_described(measuring):
    left, right = torch.rand(2, 1536, 1536)
    run = {'mm': lambda: left @ right}
    alone = measuring.best_times(run, 2, 'cpu')['mm']
    rate = measuring.peak_flops('cpu')
    assert 0.2 < rate * alone / (2 * 1536**3) < 5
    found = measuring.environment('cpu')
    assert found['torch'] == torch.__version__
    assert found['device'] and int(found['cores']) > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_on_a_gpu_the_queue_is_waited_for_and_the_allocator_asked(measuring):
    def work():
        big = torch.ones(64, 1024, 1024, device='cuda')  # 256 MB
        for _ in range(20):
            big = big.sin()
        return big

    work()
    held = torch.ones(32, 1024, 1024, device='cuda')
    peak = measuring.peak_memory(work, 'cuda')
    assert 511 <= peak <= 530, held.shape
    # 20 passes that read and write 256 MB: no card does 20 TB/s.
    seconds = measuring.best_times({'work': work}, 3, 'cuda')['work']
    assert seconds > 20 * 2 * 2**28 / 20e12
