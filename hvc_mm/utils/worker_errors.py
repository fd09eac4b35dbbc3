"""Errors that a data loader's worker met, as people read them."""

from __future__ import annotations

import re

__all__ = ['reason_of']


def reason_of(error: Exception) -> str:
    """Give an error's message, of a loader's worker without its traceback.

    torch raises a worker's error anew, with the worker's whole traceback as
    its message; the last line of that is what happened.
    """
    lines = str(error).strip().splitlines()
    if 'Original Traceback (most recent call last):' not in lines:
        return str(error)
    return re.sub(r'^[\w.]+: ', '', lines[-1])
