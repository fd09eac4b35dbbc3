"""The doctor: its judgement on invented findings, and itself as run."""

import json
import subprocess
import sys

import pytest


@pytest.fixture
def run_doctor(root_dir):
    def run(*args):
        return subprocess.run(
            [sys.executable, str(root_dir / 'tools/misc/check_env.py'), *args],
            capture_output=True,
            text=True,
        )

    return run


def test_it_finds_the_pair_in_order(load_tool, monkeypatch, capsys):
    """One of the probes; all of them run in a slow test."""
    tool = load_tool('misc/check_env.py')
    monkeypatch.setattr(tool, 'PROBES', {'pair': tool.PROBES['pair']})
    monkeypatch.setattr(tool, 'driver_names', lambda: None)
    monkeypatch.setattr(sys, 'argv', ['check_env.py'])
    with pytest.raises(SystemExit) as caught:
        tool.main()
    said = capsys.readouterr().out
    assert caught.value.code == 0, said
    assert 'torchvision.ops.nms ran' in said and 'No problem found.' in said


@pytest.mark.slow
def test_it_finds_this_environment_in_order(run_doctor):
    """The suite runs in one of the columns, so nothing may be wrong."""
    import torch

    run = run_doctor()
    assert run.returncode == 0, run.stdout + run.stderr
    assert 'No problem found.' in run.stdout
    assert torch.__version__.split('+')[0] in run.stdout
    assert 'torchvision.ops.nms ran' in run.stdout


def test_an_unknown_column_is_refused(run_doctor):
    run = run_doctor('--column', 'c')
    assert run.returncode == 2
    assert "invalid choice: 'c'" in run.stderr


def test_version_rows(load_tool):
    rows = list(
        load_tool('misc/check_env.py').version_rows(
            {'torch': '2.6.0+cpu', 'numpy': '1.26.0', 'mmcv': None},
            {'torch': '2.6.0', 'numpy': '1.26.4', 'mmcv': '2.1.0'},
        )
    )
    assert rows == [
        ('torch', '2.6.0+cpu', '2.6.0', 'as tested'),
        ('mmcv', '-', '2.1.0', 'absent'),
        ('numpy', '1.26.0', '1.26.4', 'not the tested one'),
    ]


def test_problems_are_numbered_with_their_commands(
    load_tool, monkeypatch, capsys
):
    """The whole of main, in an environment that lacks everything."""
    tool = load_tool('misc/check_env.py')
    monkeypatch.setattr(tool, 'installed_versions', dict)
    monkeypatch.setattr(tool, 'driver_names', lambda: None)
    monkeypatch.setattr(sys, 'argv', ['check_env.py'])
    with pytest.raises(SystemExit) as caught:
        tool.main()
    assert caught.value.code == 1
    said = capsys.readouterr().out
    assert '1. problem: torch is not installed.\n   mend: pip install' in said


def test_a_table_without_rich_is_plain_lines(load_tool, monkeypatch, capsys):
    tool = load_tool('misc/check_env.py')
    monkeypatch.setitem(sys.modules, 'rich.console', None)
    tool.print_table('title', ('a', 'b'), [('torch', '2.6.0')])
    assert capsys.readouterr().out.split() == ['title', 'torch', '2.6.0']


def test_findings_are_what_the_probes_print(load_tool):
    tool = load_tool('misc/env_probes.py')
    good = tool.examine(tool.Probe('x', 'print("a\\nb\\n")', ()))
    assert good == tool.Finding(True, 'b')
    bad = tool.examine(tool.Probe('x', 'print("a"); import no_such', ()))
    assert not bad.works
    assert bad.said == "ModuleNotFoundError: No module named 'no_such'"


def test_a_probe_that_takes_its_process_along_is_a_finding(load_tool):
    tool = load_tool('misc/env_probes.py')
    code = 'import os, signal; os.kill(os.getpid(), signal.SIGKILL)'
    assert tool.examine(tool.Probe('x', code, ())) == tool.Finding(
        False, 'exit status -9'
    )


def test_describe_a_gpu(load_tool):
    tool = load_tool('misc/env_probes.py')
    gpu = dict(cuda='12.4', devices=[['H200', [9, 0]]], code=['sm_90'])
    said = tool.describe('gpu', tool.Finding(True, json.dumps(gpu)))
    assert said == 'H200; torch built for CUDA 12.4'
    gpu = dict(cuda=None, devices=[], code=[])
    said = tool.describe('gpu', tool.Finding(True, json.dumps(gpu)))
    assert said == 'none seen; torch built without CUDA'
