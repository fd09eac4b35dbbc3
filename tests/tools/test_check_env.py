"""The doctor: its judgement on invented findings, and itself as run."""

import json
import re
import sys
from pathlib import Path

import pytest

from hvc_mm.models.vos.search_choice import describe_search

TOOL = 'misc/check_env.py'
PINS = Path(__file__).parents[2] / 'requirements'


def _pinned(name):
    lines = re.findall(r'^([\w-]+)==(\S+)$', (PINS / name).read_text(), re.M)
    return dict(lines)


COLUMN_A = _pinned('column_a.txt')
COLUMN_B = _pinned('column_b.txt')


@pytest.fixture
def tool(load_tool, monkeypatch):
    monkeypatch.setenv('HVC_SKIP_ENV_CHECK', '1')
    return load_tool(TOOL)


@pytest.fixture
def doctor(tool, monkeypatch, capsys):
    """Run it in an invented environment: its exit status and output."""

    def run(versions, **findings):
        found = dict.fromkeys(tool_names, (True, 'fine'))
        found['GPU'] = (True, gpu())
        found.update(findings)
        monkeypatch.setattr(tool, 'installed_versions', lambda: versions)
        monkeypatch.setattr(
            tool,
            'PROBES',
            {name: ('torch', name) for name in found},
        )
        monkeypatch.setattr(
            tool, 'examine', lambda name: tool.Finding(*found[name])
        )
        monkeypatch.setattr(sys, 'argv', ['check_env.py'])
        with pytest.raises(SystemExit) as stop:
            tool.main()
        return stop.value.code, capsys.readouterr().out

    tool_names = list(tool.PROBES)
    monkeypatch.setattr(tool, 'doubled_metadata', lambda folders: [])
    monkeypatch.setattr(tool.shutil, 'which', lambda name: None)
    return run


def gpu(cuda='12.4', **said):
    return json.dumps(dict(cuda=cuda, said=said))


@pytest.mark.parametrize('column', [COLUMN_A, COLUMN_B])
def test_nothing_wrong_is_no_problem(doctor, column):
    status, said = doctor(column)
    assert status == 0 and 'No problem found.' in said
    assert 'as tested' in said and 'tested: none' not in said


@pytest.mark.parametrize(
    'column, change, what, fix',
    [
        (COLUMN_B, dict(torch=None), 'torch is not installed', 'pip install'),
        (COLUMN_B, {'numpy': '2.1.0'}, '<2 is needed by torch 2.1.2', 'mpy<2'),
        (
            COLUMN_B,
            {'mmcv': None, 'mmcv-lite': '2.1.0'},
            'mmcv-lite, no operators',
            'pip uninstall -y mmcv-lite; ',
        ),
        (COLUMN_B, {'mmcv': '2.2.0'}, 'mmcv <2.2.0', '"mmcv==2.1.0"'),
        (COLUMN_A, {'mmcv': '2.0.1'}, 'mmcv <=2.0.0rc4', '"mmcv==2.0.0rc4"'),
        (COLUMN_A, {'mmdet': '3.0.0'}, '==3.0.0rc5', '"mmdet==3.0.0rc5"'),
        (COLUMN_A, {'mmdet': None}, 'found: None', '"mmdet==3.0.0rc5"'),
        (COLUMN_A, {'modelindex': None}, 'modelindex', 'pip install modelin'),
        (COLUMN_A, {'mmcls': None}, 'mmcls', '--no-deps "mmcls==1.0.0rc6"'),
        (COLUMN_A, {'numpy': '1.24.0'}, 'numpy <1.24', '"numpy==1.23.5"'),
        (COLUMN_B, {'setuptools': '82.0'}, 'setuptools <82', 'setuptools<70'),
    ],
)
def test_versions_that_clash(doctor, column, change, what, fix):
    """They are told once: what they explain, the probes don't repeat."""
    status, said = doctor({**column, **change}, mmdet=(False, 'no nms'))
    assert status == 1
    (line,) = [line for line in said.splitlines() if line.startswith('1. ')]
    assert what in line and fix in said and '\n2. ' not in said
    assert said.count('fix: ') == 1


def test_mmcv_older_than_numpy_2_is_a_note(doctor):
    newest = {**_pinned('minimal.txt'), 'numpy': '2.4.6'}
    status, said = doctor(newest)
    note = '  note: mmcv-lite 2.2.0 is older than numpy 2; '
    assert status == 0 and note in said and 'No problem found.' in said
    status, said = doctor({**newest, 'numpy': '1.26.4'})
    assert status == 0 and 'note:' not in said


