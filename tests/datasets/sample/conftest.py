"""A small sample of every layout, written once, and simple cut-outs."""

import importlib.util

import numpy as np
import pytest

from hvc_mm.datasets.sample.cutouts import CutOut


@pytest.fixture(scope='session')
def photos():
    """Skips where the packages that hold the photographs are missing."""
    for module in ('skimage', 'sklearn'):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f'{module}, which holds photographs, is missing')


@pytest.fixture(scope='session')
def spec():
    """Small enough to be written in a second or so."""
    from hvc_mm.datasets.sample import SampleSpec

    return SampleSpec(seed=3, videos=4, frames=12, size=(72, 128), images=24)


@pytest.fixture(scope='session')
def write_sample(photos):
    """A function that writes layouts into a folder."""
    from hvc_mm.datasets.sample import SampleFolder, write_layout

    def write(root, spec, *layouts, force=False):
        results = {}
        with SampleFolder(root, force) as folder:
            for layout in layouts:
                results[layout] = write_layout(layout, folder, spec)
        return results

    return write


@pytest.fixture(scope='session')
def sample(tmp_path_factory, spec, write_sample):
    """The folder with one sample of all layouts."""
    from hvc_mm.datasets.sample import LAYOUTS

    root = tmp_path_factory.mktemp('sample')
    write_sample(root, spec, *LAYOUTS)
    return root


@pytest.fixture
def square():
    """A 16x16 cut-out, its left half blue (BGR), its right half red."""
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, :8, 0] = 200
    image[:, 8:, 2] = 200
    return CutOut('square', image, np.ones((16, 16), np.float32), 16.0)
