"""Validate what is being trained as label propagation, now and then."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Tuple

import torch
from mmengine.dist import broadcast, is_distributed
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from hvc_mm.registry import HOOKS, MODELS

from .protocol_log_hook import describe, describe_counts
from .resume_hook import random_state, restore_random_state


@HOOKS.register_module()
class VOSValidationHook(Hook):
    """Let mmengine's validation score the backbone that is being trained.

    A model of pre-training predicts nothing that could be scored. While a
    validation runs, the model of the config's ``val_model``, a
    ``LabelPropagationVOS``, takes its place, with a copy of the weights that
    a checkpoint of this moment would hold: after mmengine's ``EMAHook`` has
    put the averaged ones there, and of several processes the first one's
    batch norm statistics. So the score is that of ``tools/test.py`` on this
    checkpoint. The trained model takes no part in it, and random numbers go
    on as if no validation had been.

    ``val_model.backbone`` says what differs from the trained backbone, as
    ``out_indices=(2,)``; with a ``type`` it is a whole one. Without a
    ``val_model`` nothing is done: models that predict validate themselves.
    """

    # After the EMAHook (NORMAL), before checkpoints are saved (VERY_LOW).
    priority = 'LOW'

    def __init__(self) -> None:
        self._kept: Optional[Tuple[nn.Module, Dict[str, Any]]] = None

    def before_train(self, runner: Runner) -> None:
        """Build the model once, so that an error ends the run now.

        Raises:
            ValueError: The model predicts nothing, and there is no
                ``val_model``; or the data's annotations are wrong.
            CheckpointError: It does not fit the trained backbone.
        """
        if runner.val_loop is None:
            return
        cfg = runner.cfg.get('val_model')
        if cfg is None:
            if isinstance(_unwrapped(runner.model), MODELS.get('hvc_mm.HVC')):
                raise ValueError(
                    'HVC predicts nothing that val_evaluator could score; '
                    'expected val_model, as in '
                    'configs/_base_/datasets/davis17_minival.py'
                )
            return
        state = random_state()
        validated_model(runner)
        restore_random_state(state)
        dataset = runner.val_dataloader.dataset
        if hasattr(dataset, 'check_annotations'):
            dataset.check_annotations()
        runner.logger.info(
            f'validation on {describe_counts(dataset)}, by '
            f'{describe(cfg, MODELS)}'
        )

    def before_val_epoch(self, runner: Runner) -> None:
        """Put a propagation model in the trained model's place."""
        if runner.cfg.get('val_model') is not None:
            self._kept = runner.model, random_state()
            runner.model = validated_model(runner)

    def after_val_epoch(
        self, runner: Runner, metrics: Optional[Dict[str, float]] = None
    ) -> None:
        """Put the trained model back."""
        if self._kept is not None:
            runner.model, state = self._kept
            self._kept = None
            restore_random_state(state)


def validated_model(runner: Runner) -> nn.Module:
    """Build a run's ``val_model`` with the weights of its trained backbone.

    Args:
        runner: A run whose model has a ``backbone``, or keeps one that has
            as its ``model``.

    Returns:
        The model, on the trained one's device, in eval mode.

    Raises:
        CheckpointError: The backbone of ``val_model`` has tensors that the
            trained one lacks, or some of its weights are not finite.
    """
    model = _unwrapped(runner.model)
    trained = getattr(model, 'model', model).backbone
    cfg = runner.cfg.val_model.to_dict()
    part = cfg.get('backbone', {})
    if 'type' not in part:
        part = {**_trained_backbone(runner.cfg.model), **part}
    # The weights are those at hand, from whatever file they began.
    built = MODELS.build({**cfg, 'backbone': {**part, 'init_cfg': None}})
    state = {}
    for name, tensor in trained.state_dict().items():
        tensor = tensor.clone(memory_format=torch.contiguous_format)
        if is_distributed():
            broadcast(tensor)
        state[f'backbone.{name}'] = tensor
    built.load_state_dict(state)
    return built.to(next(trained.parameters()).device).eval()


def _trained_backbone(cfg: Mapping) -> Dict[str, Any]:
    return dict(cfg.get('model', cfg)['backbone'])


def _unwrapped(model: nn.Module) -> nn.Module:
    return model.module if is_model_wrapper(model) else model
