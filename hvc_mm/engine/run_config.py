"""Read a run's config, and settle its data, weights and results.

The configs spell every path of data as ``{{$HVC_DATA_ROOT:data}}/...``, which
mmengine fills in from the environment while it reads a file. A root given
later, by ``--cfg-options data_root=...`` or by a config that inherits ours,
then has to reach those paths; :func:`read_config` does that.
"""

from __future__ import annotations

import argparse
import inspect
from pathlib import Path
from typing import Any, List, Optional, Sequence, Union

import torch
import torch.distributed as dist
from mmengine.config import Config, DictAction
from mmengine.registry import Registry

from hvc_mm.checkpoint import find_weights
from hvc_mm.registry import METRICS, MODELS
from hvc_mm.utils.protocols import apply_protocol

from .check_config import check_config, check_names
from .config_file import find_config, list_configs, load_config
from .trained_runs import WORK_DIRS, newest_checkpoint

DATA_ROOT_VARIABLE = 'HVC_DATA_ROOT'
DEFAULT_DATA_ROOT = 'data'
# Arguments of metrics that say where results go.
_RESULTS = ('out_dir', 'zip_path', 'results_dir', 'outfile_prefix')


def read_config(
    name: Union[str, Path],
    cfg_options: Optional[dict] = None,
    protocol: Optional[str] = None,
) -> Config:
    """Read a config, apply options to it, and settle where the data are.

    Args:
        name: As for :func:`find_config`; one that a run dumped works, too.
        cfg_options: What ``--cfg-options`` gave, dotted keys to values.
            ``data_root`` moves every path of data; other options come after
            that and may name a path of their own.
        protocol: Name of a published protocol to test by, see
            :func:`~hvc_mm.utils.protocols.apply_protocol`; options come
            after it.
    """
    cfg = load_config(find_config(name))
    options = dict(cfg_options or {})
    if not isinstance(options.get('data_root', ''), str):
        raise ValueError(
            f'data_root is {options["data_root"]!r}; expected a folder'
        )
    used = cfg.env_variables.get(DATA_ROOT_VARIABLE, DEFAULT_DATA_ROOT)
    root = options.pop('data_root', None) or cfg.get('data_root', used)
    # Paths begin with one of these; a derived config may have its own.
    old = {used, str(cfg.get('data_root', root)), root}
    old = sorted((r.rstrip('/') for r in old), key=len, reverse=True)
    for key in cfg:
        # A run may well write into a folder that is named as the data.
        if key not in ('work_dir', 'data_root'):
            cfg[key] = _moved(key, cfg[key], old, root.rstrip('/'))
    cfg.data_root = root
    if protocol is not None:
        apply_protocol(cfg, protocol)
    check_names(cfg, options)
    try:
        cfg.merge_from_dict(options)
    except (TypeError, KeyError, AttributeError, AssertionError) as error:
        raise ValueError(
            f'--cfg-options {options} do not fit {name}: {error}'
        ) from error
    check_config(cfg)
    return cfg


def _moved(key: str, value: Any, old: Sequence[str], new: str) -> Any:
    if isinstance(value, str):
        for root in old:
            # A bare 'data' may mean anything but where a root is asked for.
            if value.rstrip('/') == root and key.endswith('root'):
                return new
            if value.startswith(root + '/'):
                return f'{new}/{value[len(root) :].lstrip("/")}'
    elif isinstance(value, dict):
        for name in value:
            value[name] = _moved(name, value[name], old, new)
    elif isinstance(value, (list, tuple)):
        return type(value)(_moved(key, item, old, new) for item in value)
    return value


class _Options(DictAction):
    """Parse ``KEY=VALUE`` words; an unreadable one ends the tool."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Sequence[str],
        option_string: Optional[str] = None,
    ) -> None:
        for word in values:
            try:
                super().__call__(parser, namespace, [word], option_string)
            except (AssertionError, ValueError, RecursionError) as error:
                shown = word if len(word) < 60 else f'{word[:57]}...'
                parser.error(
                    f'argument {option_string}: cannot read {shown!r} '
                    f'({error}); expected KEY=VALUE'
                )
            key, _, text = word.partition('=')
            if key.split('.')[-1] == 'videos' and text != 'None':
                # Names, though 00001 is a number, too, and 12e3456789 inf.
                names = text.strip('[]() ').split(',')
                options = getattr(namespace, self.dest)
                options[key] = [name.strip(' \'"') for name in names]


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options KEY=VALUE ...``, for :func:`read_config`."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=_Options,
        metavar='KEY=VALUE',
        help='override entries of the config',
    )


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a model for a video, as the tools for
    users' own videos have them."""
    parser.add_argument(
        '--config', default='hvc_davis', help='config file, or its name'
    )
    parser.add_argument(
        '--checkpoint',
        help='weights; by default those of the newest run in work_dirs that '
        "trained HVC with the config's backbone; 'none' takes random weights",
    )
    parser.add_argument(
        '--prefix',
        help='which network of the checkpoint, where it has several: what '
        'the names of its tensors begin with',
    )
    parser.add_argument('--device', help='cpu, cuda, cuda:1, ...')
    add_cfg_options(parser)


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that training and testing have in common."""
    parser.add_argument(
        '--work-dir', help='where logs and results go (work_dirs/CONFIG)'
    )
    add_cfg_options(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
    )
    # torch >= 2 launchers pass the first spelling, older ones the second.
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0)


def read_run(
    name: Union[str, Path],
    cfg_options: Optional[dict] = None,
    work_dir: Optional[str] = None,
    launcher: str = 'none',
    protocol: Optional[str] = None,
) -> Config:
    """Read a config for a run: where it writes, and by which launcher.

    Results that the config puts into a default work dir follow the run's,
    and each video's score is written when it is known.

    Args:
        name: As for :func:`read_config`.
        cfg_options: Likewise.
        work_dir: Instead of the config's own, else ``work_dirs/NAME``.
        launcher: ``'none'``, ``'pytorch'``, ``'slurm'`` or ``'mpi'``.
        protocol: As for :func:`read_config`; the default work dir has its
            name, too: ``work_dirs/NAME_PROTOCOL``.
    """
    cfg = read_config(name, cfg_options, protocol)
    cfg.launcher = launcher
    stem = Path(name).stem
    own = '_'.join(filter(None, (stem, protocol)))
    cfg.work_dir = work_dir or cfg.get('work_dir') or f'work_dirs/{own}'
    defaults = [f'work_dirs/{other}/' for other in {stem, *list_configs()}]
    for evaluator in evaluators_of(cfg):
        for key in _RESULTS:
            path = evaluator.get(key) or ''
            for default in defaults:
                if path.startswith(default):
                    evaluator[key] = f'{cfg.work_dir}/{path[len(default) :]}'
        if is_a(evaluator, METRICS, 'VideoMetric'):
            # A crash then loses no video that was finished.
            evaluator.setdefault('results_dir', f'{cfg.work_dir}/scores')
    return cfg


def evaluators_of(cfg: Config) -> List[dict]:
    """List the configs of a test's metrics; changes to them count."""
    evaluator = cfg.get('test_evaluator') or []
    return evaluator if isinstance(evaluator, list) else [evaluator]