def test_an_mmdetection_without_tracking_is_noted(doctor):
    for column, noted in ((COLUMN_A, False), (COLUMN_B, False)):
        assert ('has no tracking' in doctor(column)[1]) == noted
    _, said = doctor({**COLUMN_A, 'mmtrack': None})
    assert '  note: mmdet 3.0.0rc5 has no tracking (3.1 and later' in said


def test_tested_versions_are_those_of_this_python(tool, tmp_path):
    file = tmp_path / 'pins.txt'
    file.write_text(
        '# exact\n\na-b==1.0\n'
        "numpy==2.4.6; python_version >= '3'\n"
        "numpy==1.0; python_version < '3'\n"
    )
    assert tool.tested_versions(file) == {'a-b': '1.0', 'numpy': '2.4.6'}


@pytest.mark.parametrize(
    'probe, fix',
    [
        ('torchvision', 'pip uninstall -y torch torchvision && pip install'),
        ('opencv', '"opencv-python-headless=='),
        ("mmcv's operators", 'pip install --no-cache-dir --no-build-isol'),
        ('mmdet', 'pip install "mmdet==3.3.0"'),
        ('mmtrack', 'make env COLUMN=a'),
        ('hvc_mm', 'pip install --editable /'),
    ],
)
def test_a_probe_that_fails_is_a_problem(doctor, probe, fix):
    status, said = doctor(COLUMN_B, **{probe: (False, 'undefined symbol')})
    assert status == 1 and fix in said
    assert f'1. problem: {probe}: undefined symbol\n   fix: ' in said


@pytest.mark.parametrize(
    'driver, found, what, fix',
    [
        ('H200', gpu(cuda=None), 'without CUDA', 'pip uninstall -y torch '),
        ('H200', gpu(), 'built for CUDA 12.4, does not see H200', 'nvidia-sm'),
        ('H200', gpu(H200='no kernel'), 'H200: no kernel', 'env COLUMN=b'),
    ],
)
def test_gpus_that_torch_cannot_use(tool, driver, found, what, fix):
    (problem,) = tool.gpu_problems(found, driver, COLUMN_B)
    assert what in problem.what and fix in problem.fix and not problem.fatal
    assert not tool.gpu_problems(gpu(H200='3.0'), driver, COLUMN_B)


def test_probes_run_in_processes_of_their_own(tool):
    assert tool.examine('print("a\\nb\\n")') == tool.Finding(True, 'b')
    failed = tool.examine('print("a"); import no_such')
    assert failed == (
        False,
        "ModuleNotFoundError: No module named 'no_such'",
    )
    code = 'import os, signal; os.kill(os.getpid(), signal.SIGKILL)'
    assert tool.examine(code) == tool.Finding(False, 'exit -9')


def test_doubled_metadata_counts_within_one_folder(tool, tmp_path):
    for name in ('a/numpy-1', 'a/NumPy-2', 'a/hvc_mm-1', 'b/hvc_mm-1'):
        info = tmp_path / f'{name}.dist-info'
        info.mkdir(parents=True)
        text = f'Name: {info.name.split("-")[0]}\nVersion: 1\n'
        (info / 'METADATA').write_text(text)
    folders = [str(tmp_path / 'a'), str(tmp_path / 'b')]
    (problem,) = tool.doubled_metadata(folders)
    assert problem.what == 'numpy left two copies of its metadata.'
    assert problem.fix.endswith('pip install numpy')


@pytest.mark.parametrize(
    'versions, column',
    [
        (COLUMN_A, 'a'),
        ({'mmcv': '2.0.0rc4'}, 'a'),
        (COLUMN_B, 'b'),
        ({'mmcv-lite': '2.1.0'}, 'minimal'),
        ({}, 'minimal'),
    ],
)
def test_likely_column(tool, versions, column):
    assert tool.likely_column(versions) == column


@pytest.mark.slow
def test_it_finds_this_environment_in_order(run_tool):
    """The suite runs in one of the columns, so nothing may be wrong."""
    import torch

    run = run_tool(TOOL)
    assert run.returncode == 0, run.stdout
    assert 'No problem found.' in run.stdout
    assert torch.__version__.split('+')[0] in run.stdout
    assert 'torchvision.ops.nms ran' in run.stdout
    searches = describe_search(torch.device('cpu'), None, None)
    assert f'search of label propagation: {searches}' in run.stdout


def test_an_unknown_column_is_refused(run_tool):
    run = run_tool(TOOL, '--column', 'c')
    assert run.returncode == 2 and "invalid choice: 'c'" in run.stdout
