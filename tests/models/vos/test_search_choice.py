"""Which search a video gets, and what is said of it."""

import pytest
import torch

from hvc_mm.models.vos import LabelPropagator, search_choice
from hvc_mm.models.vos.native_search import find_kernel

needs_kernel = pytest.mark.skipif(
    find_kernel() is None, reason='the compiled kernel was not built'
)


@needs_kernel
def test_it_is_taken_where_it_can_be(video):
    def search(dtype=torch.float32, **options):
        propagator = LabelPropagator(2, **options)
        propagator.step(*next(video(0, (4, 5), 6, 1, (), dtype)))
        return type(propagator._search).__name__

    assert search() == search(native=True) == 'NativeSearch'
    assert search(native=False) == 'WindowedSearch'
    assert search(torch.float64) == 'WindowedSearch'
    assert search(compute_dtype='bfloat16') == 'ScreenedSearch'
    assert search(compute_dtype='auto') == 'NativeSearch'
    assert search(compute_dtype='float64') == 'WindowedSearch'
    auto = search(native=True, compute_dtype='auto')
    assert auto == 'NativeSearch'
    with pytest.raises(ValueError, match='native=True with features of torch'):
        search(torch.float64, native=True)
    with pytest.raises(ValueError, match='native=True with compute_dtype'):
        search(native=True, compute_dtype='bfloat16')


def test_products_that_torch_does_not_have_are_refused(video):
    """As those of float16 on a CPU are before torch 2.1."""
    frame = next(video(0, (4, 5), 6, 1, (), torch.float32))
    propagator = LabelPropagator(2, compute_dtype='float16')
    try:
        torch.ones(1, 1).half() @ torch.ones(1, 1).half()
    except RuntimeError:
        with pytest.raises(ValueError, match='float16.*has no such products'):
            propagator.step(*frame)
    else:
        propagator.step(*frame)
        assert type(propagator._search).__name__ == 'ScreenedSearch'


def test_where_it_was_not_built_torch_searches(video, monkeypatch):
    monkeypatch.setattr(search_choice, 'find_kernel', lambda: None)
    propagator = LabelPropagator(2)
    propagator.step(*next(video(0, (4, 5), 6, 1, (), torch.float32)))
    assert type(propagator._search).__name__ == 'WindowedSearch'
    cpu = torch.device('cpu')
    assert 'build_ext --inplace' in propagator.describe_search(cpu)
    with pytest.raises(RuntimeError, match='is not there.*pip install -e'):
        LabelPropagator(2, native=True)


@needs_kernel
def test_without_vector_instructions_only_on_demand(video, monkeypatch):
    monkeypatch.setattr(find_kernel(), 'windowed_topk_level', lambda: 0)
    frame = next(video(0, (4, 5), 6, 1, (), torch.float32))
    for native, name in (None, 'WindowedSearch'), (True, 'NativeSearch'):
        propagator = LabelPropagator(2, native=native)
        propagator.step(*frame)
        assert type(propagator._search).__name__ == name
    said = LabelPropagator(2).describe_search(torch.device('cpu'))
    assert said.startswith('torch (the kernel has no AVX2')


@needs_kernel
def test_it_says_what_searches():
    cpu, cuda = torch.device('cpu'), torch.device('cuda')
    assert 'compiled kernel' in LabelPropagator(2).describe_search(cpu)
    assert 'not run on cuda' in LabelPropagator(2).describe_search(cuda)
    plain = LabelPropagator(2, native=False)
    assert plain.describe_search(cpu) == 'torch (native=False)'
    half = LabelPropagator(2, compute_dtype='bfloat16')
    assert 'bfloat16' in half.describe_search(cpu)
