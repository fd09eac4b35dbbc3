"""A propagation model, ready to use, from a config and weights."""

from __future__ import annotations

import logging
import os.path as osp
import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Optional, Union

from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint

from hvc_mm.checkpoint import CheckpointError, read_checkpoint
from hvc_mm.datasets.data_root import read_config
from hvc_mm.models import LabelPropagationVOS
from hvc_mm.registry import MODELS

from .find_config import find_config

ConfigLike = Union[str, Path, Config, ConfigDict, dict]


def to_config(
    config: ConfigLike, cfg_options: Optional[dict] = None
) -> Config:
    """Bring a config to one form, without changing what was given.

    Args:
        config: A file, a name (``hvc_davis``), or a config in memory.
        cfg_options: Entries to override, dotted keys to values.

    Returns:
        A config of its own.
    """
    if isinstance(config, (str, Path)):
        return read_config(find_config(config), cfg_options)
    if isinstance(config, Config):
        cfg = config.copy()
    else:
        cfg = Config(ConfigDict(config).to_dict())
    if cfg_options:
        cfg.merge_from_dict(cfg_options)
    return cfg


def init_model(
    config: ConfigLike,
    checkpoint: Optional[Union[str, Path]] = None,
    device: Optional[str] = None,
    cfg_options: Optional[dict] = None,
) -> LabelPropagationVOS:
    """Build a propagation model, load weights, put it in eval mode.

    Args:
        config: A config file, the name of one (``hvc_davis``), or a config
            in memory.
        checkpoint: A file or URL that holds weights of the config's
            backbone, from whatever training; None leaves random weights and
            warns.
        device: As torch names it; None takes the best that is there.
        cfg_options: Entries to override, dotted keys to values.

    Returns:
        The model; ``model.cfg`` is its config.

    Raises:
        FileNotFoundError: No such config or checkpoint.
        TypeError: The config has no :class:`LabelPropagationVOS`.
        ValueError: The checkpoint doesn't fit the backbone.
    """
    cfg = to_config(config, cfg_options)
    with DefaultScope.overwrite_default_scope('hvc_mm'), _quiet():
        model = MODELS.build(cfg.model)
    if not isinstance(model, LabelPropagationVOS):
        raise TypeError(
            f'{getattr(cfg, "filename", None) or "the config"} has a model '
            f'of type {type(model).__name__}; expected LabelPropagationVOS, '
            'as in hvc_davis'
        )
    if checkpoint is None:
        warnings.warn(
            'no checkpoint was given: the weights are random', stacklevel=2
        )
    else:
        _load_weights(model, str(checkpoint))
    model.cfg = cfg
    return model.to(device or get_device()).eval()


@contextmanager
def _quiet() -> Iterator[None]:
    """No list of how each parameter was initialised: one line a tensor."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _load_weights(model: LabelPropagationVOS, checkpoint: str) -> None:
    if '://' in checkpoint:
        load_checkpoint(model, checkpoint, map_location='cpu')
        return
    if not osp.isfile(checkpoint):
        raise FileNotFoundError(f'no checkpoint {checkpoint}')
    content = read_checkpoint(checkpoint)
    try:
        model.load_state_dict(content, strict=False)
    except CheckpointError as error:
        raise CheckpointError(f'{checkpoint}: {error}') from None
