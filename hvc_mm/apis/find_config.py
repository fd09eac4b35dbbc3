"""Configs by name, wherever the package lies."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Dict, Union

import hvc_mm


def config_root() -> Path:
    """The folder of configs that belongs to this ``hvc_mm``.

    Returns:
        ``.mim/configs`` in an installed package, else ``configs`` beside the
        package, as a checkout has it.

    Raises:
        FileNotFoundError: Neither is there.
    """
    package = Path(hvc_mm.__file__).resolve().parent
    # A folder `configs` beside an installed package may be anyone's, so the
    # package's own comes first.
    for root in (package / '.mim' / 'configs', package.parent / 'configs'):
        if root.is_dir():
            return root
    raise FileNotFoundError(
        f'no configs with {package}: expected .mim/configs in it (made by '
        'pip install) or configs beside it (a checkout)'
    )


def list_configs() -> Dict[str, Path]:
    """Every config that can be run, by name.

    Returns:
        Paths by the file's stem, e.g. ``hvc_davis``; parts that configs are
        put together from (``_base_``) are left out.
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

    Returns:
        The file's path.

    Raises:
        FileNotFoundError: There is neither such a file nor such a name; the
            nearest names are told.
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
