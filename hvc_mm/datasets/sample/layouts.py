"""The layouts that a sample can be written in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Callable, Iterator, Optional

from .coco import coco_steps, write_coco
from .davis import (
    davis_steps,
    testdev_steps,
    write_davis,
    write_davis_testdev,
)
from .folders import folder_steps, write_folders
from .jhmdb import jhmdb_steps, write_jhmdb
from .output import SampleFolder, SampleSpec
from .vip import vip_steps, write_vip
from .ytvos import (
    write_ytvos18,
    write_ytvos19,
    ytvos18_steps,
    ytvos19_steps,
)


@dataclass(frozen=True)
class Layout:
    """How to write one data set.

    Attributes:
        write: Writes it, yielding after every image or frame.
        steps: How often that yields.
    """

    write: Callable[[SampleFolder, SampleSpec], Iterator[None]]
    steps: Callable[[SampleSpec], int]


LAYOUTS: dict[str, Layout] = {
    'coco': Layout(write_coco, coco_steps),
    'davis': Layout(write_davis, davis_steps),
    'davis_testdev': Layout(write_davis_testdev, testdev_steps),
    'ytvos': Layout(write_ytvos18, ytvos18_steps),
    'ytvos19': Layout(write_ytvos19, ytvos19_steps),
    'vip': Layout(write_vip, vip_steps),
    'jhmdb': Layout(write_jhmdb, jhmdb_steps),
    'folder': Layout(write_folders, folder_steps),
}


def write_layout(
    name: str,
    folder: SampleFolder,
    spec: SampleSpec,
    advance: Optional[Callable[[], None]] = None,
) -> tuple[Counter, int]:
    """Write one data set.

    Args:
        name: A key of ``LAYOUTS``.
        folder: Where to.
        spec: How much of it.
        advance: Called after every image or frame.

    Returns:
        tuple: What was written, counted by kind, and its bytes.

    Raises:
        KeyError: An unknown name.
        FileExistsError: A file of that name that no earlier sample wrote.
    """
    if name not in LAYOUTS:
        raise KeyError(f'no layout {name!r}; there are {sorted(LAYOUTS)}')
    folder.begin(name)
    for _ in LAYOUTS[name].write(folder, spec):
        if advance is not None:
            advance()
    return folder.finish()
