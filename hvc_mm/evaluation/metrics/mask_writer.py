"""Palette PNGs written beside the network, by a few threads."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Deque, Optional, Union

import numpy as np

from hvc_mm.datasets.image_io import write_id_mask

_THREADS = 2
_QUEUE = 8


class MaskWriter:
    """Writes ``<out_dir>/<video>/<frame_name>.png`` in the background.

    At most eight masks wait: a further `write` waits for the oldest one.
    What goes wrong (a full disk, a forbidden folder) is raised by the next
    `write` or by `flush`.

    Args:
        out_dir: Folder for the videos' folders; made when needed.

    Raises:
        NotADirectoryError: ``out_dir`` is a file.
    """

    def __init__(self, out_dir: Union[str, Path]) -> None:
        self.out_dir = Path(out_dir)
        if self.out_dir.exists() and not self.out_dir.is_dir():
            raise NotADirectoryError(
                f'masks are to go to {out_dir}, which is no folder'
            )
        self._threads: Optional[ThreadPoolExecutor] = None
        self._pending: Deque[Future] = deque()

    def write(self, video: str, frame_name: str, ids: np.ndarray) -> None:
        """Queue a mask.

        Args:
            video: Name of the video, the folder.
            frame_name: Name of the frame, without suffix.
            ids: ``(H, W)`` uint8; must not be changed afterwards.

        Raises:
            Exception: What an earlier write raised.
        """
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, 'mask_writer')
        while self._pending and (
            len(self._pending) >= _QUEUE or self._pending[0].done()
        ):
            self._pending.popleft().result()
        path = self.out_dir / video / f'{frame_name}.png'
        self._pending.append(self._threads.submit(write_id_mask, path, ids))

    def flush(self) -> None:
        """Wait until every mask is on the disk, then end the threads.

        Raises:
            Exception: What a write raised.
        """
        try:
            while self._pending:
                self._pending.popleft().result()
        finally:
            if self._threads is not None:
                self._threads.shutdown(wait=True)
                self._threads = None
            self._pending.clear()
