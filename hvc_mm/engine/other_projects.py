"""Say which other OpenMMLab project a config needs, where it is missing."""

from __future__ import annotations

import os.path as osp
from importlib.util import find_spec
from typing import Any, Iterator, Optional

from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE

from hvc_mm.utils.environment import fits, installed_versions

# What to install, or to use instead. Of other projects: the package.
_ADVICE = {
    'mmdet': (
        'MMDetection: `make env COLUMN=b`, or install mmcv with operators and '
        'mmdet; hvc_coco.py and hvc_davis.py do without'
    ),
    'mmtrack': (
        'MMTracking 1.x: `make env COLUMN=a`; hvc_davis.py and '
        'tools/demo/video_demo.py do without'
    ),
}
# Of a tracker, where there is none.
NO_TRACKING = (
    'MMDetection has tracking from 3.1 on: `make env COLUMN=b`, or install a '
    'newer mmdet; with MMTracking 1.x (column a) '
    'configs/mixed/mask-rcnn_hvc_ytvis.py does the same'
)


def lacks_tracking() -> bool:
    """Tell whether MMDetection is there, but older than its tracking."""
    return fits(installed_versions()['mmdet'], '<3.1')


def need_of(project: str) -> str:
    """Say that a config needs a project, and how to go on.

    Args:
        project: Its module, such as ``'mmdet'``.
    """
    package = MODULE2PACKAGE.get(project, project)
    advice = _ADVICE.get(project, f'{package}: `pip install {package}`')
    return f'needs {project}, which is not installed. {advice}'


def check_projects(cfg: Config) -> None:
    """Make sure that the projects whose types a config names are installed.

    Args:
        cfg: A complete config.

    Raises:
        ValueError: One is missing; with the config's file, the type and what
            to install or to use instead.
    """
    for kind in (f'{cfg.get("default_scope")}.', *_types(cfg.to_dict())):
        project, dot, name = kind.partition('.')
        if dot and project in MODULE2PACKAGE and find_spec(project) is None:
            what = f'type {kind}' if name else f'default_scope {project}'
            raise ValueError(f'{cfg.filename}: {what} {need_of(project)}')


def needs_tracking(error: Exception) -> bool:
    """Tell whether a config asks an older MMDetection for its tracking."""
    parts = osp.join('mmdet', '.mim'), 'hvc_mm.bridges.mmdet'
    return lacks_tracking() and any(part in str(error) for part in parts)


def missing_project(error: Exception) -> Optional[str]:
    """Name the project that mmengine missed while it read a config."""
    words = str(error).split()
    if isinstance(error, ModuleNotFoundError) and words:
        if words[0] in MODULE2PACKAGE and find_spec(words[0]) is None:
            return words[0]
    return None


def _types(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get('type'), str):
            yield value['type']
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _types(each)
