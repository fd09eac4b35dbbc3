"""Download a file once, whole, and go on where a download was cut off."""

from __future__ import annotations

import hashlib
import os
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from filelock import FileLock
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

# After a cut; what came by then is kept for the next call, too.
TRIES = 3
# Without a byte.
TIMEOUT = 30


def download(
    url: str, path: Path, algorithm: str = '', start: str = ''
) -> None:
    """Download a URL to a file, unless it is there.

    Of several processes one downloads and the others wait for it. What has
    come is in ``path.partial`` until it is complete; a later call asks the
    server for the rest (HTTP's ``Range``), and begins again where the server
    has no such thing.

    Args:
        url: The file, by http or https.
        path: Where it goes; missing folders are made.
        algorithm: Of a checksum, e.g. ``'sha256'``; empty: none is known.
        start: What the checksum's hexadecimal digits begin with.

    Raises:
        OSError: It can't be reached or was cut off three times.
        ValueError: Its checksum is another one; what came is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f'{path.name}.partial')
    with FileLock(str(path.with_name(f'.{path.name}.lock'))):
        if path.is_file():
            return
        for left in reversed(range(TRIES)):
            try:
                _receive(url, partial)
                break
            except HTTPError:  # an answer, which another try won't change
                raise
            except (OSError, HTTPException) as error:
                if not left:
                    reason = str(getattr(error, 'reason', error))
                    raise OSError(reason or type(error).__name__) from None
        found = _digest(partial, algorithm) if algorithm else ''
        if not found.startswith(start):
            partial.unlink()
            raise ValueError(
                f'{algorithm} {found[: len(start)]}, expected {start}'
            )
        os.replace(partial, path)


def _receive(url: str, partial: Path) -> None:
    """Append what a file still lacks."""
    have = partial.stat().st_size if partial.is_file() else 0
    headers = {'User-Agent': 'hvc_mm'}
    if have:
        headers['Range'] = f'bytes={have}-'
    try:
        reply = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != 416 or not have:  # there is no such range
            raise
        partial.unlink()
        return _receive(url, partial)
    with reply:
        # Any other answer than this one holds the whole file.
        have = have if reply.status == 206 else 0
        length = reply.headers.get('Content-Length')
        total = have + int(length) if length else None
        with open(partial, 'ab' if have else 'wb') as file, _bar() as bar:
            name = partial.stem
            task = bar.add_task(name, total=total, completed=have)
            for block in iter(lambda: reply.read(1 << 20), b''):
                file.write(block)
                bar.advance(task, len(block))
            size = file.tell()
    if total is not None and size != total:
        raise OSError(f'cut off after {size} of {total} bytes')


def _bar() -> Progress:
    return Progress(
        TextColumn('{task.description}'),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _digest(path: Path, algorithm: str) -> str:
    digest = hashlib.new(algorithm)
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()
