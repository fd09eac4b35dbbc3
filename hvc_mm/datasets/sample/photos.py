"""The photographs that come inside the scikit-image and scikit-learn wheels.

They are read as plain files: importing either package would cost seconds,
and scikit-image's own loaders may reach for the network.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

# Name -> (module, name of the package that pip installs, path inside it).
# Only files that the wheels themselves hold (scikit-image 0.24 to 0.26,
# scikit-learn 1.5 to 1.9); others are fetched on demand by scikit-image.
_FILES = {
    'astronaut': ('skimage', 'scikit-image', 'data/astronaut.png'),
    'chelsea': ('skimage', 'scikit-image', 'data/chelsea.png'),
    'coffee': ('skimage', 'scikit-image', 'data/coffee.png'),
    'rocket': ('skimage', 'scikit-image', 'data/rocket.jpg'),
    'motorcycle_left': (
        'skimage',
        'scikit-image',
        'data/motorcycle_left.png',
    ),
    'motorcycle_right': (
        'skimage',
        'scikit-image',
        'data/motorcycle_right.png',
    ),
    'china': ('sklearn', 'scikit-learn', 'datasets/images/china.jpg'),
    'flower': ('sklearn', 'scikit-learn', 'datasets/images/flower.jpg'),
}
_DISPARITY = ('skimage', 'scikit-image', 'data/motorcycle_disp.npz')


def photo_names() -> tuple[str, ...]:
    """Names that :func:`load_photo` takes."""
    return tuple(_FILES)


def _locate(module: str, package: str, inside: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f'the sample is cut from photographs of {package}, which is not '
            f'installed: pip install {package}'
        )
    path = Path(next(iter(spec.submodule_search_locations)), inside)
    if not path.is_file():
        raise FileNotFoundError(
            f'{package} is installed, but without {path}; expected a release '
            f'that ships it, e.g. pip install scikit-image==0.24.0 '
            'scikit-learn==1.5.2'
        )
    return path


@lru_cache(maxsize=None)
def load_photo(name: str) -> np.ndarray:
    """Read one photograph.

    Args:
        name: One of :func:`photo_names`.

    Returns:
        np.ndarray: ``(H, W, 3)`` uint8, BGR, read-only (it is shared).

    Raises:
        KeyError: An unknown name.
        ModuleNotFoundError: The package that holds it is not installed.
        FileNotFoundError: The package came without the file.
        ValueError: The file can't be decoded.
    """
    if name not in _FILES:
        raise KeyError(f'no photograph {name!r}; there are {list(_FILES)}')
    path = _locate(*_FILES[name])
    try:
        with Image.open(path) as image:
            rgb = np.array(image.convert('RGB'))
    except (OSError, SyntaxError) as error:
        raise ValueError(
            f'cannot decode the photograph {path}: {error}'
        ) from error
    photo = np.ascontiguousarray(rgb[..., ::-1])
    photo.setflags(write=False)
    return photo


@lru_cache(maxsize=None)
def load_disparity() -> np.ndarray:
    """Shift of each pixel of `motorcycle_left` to `motorcycle_right`.

    Returns:
        np.ndarray: ``(500, 741)`` float32, pixels to the left, infinite or
        NaN where it was not measured.
    """
    with np.load(_locate(*_DISPARITY)) as archive:
        return archive['arr_0'].astype(np.float32)
