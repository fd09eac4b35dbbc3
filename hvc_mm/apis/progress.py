"""A progress bar with frames per second and the time left."""

from __future__ import annotations

from typing import Iterable, Iterator, Optional, TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar('T')


class FrameRateColumn(ProgressColumn):
    """Frames per second over the last half minute."""

    def render(self, task: Task) -> Text:
        """Write a task's rate; before the first two frames there is none."""
        rate = task.finished_speed or task.speed
        if rate is None:
            return Text('- frames/s')
        return Text(f'{rate:.1f} frames/s')


def track_frames(
    frames: Iterable[T],
    total: Optional[int] = None,
    description: str = 'Frames',
    show: bool = True,
    console: Optional[Console] = None,
) -> Iterator[T]:
    """Hand frames on and show how far it is.

    Args:
        frames: Whatever is counted.
        total: How many there will be; None where nobody knows.
        description: Stands before the bar.
        show: False hands the frames on and shows nothing.
        console: Where to; standard error by default, so that output can be
            piped.

    Yields:
        The frames.
    """
    if not show:
        yield from frames
        return
    progress = Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        FrameRateColumn(),
        TimeElapsedColumn(),
        TextColumn('left'),
        TimeRemainingColumn(),
        console=console or Console(stderr=True),
    )
    with progress:
        yield from progress.track(frames, total=total, description=description)
