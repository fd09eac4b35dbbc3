"""Times and peaks are those of the work that was done."""

import time

import pytest
import torch

from hvc_mm.benchmarks.measure import (
    best_times,
    environment,
    peak_flops,
    peak_memory,
    peaks_and_times,
    single_thread,
    timed,
)


def busy(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_process_time_leaves_waiting_out():
    assert timed(lambda: time.sleep(0.2)) < 0.1
    assert 0.04 <= timed(lambda: busy(0.04)) < 0.2


def test_best_times_runs_in_turn_and_keeps_the_best():
    calls = []
    lengths = iter([0.0, 0.03, 0.01, 0.02])

    def short():
        calls.append('short')
        busy(next(lengths))

    best = best_times(
        {'short': short, 'none': lambda: calls.append('none')}, repeats=3
    )
    assert calls == ['short', 'none'] * 4
    assert 0.01 <= best['short'] < 0.02
    assert best['none'] < 0.01
    best_times({'none': lambda: calls.append('-')}, 2, warm_up=False)
    assert calls[-3:] == ['none', '-', '-']


def test_peak_memory_sees_what_was_freed_again():
    def work():
        kept = torch.ones(8, 1024, 1024)  # 32 MB
        torch.ones(16, 1024, 1024)  # 64 MB for a moment
        return kept

    peak = peak_memory(work)
    if peak is None:
        pytest.skip('this system has no resettable peak')
    assert 90 <= peak <= 110
    # An earlier peak is forgotten.
    assert peak_memory(lambda: torch.ones(4, 1024, 1024)) <= 25


def test_peaks_and_times_measures_memory_in_the_first_round():
    lengths = iter([0.3, 0.05, 0.2])
    kept = []

    def work():
        kept.append(torch.ones(8 if not kept else 16, 1024, 1024))
        busy(next(lengths))

    peaks, seconds = peaks_and_times({'work': work}, repeats=3)
    assert len(kept) == 3 and next(lengths, None) is None
    assert 0.05 <= seconds['work'] < 0.2
    assert peaks['work'] is None or 30 <= peaks['work'] <= 45
    peaks, seconds = peaks_and_times({'one': lambda: busy(0.02)}, repeats=1)
    assert 0.02 <= seconds['one'] < 0.1


def test_peak_memory_is_none_where_it_cannot_be_reset(monkeypatch, tmp_path):
    monkeypatch.setattr(
        'hvc_mm.benchmarks.measure._CLEAR_REFS', tmp_path / 'none' / 'here'
    )
    assert peak_memory(lambda: None) is None


def test_single_thread_ends_with_its_body():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), single_thread():
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == before


def test_peak_flops_is_the_rate_of_a_product():
    left, right = torch.rand(2, 256, 256)
    alone = best_times({'mm': lambda: left @ right}, 20)['mm']
    rate = 2 * 256**3 / alone
    assert rate / 5 < peak_flops(size=256) < rate * 5


def test_environment_names_what_matters():
    found = environment()
    assert found['torch'] == torch.__version__
    assert found['device'] and int(found['cores']) > 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')
def test_on_a_gpu_the_queue_is_waited_for_and_the_allocator_asked():
    def work():
        big = torch.ones(64, 1024, 1024, device='cuda')  # 256 MB
        for _ in range(20):
            big = big.sin()
        return big

    work()
    held = torch.ones(32, 1024, 1024, device='cuda')
    peaks, seconds = peaks_and_times({'work': work}, 3, 'cuda')
    assert 511 <= peaks['work'] <= 530, held.shape
    # 20 passes that read and write 256 MB: no card does 20 TB/s.
    assert seconds['work'] > 20 * 2 * 2**28 / 20e12
