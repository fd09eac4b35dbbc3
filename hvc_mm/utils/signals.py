"""Ending a run from outside."""

import signal
import sys


def end_orderly_on_sigterm() -> None:
    """Let SIGTERM end Python as `sys.exit` does, with status 143.

    By default it ends the process at once: files stay half written, and
    worker processes are left behind.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
