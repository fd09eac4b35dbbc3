"""The COCO layout: train2017 images and their instances as json."""

from __future__ import annotations

import json
from typing import Iterator

import numpy as np

from .output import SampleFolder, SampleSpec
from .polygons import polygon_area
from .staging import stream
from .stills import draw_still

# COCO's 80 things in the order of their ids; the ids skip eleven numbers.
_NAMES = (
    'person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, '
    'traffic light, fire hydrant, stop sign, parking meter, bench, bird, '
    'cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, '
    'umbrella, handbag, tie, suitcase, frisbee, skis, snowboard, '
    'sports ball, kite, baseball bat, baseball glove, skateboard, '
    'surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, '
    'bowl, banana, apple, sandwich, orange, broccoli, carrot, hot dog, '
    'pizza, donut, cake, chair, couch, potted plant, bed, dining table, '
    'toilet, tv, laptop, mouse, remote, keyboard, cell phone, microwave, '
    'oven, toaster, sink, refrigerator, book, clock, vase, scissors, '
    'teddy bear, hair drier, toothbrush'
).split(', ')
_SKIPPED = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
_IDS = [i for i in range(1, 91) if i not in _SKIPPED]


def coco_categories() -> dict[str, int]:
    """COCO's 80 category names and their ids, 1 to 90."""
    return dict(zip(_NAMES, _IDS))


def _annotation(
    number: int, image_id: int, category_id: int, outline: np.ndarray
) -> dict:
    outline = np.round(outline, 2)
    low, high = outline.min(axis=0), outline.max(axis=0)
    return {
        'id': number,
        'image_id': image_id,
        'category_id': category_id,
        'bbox': np.round([*low, *(high - low)], 2).tolist(),
        'area': round(polygon_area(outline), 2),
        'iscrowd': 0,
        'segmentation': [outline.reshape(-1).tolist()],
    }


def coco_steps(spec: SampleSpec) -> int:
    """How often :func:`write_coco` yields."""
    return spec.images


def write_coco(folder: SampleFolder, spec: SampleSpec) -> Iterator[None]:
    """Write `coco/train2017` and its instances.

    Some images show nothing of COCO's categories, as in COCO itself.

    Yields:
        None: After every image.
    """
    ids = coco_categories()
    images, annotations = [], []
    for index in range(spec.images):
        still = draw_still(stream(spec.seed, 'coco', index))
        image_id = index + 1
        name = f'{image_id:012d}.jpg'
        folder.write_image(f'coco/train2017/{name}', still.image)
        height, width = still.image.shape[:2]
        images.append(
            {
                'id': image_id,
                'file_name': name,
                'height': height,
                'width': width,
            }
        )
        for category, outline in still.objects:
            number = len(annotations) + 1
            annotations.append(
                _annotation(number, image_id, ids[category], outline)
            )
        folder.counts['images'] += 1
        folder.counts['objects'] += len(still.objects)
        folder.counts['images without objects'] += not still.objects
        yield
    content = {
        'info': {'description': 'crops and tilings of a few photographs'},
        'images': images,
        'annotations': annotations,
        'categories': [{'id': i, 'name': n} for n, i in ids.items()],
    }
    folder.write_text(
        'coco/annotations/instances_train2017.json', json.dumps(content)
    )
