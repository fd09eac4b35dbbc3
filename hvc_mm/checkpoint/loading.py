"""Give a backbone its weights: by a call, by ``init_cfg``, by mmengine."""

from __future__ import annotations

import os.path as osp
import re
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Union

from mmengine.logging import print_log
from mmengine.model import update_init_info
from torch import Tensor, nn

from hvc_mm.registry import WEIGHT_INITIALIZERS

from .checks import check_complete, check_weights
from .layouts import Network
from .matching import find_network
from .model_zoo import local_weights
from .reading import FILE, CheckpointError, read_checkpoint, sha256_of


def load_backbone(
    module: nn.Module,
    path: Union[str, Path],
    layout: str = 'auto',
    prefix: Optional[str] = None,
) -> Network:
    """Load a file's backbone into a module, and log what was loaded.

    Args:
        module: A backbone; of an ensemble or a wrapper the ``primary``
            member. What it builds has to be in the file; further stages of
            the file are left out.
        path: A checkpoint, or the name of published weights.
        layout: A key of :data:`~hvc_mm.checkpoint.LAYOUTS`, or ``'auto'``.
        prefix: As for :func:`~hvc_mm.checkpoint.find_network`.

    Returns:
        What was loaded: name as in the module -> tensor of the module's
        shape, and where it was in the file.

    Raises:
        CheckpointError: As :func:`~hvc_mm.checkpoint.find_network` does; the
            message names the file.
    """
    path = local_weights(str(path))
    target = getattr(module, 'primary', module)
    content = read_checkpoint(path)
    network = _fit(target, content, path, layout, prefix)
    target.load_state_dict(network.tensors, strict=False)
    if hasattr(module, '_params_init_info'):
        update_init_info(module, init_info=f'{network.place} of {path}')
    return network


def _fit(
    module: nn.Module,
    content: Mapping[str, Any],
    path: str,
    layout: str = 'auto',
    prefix: Optional[str] = None,
) -> Network:
    """Find all tensors of a module, and log where."""
    try:
        network = find_network(content, module.state_dict(), layout, prefix)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from None
    digest = f' (sha256 {sha256_of(path)[:8]})' if osp.isfile(path) else ''
    note = f'; {network.note}' if network.note else ''
    print_log(
        f'{type(module).__name__}: {len(network.tensors)} of '
        f'{len(module.state_dict())} tensors found in {path}{digest} under '
        f'{network.place!r}{note}',
        logger='current',
    )
    return network


def adopt_backbone_weights(
    module: nn.Module,
    state_dict: Dict[str, Any],
    prefix: str,
    metadata: Mapping[str, Any],
    *_: Any,
) -> None:
    """Rename a checkpoint's tensors to where a model keeps its backbone.

    A pre-hook of ``load_state_dict``. What else the model has (an ensemble's
    other members) stays as it is, unless the file has all of the backbone.

    Args:
        module: A model with a ``backbone``; a backbone with a ``primary``
            member (an ensemble) takes the weights there. Its
            ``weights_prefix``, if any, chooses one of several networks.
        state_dict: Name -> tensor of any shape. Changed in place: only what
            the model needs stays, by its names and in its shapes. Of a file
            without ``'state_dict'`` it may be all that it holds.
        prefix: The model's own prefix in ``state_dict``.
        metadata: Of the state dict; tells the whole file where mmengine
            gives only a part of it.

    Raises:
        CheckpointError: As :func:`~hvc_mm.checkpoint.find_network` does.
    """
    own, backbone = module.state_dict(), module.backbone
    mine = {k: v for k, v in state_dict.items() if k.startswith(prefix)}
    content: Mapping[str, Any] = {k[len(prefix) :]: v for k, v in mine.items()}
    has_all = all(
        f'backbone.{name}' in content for name in backbone.state_dict()
    )
    target = backbone if has_all else getattr(backbone, 'primary', backbone)
    path = 'the checkpoint'
    if FILE in metadata and _is_of(content, metadata[FILE][1]):
        path, content = metadata[FILE]
    chosen = getattr(module, 'weights_prefix', None)
    network = _fit(target, content, path, prefix=chosen)
    where = next(name for name, m in module.named_modules() if m is target)
    own.update({f'{where}.{k}': v for k, v in network.tensors.items()})
    # What has another prefix belongs to a parent's other modules.
    for key in mine:
        del state_dict[key]
    state_dict.update({prefix + name: tensor for name, tensor in own.items()})


