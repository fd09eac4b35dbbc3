"""Score a backbone: ``python tools/test.py configs/hvc_davis.py [CKPT]``."""

import argparse
import os
import os.path as osp
from typing import List

from mmengine.config import Config, DictAction
from mmengine.runner import Runner, find_latest_checkpoint

from hvc_mm.checkpoint import CheckpointError, read_checkpoint
from hvc_mm.datasets.data_root import read_config
from hvc_mm.engine.cpu_processes import (
    leave_processes,
    prepare_cpu_processes,
)
from hvc_mm.evaluation.metrics.video_metric import VideoMetric
from hvc_mm.registry import METRICS
from hvc_mm.utils import register_all_modules

PRETRAINING = 'work_dirs/hvc_coco'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a model')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help="weights; by default the config's load_from, else the last "
        f"checkpoint of {PRETRAINING}; 'none' tests random weights",
    )
    parser.add_argument(
        '--checkpoint',
        dest='checkpoint_option',
        metavar='CHECKPOINT',
        help='the same, as an option',
    )
    parser.add_argument(
        '--work-dir', help='where logs and results go (work_dirs/CONFIG)'
    )
    parser.add_argument('--out', metavar='DIR', help='write palette PNGs here')
    parser.add_argument(
        '--format-only',
        action='store_true',
        help='write the PNGs, score nothing (needs --out, or a config that '
        'names a folder)',
    )
    parser.add_argument(
        '--show-dir', metavar='DIR', help='write frames with masks over them'
    )
    parser.add_argument(
        '--fuse-conv-bn',
        action='store_true',
        help='fuse batch norms into the convolutions before them: faster, '
        'the same features but for rounding',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override entries of the config',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
    )
    # torch >= 2 launchers pass the first spelling, older ones the second.
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0)
    args = parser.parse_args()
    if args.checkpoint and args.checkpoint_option:
        parser.error('give the checkpoint once')
    args.checkpoint = args.checkpoint or args.checkpoint_option
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def choose_checkpoint(cfg: Config, given: str) -> str:
    """Find the weights to test, or stop with what to do about it."""
    if given == 'none':
        return None
    if given:
        if '://' not in given:
            check_checkpoint(given)
        return given
    if cfg.get('load_from'):
        return cfg.load_from
    if cfg.model.get('backbone', {}).get('init_cfg'):
        return None  # the config itself names the backbone's weights
    latest = None
    if osp.isdir(PRETRAINING):
        latest = find_latest_checkpoint(PRETRAINING)
    if latest is None:
        raise SystemExit(
            'no weights to test: give a checkpoint, set load_from, or train '
            'one first with `python tools/train.py configs/hvc_coco.py` '
            "('none' tests random weights)"
        )
    return latest


def check_checkpoint(path: str) -> None:
    """Stop with the reason where a file can't be loaded safely."""
    try:
        read_checkpoint(path)
    except CheckpointError as error:
        raise SystemExit(f'checkpoint {error}') from None


def _evaluators(cfg: Config) -> List[dict]:
    evaluator = cfg.test_evaluator
    return evaluator if isinstance(evaluator, list) else [evaluator]


def follow_work_dir(evaluator: dict, default: str, work_dir: str) -> None:
    """Move results that lie in a config's default work dir with it."""
    for key in ('out_dir', 'zip_path', 'results_dir'):
        path = evaluator.get(key) or ''
        if path.startswith(default + '/'):
            evaluator[key] = work_dir + path[len(default) :]


def keep_finished_videos(evaluator: dict, work_dir: str) -> None:
    """Write each video's score when it is known: a crash loses none."""
    # Not METRICS.get: that raises for a metric of another project.
    metric = METRICS.module_dict.get(str(evaluator['type']).split('.')[-1])
    if metric is not None and issubclass(metric, VideoMetric):
        evaluator.setdefault('results_dir', f'{work_dir}/scores')


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and apply what the command line says."""
    cfg = read_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    name = osp.splitext(osp.basename(args.config))[0]
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or f'work_dirs/{name}'
    cfg.load_from = choose_checkpoint(cfg, args.checkpoint)
    for evaluator in _evaluators(cfg):
        follow_work_dir(evaluator, f'work_dirs/{name}', cfg.work_dir)
        if args.out:
            evaluator['out_dir'] = args.out
        if args.format_only:
            evaluator['format_only'] = True
        keep_finished_videos(evaluator, cfg.work_dir)
    if args.show_dir:
        cfg.visualizer = dict(type='VOSLocalVisualizer', vis_backends=[])
        cfg.custom_hooks = [
            *cfg.get('custom_hooks', []),
            dict(type='VOSVisualizationHook', out_dir=args.show_dir),
        ]
    if args.fuse_conv_bn:
        cfg.custom_hooks = [
            *cfg.get('custom_hooks', []),
            dict(type='FuseConvBNHook'),
        ]
    return cfg


def main() -> None:
    args = parse_args()
    cfg = load_config(args)
    register_all_modules(init_default_scope=False)
    prepare_cpu_processes(cfg)
    Runner.from_cfg(cfg).test()
    leave_processes()


if __name__ == '__main__':
    main()
