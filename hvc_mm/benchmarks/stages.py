"""Commands that measure something, one after the other, into one file.

Each stage is a process of its own: one that fails, or is killed for memory,
takes no other with it, and a GPU's memory is free again after it. The file
is written whenever a stage begins or ends.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Sequence, Tuple

from hvc_mm.utils.whole_files import write_json

from .report import Mark

# Lines of a failed command's output that the file keeps.
_TAIL = 25
Outcome = Tuple[Any, List[Mark]]


@dataclass
class Stage:
    """A command and how its output is read.

    Attributes:
        name: In the file, and of the log.
        command: Gives program and arguments when the stage begins: some
            depend on what an earlier one left.
        output: File that the command writes; what an earlier run left
            there is deleted first.
        collect: Reads the output: what goes to the file, and the marks.
    """

    name: str
    command: Callable[[], List[str]]
    output: Path
    collect: Callable[[], Outcome]


def run_stages(
    stages: Sequence[Stage],
    path: Path,
    head: Mapping[str, Any],
    env: Mapping[str, str],
) -> Dict[str, dict]:
    """Run stages; failures are written down and the next stage begins.

    A file that is there already, of the same machine, keeps its entries of
    other stages: a programme can be run in parts.

    Args:
        stages: In their order.
        path: The JSON file; its ``stages`` maps names to entries with
            ``status`` (``running``, ``done``, ``failed``), ``command``,
            ``seconds``, ``result``, ``marks`` and, of a failed one,
            ``error``. The commands' output goes to ``<name>.log`` beside
            each stage's output.
        head: What else goes to the file; its ``machine`` says which one.
        env: Environment of the commands.

    Returns:
        Entries by stage, those kept included.
    """
    entries = _earlier(path, head)
    for stage in stages:
        entries.pop(stage.name, None)
    for stage in stages:
        entries[stage.name] = {'status': 'running'}
        write_json(path, {**head, 'stages': entries})
        entries[stage.name] = _run(stage, env)
        write_json(path, {**head, 'stages': entries})
    return entries


def verdict(entries: Mapping[str, dict]) -> Tuple[str, bool]:
    """Sum up in one line.

    Args:
        entries: What :func:`run_stages` returned.

    Returns:
        All marks and failures, and whether there is neither a missed mark
        nor a failed stage.
    """
    parts = [text for e in entries.values() for text in e['shown']]
    failed = [n for n, e in entries.items() if e['status'] == 'failed']
    parts += [f'{name} FAILED' for name in failed]
    missed = any(m['missed'] for e in entries.values() for m in e['marks'])
    return '; '.join(parts) or 'nothing measured', not (failed or missed)


def _earlier(path: Path, head: Mapping[str, Any]) -> Dict[str, dict]:
    if not path.is_file():
        return {}
    with contextlib.suppress(ValueError, AttributeError):
        found = json.loads(path.read_text(encoding='utf-8'))
        if found.get('machine') == head['machine']:
            entries = found['stages'].items()
            # One that was killed has nothing but its state.
            return {n: e for n, e in entries if e['status'] != 'running'}
    return {}


def _run(stage: Stage, env: Mapping[str, str]) -> dict:
    began = time.monotonic()
    entry: Dict[str, Any] = {'status': 'failed', 'result': None}
    marks: List[Mark] = []
    tail: List[str] = []
    try:
        stage.output.parent.mkdir(parents=True, exist_ok=True)
        stage.output.unlink(missing_ok=True)
        command = stage.command()
        entry['command'] = shlex.join(command)
        log = stage.output.parent / f'{stage.name}.log'
        status, tail = _call(command, log, env)
        if not stage.output.is_file():
            raise RuntimeError(f'status {status}, and no {stage.output}')
        entry['result'], marks = stage.collect()
        # Benchmarks end with 1 where a mark is missed.
        if status and not (status == 1 and any(m.missed for m in marks)):
            raise RuntimeError(f'status {status}')
        entry['status'] = 'done'
    except Exception as error:  # whatever it is, the others shall run
        print(f'{stage.name} failed: {error}', flush=True)
        text = f'{type(error).__name__}: {error}'
        entry['error'] = '\n'.join([text, *tail])
    entry['seconds'] = round(time.monotonic() - began, 1)
    entry['marks'] = [{**asdict(m), 'missed': m.missed} for m in marks]
    entry['shown'] = [str(mark) for mark in marks]
    return entry


def _call(
    command: List[str], log: Path, env: Mapping[str, str]
) -> Tuple[int, List[str]]:
    """Exit status and last lines of a command, shown while it runs."""
    print(f'$ {shlex.join(command)}', flush=True)
    tail: deque = deque(maxlen=_TAIL)
    with log.open('w', encoding='utf-8') as file, subprocess.Popen(
        command,
        env=dict(env),
        text=True,
        errors='replace',
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        for line in process.stdout:
            file.write(line)
            print(line, end='', flush=True)
            tail.append(line.rstrip('\n'))
    return process.returncode, list(tail)
