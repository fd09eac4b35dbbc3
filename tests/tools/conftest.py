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


@pytest.fixture
def call_tool(load_tool, monkeypatch):
    """Call a tool's ``main`` in this process with a shell's arguments."""

    def call(tool, *arguments, data_root=None):
        if data_root is not None:
            monkeypatch.setenv('HVC_DATA_ROOT', str(data_root))
        monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
        return load_tool(tool).main()

    return call


@pytest.fixture
def call_test(call_tool, root_dir, tmp_path):
    """Call ``tools/test.py`` on a config; return the new work folder."""

    def call(config, *options, data_root, checkpoint='none'):
        # mmengine refuses two runs of one name.
        work = tmp_path / f'{config}_{len(list(tmp_path.iterdir()))}'
        call_tool(
            'test.py',
            *(root_dir / f'configs/{config}.py', checkpoint),
            *('--work-dir', work, '--cfg-options'),
            f'experiment_name={work.parent.name}_{work.name}',
            *('test_dataloader.num_workers=0', *options),
            data_root=data_root,
        )
        return work

    return call
