"""Long commands: shown lines, elapsed time, the log, the end of a group."""

import io
import os
import re
import signal
import subprocess
import sys
import time

import pytest


@pytest.fixture
def runner(load_tool, tmp_path):
    """A runner that writes to a string, and beats twice a second."""
    tool = load_tool('misc/step_runner.py')
    made = tool.StepRunner(tmp_path / 'logs/log', 0.4, io.StringIO())
    made.Error = tool.StepError
    return made


def python(code):
    return [sys.executable, '-u', '-c', code]


def test_worthwhile_lines_are_shown_and_all_are_logged(runner):
    runner.run(
        'step',
        python(
            'print("Collecting torch (from somewhere)")\n'
            'print("  a detail")\n'
            'print("ERROR: no")'
        ),
    )
    shown = runner.stream.getvalue().splitlines()
    assert shown == ['[ 0:00] Collecting torch', '[ 0:00] ERROR: no']
    log = runner.log.read_text()
    assert '== step' in log and 'a detail' in log


def test_a_quiet_command_prints_elapsed_time_and_count(runner):
    runner.run(
        'building',
        python('import time\nprint("[12/98] c++ nms.cpp")\ntime.sleep(1.6)'),
    )
    beats = runner.stream.getvalue().splitlines()
    assert 2 <= len(beats) <= 4
    pattern = r'\[ 0:0\d\] \.\.\. building, 12 of 98 files, 0:0\d so far'
    assert all(re.fullmatch(pattern, beat) for beat in beats), beats


def test_hidden_lines_do_not_silence_the_clock(runner):
    runner.run(
        'building',
        python(
            'import time\n'
            'for i in range(12):\n'
            '    print("c++", i); time.sleep(0.1)'
        ),
    )
    assert '... building, 0:0' in runner.stream.getvalue()


def test_a_failure_holds_the_last_lines_and_the_log(runner):
    code = 'print("\\n".join(map(str, range(40)))); raise SystemExit(3)'
    with pytest.raises(runner.Error) as caught:
        runner.run('step', python(code))
    assert caught.value.tail == [str(i) for i in range(15, 40)]
    assert 'exit status 3' in str(caught.value)
    assert str(runner.log) in str(caught.value)


def test_an_interruption_ends_the_whole_group(runner, tmp_path):
    """A child of the command must not go on compiling."""
    note = tmp_path / 'pid'
    code = (
        'import subprocess, sys, time\n'
        'child = subprocess.Popen([sys.executable, "-c",'
        ' "import time; time.sleep(60)"])\n'
        f'open({str(note)!r}, "w").write(str(child.pid))\n'
        'print("Collecting now"); time.sleep(60)'
    )

    def interrupt(text):
        raise KeyboardInterrupt

    runner.say = interrupt
    with pytest.raises(KeyboardInterrupt):
        runner.run('step', python(code))
    child = int(note.read_text())
    for _ in range(100):
        state = subprocess.run(
            ['ps', '-o', 'stat=', '-p', str(child)],
            capture_output=True,
            text=True,
        ).stdout.strip()
        if not state or state.startswith('Z'):
            return
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    pytest.fail('the child of the interrupted command is still running')
