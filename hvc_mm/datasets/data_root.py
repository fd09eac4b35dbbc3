"""One place that says where the data are.

The configs spell every path of data as ``{{$HVC_DATA_ROOT:data}}/...``,
which mmengine fills in from the environment while it reads a file. A root
given later, by ``--cfg-options data_root=...`` or by a config that inherits
ours, then has to reach those paths; that is done here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional, Sequence, Union

from mmengine.config import Config

DATA_ROOT_VARIABLE = 'HVC_DATA_ROOT'
DEFAULT_DATA_ROOT = 'data'

# Where a run writes; it may well lie in a folder that is named as the data.
_NOT_DATA = ('work_dir', 'data_root')


def read_config(
    filename: Union[str, Path], cfg_options: Optional[dict] = None
) -> Config:
    """Read a config, apply options to it, and settle where the data are.

    Args:
        filename: The config file; one that a run dumped works as well.
        cfg_options: What ``--cfg-options`` gave, dotted keys to values.
            ``data_root`` moves every path of data; other options come after
            that and may name a path of their own.

    Returns:
        Config: Complete; ``data_root`` says which root is in use.
    """
    cfg = Config.fromfile(filename)
    options = dict(cfg_options or {})
    root = options.pop('data_root', None)
    set_data_root(cfg, root or cfg.get('data_root', _root_in_use(cfg)))
    if options:
        cfg.merge_from_dict(options)
    return cfg


def set_data_root(cfg: Config, root: str) -> None:
    """Move every path of data in a config to another root, in place.

    Paths below the root that the config was read with are moved, be it from
    the environment, the default, or the config's own ``data_root``; paths
    elsewhere stay as they are.

    Args:
        cfg: The config.
        root: The new root.
    """
    old = {_root_in_use(cfg), str(cfg.get('data_root', root)), root}
    old = sorted((r.rstrip('/') for r in old), key=len, reverse=True)
    for key in cfg:
        if key not in _NOT_DATA:
            cfg[key] = _moved(key, cfg[key], old, root.rstrip('/'))
    cfg.data_root = root


def _root_in_use(cfg: Config) -> str:
    return cfg.env_variables.get(DATA_ROOT_VARIABLE, DEFAULT_DATA_ROOT)


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
