"""Find and read config files.

YAML runs nothing, and errors name file and line. ``_base_`` may name a config
of this project from anywhere, as ``'hvc_mm::hvc_davis.py'``.
"""

from __future__ import annotations

import json
import traceback
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Dict, Optional, TextIO, Tuple, Union

import yaml
from mmengine.config import Config
from mmengine.fileio import YamlHandler, register_handler

from hvc_mm.utils.config_root import config_root

from .other_projects import (
    NO_TRACKING,
    missing_project,
    need_of,
    needs_tracking,
)

__all__ = [
    'ConfigError',
    'find_config',
    'list_configs',
    'load_config',
    'load_values',
]

_SUFFIXES = ('.py', '.yaml', '.yml', '.json')


class ConfigError(ValueError):
    """A config file can't be read; the message says which, where and why."""


def list_configs() -> Dict[str, Path]:
    """List every config that can be run, by its stem (``hvc_davis``).

    Parts that configs are put together from (``_base_``) are left out.
    """
    root = config_root()
    return {
        path.stem: path
        for path in sorted(root.rglob('*.py'))
        if '_base_' not in path.relative_to(root).parts
    }


def find_config(name: Union[str, Path]) -> Path:
    """Find a config file.

    Args:
        name: A path, or the name of one of the project's configs: its stem
            (``hvc_davis``), with or without ``.py``.

    Raises:
        FileNotFoundError: Neither is there; the nearest names are told.
    """
    path = Path(name)
    if path.is_file():
        return path
    found = list_configs()
    stem = path.stem if path.suffix == '.py' else path.name
    # A path that isn't there is a mistake even if its last part is a name.
    if len(path.parts) == 1 and stem in found:
        return found[stem]
    near = get_close_matches(stem, found) or sorted(found)[:8]
    raise FileNotFoundError(
        f'no config {name}: neither a file nor one of the {len(found)} names '
        f'in {config_root()}; did you mean {", ".join(near)}?'
    )


class _SafeLoader(yaml.SafeLoader):
    """Builds plain values and, as dumped configs have them, tuples."""

    def construct_tuple(self, node: yaml.SequenceNode) -> tuple:
        """Build the value of ``!!python/tuple [1, 2]``."""
        return tuple(self.construct_sequence(node, deep=True))


_SafeLoader.add_constructor(
    'tag:yaml.org,2002:python/tuple', _SafeLoader.construct_tuple
)


# For all of mmengine, which reads the files that a config derives from.
@register_handler(['yaml', 'yml'])
class SafeYamlHandler(YamlHandler):
    """Reads YAML for mmengine, whose own loader calls what a file names."""

    def load_from_fileobj(self, file: TextIO, **kwargs) -> Any:
        """Read an open file into plain values."""
        return yaml.load(file, Loader=_SafeLoader)


_mmengines_path = Config._get_cfg_path


def _config_path(cfg_path: str, filename: str) -> Tuple[str, Optional[str]]:
    """Find a file that a config derives from, and its scope for mmengine.

    mmengine knows a fixed list of projects, and finds none that was
    installed with ``pip install --editable``. Ours gets no scope, as little
    as by a path: the configs have a default scope, and of functions, such as
    a ``collate_fn``, mmengine would take it for an argument.
    """
    project, _, name = cfg_path.partition('::')
    if project != 'hvc_mm':
        return _mmengines_path(cfg_path, filename)
    path = config_root() / name
    return str(path if path.is_file() else find_config(name)), None


# For all of mmengine, which reads the files that a config derives from.
Config._get_cfg_path = staticmethod(_config_path)


def load_config(path: Union[str, Path]) -> Config:
    """Read a config in Python, YAML or JSON, with the files it derives from.

    A config in Python is code and runs; YAML and JSON are only read.

    Args:
        path: The file.

    Raises:
        ConfigError: It, or a file that it derives from, can't be read.
    """
    path = Path(path)
    if path.suffix not in _SUFFIXES:
        expected = ', '.join(_SUFFIXES)
        raise ConfigError(f'{path}: expected a name that ends in {expected}')
    if path.suffix != '.py':
        load_values(path)
    try:
        return Config.fromfile(path)
    except Exception as error:  # a config in Python may raise anything
        raise ConfigError(_message(error, path)) from error


def load_values(path: Union[str, Path]) -> dict:
    """Read keys and plain values from a YAML or JSON file.

    Args:
        path: The file; ``.json`` is JSON, any other one YAML.

    Raises:
        ConfigError: It can't be read, or holds something else.
    """
    try:
        with open(path, encoding='utf-8') as file:
            if Path(path).suffix == '.json':
                values = json.load(file)
            else:
                values = yaml.load(file, Loader=_SafeLoader)
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(_message(error, Path(path))) from error
    if not isinstance(values, dict):
        found = 'nothing' if values is None else type(values).__name__
        raise ConfigError(f'{path}: expected keys and values, found {found}')
    return values


def _message(error: Exception, path: Path) -> str:
    """Say in one line what is wrong, and where it is known in which line."""
    project = missing_project(error)
    if project:
        return f'{path}: {need_of(project)}'
    if needs_tracking(error):
        return f'{path}: {NO_TRACKING}'
    kind, reason, line = type(error).__name__, str(error), None
    if isinstance(error, SyntaxError):
        reason, line = error.msg, error.lineno
    elif isinstance(error, yaml.MarkedYAMLError):
        reason = error.problem
        # In Python: of a file that it derives from, whose name isn't known.
        if path.suffix != '.py' and error.problem_mark:
            line = error.problem_mark.line + 1
    else:
        # What runs at the top of the config, or of one that it derives from.
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.name == '<module>':
                path, line = Path(frame.filename), frame.lineno
    place = f'{path}, line {line}' if line else str(path)
    return ' '.join(f'{place}: cannot be read: {kind}: {reason}'.split())
