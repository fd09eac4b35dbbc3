"""Still images for pre-training: crops of the photographs, and tilings.

Outlines of things go along, cut to what is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .cutouts import objects_in_photo
from .photos import load_photo, photo_names
from .polygons import clip_to_frame, polygon_area

# (H, W) of a still, the usual shapes of COCO's images at half their size.
_SHAPES = ((240, 320), (320, 240), (212, 320), (256, 256))
_TILED = 0.3


@dataclass(frozen=True)
class Still:
    """An image and what it shows.

    Attributes:
        image: ``(H, W, 3)`` uint8, BGR.
        objects: Pairs of COCO's category name and outline ``(V, 2)`` in
            the image's pixels.
    """

    image: np.ndarray
    objects: tuple[tuple[str, np.ndarray], ...]


def draw_crop(
    rng: np.random.Generator, shape: tuple[int, int], photo_name: str
) -> Still:
    """A random part of a photograph, at times mirrored, in a given shape.

    Args:
        rng: Where chance comes from.
        shape: (H, W) of the result.
        photo_name: Which photograph.
    """
    photo = load_photo(photo_name)
    height, width = shape
    photo_height, photo_width = photo.shape[:2]
    fit = min(photo_height / height, photo_width / width)
    # The square root makes the area, not the side, evenly distributed.
    step = fit * np.sqrt(rng.uniform(0.12, 1.0))
    crop_height = min(max(round(height * step), 2), photo_height)
    crop_width = min(max(round(width * step), 2), photo_width)
    top = int(rng.integers(photo_height - crop_height + 1))
    left = int(rng.integers(photo_width - crop_width + 1))
    mirrored = rng.random() < 0.5
    part = photo[top : top + crop_height, left : left + crop_width]
    shrinks = crop_width > width
    image = cv2.resize(
        part,
        (width, height),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC,
    )
    factor = np.array((width / crop_width, height / crop_height))
    objects = []
    for category, outline in objects_in_photo(photo_name):
        whole = (outline - (left, top)) * factor
        if mirrored:
            whole[:, 0] = width - whole[:, 0]
        seen = clip_to_frame(whole, width, height)
        # A sliver at the border is nothing that an annotator would draw.
        if len(seen) >= 3 and polygon_area(seen) >= max(
            64, 0.03 * polygon_area(whole)
        ):
            objects.append((category, seen))
    if mirrored:
        image = np.ascontiguousarray(image[:, ::-1])
    return Still(image, tuple(objects))


def draw_tiling(rng: np.random.Generator, shape: tuple[int, int]) -> Still:
    """Four crops of different photographs, meeting at a random point."""
    height, width = shape
    row = int(round(height * rng.uniform(0.35, 0.65)))
    column = int(round(width * rng.uniform(0.35, 0.65)))
    names = rng.permutation(photo_names())[:4]
    image = np.empty((height, width, 3), np.uint8)
    objects = []
    corners = (
        (0, 0, row, column),
        (0, column, row, width - column),
        (row, 0, height - row, column),
        (row, column, height - row, width - column),
    )
    for name, (top, left, high, wide) in zip(names, corners):
        crop = draw_crop(rng, (high, wide), str(name))
        image[top : top + high, left : left + wide] = crop.image
        objects += [(kind, o + (left, top)) for kind, o in crop.objects]
    return Still(image, tuple(objects))


def draw_still(rng: np.random.Generator) -> Still:
    """A crop or a tiling in one of the usual shapes."""
    shape = _SHAPES[rng.integers(len(_SHAPES))]
    if rng.random() < _TILED:
        return draw_tiling(rng, shape)
    names = photo_names()
    return draw_crop(rng, shape, names[rng.integers(len(names))])
