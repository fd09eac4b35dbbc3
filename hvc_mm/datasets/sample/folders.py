"""Plain folders of photographs, as pre-training on VOC or MSRA10k has them.

``VOCdevkit/VOC2012/JPEGImages`` and ``MSRA10K_Imgs_GT/Imgs`` (photographs,
each with the mask of what stands out beside it: not a photograph) are the
official layouts; ``Static/JPEGImages/{COCO,MSRA10K,PASCAL}`` is that of
HVC's release; ``images`` is any folder of photographs, the one that
``configs/hvc_folder.py`` reads by default.
"""

from __future__ import annotations

from typing import Iterator

import numpy as np

from .output import SampleFolder, SampleSpec
from .polygons import coverage
from .staging import stream
from .stills import Still, draw_still

_PLAIN = {
    'images': 'photo_{:04d}.jpg',
    'Static/JPEGImages/COCO': '{:012d}.jpg',
    'Static/JPEGImages/MSRA10K': '{}.jpg',
    'Static/JPEGImages/PASCAL': '2008_{:06d}.jpg',
    'VOCdevkit/VOC2012/JPEGImages': '2008_{:06d}.jpg',
}
_MSRA = 'MSRA10K_Imgs_GT/Imgs'


def saliency_mask(still: Still) -> np.ndarray:
    """Where a still's objects are: ``(H, W)`` uint8, 0 or 255."""
    mask = np.zeros(still.image.shape[:2], np.uint8)
    for _, outline in still.objects:
        mask[coverage(outline, *mask.shape) >= 0.5] = 255
    return mask


def images_per_folder(spec: SampleSpec) -> int:
    """Each of the six folders gets a tenth of the images."""
    return max(spec.images // 10, 1)


def folder_steps(spec: SampleSpec) -> int:
    """How often :func:`write_folders` yields."""
    return (len(_PLAIN) + 1) * images_per_folder(spec)


def write_folders(folder: SampleFolder, spec: SampleSpec) -> Iterator[None]:
    """Write all of these folders.

    Yields:
        None: After every image.
    """
    count = images_per_folder(spec)
    for path, pattern in _PLAIN.items():
        for index in range(count):
            still = draw_still(stream(spec.seed, path, index))
            name = pattern.format(index + 1)
            folder.write_image(f'{path}/{name}', still.image)
            folder.counts['images'] += 1
            yield
        folder.counts['folders'] += 1
    for index in range(count):
        still = draw_still(stream(spec.seed, _MSRA, index))
        folder.write_image(f'{_MSRA}/{index + 1}.jpg', still.image)
        mask = np.repeat(saliency_mask(still)[..., None], 3, axis=2)
        folder.write_image(f'{_MSRA}/{index + 1}.png', mask)
        folder.counts['images'] += 1
        yield
    folder.counts['folders'] += 1
