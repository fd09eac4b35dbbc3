"""Score a backbone: ``python tools/test.py configs/hvc_davis.py [CKPT]``."""

import argparse
import os
import os.path as osp

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from hvc_mm.checkpoint import MODEL_ZOO, CheckpointError, require_weights
from hvc_mm.engine.preflight import check_style, preflight
from hvc_mm.engine.run_config import (
    add_run_arguments,
    choose_checkpoint,
    evaluators_of,
    is_a,
    leave_processes,
    prepare_cpu_processes,
    read_run,
    replace_hook,
)
from hvc_mm.registry import METRICS, MODELS
from hvc_mm.utils import register_all_modules
from hvc_mm.utils.outputs import (
    check_outputs,
    claim_file,
    dataset_inputs,
    listed_file,
)
from hvc_mm.utils.signals import end_orderly_on_sigterm
from hvc_mm.utils.worker_errors import reason_of

_PICKLES = ('.pkl', '.pickle')


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Test a model')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help='weights: a file, a URL or the name of published ones '
        f'({", ".join(MODEL_ZOO)}); by default '
        "the config's load_from, else those of the newest run in work_dirs "
        "that trained HVC with the config's backbone; 'none' tests random "
        'weights',
    )
    parser.add_argument(
        '--checkpoint',
        dest='checkpoint_option',
        metavar='CHECKPOINT',
        help='the same, as an option',
    )
    parser.add_argument(
        '--prefix',
        help='which network of the checkpoint, where it has several: what '
        'the names of its tensors begin with',
    )
    parser.add_argument(
        '--out',
        metavar='DIR',
        help="write palette PNGs here; a detector's predictions go to a "
        'pickle file, OUT.pkl',
    )
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
        '--protocol',
        metavar='NAME',
        help='test by a published protocol of configs/_base_/protocols: '
        'hvc, crw, vfs, dino, dinov3, cropmae, smtc16, smtc8, ...',
    )
    parser.add_argument(
        '--fuse-conv-bn',
        action='store_true',
        help='fuse batch norms into the convolutions before them: faster, '
        'the same features but for rounding',
    )
    parser.add_argument(
        '--force',
        action='store_true',
        help='write over files that no earlier run wrote, too',
    )
    add_run_arguments(parser)
    args = parser.parse_args()
    if args.checkpoint and args.checkpoint_option:
        parser.error('give the checkpoint once')
    args.checkpoint = args.checkpoint or args.checkpoint_option
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def write_results(cfg: Config, out: str) -> None:
    """Let a run write its predictions: label PNGs, or mmengine's pickle."""
    own = [e for e in evaluators_of(cfg) if is_a(e, METRICS, 'VideoMetric')]
    is_pickle = out.endswith(_PICKLES)
    if own and is_pickle:
        raise SystemExit(
            f'--out {out}: {own[0]["type"]} writes a folder of PNGs, not a '
            'pickle file; expected the name of a folder'
        )
    if not own and not is_pickle:
        raise SystemExit(
            f'--out {out}: a test of {cfg.model.type} writes its predictions '
            'to a pickle file; expected a name that ends in .pkl'
        )
    for evaluator in own:
        evaluator['out_dir'] = out
    if is_pickle:
        dump = dict(type='DumpResults', out_file_path=out)
        cfg.test_evaluator = [*evaluators_of(cfg), dump]


def draw_results(cfg: Config, show_dir: str, force: bool) -> None:
    """Let a run write frames with its predictions over them."""
    if is_a(cfg.model, MODELS, 'LabelPropagationVOS'):
        cfg.visualizer = dict(type='VOSLocalVisualizer', vis_backends=[])
        cfg.custom_hooks = [
            *(cfg.get('custom_hooks') or []),
            dict(type='VOSVisualizationHook', out_dir=show_dir, force=force),
        ]
        return
    # The hook of other OpenMMLab projects. It appends the folder to its
    # work dir before every picture, so that it has to be absolute.
    hook = (cfg.get('default_hooks') or {}).get('visualization')
    if hook is None:
        raise SystemExit(
            f'--show-dir: {cfg.model.type} is drawn by a hook that the '
            'config does not have, default_hooks.visualization'
        )
    hook.draw = True
    hook.test_out_dir = osp.abspath(show_dir)


def load_config(args: argparse.Namespace) -> Config:
    """Read the config and apply what the command line says."""
    try:
        cfg = read_run(
            args.config,
            args.cfg_options,
            args.work_dir,
            args.launcher,
            args.protocol,
        )
        preflight(cfg, 'test')
        cfg.load_from = choose_checkpoint(cfg, args.checkpoint)
        check_style(cfg)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    if args.prefix is not None:
        if not is_a(cfg.model, MODELS, 'LabelPropagationVOS'):
            raise SystemExit(
                f'--prefix: {cfg.model.type} takes checkpoints of its own '
                'training; LabelPropagationVOS takes any backbone'
            )
        cfg.model.weights_prefix = args.prefix
    for evaluator in evaluators_of(cfg):
        if args.format_only:
            evaluator['format_only'] = True
        if args.force and is_a(evaluator, METRICS, 'VideoMetric'):
            evaluator['force'] = True
    if args.out:
        write_results(cfg, args.out)
    if args.show_dir:
        draw_results(cfg, args.show_dir, args.force)
    # Of several processes one writes the scores.
    logger = dict(type='LoggerHook')
    replace_hook(cfg, 'logger', logger, 'MainProcessLoggerHook')
    if args.fuse_conv_bn:
        cfg.custom_hooks = [
            *(cfg.get('custom_hooks') or []),
            dict(type='hvc_mm.FuseConvBNHook'),
        ]
    return cfg


def prepare_run(cfg: Config, args: argparse.Namespace) -> Runner:
    """Build the run; refuse to write over what it reads, or others' files."""
    outputs = list(filter(None, [args.out, args.show_dir]))
    check_outputs(outputs, filter(None, [cfg.filename, cfg.load_from]))
    if args.out and args.out.endswith(_PICKLES):
        claim_file(args.out, args.force)
    runner = Runner.from_cfg(cfg)
    if not is_a(cfg.model, MODELS, 'LabelPropagationVOS'):
        model = runner.model
        require_weights(model.module if is_model_wrapper(model) else model)
    # Metrics check what they write when the data set is built, here.
    dataset = runner.test_dataloader.dataset
    check_outputs(outputs, dataset_inputs(dataset))
    return runner


def main() -> None:
    args = parse_args()
    end_orderly_on_sigterm()
    cfg = load_config(args)
    register_all_modules(init_default_scope=False)
    prepare_cpu_processes(cfg)
    try:
        prepare_run(cfg, args).test()
    except CheckpointError as error:
        raise SystemExit(f'checkpoint {error}') from None
    except (ValueError, OSError) as error:
        raise SystemExit(f'error: {reason_of(error)}') from None
    if args.out and args.out.endswith(_PICKLES) and is_main_process():
        with listed_file(args.out) as partial:
            os.replace(args.out, partial)
    leave_processes()


if __name__ == '__main__':
    main()
