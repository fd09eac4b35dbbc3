"""Pre-train a backbone: ``python tools/train.py configs/hvc_coco.py``."""

import argparse
import os

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from hvc_mm.checkpoint import CheckpointError
from hvc_mm.engine.preflight import check_style, preflight
from hvc_mm.engine.run_config import (
    add_run_arguments,
    leave_processes,
    prepare_cpu_processes,
    read_run,
    replace_hook,
)
from hvc_mm.engine.work_dir import WorkDirError, refuse_used_folder
from hvc_mm.utils import register_all_modules


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Train a model')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--amp',
        action='store_true',
        help='mixed precision: bfloat16, or float16 with a loss scaler on a '
        'GPU without bfloat16; fp32 on a CPU where that is faster',
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate by batch size over the recipe's",
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='go on from a checkpoint, by default the last one in the '
        'work dir',
    )
    add_run_arguments(parser)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def use_amp(cfg: Config) -> None:
    """Switch the config's optimizer wrapper to mixed precision."""
    wrapper = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if wrapper not in ('OptimWrapper', 'AmpOptimWrapper', 'BF16OptimWrapper'):
        raise SystemExit(
            f'--amp: optim_wrapper is {wrapper}, expected OptimWrapper'
        )
    if torch.cuda.is_available() and not torch.cuda.is_bf16_supported():
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.loss_scale = 'dynamic'
    else:
        cfg.optim_wrapper.type = 'BF16OptimWrapper'
        cfg.optim_wrapper.only_if_faster = True


def protect_checkpoints(cfg: Config) -> None:
    """Let a config of any project write and resume checkpoints safely."""
    default = dict(type='CheckpointHook', interval=1)
    checkpoint = replace_hook(
        cfg, 'checkpoint', default, 'WholeCheckpointHook'
    )
    cfg.default_hooks.setdefault('resume', dict(type='hvc_mm.ResumeHook'))
    if checkpoint and not cfg.get('resume') and not checkpoint.get('out_dir'):
        # Before the run writes its log and config there.
        refuse_used_folder(cfg.work_dir)


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and apply what the command line says."""
    cfg = read_run(args.config, args.cfg_options, args.work_dir, args.launcher)
    preflight(cfg, 'train')
    if args.amp:
        use_amp(cfg)
    if args.auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise SystemExit(
                f'--auto-scale-lr: {args.config} has no '
                'auto_scale_lr.base_batch_size'
            )
        cfg.auto_scale_lr.enable = True
    if args.resume:
        cfg.resume = True
        cfg.load_from = None if args.resume == 'auto' else args.resume
    check_style(cfg)
    protect_checkpoints(cfg)
    return cfg


def main() -> None:
    args = parse_args()
    try:
        cfg = load_config(args)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    register_all_modules(init_default_scope=False)
    prepare_cpu_processes(cfg)
    try:
        Runner.from_cfg(cfg).train()
    except (CheckpointError, WorkDirError, OSError) as error:
        raise SystemExit(str(error)) from None
    leave_processes()


if __name__ == '__main__':
    main()
