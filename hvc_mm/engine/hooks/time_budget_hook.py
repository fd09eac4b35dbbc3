"""Training for some minutes instead of a number of iterations."""

from __future__ import annotations

import os.path as osp
import time
from typing import Optional

import torch
from mmengine.dist import broadcast, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from hvc_mm.registry import HOOKS

from ..work_dir import WHOLE_FILES, write_last_checkpoint


@HOOKS.register_module()
class TimeBudgetHook(Hook):
    """End a training when its time is over, and leave a checkpoint.

    The first iteration's time and an estimate of the rest are logged at once.

    The target's momentum rises over the length of the run
    (:class:`~hvc_mm.models.selfsup.CosineMomentumTarget`). That length is
    estimated anew after every iteration, so that the momentum follows the
    clock and has come to its end when the time has.

    It is meant for an ``IterBasedTrainLoop`` whose ``max_iters`` is out of
    reach; a loop of epochs goes on to the end of its epoch. The checkpoint
    is the run's ``last_checkpoint``, as a test or ``--resume`` finds it; a
    run that goes on from it has the whole time again.

    Args:
        minutes: From the start of the run, > 0.

    Raises:
        ValueError: For ``minutes`` of 0 or less.
    """

    # After the optimiser's step was logged.
    priority = 'LOW'

    def __init__(self, minutes: float) -> None:
        if not minutes > 0:
            raise ValueError(f'minutes is {minutes}, expected more than 0')
        self.minutes = minutes
        self._start = 0.0
        self._first = 0
        self._before = 0.0

    def before_run(self, runner: Runner) -> None:
        """Start the clock; models and data have been built by now."""
        self._start = time.monotonic()

    def before_train(self, runner: Runner) -> None:
        """Note where the run begins, be it resumed."""
        self._first = runner.iter

    def before_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
    ) -> None:
        """Note when an iteration begins; its batch has been loaded."""
        self._before = time.monotonic()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[dict] = None,
    ) -> None:
        """Estimate the run's length; stop when the time is over."""
        used = torch.tensor((time.monotonic() - self._start) / 60)
        # All processes go by the first one's clock, or some would wait for
        # ever for the others' next step.
        broadcast(used)
        share = float(used) / self.minutes
        done = runner.iter + 1
        ahead = (done - self._first) / max(share, 1e-6)
        length = min(self._first + round(ahead), runner.max_iters)
        length = max(length, done)
        runner.message_hub.update_info('max_iters', length)
        if done == self._first + 1:
            self._tell_plan(runner)
        if share < 1 or runner.train_loop.stop_training:
            return
        runner.train_loop.stop_training = True
        runner.logger.info(f'{self.minutes:g} minutes over, {done} iterations')
        name = f'iter_{done}.pth'
        runner.save_checkpoint(
            runner.work_dir, name, by_epoch=False, backend_args=WHOLE_FILES
        )
        if is_main_process():
            path = osp.join(runner.work_dir, name)
            write_last_checkpoint(runner.work_dir, path)

    def _tell_plan(self, runner: Runner) -> None:
        """Log the first iteration's time and an estimate of the rest."""
        seconds = max(time.monotonic() - self._before, 1e-6)
        steps = runner.max_iters - self._first
        reached = min(steps, int(60 * self.minutes / seconds) + 1)
        runner.logger.info(
            f'the first iteration took {seconds:.1f} s: about {reached} of '
            f'{steps} iterations fit in {self.minutes:g} minutes and take '
            f'{min(steps * seconds / 60, self.minutes):.1f} of them'
        )
