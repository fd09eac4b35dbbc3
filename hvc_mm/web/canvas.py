"""The picture that is painted on: a canvas in the browser.

Gradio's own image editor draws by WebGL, smooths the edges of strokes, and
keeps copies of pictures that outlive a session; ids need exact pixels. This
is a plain canvas: ``canvas.js`` has the tools, ``canvas.html`` and
``canvas.css`` what they look like. An id mask, ``(H, W)`` uint8, travels as
runs: id, count, id, count, ..., row by row.
"""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import cv2
import numpy as np

from hvc_mm.datasets import VOID, davis_palette

try:
    import gradio as gr
except ImportError:
    gr = None

_FOLDER = Path(__file__).parent


class Painted(NamedTuple):
    """What a browser says of the frame that was painted on.

    Attributes:
        index: Of the frame.
        ids: Its id mask.
        names: Of objects, by id.
        edited: Whether anything was painted.
    """

    index: int
    ids: np.ndarray
    names: Dict[int, str]
    edited: bool


def make_canvas() -> gr.HTML:
    """Make the component; :func:`canvas_update` fills it.

    Its event ``point`` tells ``x`` and ``y`` of a clicked place.
    """
    parts = {
        suffix: (_FOLDER / f'canvas.{suffix}').read_text('utf-8')
        for suffix in ('html', 'css', 'js')
    }
    return gr.HTML(
        value=None,
        html_template=parts['html'],
        css_template=parts['css'],
        js_on_load=parts['js'],
        elem_id='canvas',
        apply_default_css=False,
        picture='',
        palette=[_hex(color) for color in davis_palette()],
    )


def canvas_update(
    index: int,
    picture: np.ndarray,
    ids: np.ndarray,
    names: Mapping[int, str],
    locked: bool = False,
) -> gr.HTML:
    """Show a frame.

    Args:
        index: Of the frame.
        picture: RGB, uint8 ``(H, W, 3)``.
        ids: Its id mask.
        names: Of objects, by id.
        locked: Nothing can be painted.
    """
    objects = [dict(id=i, name=name) for i, name in sorted(names.items())]
    value = dict(
        frame=index,
        size=list(ids.shape),
        runs=encode_runs(ids),
        objects=objects,
        edited=False,
        locked=locked,
    )
    return gr.HTML(value=value, picture=_data_url(picture))


def read_canvas(value: Mapping[str, Any], size: Tuple[int, int]) -> Painted:
    """Read the component's value, in which nothing is trusted.

    Args:
        value: What the browser sent.
        size: ``(H, W)`` of the video's frames.

    Raises:
        ValueError: It makes no sense.
    """
    try:
        index, edited = int(value['frame']), bool(value['edited'])
        names = {int(o['id']): str(o['name'])[:40] for o in value['objects']}
        ids = decode_runs(value['runs'], size)
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f'the painted mask cannot be read: {error}') from None
    unknown = set(np.unique(ids).tolist()) - {0, *names}
    if unknown or not all(0 < i < VOID for i in names):
        raise ValueError(
            f'the painted mask has objects {sorted(unknown)} of '
            f'{sorted(names)}; expected ids 1..{VOID - 1} that have a name'
        )
    return Painted(index, ids, names, edited)


def encode_runs(ids: np.ndarray) -> List[int]:
    """Turn an id mask ``(H, W)`` into runs.

    Example:
        >>> encode_runs(np.array([[0, 0, 2], [2, 0, 0]], np.uint8))
        [0, 2, 2, 2, 0, 2]
    """
    flat = ids.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=flat[0] + 1) != 0)
    counts = np.diff([*starts, flat.size])
    return np.stack([flat[starts], counts], axis=1).ravel().tolist()


def decode_runs(runs: Sequence[int], size: Tuple[int, int]) -> np.ndarray:
    """Turn runs into an id mask of a size ``(H, W)``.

    Raises:
        ValueError: They make no such mask.
    """
    pairs = np.asarray(runs, np.int64).reshape(-1, 2)
    ids, counts = pairs.T
    area = size[0] * size[1]
    # Also of each by itself: their sum may overflow.
    if not ((counts > 0) & (counts <= area)).all() or counts.sum() != area:
        raise ValueError(
            f'the painted mask makes {counts.sum()} pixels; expected '
            f'{size[0]} rows of {size[1]}'
        )
    if not ((ids >= 0) & (ids < VOID)).all():
        raise ValueError(
            f'the painted mask has ids {ids.min()} to {ids.max()}; expected '
            f'0..{VOID - 1}'
        )
    return np.repeat(ids.astype(np.uint8), counts).reshape(size)


def _data_url(picture: np.ndarray) -> str:
    options = [cv2.IMWRITE_JPEG_QUALITY, 85]
    _, content = cv2.imencode('.jpg', picture[..., ::-1], options)
    text = base64.b64encode(content.tobytes()).decode()
    return f'data:image/jpeg;base64,{text}'


def _hex(color: Sequence[int]) -> str:
    return '#{:02x}{:02x}{:02x}'.format(*color)