def is_a(part: dict, registry: Registry, base: str) -> bool:
    """Tell whether a part's config builds an instance of a class.

    Args:
        part: With ``type``, a name (of any scope) or a class.
        registry: One of ``hvc_mm``'s registries.
        base: The class's name; those derived from it count, too.
    """
    kind = part.get('type')
    if isinstance(kind, str):
        # Not `registry.get`: that raises for another project's name.
        registry.import_from_location()
        kind = registry.module_dict.get(kind.split('.')[-1])
    return inspect.isclass(kind) and base in [c.__name__ for c in kind.mro()]


def replace_hook(
    cfg: Config, key: str, default: dict, own: str
) -> Optional[dict]:
    """Let one of our hooks do the work of the hook of mmengine it extends.

    Args:
        cfg: A config of any project; changed where its hook is mmengine's.
            Its own hook, or None, stays.
        key: In ``default_hooks``.
        default: mmengine's own default, for a config that has no such key.
        own: The name of our hook.

    Returns:
        dict | None: The config of the hook that is used, if any.
    """
    hooks = dict(cfg.get('default_hooks') or {})
    hook = hooks.get(key, default)
    name = default['type']
    if hook and hook.get('type') in (name, f'mmengine.{name}'):
        hook = dict(hook, type=f'hvc_mm.{own}')
    cfg.default_hooks = dict(hooks, **{key: hook})
    return hook


def choose_checkpoint(
    cfg: Config, given: Optional[str] = None
) -> Optional[str]:
    """Decide which weights a model gets.

    In this order: what was given; the config's ``load_from``; nothing, where
    the config itself names the weights by ``init_cfg``; for label
    propagation the last checkpoint of the newest run in ``work_dirs`` that
    trained HVC with this backbone.

    Args:
        cfg: The config.
        given: A file, a URL, the name of published weights
            (``'hvc-coco'``), ``'none'`` for random weights, or None.

    Returns:
        A path or URL; None where nothing is to be loaded.

    Raises:
        FileNotFoundError: There is no such file, or none to choose.
    """
    if given == 'none':
        return None
    chosen = given or cfg.get('load_from')
    if chosen:
        return find_weights(chosen)
    model = cfg.get('model') or {}
    if _names_its_weights(model):
        return None
    if not is_a(model, MODELS, 'LabelPropagationVOS'):
        raise FileNotFoundError(
            f'no weights for {model.get("type")}: give a checkpoint of its '
            "training or set load_from ('none' takes random weights)"
        )
    found = newest_checkpoint(model.get('backbone') or {})
    if not found:
        raise FileNotFoundError(
            f'no weights: {WORK_DIRS} has no training of HVC with this '
            'backbone; give a checkpoint, set load_from, or train one first '
            'with `python tools/train.py configs/hvc_coco.py` '
            "('none' takes random weights)"
        )
    return str(found)


def _names_its_weights(model: dict) -> bool:
    """Tell whether a model has weights of its own for a test."""
    if is_a(model, MODELS, 'LabelPropagationVOS'):
        part = model.get('backbone')
    elif str(model.get('type')).split('.')[-1] == 'HVCInstanceTracker':
        part = model.get('detector')
    else:
        return False
    part = part or {}
    if part.get('init_cfg') or part.get('pretrained'):
        return True
    key = 'weights'  # a name or a file; of an ensemble they are factors
    if is_a(part, MODELS, 'TransformersBackbone'):
        key = 'model'
    return isinstance(part.get(key), str)


def prepare_cpu_processes(cfg: Config) -> None:
    """Let ``--launcher pytorch`` work where there is no CUDA device.

    mmengine's own start selects a CUDA device in every process, and wraps
    the model for one. This starts the gloo group first, which mmengine then
    leaves alone, and asks for a wrapper without devices.

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
    wrapper = dict(type='MMDistributedDataParallel', device_ids=None)
    wrapper['broadcast_buffers'] = False
    cfg.setdefault('model_wrapper_cfg', wrapper)
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
