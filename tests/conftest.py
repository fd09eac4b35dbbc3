"""What all tests share: where the reference material is, and skips."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / 'shared'


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


needs_mmdet = pytest.mark.skipif(
    not _installed('mmdet'), reason='mmdet is not installed in this column'
)
needs_mmtrack = pytest.mark.skipif(
    not _installed('mmtrack'), reason='mmtrack is not installed in this column'
)


def pytest_collection_modifyitems(items):
    """`@pytest.mark.mmdet` and `.mmtrack` skip where those are missing."""
    for item in items:
        if item.get_closest_marker('mmdet'):
            item.add_marker(needs_mmdet)
        if item.get_closest_marker('mmtrack'):
            item.add_marker(needs_mmtrack)


@pytest.fixture(scope='session')
def root_dir() -> Path:
    """The checkout's top folder."""
    return ROOT


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """Reference numbers and real data; a plain clone has none."""
    if not SHARED.is_dir():
        pytest.skip(f'no reference material at {SHARED.name}/ beside the clone')
    return SHARED


@pytest.fixture(scope='session')
def golden_dir(shared_dir) -> Path:
    """Inputs and outputs of the public releases."""
    return shared_dir / 'golden'
