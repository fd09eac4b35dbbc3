"""The Triton kernels, without a GPU.

The interpreter runs them on the CPU, and Triton's compiler makes code for a
GPU that isn't there. What that leaves open is whether the code is right and
fast on one.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hvc_mm.models.vos import LabelPropagator
from hvc_mm.models.vos.window import Window

pytest.importorskip('triton', reason='Triton is not there')
try:
    from hvc_mm.models.vos import triton_search
except ImportError as error:
    pytest.skip(f'{error}', allow_module_level=True)


def test_they_find_what_the_dense_form_finds():
    """In a process of its own, see triton_cases.py."""
    cases = Path(__file__).with_name('triton_cases.py')
    ran = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', cases],
        env={**os.environ, 'TRITON_INTERPRET': '1'},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ' passed' in ran.stdout and 'skipped' not in ran.stdout


def test_what_it_does_not_take():
    frame = torch.zeros(2, 2, 4)
    with pytest.raises(ValueError, match='features on a GPU, found cpu'):
        triton_search.TritonSearch(frame, Window(1), 1, 1)
    with pytest.raises(ValueError, match='not torch.float64'):
        triton_search.TritonSearch(frame.double(), Window(1), 1, 1)
    propagator = LabelPropagator(native='triton')
    assert propagator.describe_search(torch.device('cuda')) == 'Triton kernels'
    with pytest.raises(ValueError, match='on a GPU'):
        propagator.step(torch.zeros(1, 4, 2, 2), torch.ones(1, 1, 2, 2))


@pytest.mark.parametrize('dtype', ['fp32', 'bf16'])
def test_both_kernels_compile_for_a_gpu(dtype, tmp_path, monkeypatch):
    """For Hopper; its compiler comes with Triton. With half types the
    products are the tensor cores'."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    monkeypatch.setenv('TRITON_CACHE_DIR', str(tmp_path))
    sizes = dict(ROWS=8, COLUMNS=8, CELLS=8, GROUP=8, CHANNELS=32)
    kernels = {
        triton_search._group_maxima: dict(
            keys=f'*{dtype}',
            queries=f'*{dtype}',
            half_widths='*i32',
            maxima='*fp32',
        ),
        triton_search._score_members: dict(
            keys='*fp32',
            queries='*fp32',
            cells='*i64',
            first_frames='*i64',
            scores='*fp32',
        ),
    }
    made = []
    for kernel, types in kernels.items():
        names = kernel.arg_names
        sized = {n: sizes.get(n, 128) for n in names if n.isupper()}
        signature = {
            name: 'constexpr' if name in sized else types.get(name, 'i32')
            for name in names
        }
        source = ASTSource(kernel, signature, sized)
        target = GPUTarget('cuda', 90, 32)
        made.append(triton.compile(source, target=target).asm)
    assert all(asm['cubin'] for asm in made)
    assert ('wgmma' in made[0]['ptx']) == (dtype == 'bf16')


def test_without_triton_the_option_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, triton_search.__name__, None)
    with pytest.raises(RuntimeError, match='pip install triton'):
        LabelPropagator(native='triton')
