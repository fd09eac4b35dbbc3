"""Stages run on whatever happens to one of them; the file has it all."""

import json
import os
import sys

import pytest

from hvc_mm.benchmarks.report import Mark
from hvc_mm.benchmarks.stages import Stage, run_stages, verdict

HEAD = {'machine': {'device': 'this one'}}


@pytest.fixture
def make(tmp_path):
    """Makes a stage of a piece of Python that may write ``out``."""

    def stage(name, code, marks=(), collect=None):
        output = tmp_path / 'work' / f'{name}.txt'
        code = f'out = open({str(output)!r}, "w")\n{code}'
        return Stage(
            name,
            lambda: [sys.executable, '-c', code],
            output,
            collect or (lambda: (output.read_text(), list(marks))),
        )

    return stage


@pytest.fixture
def run(tmp_path):
    path = tmp_path / 'report.json'

    def runs(*stages, head=HEAD):
        entries = run_stages(stages, path, head, os.environ)
        assert json.loads(path.read_text())['stages'] == entries
        return entries

    return runs


def test_results_marks_and_logs_are_kept(make, run, tmp_path, capfd):
    marks = [Mark('speed', 3.0, 2.0), Mark('share', 0.1, 0.2, True)]
    entries = run(make('one', 'print("at work"); out.write("7")', marks))
    entry = entries['one']
    assert (entry['status'], entry['result']) == ('done', '7')
    assert [m['missed'] for m in entry['marks']] == [False, False]
    assert entry['command'].startswith(sys.executable)
    assert (tmp_path / 'work/one.log').read_text() == 'at work\n'
    assert 'at work\n' in capfd.readouterr().out
    line = 'speed x3.0 (>= x2.0); share 0.100 (<= 0.200)'
    assert verdict(entries) == (line, True)


def test_failures_are_written_down_and_the_next_stage_runs(make, run):
    def unreadable():
        raise KeyError('rows')

    entries = run(
        make('crashes', 'raise SystemError("of its own")'),
        make('killed', 'import os; os.kill(os.getpid(), 9)'),
        make('garbled', '', collect=unreadable),
        make('status', 'out.write("half"); out.close(); exit(1)'),
        make('fine', 'out.write("8")'),
    )
    failed = {n: e for n, e in entries.items() if e['status'] == 'failed'}
    assert list(failed) == ['crashes', 'killed', 'garbled', 'status']
    assert 'SystemError: of its own' in failed['crashes']['error']
    assert 'status -9' in failed['killed']['error']
    assert "KeyError: 'rows'" in failed['garbled']['error']
    # What it did find stays.
    assert failed['status']['result'] == 'half'
    assert entries['fine']['result'] == '8'
    line, well = verdict(entries)
    assert not well and line.endswith('status FAILED')


def test_no_output_is_a_failure_also_where_an_old_one_lies(make, run):
    stage = make('one', 'import os; os.remove(out.name)')
    stage.output.parent.mkdir()
    stage.output.write_text('of yesterday')
    entry = run(stage)['one']
    assert entry['status'] == 'failed'
    assert f'no {stage.output}' in entry['error']


def test_a_command_that_cannot_be_made_is_a_failure(make, run):
    def command():
        raise FileNotFoundError('no checkpoint')

    stage = make('one', '')
    stage.command = command
    assert 'no checkpoint' in run(stage)['one']['error']


def test_status_1_may_mean_a_missed_mark(make, run):
    missed = [Mark('speed', 1.0, 2.0)]
    entries = run(make('one', 'out.write("7"); out.close(); exit(1)', missed))
    assert entries['one']['status'] == 'done'
    assert verdict(entries) == ('speed x1.0 (>= x2.0) MISSED', False)


def test_the_file_is_there_while_a_stage_runs(make, run, tmp_path):
    report = tmp_path / 'report.json'
    code = f'out.write(open({str(report)!r}).read())'
    entries = run(make('one', ''), make('two', code))
    seen = json.loads(entries['two']['result'])
    assert seen['machine'] == HEAD['machine']
    states = {n: e['status'] for n, e in seen['stages'].items()}
    assert states == {'one': 'done', 'two': 'running'}


def test_parts_of_a_programme_end_in_one_file(make, run, tmp_path):
    run(make('one', 'out.write("old")'), make('two', 'out.write("2")'))
    path = tmp_path / 'report.json'
    content = json.loads(path.read_text())
    content['stages']['cut'] = {'status': 'running'}
    path.write_text(json.dumps(content))
    entries = run(make('one', 'out.write("new")'))
    found = {name: entry['result'] for name, entry in entries.items()}
    assert found == {'two': '2', 'one': 'new'}
    elsewhere = {'machine': {'device': 'another'}}
    assert list(run(make('one', ''), head=elsewhere)) == ['one']
    path.write_text('no JSON')
    assert list(run(make('two', ''))) == ['two']
