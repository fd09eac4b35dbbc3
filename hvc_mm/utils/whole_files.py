"""Files that are either whole or not there, even after a crash."""

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Union

PathLike = Union[str, Path]


@contextmanager
def whole_file(path: PathLike) -> Iterator[Path]:
    """Give a temporary path to write to, then rename it to the final one.

    The temporary file is in the same folder, hidden, and named after the
    process and thread, so that several writers don't disturb each other. It
    is removed when the body raises.

    Args:
        path: The file to write; folders are made.

    Yields:
        Path: Where to write.
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


def write_json(path: PathLike, content: Any) -> None:
    """Write a JSON file, whole or not at all.

    Args:
        path: The file to write; folders are made.
        content: What JSON can hold.

    Raises:
        TypeError: The content holds something that JSON can't.
    """
    text = json.dumps(content, indent=1) + '\n'
    with whole_file(path) as partial:
        partial.write_text(text, encoding='utf-8')
