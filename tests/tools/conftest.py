"""How tests get at command-line tools: as modules, siblings importable."""

import importlib.util
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
        # Not by its own name: `test` is one of Python's own modules.
        name = f'tool_{file.stem}'
        spec = importlib.util.spec_from_file_location(name, file)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
        return sys.modules[name]

    yield load
    for name in set(sys.modules) - before:
        origin = getattr(sys.modules[name], '__file__', None)
        if origin and folder in Path(origin).parents:
            del sys.modules[name]
