"""Find a training of HVC by what it trained, where no weights are given."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, List, Mapping, Optional

from mmengine.config import Config
from mmengine.logging import print_log

from hvc_mm.registry import MODELS

from .work_dir import latest_checkpoint, list_checkpoints

WORK_DIRS = 'work_dirs'
# What of a backbone's config says neither which tensors it has nor what they
# were trained for.
_NOT_TRAINED = (
    'init_cfg',
    'out_indices',
    'nodes',
    'frozen_stages',
    'norm_eval',
    'with_cp',
)


def newest_checkpoint(
    backbone: Mapping[str, Any], root: str = WORK_DIRS
) -> Optional[Path]:
    """Find the last checkpoint of the newest run that trained a backbone.

    A run is a folder of ``root`` with checkpoints and the config that
    mmengine dumped there, in which HVC has this backbone. The newest is the
    one whose checkpoints are.

    Args:
        backbone: Config of a backbone; of an ensemble the first member
            counts, which takes the weights.
        root: The folder of work directories.

    Returns:
        The checkpoint, which is logged; None where no run fits.

    Raises:
        CheckpointError: Of the newest run none can be read.
    """
    wanted = architecture(backbone)
    runs = [f for f in Path(root).glob('*/') if list_checkpoints(f)]
    for folder in sorted(runs, key=_time, reverse=True):
        if wanted in map(architecture, _trained_backbones(folder)):
            found = latest_checkpoint(folder)
            print_log(
                f'weights: {found}, of the newest run in {root} that trained '
                'HVC with this backbone',
                'current',
            )
            return found
    return None


def architecture(backbone: Mapping[str, Any]) -> str:
    """Describe a backbone by all that its training depends on.

    Args:
        backbone: A config; arguments that it lacks have their defaults.
    """
    if backbone.get('members'):
        backbone = backbone['members'][0]
    name = str(backbone.get('type')).split('.')[-1]
    MODELS.import_from_location()
    cls = MODELS.module_dict.get(name)
    known = inspect.signature(cls).parameters.values() if cls else ()
    given = {p.name: p.default for p in known if p.default is not p.empty}
    given.update(backbone, type=name)
    kept = {k: v for k, v in given.items() if k not in _NOT_TRAINED}
    # A list and a tuple are the same in JSON.
    return json.dumps(kept, sort_keys=True, default=str)


def _time(folder: Path) -> float:
    return max(path.stat().st_mtime for path in list_checkpoints(folder))


def _trained_backbones(folder: Path) -> List[Mapping[str, Any]]:
    """List what the configs of a work directory let HVC train."""
    found = []
    for path in sorted(folder.glob('*.py')):
        try:
            # The user's modules may be gone, and are not needed to compare.
            cfg = Config.fromfile(path, import_custom_modules=False)
        except Exception:  # a file in Python may raise anything
            continue
        model = cfg.get('model') or {}
        if str(model.get('type')).split('.')[-1] == 'HVC':
            found.append(model.get('backbone') or {})
    return found
