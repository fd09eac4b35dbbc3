"""Text files of any origin; files that appear only when complete."""

from __future__ import annotations

import codecs
import json
import os
import re
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Union

# Process and thread that write it; the suffix stays, by which many writers
# choose a format.
_PARTIAL = re.compile(r'\..+\.(\d+)-\d+\.partial(\.\w+)?')


@contextmanager
def whole_file(path: Union[str, Path]) -> Iterator[Path]:
    """Give a temporary path next to a file, and rename it on success.

    A run that is killed, or a body that raises, leaves no half file behind
    and an older file of this name as it was. Two writers of one name don't
    meet: each has a temporary path of its own.

    Args:
        path: The file to write; missing folders are made.

    Yields:
        Path: Where the body writes; it ends in the same suffix.

    Raises:
        OSError: The file can't be written (a full disk); names ``path``.

    Example:
        >>> with whole_file('scores.txt') as partial:
        ...     _ = partial.write_text('99.9')
    """
    path = Path(path)
    writer = f'{os.getpid()}-{threading.get_ident()}'
    partial = path.with_name(f'.{path.stem}.{writer}.partial{path.suffix}')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, path)
    except OSError as error:
        if error.errno and error.filename in (None, str(partial)):
            # A write to an open file doesn't know its name.
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


def write_json(path: Union[str, Path], content: Any) -> None:
    """Write a JSON file that is either whole or not there.

    Args:
        path: The file; missing folders are made.
        content: What to write.
    """
    text = json.dumps(content, indent=1) + '\n'
    with whole_file(path) as partial:
        partial.write_text(text, encoding='utf-8')


def read_text(path: Union[str, Path]) -> str:
    """Read a text file in UTF-8 or, with a byte order mark, in UTF-16.

    Windows' editors and PowerShell write such marks; they are left out.

    Args:
        path: The file.

    Raises:
        OSError: It can't be read.
        ValueError: It is no such text; with its name.
    """
    data = Path(path).read_bytes()
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    encoding = 'utf-16' if data.startswith(marks) else 'utf-8-sig'
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f'{path} is no text: {error}; expected UTF-8'
        ) from error


def is_abandoned(path: Union[str, Path]) -> bool:
    """Tell whether a file is what a killed `whole_file` left behind."""
    match = _PARTIAL.fullmatch(os.path.basename(path))
    if not match:
        return False
    writer = int(match.group(1))
    if writer == os.getpid():
        return True  # nothing is being written when a run asks
    try:
        os.kill(writer, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        pass  # somebody else's process
    return False


def remove_abandoned(folder: Union[str, Path]) -> None:
    """Remove what killed runs left half written, in all folders below."""
    for root, _, names in os.walk(folder):
        for name in names:
            if is_abandoned(name):
                Path(root, name).unlink(missing_ok=True)
