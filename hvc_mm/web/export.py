"""Files of a video's masks to download."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Iterator, List

import cv2
import numpy as np

from hvc_mm.apis import PictureWriter
from hvc_mm.datasets import mask_to_rle, objects_in
from hvc_mm.utils.files import whole_file, write_json
from hvc_mm.visualization import overlay_ids

from .video_work import Step, VideoWork


def export(work: VideoWork, fps: float = 25.0) -> Iterator[Step]:
    """Write what is propagated: see :func:`exported`.

    Args:
        work: Its first ``done`` frames are written.
        fps: Of the overlay, where the video doesn't tell.

    Yields:
        How far it is, in frames.

    Raises:
        ValueError: Nothing is propagated, or not since the latest change of
            the first masks.
    """
    if not work.done:
        raise ValueError('there are no masks to download; propagate first')
    archive, coco, video = exported(work)
    content = _begin_coco(work)
    rate = work.source.fps or fps
    with whole_file(archive) as partial, zipfile.ZipFile(
        partial, 'w'
    ) as packed, PictureWriter(video, rate, force=True) as writer:
        for index in range(work.done):
            ids = work.ids(index)
            mask = work.folder / 'masks' / f'{index:05d}.png'
            packed.write(mask, f'masks/{mask.name}')
            _add_to_coco(content, index, ids)
            picture = overlay_ids(
                work.picture(index), ids, names=_labels(work)
            )
            writer.write(picture)
            yield Step(index + 1, work.done)
        packed.writestr('objects.json', json.dumps(work.names, indent=1))
    write_json(coco, content)


def exported(work: VideoWork) -> List[Path]:
    """List the files that :func:`export` writes.

    Returns:
        A zip file of palette PNGs with ``objects.json``, the names of ids;
        a json in COCO's format, one image a frame, whose annotations are run
        lengths; and the masks over the video.
    """
    name, folder = work.source.name, work.folder / 'export'
    return [
        folder / f'{name}_masks.zip',
        folder / f'{name}_coco.json',
        folder / f'{name}_overlay.mp4',
    ]


def _begin_coco(work: VideoWork) -> dict:
    return dict(
        info=dict(description=work.source.name),
        images=[],
        annotations=[],
        categories=[
            dict(id=object_id, name=name)
            for object_id, name in sorted(work.names.items())
        ],
    )


def _add_to_coco(content: dict, index: int, ids: np.ndarray) -> None:
    """Add a frame, its id mask ``(H, W)``; ``category_id`` is the object."""
    height, width = ids.shape
    content['images'].append(
        dict(
            id=index,
            file_name=f'{index:05d}.jpg',
            height=height,
            width=width,
            frame_index=index,
        )
    )
    for object_id in objects_in(ids):
        mask = ids == object_id
        content['annotations'].append(
            dict(
                id=len(content['annotations']) + 1,
                image_id=index,
                category_id=object_id,
                segmentation=mask_to_rle(mask),
                area=int(mask.sum()),
                bbox=list(cv2.boundingRect(mask.astype(np.uint8))),
                iscrowd=0,
            )
        )


def _labels(work: VideoWork) -> List[str]:
    """Name ids for the overlay, whose font knows ASCII only."""
    ids = range(max(work.names, default=0) + 1)
    names = [work.names.get(i, '') for i in ids]
    return [n if n and n.isascii() else str(i) for i, n in enumerate(names)]
