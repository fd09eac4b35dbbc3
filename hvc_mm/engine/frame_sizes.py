"""Sizes of frames that the network sees: given, and what it takes."""

from __future__ import annotations

import argparse
from typing import Any, List, Tuple

from torch import nn

from hvc_mm.datasets.image_io import read_image_size
from hvc_mm.datasets.transforms import ResizeFrame

__all__ = ['check_frame_sizes', 'parse_size']


def parse_size(text: str) -> Tuple[int, int]:
    """Read a size of a command line, ``'240x432'``, as height and width.

    Raises:
        argparse.ArgumentTypeError: For anything else.
    """
    parts = text.lower().split('x')
    if len(parts) != 2 or not all(p.isdigit() and int(p) for p in parts):
        raise argparse.ArgumentTypeError(
            f'{text!r} is no size; expected HEIGHTxWIDTH, e.g. 240x432'
        )
    return int(parts[0]), int(parts[1])


def check_frame_sizes(dataset: Any, model: nn.Module) -> None:
    """Refuse videos whose frames a model's backbone can't take.

    A frame that is no multiple of a Vision Transformer's patch should not
    end a run hours later, when it comes to this video. Only the header of
    each video's first frame is read, and only for a backbone that has a
    ``check_size``.

    Args:
        dataset: A :class:`~hvc_mm.datasets.VideoDataset`; where other
            projects' steps load or resize its frames, nothing is checked.
        model: With the backbone somewhere among its modules.

    Raises:
        ValueError: With the video, the size and what to set.
    """
    checks = [m.check_size for m in model.modules() if _has_check(m)]
    steps: List[Any] = getattr(
        getattr(dataset, 'pipeline', None), 'transforms', []
    )
    are_ours = all(type(s).__module__.startswith('hvc_mm.') for s in steps)
    if not checks or not steps or not are_ours:
        return
    for index in range(len(dataset)):
        item = dataset.get_data_info(index)
        if not item.get('starts_video'):
            continue
        size = read_image_size(item['img_path'])
        for step in steps:
            if isinstance(step, ResizeFrame):
                size = step.target_size(*size)
        for check in checks:
            try:
                check(size)
            except ValueError as error:
                raise ValueError(f'video {item["video"]}: {error}') from None


def _has_check(module: nn.Module) -> bool:
    return callable(getattr(module, 'check_size', None))
