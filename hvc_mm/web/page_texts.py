"""What the page says of a job and of a frame, as HTML."""

from __future__ import annotations

import html
from typing import List

from hvc_mm.datasets import davis_palette

from .video_work import Step, VideoWork

_WIDTH, _HEIGHT = 600, 60


def progress_text(what: str, step: Step) -> str:
    """Draw a bar, and tell the time that is left.

    Example:
        >>> progress_text('Propagating', Step(3, 12, 70.0))[-50:]
        'Propagating: 3 of 12 frames, about 1 min 10 s left'
    """
    bar = (
        f'<progress max="{step.total}" value="{step.count}" '
        'style="width: 100%"></progress>'
    )
    text = f'{what}: {step.count} of {step.total} frames'
    if step.seconds_left:
        minutes, seconds = divmod(int(step.seconds_left + 0.5), 60)
        left = f'{minutes} min {seconds} s' if minutes else f'{seconds} s'
        text += f', about {left} left'
    return f'{bar}<br>{text}'


def confidence_text(work: VideoWork, index: int) -> str:
    """Tell how sure each object is on a frame, and draw it over time.

    Lines are frames whose masks were given (grey), and this one (red).
    """
    found = work.confidence.get(index, {})
    values = [
        f'{html.escape(work.names.get(i, str(i)))} {found[i]:.2f}'
        for i in sorted(found)
    ]
    given = ', '.join(str(i) for i in sorted(work.given)) or 'none'
    text = f'confidence: {", ".join(values) or "-"} &middot; '
    text += f'masks given on frames: {given}'
    if work.done < work.length:
        text += f' &middot; up to date: {work.done} of {work.length} frames'
    return f'{_curves(work, index)}<div>{text}</div>'


def _curves(work: VideoWork, index: int) -> str:
    """Draw confidence (0 to 1) against the frame, a curve an object."""
    span = max(work.length - 1, 1)
    ids = {i for found in work.confidence.values() for i in found}
    lines: List[str] = []
    for frame in (*sorted(work.given), index):
        x, color = _WIDTH * frame / span, '#888' if frame != index else 'red'
        lines.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{_HEIGHT}" '
            f'stroke="{color}"/>'
        )
    for i in sorted(ids):
        points = []
        for frame in sorted(f for f, v in work.confidence.items() if i in v):
            x, y = _WIDTH * frame / span, 1 - work.confidence[frame][i]
            is_seen = i in work.confidence.get(frame - 1, {})
            points.append(
                f'{"L" if is_seen else "M"}{x:.1f} {_HEIGHT * y:.1f}'
            )
        red, green, blue = davis_palette()[i]
        lines.append(
            f'<path d="{" ".join(points)}" fill="none" stroke-width="2" '
            f'stroke="rgb({red},{green},{blue})"/>'
        )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="100%" '
        f'height="{_HEIGHT}" preserveAspectRatio="none">{"".join(lines)}</svg>'
    )
