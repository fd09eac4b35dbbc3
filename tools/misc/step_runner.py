"""Run long commands so that somebody who watches sees them move.

Everything goes to a log file; of that, the lines worth reading are shown, and
whenever nothing was shown for a while, how long the step has taken so far.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Mapping, Optional, Sequence, TextIO

# What pip says that tells how far it is.
SHOWN = re.compile(
    r'\s*(Collecting|Processing|Downloading|Using cached|Building|Installing '
    r'collected|Created wheel|Successfully|ERROR|error:|fatal)'
)
# ninja's and make's way to count: `[12/98]`.
COUNT = re.compile(r'\s*\[(\d+)/(\d+)\]')
WIDTH = 100


class StepError(RuntimeError):
    """A command failed; the message holds its last lines and the log's path.

    Attributes:
        tail: The last lines of what the command printed.
    """

    def __init__(self, title: str, code: int, tail: Sequence[str], log: Path):
        super().__init__(
            f'{title}: failed with exit status {code}. The last lines of '
            f'{log}:\n' + '\n'.join(f'    {line}' for line in tail)
        )
        self.tail = list(tail)


class StepRunner:
    """Runs commands one after the other, with a clock that starts here.

    Args:
        log: File that takes all output; made anew.
        heartbeat: Seconds without a shown line after which the elapsed time
            is printed.
        stream: Where shown lines go.
    """

    def __init__(
        self, log: Path, heartbeat: float = 20.0, stream: TextIO = sys.stdout
    ):
        self.log = Path(log)
        self.heartbeat = heartbeat
        self.stream = stream
        self.start = time.monotonic()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text('', encoding='utf-8')

    def say(self, text: str) -> None:
        """Print a line with the time since the start in front."""
        clock = elapsed(time.monotonic() - self.start)
        print(f'[{clock:>5}] {text}', file=self.stream, flush=True)

    def run(
        self,
        title: str,
        command: Sequence[str],
        env: Optional[Mapping[str, str]] = None,
        cwd: Optional[Path] = None,
    ) -> None:
        """Run a command to its end.

        Args:
            title: What the command does, for the elapsed-time lines.
            command: Program and arguments.
            env: The whole environment; None for that of this process.
            cwd: Where to run it.

        Raises:
            StepError: The command's exit status was not 0.
        """
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            text=True,
            encoding='utf-8',
            errors='replace',
            # A group of its own, so that compilers end with pip.
            start_new_session=True,
        )
        try:
            tail = self._follow(title, process)
        except BaseException:
            _end_group(process)
            raise
        if process.returncode:
            raise StepError(title, process.returncode, tail, self.log)

    def _follow(self, title: str, process: subprocess.Popen) -> list:
        """Log and show output until the process ends; its last lines."""
        lines: queue.Queue = queue.Queue()
        threading.Thread(
            target=_read, args=(process.stdout, lines), daemon=True
        ).start()
        began = shown = time.monotonic()
        tail, done = [], ''
        with self.log.open('a', encoding='utf-8') as log:
            log.write(f'== {title}\n')
            while True:
                try:
                    line = lines.get(timeout=min(1.0, self.heartbeat))
                except queue.Empty:
                    line = ''
                if line is None:
                    break
                if line:
                    log.write(line)
                    log.flush()
                    tail = [*tail, line.rstrip()][-25:]
                    count = COUNT.match(line)
                    if count:
                        done = f', {count[1]} of {count[2]} files'
                    if SHOWN.match(line):
                        self.say(shorten(line))
                        shown = time.monotonic()
                if time.monotonic() - shown >= self.heartbeat:
                    shown = time.monotonic()
                    took = elapsed(shown - began)
                    self.say(f'... {title}{done}, {took} so far')
        process.wait()
        return tail


def elapsed(seconds: float) -> str:
    """Seconds as ``m:ss``."""
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'


def shorten(line: str) -> str:
    """One line of pip without its provenance, at most `WIDTH` wide."""
    line = line.strip().split(' (from ')[0]
    return line if len(line) <= WIDTH else line[: WIDTH - 4] + ' ...'


def _read(stream: TextIO, lines: queue.Queue) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _end_group(process: subprocess.Popen) -> None:
    """End a process and all that it started."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
    except ProcessLookupError:
        pass
    process.wait()
