"""The page: its parts, and what happens when somebody clicks.

``index`` is the frame that the slider is at, ``value`` what the canvas holds.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List

import numpy as np

from hvc_mm.visualization import overlay_heat

from .canvas import canvas_update, make_canvas, read_canvas
from .export import export, exported
from .page_texts import confidence_text, progress_text
from .sessions import Session, Sessions
from .video_work import Step

try:
    import gradio as gr
except ImportError:
    gr = None

Update = Dict[Any, Any]

_VIEWS = ['masks', 'confidence', 'affinity']
# Seconds between two pictures of a run.
_PREVIEW = 0.3
_HELP = """
**1.** Choose a video, or the images of a folder. **2.** Go to a frame and
paint each object, or drag a box over it. **3.** Propagate. **4.** Go to a
frame that is wrong, correct it, and propagate again: it goes on from there.
"""


class Page:
    """Build the page, and answer its events.

    Args:
        sessions: Whose videos they are about.

    Attributes:
        blocks: The page, for gradio to launch.
    """

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        with gr.Blocks(title='hvc_mm', analytics_enabled=False) as blocks:
            gr.Markdown(_HELP)
            with gr.Row():
                with gr.Column(scale=3):
                    self.canvas = make_canvas()
                    self.frame = gr.Slider(0, 1, 0, step=1, label='Frame')
                    self.report = gr.HTML(elem_id='report')
                with gr.Column(scale=1, min_width=340):
                    self._add_controls()
            self._add_events(blocks)
        self.blocks = blocks.queue(default_concurrency_limit=8)

    def _add_controls(self) -> None:
        self.upload = gr.File(
            label='Video, or images',
            file_count='multiple',
            height=120,
            elem_id='upload',
        )
        self.folder = gr.UploadButton(
            'Folder of images', file_count='directory', elem_id='folder'
        )
        with gr.Row():
            self.run = gr.Button('Propagate', variant='primary', min_width=100)
            self.stop = gr.Button('Stop', min_width=60)
        self.status = gr.HTML(elem_id='status')
        self.view = gr.Radio(_VIEWS, value='masks', label='Show')
        self.forget = gr.Button('Clear this frame')
        self.make = gr.Button('Make files to download')
        self.files = gr.File(
            label='Files',
            file_count='multiple',
            interactive=False,
            visible=False,
            elem_id='files',
        )

    def _add_events(self, blocks: gr.Blocks) -> None:
        shown = [self.canvas, self.report]
        job = [*shown, self.frame, self.view, self.status, self.files]
        where = [self.canvas, self.frame, self.view]
        waits = dict(show_progress_on=self.status, show_progress='minimal')
        hidden = dict(show_progress='hidden')
        self.upload.upload(
            self.on_load, self.upload, job, api_name='load', **waits
        )
        self.folder.upload(self.on_load, self.folder, job, **waits)
        for part, name in ((self.frame, 'show'), (self.view, 'view')):
            part.input(
                *(self.on_show, where, shown),
                trigger_mode='always_last',
                api_name=name,
                **hidden,
            )
        self.canvas.point(self.on_point, where, [*shown, self.view], **hidden)
        # One run at a time: two would take twice as long each.
        self.run.click(
            *(self.on_run, where, job),
            concurrency_limit=1,
            api_name='propagate',
            **waits,
        )
        self.stop.click(self.on_stop, queue=False, api_name='stop')
        self.forget.click(
            *(self.on_forget, where, [*shown, self.view]),
            api_name='clear',
            **hidden,
        )
        self.make.click(self.on_make, where, job, api_name='make', **waits)
        blocks.unload(self.on_unload)

    def on_load(
        self, files: List[str], request: gr.Request
    ) -> Iterator[Update]:
        """Load a video."""
        session = self.sessions.get(request.session_hash)
        with _told():
            for step in _now_and_then(session.run(session.load(files))):
                yield {self.status: progress_text('Reading', step)}
            yield {
                **self._show(session, 0),
                self.frame: gr.Slider(
                    maximum=max(session.work.length - 1, 1), value=0
                ),
                self.view: 'masks',
                self.files: gr.File(None, visible=False),
                self.status: progress_text('Read', step),
            }

    def on_show(
        self, value: Any, index: int, view: str, request: gr.Request
    ) -> Update:
        """Go to a frame, or show something else of it."""
        with _told():
            session = self._keep(value, request)
            return self._show(session, index, view)

    def on_point(
        self,
        value: Any,
        index: int,
        view: str,
        event: gr.EventData,
        request: gr.Request,
    ) -> Update:
        """Show what is like the place that was clicked."""
        with _told():
            session = self._keep(value, request)
            session.point = (index, int(event.x), int(event.y))
            shown = self._show(session, index, 'affinity')
            return {**shown, self.view: 'affinity'}

    def on_forget(
        self, value: Any, index: int, view: str, request: gr.Request
    ) -> Update:
        """Take back the masks of a frame."""
        with _told():
            session = self._keep(value, request)
            if session.is_busy:
                raise ValueError('a job is under way: wait for it, or stop it')
            session.work.forget(index)
            return {**self._show(session, index), self.view: 'masks'}

    def on_run(
        self, value: Any, index: int, view: str, request: gr.Request
    ) -> Iterator[Update]:
        """Propagate, and show the frames that are done now and then."""
        with _told():
            session = self._keep(value, request)
            for step in _now_and_then(session.run(session.work.propagate())):
                latest = step.count - 1
                yield {
                    **self._show(session, latest),
                    self.frame: latest,
                    self.view: 'masks',
                    self.status: progress_text('Propagating', step),
                }
            yield {
                **self._show(session, step.count - 1),
                self.files: gr.File(None, visible=False),
                self.status: progress_text(
                    'Propagated', step._replace(seconds_left=None)
                ),
            }

    def on_stop(self, request: gr.Request) -> None:
        """End the job that is under way."""
        self.sessions.get(request.session_hash).stop()

    def on_make(
        self, value: Any, index: int, view: str, request: gr.Request
    ) -> Iterator[Update]:
        """Write the files to download."""
        with _told():
            session = self._keep(value, request)
            for step in _now_and_then(session.run(export(session.work))):
                yield {self.status: progress_text('Writing', step)}
            files = [str(path) for path in exported(session.work)]
            total = session.work.length
            yield {
                self.files: gr.File(files, visible=True),
                self.status: progress_text('Written', Step(step.count, total)),
            }

    def on_unload(self, request: gr.Request) -> None:
        """End a session whose tab was closed."""
        self.sessions.end(request.session_hash)

    def _keep(self, value: Any, request: gr.Request) -> Session:
        """Take what was painted since the last event."""
        session = self.sessions.get(request.session_hash)
        work = session.work
        if value:
            painted = read_canvas(value, work.size)
            work.names.update(painted.names)
            # What a run began with, it has.
            if painted.edited and not session.is_busy:
                work.edit(painted.index, painted.ids)
        return session

    def _show(
        self,
        session: Session,
        index: int,
        view: str = 'masks',
    ) -> Update:
        work, ids = session.work, session.work.ids(index)
        picture = work.picture(index)
        if view != 'masks':
            picture, ids = _heat(session, index, view), np.zeros_like(ids)
        canvas = canvas_update(
            index, picture, ids, work.names, session.is_busy or view != 'masks'
        )
        return {self.canvas: canvas, self.report: confidence_text(work, index)}


def _heat(session: Session, index: int, view: str) -> np.ndarray:
    """Draw a frame's confidence, or its affinity to the point."""
    picture, point, heat = session.work.picture(index), session.point, None
    if view == 'confidence':
        heat = session.work.confidence_map(index)
        point = None
    elif point is not None:
        heat = session.work.affinity(point[1:], point[0], index)
        point = point[1:] if index == point[0] else None
    return (
        picture if heat is None else overlay_heat(picture, heat, point=point)
    )


@contextmanager
def _told() -> Iterator[None]:
    """Show what is wrong on the page, in one sentence."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise gr.Error(
            str(error), duration=None, print_exception=False
        ) from error


def _now_and_then(steps: Iterator[Step]) -> Iterator[Step]:
    """Leave out steps that follow another one too soon, but not the last."""
    latest, shown = None, 0.0
    for latest in steps:
        if time.monotonic() - shown >= _PREVIEW:
            shown = time.monotonic()
            yield latest
    yield latest
