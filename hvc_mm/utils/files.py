"""Text files of any origin; files that appear only when complete."""

from __future__ import annotations

import codecs
import json
import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Union


@contextmanager
def whole_file(path: Union[str, Path]) -> Iterator[Path]:
    """Give a temporary path next to a file, and rename it on success.

    A run that is killed, or a body that raises, leaves no half file behind
    and an older file of this name as it was. Two writers of one name don't
    meet: each has a temporary path of its own.

    Args:
        path: The file to write; missing folders are made.

    Yields:
        Path: Where the body writes.

    Example:
        >>> with whole_file('scores.txt') as partial:
        ...     _ = partial.write_text('99.9')
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = f'{os.getpid()}-{threading.get_ident()}'
    partial = path.with_name(f'.{path.name}.{writer}.partial')
    try:
        yield partial
        os.replace(partial, path)
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
