"""Sessions of a page: each has files of its own, removed when it ends."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import Dict, Iterator, Optional, Sequence

from hvc_mm.models import LabelPropagationVOS

from .uploads import Limits, PathLike, save_pictures, take_upload
from .video_work import Step, VideoWork


class Session:
    """What one visitor does: load a video, work on it, one job at a time.

    Args:
        folder: Of the session's own; :meth:`close` removes it.
        model: Shared by all sessions.
        limits: What may be loaded.

    Attributes:
        point: Frame index, x and y of a clicked place; None without one.
    """

    def __init__(
        self, folder: Path, model: LabelPropagationVOS, limits: Limits
    ) -> None:
        self.folder = folder
        self.model = model
        self.limits = limits
        self.point: Optional[Sequence[int]] = None
        self._work: Optional[VideoWork] = None
        self._videos = 0
        self._busy, self._stop = threading.Lock(), threading.Event()
        self._closed = False

    @property
    def work(self) -> VideoWork:
        """The work on the loaded video.

        Raises:
            ValueError: None is loaded.
        """
        if self._work is None:
            raise ValueError('there is no video here (any more); load one')
        return self._work

    def load(self, files: Sequence[PathLike]) -> Iterator[Step]:
        """Take a video; the one before it goes once the new one is read.

        Args:
            files: See :func:`~hvc_mm.web.uploads.take_upload`.

        Yields:
            How far it is; the total is an estimate.

        Raises:
            ValueError: They can't be used; in one sentence.
        """
        self._videos += 1
        folder = self.folder / f'video_{self._videos}'
        work = None
        try:
            source = take_upload(files, folder / 'upload', self.limits)
            estimate = source.length or 0
            for count in save_pictures(source, folder, self.limits):
                yield Step(count, max(count, estimate))
            work = VideoWork(folder, source, self.model)
        except (ValueError, OSError) as error:
            # A file by the name that its owner gave it, without our folder.
            text = str(error).replace(f'{folder / "upload"}/', '')
            raise ValueError(text) from error
        finally:
            if work is None:  # it was stopped, or can't be used
                shutil.rmtree(folder, ignore_errors=True)
        if self._work is not None:
            shutil.rmtree(self._work.folder, ignore_errors=True)
        self._work, self.point = work, None

    def run(self, job: Iterator[Step]) -> Iterator[Step]:
        """Go through a job's steps until its end or :meth:`stop`.

        Raises:
            ValueError: Another one is under way; or the job's own errors.
        """
        if not self._busy.acquire(blocking=False):
            raise ValueError('a job is under way: wait for it, or stop it')
        self._stop.clear()
        try:
            for step in job:
                yield step
                if self._stop.is_set() or self._closed:
                    break
        finally:
            job.close()
            self._busy.release()
            if self._closed:
                self.close()

    @property
    def is_busy(self) -> bool:
        """A job is under way: masks should stay as they are."""
        return self._busy.locked()

    def stop(self) -> None:
        """End the job that is under way after its next step."""
        self._stop.set()

    def close(self) -> None:
        """Remove all files; a job that is under way ends."""
        self._closed = True
        shutil.rmtree(self.folder, ignore_errors=True)


class Sessions:
    """All sessions of a page, by the name that the browser gives them.

    Args:
        root: Folder for their files, which nobody else uses.
        model: From :func:`~hvc_mm.apis.init_model`.
        limits: What may be loaded.
    """

    def __init__(
        self,
        root: PathLike,
        model: LabelPropagationVOS,
        limits: Optional[Limits] = None,
    ) -> None:
        self.root = Path(root)
        self.model = model
        self.limits = limits or Limits()
        self._sessions: Dict[str, Session] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> Session:
        """Find a session, or begin it."""
        with self._lock:
            if name not in self._sessions:
                # Its name can't be guessed.
                folder = tempfile.mkdtemp(prefix='session-', dir=self.root)
                session = Session(Path(folder), self.model, self.limits)
                self._sessions[name] = session
            return self._sessions[name]

    def end(self, name: str) -> None:
        """End a session; its files are removed."""
        with self._lock:
            session = self._sessions.pop(name, None)
        if session is not None:
            session.close()
