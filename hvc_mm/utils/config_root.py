"""Where the project's own configs are."""

from __future__ import annotations

from pathlib import Path


def config_root() -> Path:
    """Find the folder of configs that belongs to this ``hvc_mm``.

    It is ``.mim/configs`` in an installed package, else ``configs`` next to
    the package, as a checkout has it.
    """
    package = Path(__file__).resolve().parents[1]
    # A folder `configs` next to an installed package may be anyone's, so the
    # package's own comes first.
    for root in (package / '.mim/configs', package.parent / 'configs'):
        if root.is_dir():
            return root
    raise FileNotFoundError(
        f'no configs with {package}: expected .mim/configs in it (made by '
        'pip install) or configs next to it (a checkout)'
    )
