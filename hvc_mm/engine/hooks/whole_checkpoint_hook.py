"""Checkpoints that neither a kill, a full disk nor a second run can hurt."""

from __future__ import annotations

import os.path as osp
from typing import Any, Dict, List, Optional

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import BaseLoop, Runner

from hvc_mm.registry import HOOKS
from hvc_mm.utils.files import remove_abandoned

from ..work_dir import (
    WHOLE_FILES,
    check_training_state,
    latest_checkpoint,
    refuse_used_folder,
    write_last_checkpoint,
)


@HOOKS.register_module()
class WholeCheckpointHook(CheckpointHook):
    """mmengine's ``CheckpointHook``, made safe.

    A checkpoint and ``last_checkpoint`` are written under other names and
    renamed, and an outdated checkpoint is removed after the new one is
    whole. A training that is not resumed is refused in a folder that holds
    checkpoints. A resumed one goes on from the newest checkpoint of its own
    folder that can be read, or from the file that ``load_from`` names.

    Folders that are not on disk (``s3://``) are left to mmengine. Scores of
    our metrics need no ``rule`` next to ``save_best``.

    Args:
        **kwargs: Those of mmengine's hook.
    """

    _default_greater_keys = [
        *CheckpointHook._default_greater_keys,
        *('J&F', 'J_mean', 'F_mean', 'PCK', 'overall'),
    ]

    def before_run(self, runner: Runner) -> None:
        """Refuse to write over checkpoints; find the one to resume from.

        Raises:
            ValueError: The folder holds checkpoints, and the run isn't
                resumed from one of them.
            CheckpointError: There is no checkpoint that can be resumed.
        """
        is_training = isinstance(runner._train_loop, BaseLoop)
        folder = self._folder(runner)
        if not is_training or '://' in folder:
            return
        found: List[Any] = [None]
        if is_main_process():
            try:
                found[0] = self._choose(runner, folder)
            except ValueError as error:
                found[0] = error
        broadcast_object_list(found)
        if isinstance(found[0], ValueError):
            raise found[0]
        # The runner's own search would trust last_checkpoint.
        runner._load_from = found[0]
        runner._resume = runner._resume and found[0] is not None

    def _choose(self, runner: Runner, folder: str) -> Optional[str]:
        """Find what the runner loads, a path or None."""
        given = runner._load_from
        if not runner._resume:
            refuse_used_folder(folder)
            return given
        if osp.isdir(folder):
            remove_abandoned(folder)
        if given is None:
            latest = latest_checkpoint(folder)
            if latest is None:
                runner.logger.info(
                    f'nothing to resume in {folder}: training starts from '
                    'the beginning'
                )
                return None
            check_training_state(latest)
            return str(latest)
        if '://' not in given:
            check_training_state(given)
            inside = osp.realpath(osp.dirname(given)) == osp.realpath(folder)
            if not inside:
                refuse_used_folder(folder)
        return given

    def _folder(self, runner: Runner) -> str:
        """Find the folder of the checkpoints, as ``before_train`` does."""
        if self.out_dir is None or self.out_dir == runner.work_dir:
            return runner.work_dir
        return osp.join(
            self.out_dir, osp.basename(osp.normpath(runner.work_dir))
        )

    def before_train(self, runner: Runner) -> None:
        """Choose how files are written."""
        plain = self.backend_args is None and self.file_client_args is None
        if plain and '://' not in self._folder(runner):
            self.backend_args = WHOLE_FILES
        self._adopt_best(runner)
        super().before_train(runner)

    def _adopt_best(self, runner: Runner) -> None:
        """Look for the best checkpoints of a copied folder in the copy."""
        info = runner.message_hub.runtime_info
        for key in [k for k in info if k.startswith('best_ckpt')]:
            name = osp.basename(str(info[key]))
            runner.message_hub.update_info(
                key, osp.join(self._folder(runner), name)
            )

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int, meta: Dict[str, int]
    ) -> None:
        """Save, then note the last checkpoint, then remove outdated ones."""
        outdated = []
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated.append(self.keep_ckpt_ids.popleft())
            self.keep_ckpt_ids.append(step)
            ids = list(self.keep_ckpt_ids)
            runner.message_hub.update_info('keep_ckpt_ids', ids)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if not is_main_process():
            return
        write_last_checkpoint(runner.work_dir, self.last_ckpt)
        for old in outdated:
            path = self.file_backend.join_path(
                self.out_dir, self.filename_tmpl.format(old)
            )
            if self.file_backend.isfile(path):
                self.file_backend.remove(path)
