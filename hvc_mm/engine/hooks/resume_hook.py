"""A resumed training goes on exactly where the saved one was."""

from __future__ import annotations

import random
from typing import Any, Dict, Optional

import numpy as np
import torch
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner

from hvc_mm.registry import HOOKS

# The buffer of `CosineMomentumTarget` that counts its updates.
_STEPS = 'target.steps'


@HOOKS.register_module()
class ResumeHook(Hook):
    """Resume inside an epoch, with another batch size, or not at all.

    - From a checkpoint inside an epoch the batches that were seen are loaded
      again and passed over, and the main process's random numbers go on as
      they were (those of several processes do not).
    - With another number of iterations an epoch (another batch size or data
      set) the count of iterations, and with it the momentum of the target,
      keeps its share of the run, so that it reaches its end with the run.
    - What changed, and that nothing is left to do, is logged.
    """

    # After the hooks that seed an epoch.
    priority = 'LOW'

    def __init__(self) -> None:
        self._saved: Optional[Dict[str, Any]] = None

    def before_save_checkpoint(
        self, runner: Runner, checkpoint: Dict[str, Any]
    ) -> None:
        """Note what the position of the run depends on."""
        checkpoint['meta']['batch_size'] = _batch_size(runner)
        if get_world_size() == 1:
            checkpoint['random_state'] = random_state()

    def after_load_checkpoint(
        self, runner: Runner, checkpoint: Dict[str, Any]
    ) -> None:
        """Rescale a resumed run's position; see the class."""
        if not (runner._resume and isinstance(runner._train_loop, BaseLoop)):
            return
        self._saved = dict(checkpoint, state_dict=None, optimizer=None)
        if not isinstance(runner.train_loop, IterBasedTrainLoop):
            self._rescale(runner, checkpoint)

    def _rescale(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Count iterations as if all had been of this run's batch size."""
        meta, now = checkpoint['meta'], len(runner.train_dataloader)
        info = checkpoint['message_hub'].get('runtime_info', {})
        if not info.get('max_epochs') or not info.get('max_iters'):
            return
        before = info['max_iters'] / info['max_epochs']
        if before == now:
            return
        done = meta['iter']
        meta['iter'] = round(done * now / before)
        for name, value in checkpoint['state_dict'].items():
            if name.endswith(_STEPS):
                value.fill_(round(int(value) * now / before))
        runner.logger.warning(
            f'an epoch has {now} iterations instead of {before:g} (batch '
            f'size {_batch_size(runner)} instead of '
            f'{meta.get("batch_size", "another one")}): iteration {done} '
            f'counts as {meta["iter"]}, also for the momentum of the target. '
            f'{_describe_rate(runner, checkpoint)}'
        )

    def before_train(self, runner: Runner) -> None:
        """Tell where nothing is left to do."""
        loop = runner.train_loop
        if isinstance(loop, IterBasedTrainLoop):
            done, planned, unit = loop.iter, loop.max_iters, 'iters'
        else:
            done, planned, unit = loop.epoch, loop.max_epochs, 'epochs'
        if self._saved is not None and done >= planned:
            runner.logger.warning(
                f'nothing is left to do: {done} {unit} are done, and '
                f'train_cfg.max_{unit} is {planned}'
            )

    def before_train_epoch(self, runner: Runner) -> None:
        """Pass over what the resumed epoch has seen before."""
        if self._saved is None:
            return
        saved, self._saved = self._saved, None
        loop = runner.train_loop
        state = saved.get('random_state')
        if isinstance(loop, IterBasedTrainLoop):
            # mmengine passes over them itself.
            loop.dataloader_iterator = _Restoring(
                loop.dataloader_iterator, loop.iter, state
            )
            return
        seen = loop.iter - loop.epoch * len(loop.dataloader)
        if seen > 0:
            runner.logger.info(
                f'loading {seen} batches that epoch {loop.epoch + 1} has '
                'seen before, without training on them'
            )
            _pass_over(loop, seen, state)


class _Restoring:
    """Iterate; set the random state when some batches have been taken."""

    def __init__(
        self, batches: Any, count: int, state: Optional[dict]
    ) -> None:
        self.batches, self.left, self.state = batches, count, state

    def __iter__(self) -> _Restoring:
        return self

    def __next__(self) -> Any:
        if self.left == 0 and self.state is not None:
            restore_random_state(self.state)
        self.left -= 1
        return next(self.batches)


def _pass_over(loop: BaseLoop, seen: int, state: Optional[dict]) -> None:
    """Let a loop of epochs do nothing with its next batches."""

    def skip(idx: int, data_batch: Any) -> None:
        if idx == seen - 1:
            del loop.run_iter  # the class's own again
            if state is not None:
                restore_random_state(state)

    loop.run_iter = skip


def random_state() -> Dict[str, Any]:
    """Collect the state of all generators of this process.

    Returns:
        Tensors and numbers only, as a checkpoint may hold them.
    """
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    state = {
        'python': [version, list(internal), gauss],
        'numpy': [name, keys.tolist(), position, has_gauss, cached],
        'torch': torch.get_rng_state(),
    }
    if torch.cuda.is_available():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: Dict[str, Any]) -> None:
    """Set the generators to what :func:`random_state` returned."""
    version, internal, gauss = state['python']
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(tuple(state['numpy']))
    torch.set_rng_state(state['torch'].cpu())
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'].cpu())


def _batch_size(runner: Runner) -> int:
    """Count the samples of a step, those of all processes together."""
    loader = runner.train_dataloader
    return (loader.batch_size or 1) * get_world_size()


def _describe_rate(runner: Runner, checkpoint: Dict[str, Any]) -> str:
    """Tell which learning rate a resumed run goes on with."""
    groups = (checkpoint.get('optimizer') or {}).get('param_groups') or []
    rates = ', '.join(f'{group["lr"]:g}' for group in groups)
    if not rates:
        return 'The learning rate is that of the config'
    enabled = (runner.auto_scale_lr or {}).get('enable', False)
    return f'The learning rate stays as saved ({rates}): ' + (
        '--auto-scale-lr did not change it'
        if enabled
        else '--auto-scale-lr is not set, and would not change it'
    )