def _is_of(state_dict: Mapping[str, Any], file: Mapping[str, Any]) -> bool:
    """Tell whether a state dict is a file's, names and tensors unchanged."""
    held = file.get('state_dict', file)
    # mmengine drops this prefix.
    known = {re.sub(r'^module\.', '', name): t for name, t in held.items()}
    return all(
        tensor is known.get(re.sub(r'^module\.', '', name))
        for name, tensor in state_dict.items()
        if isinstance(tensor, Tensor)
    )


def require_weights(model: nn.Module) -> None:
    """Refuse checkpoints that would leave tensors of a model at random.

    mmengine only warns of them. Other names that the model itself converts,
    as mmdet's do with those of older versions, are not in the way.

    Args:
        model: Its ``load_state_dict`` (name -> tensor of any shape) then
            raises :class:`CheckpointError`.
    """
    path = 'the checkpoint'

    def check(tensors: Dict[str, Tensor], wanted: Dict[str, Tensor]) -> None:
        network = Network('', '', 'plain', tensors, [])
        try:
            check_complete(network, wanted, type(model).__name__)
            check_weights(tensors)
        except CheckpointError as error:
            raise CheckpointError(f'{path}: {error}') from None

    def check_given(
        _: nn.Module, given: Mapping[str, Any], __: str, metadata: Any, *___
    ) -> None:
        nonlocal path
        path = metadata.get(FILE, [path])[0]
        own = model.state_dict()
        tensors = {name: t for name, t in given.items() if name in own}
        check(tensors, {name: own[name] for name in tensors})

    def check_missing(_: nn.Module, keys: Any) -> None:
        own, missing = model.state_dict(), keys.missing_keys
        check({n: t for n, t in own.items() if n not in missing}, own)

    model._register_load_state_dict_pre_hook(check_given, with_module=True)
    model.register_load_state_dict_post_hook(check_missing)


@WEIGHT_INITIALIZERS.register_module()
class PretrainedBackbone:
    """mmengine's ``Pretrained`` for whatever file holds the backbone.

    It takes what every other tool takes: checkpoints of HVC pre-training,
    the released weights, MoCo and so on, and refuses a file that would leave
    tensors of the backbone at random.

    Args:
        checkpoint: The file, or the name of published weights
            (:data:`~hvc_mm.checkpoint.MODEL_ZOO`).
        layout: A key of :data:`~hvc_mm.checkpoint.LAYOUTS`, or ``'auto'``.
        prefix: Which of several networks, as ``--prefix`` of the tools.

    Example:
        >>> init_cfg = dict(
        ...     type='hvc_mm.PretrainedBackbone',
        ...     checkpoint='work_dirs/hvc_coco/epoch_20.pth')
    """

    def __init__(
        self,
        checkpoint: str,
        layout: str = 'auto',
        prefix: Optional[str] = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.layout = layout
        self.prefix = prefix

    def __call__(self, module: nn.Module) -> None:
        """Load the file's backbone; see :func:`load_backbone`."""
        load_backbone(module, self.checkpoint, self.layout, self.prefix)
        _keep_loaded(module)


def _keep_loaded(module: nn.Module) -> None:
    """Keep mmengine from initialising a second time what was loaded.

    The parts of a module come after its ``init_cfg``; and some backbones of
    OpenMMLab, as its Vision Transformer, draw values at the end unless the
    ``init_cfg`` has mmengine's own name.
    """
    target = getattr(module, 'primary', module)
    for part in target.modules():
        if part is not module and hasattr(part, 'init_weights'):
            part.is_init = True
    if isinstance(getattr(module, 'init_cfg', None), dict):
        module.init_cfg = dict(module.init_cfg, type='Pretrained')
