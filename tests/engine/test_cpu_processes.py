"""Launchers without CUDA; two real processes are in tests/tools."""

import pytest
import torch
from mmengine.config import Config

from hvc_mm.engine.cpu_processes import prepare_cpu_processes


def _config(launcher):
    return Config(
        dict(launcher=launcher, env_cfg=dict(dist_cfg=dict(backend='nccl')))
    )


def test_leaves_a_single_process_alone():
    cfg = _config('none')
    prepare_cpu_processes(cfg)
    assert cfg.env_cfg.dist_cfg.backend == 'nccl'
    assert 'model_wrapper_cfg' not in cfg


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_slurm_without_cuda_is_refused():
    with pytest.raises(ValueError, match='slurm needs CUDA'):
        prepare_cpu_processes(_config('slurm'))
