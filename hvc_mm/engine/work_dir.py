"""The checkpoints of a training's work directory: write, find, protect them.

mmengine's runner trusts ``last_checkpoint``, a file that names a path. It
may be empty after a kill, or name the place that a work directory was copied
from. Here the directory itself counts, and only checkpoints that can be read.
"""

from __future__ import annotations

import logging
import os.path as osp
import re
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import print_log

from hvc_mm.checkpoint import CheckpointError, read_checkpoint
from hvc_mm.utils.files import whole_file

__all__ = [
    'WHOLE_FILES',
    'WorkDirError',
    'check_training_state',
    'latest_checkpoint',
    'list_checkpoints',
    'refuse_used_folder',
    'write_last_checkpoint',
]

LAST = 'last_checkpoint'
# As mmengine's CheckpointHook names them.
_NAME = re.compile(r'(epoch|iter)_(\d+)\.pth')
_BEST = 'best_*.pth'
# For mmengine's `backend_args`: a file appears under its name when complete.
WHOLE_FILES = dict(backend='hvc_mm.whole_files')


class WorkDirError(ValueError):
    """A training can't use a work directory; the message says why."""


@register_backend(WHOLE_FILES['backend'], force=True)
class WholeFileBackend(LocalBackend):
    """mmengine's files on disk, written under another name and renamed."""

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write bytes to a file; one of that name stays until it is whole.

        Args:
            obj: The content.
            filepath: The file; missing folders are made.

        Raises:
            OSError: It can't be written, e.g. on a full disk; names it.
        """
        with whole_file(filepath) as partial:
            partial.write_bytes(obj)


def write_last_checkpoint(folder: str, checkpoint: str) -> None:
    """Note which checkpoint is the last, where mmengine looks for it.

    Args:
        folder: The work directory.
        checkpoint: Path of the checkpoint.
    """
    with whole_file(osp.join(folder, LAST)) as partial:
        partial.write_text(checkpoint, encoding='utf-8')


def list_checkpoints(folder: Union[str, Path]) -> List[Path]:
    """List ``epoch_*.pth`` and ``iter_*.pth``, those with most steps first."""
    found = [p for p in Path(folder).glob('*.pth') if _NAME.fullmatch(p.name)]
    return sorted(found, key=_kind_and_step, reverse=True)


def _kind_and_step(path: Path) -> Tuple[str, int]:
    kind, step = _NAME.fullmatch(path.name).groups()
    return kind, int(step)


def latest_checkpoint(folder: Union[str, Path]) -> Optional[Path]:
    """Find the checkpoint that a run goes on from, among those of a folder.

    It is the one that ``last_checkpoint`` names, by its name alone: a folder
    that was moved has its own. Where that file is missing or empty, or the
    checkpoint is damaged, it is the newest one that can be read; what is
    passed over is logged.

    Args:
        folder: The folder of the checkpoints.

    Returns:
        Its path; None where the folder has no checkpoint.

    Raises:
        CheckpointError: There are some, but none can be read.
    """
    found = list_checkpoints(folder)
    if not found:
        return None
    named = _named_checkpoint(Path(folder))
    if named in found:
        kind, step = _kind_and_step(named)
        older = [
            path
            for path in found
            if (kind, -1) < _kind_and_step(path) <= (kind, step)
        ]
        # Those after it are of a run that was given up: the last to try.
        groups = [[*older, *(p for p in found if p not in older)]]
    else:
        print_log(
            f'{folder}: {LAST} names no checkpoint here; looking for the '
            'newest whole one',
            'current',
            logging.WARNING,
        )
        kinds = sorted({_kind_and_step(path)[0] for path in found})
        groups = [
            [path for path in found if _kind_and_step(path)[0] == kind]
            for kind in kinds
        ]
    iters, latest = max(map(_first_readable, groups))
    if iters < 0:
        names = ', '.join(path.name for path in found)
        raise CheckpointError(
            f'{folder}: none of its checkpoints can be read ({names}); '
            'expected a whole one to go on from'
        )
    return latest


def _named_checkpoint(folder: Path) -> Path:
    """Find what ``last_checkpoint`` names, as a file of this folder."""
    try:
        text = (folder / LAST).read_text(encoding='utf-8', errors='replace')
    except OSError:
        text = ''
    return folder / osp.basename(text.strip())


def _first_readable(paths: List[Path]) -> Tuple[int, Path]:
    """Find the first whole checkpoint, with its iterations; -1 for none."""
    for path in paths:
        try:
            meta = read_checkpoint(path).get('meta') or {}
        except CheckpointError as error:
            print_log(f'passed over: {error}', 'current', logging.WARNING)
            continue
        return meta.get('iter', 0), path
    return -1, paths[0]


def refuse_used_folder(folder: Union[str, Path]) -> None:
    """Refuse a folder whose checkpoints a new training would write over.

    Args:
        folder: Where the training will write its checkpoints.

    Raises:
        WorkDirError: It holds some; names the ways out.
    """
    held = [*list_checkpoints(folder), *sorted(Path(folder).glob(_BEST))]
    if held:
        some = ', '.join(path.name for path in held[:4])
        more = ', ...' if len(held) > 4 else ''
        raise WorkDirError(
            f'{folder} holds checkpoints of an earlier training ({some}{more}'
            '), which this one would write over: go on from them with '
            '--resume (resume=True), or write elsewhere with --work-dir '
            '(work_dir)'
        )


def check_training_state(path: Union[str, Path]) -> None:
    """Refuse a file that holds weights but no state of a training.

    Args:
        path: Given to ``--resume``.

    Raises:
        CheckpointError: It can't be read, or lacks what a training needs.
    """
    content: Dict[str, Any] = read_checkpoint(path)
    meta = content.get('meta')
    lacks = [key for key in ('meta', 'message_hub') if key not in content]
    if isinstance(meta, dict):
        lacks += [
            f'meta.{key}' for key in ('epoch', 'iter') if key not in meta
        ]
    if lacks:
        raise CheckpointError(
            f'{path}: plain weights, without the state of a training '
            f'({", ".join(lacks)} missing), which --resume goes on from; to '
            'start a new training from these weights use --cfg-options '
            f'load_from={path}'
        )
