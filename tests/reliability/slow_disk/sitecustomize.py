"""Let each file take a while, so that a kill can meet its writing.

Python imports this by itself where the folder is in PYTHONPATH. Nothing is
changed but the time: half of the content, a pause, the rest, a pause before
the file gets its name.
"""

import os
import time
from pathlib import Path

PAUSE = 0.15
_replace = os.replace


def _write_bytes(self, data):
    data = bytes(data)
    with open(self, 'wb') as file:
        file.write(data[: len(data) // 2])
        file.flush()
        time.sleep(PAUSE)
        file.write(data[len(data) // 2 :])
    return len(data)


def _write_text(self, data, encoding=None, errors=None, newline=None):
    content = data.encode(encoding or 'utf-8', errors or 'strict')
    return _write_bytes(self, content)


def _slow_replace(source, target, **options):
    if '.partial' in os.fspath(source):
        time.sleep(PAUSE)
    _replace(source, target, **options)


Path.write_bytes = _write_bytes
Path.write_text = _write_text
os.replace = _slow_replace
