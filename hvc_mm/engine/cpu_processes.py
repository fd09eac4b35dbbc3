"""Several processes on machines without a GPU."""

from __future__ import annotations

import torch
import torch.distributed as dist
from mmengine.config import Config


def prepare_cpu_processes(cfg: Config) -> None:
    """Let ``--launcher pytorch`` work where there is no CUDA device.

    mmengine's own start selects a CUDA device in every process, and wraps
    the model for one. Without CUDA this joins the gloo group first (mmengine
    then leaves it alone) and asks for a wrapper without devices. Does
    nothing with CUDA, or without a launcher.

    Args:
        cfg: The run's config; ``model_wrapper_cfg`` is set in it.

    Raises:
        ValueError: For slurm or mpi without CUDA, which mmengine can't do.
    """
    if cfg.launcher == 'none' or torch.cuda.is_available():
        return
    if cfg.launcher != 'pytorch':
        raise ValueError(
            f'--launcher {cfg.launcher} needs CUDA devices; on CPUs start '
            'the processes with torch.distributed.run, --launcher pytorch'
        )
    cfg.env_cfg.dist_cfg = dict(backend='gloo')
    cfg.setdefault(
        'model_wrapper_cfg',
        dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
        ),
    )
    if not dist.is_initialized():
        dist.init_process_group('gloo')


def leave_processes() -> None:
    """End the run's process group, if there is one, before Python ends.

    Left to the interpreter's exit, gloo's destructor may abort a process
    whose work is done (seen with torch 2.6).
    """
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()
