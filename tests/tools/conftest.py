"""How tests get at command-line tools: as modules, siblings importable."""

import importlib
import sys
from pathlib import Path

import pytest


@pytest.fixture
def load_tool(root_dir, monkeypatch):
    """Import ``tools/<path>`` anew; forget it and its siblings afterwards."""
    folder = root_dir / 'tools'
    before = set(sys.modules)

    def load(path):
        file = folder / path
        monkeypatch.syspath_prepend(str(file.parent))
        return importlib.import_module(file.stem)

    yield load
    for name in set(sys.modules) - before:
        origin = getattr(sys.modules[name], '__file__', None)
        if origin and folder in Path(origin).parents:
            del sys.modules[name]
