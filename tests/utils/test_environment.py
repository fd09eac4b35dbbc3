"""Versions in, problems and fixing commands out; what import makes of it."""

import multiprocessing
import os
import subprocess
import sys

import pytest

from hvc_mm.utils import environment
from hvc_mm.utils.environment import (
    Problem,
    check_dependencies,
    find_problems,
    installed_versions,
    mmcv_line,
    pair_line,
)

COLUMN_A = {
    'torch': '2.0.1',
    'torchvision': '0.15.2',
    'mmengine': '0.10.7',
    'mmcv': '2.0.0rc4',
    'mmdet': '3.0.0rc5',
    'mmtrack': '1.0.0rc1',
    'numpy': '1.23.5',
}
MINIMAL = {
    'torch': '2.6.0+cu124',
    'torchvision': '0.21.0+cu124',
    'mmengine': '0.10.7',
    'mmcv-lite': '2.1.0',
    'numpy': '1.26.4',
}
NEWEST = {
    'torch': '2.14.1+cu130',
    'torchvision': '0.29.1+cu130',
    'mmengine': '0.10.7',
    'mmcv-lite': '2.2.0',
    'numpy': '2.4.6',
}
PAIR = 'pip install torch torchvision'
KEPT = 'pip install "torch==2.6.0" "torchvision==0.21.'
MMCV = 'pip install "mmcv-lite==2.2.0"'
NUMPY = 'pip install "numpy<2" "opencv-python==4.10.0.84"'
BUILT = 'MMCV_WITH_OPS=1 pip install --no-build-isolation "mmcv==2.0.0rc4"'


@pytest.mark.parametrize(
    'column, change, said, command',
    [
        (MINIMAL, dict(torch=None), 'torch is not', PAIR),
        (COLUMN_A, dict(torch=None), 'torch is not', '"torch==2.0.1"'),
        (MINIMAL, dict(torch='1.13.1'), '>=2.0 is needed', PAIR),
        (MINIMAL, dict(torchvision=None), 'torchvision is not', KEPT),
        (MINIMAL, dict(torchvision='0.20.1'), '==0.21.* is needed', KEPT),
        (COLUMN_A, dict(torchvision='0.150.0'), '0.15', '0.15.*'),
        (MINIMAL, dict(torch='2.13.0'), '==0.28.*', 'torchvision==0.28.*'),
        (MINIMAL, dict(torch='2.1.0a0+29c3'), '==0.16.*', '0.16.*'),
        (MINIMAL, dict(torch='of my own'), 'of my own', PAIR),
        (MINIMAL, dict(mmengine=None), 'mmengine is not', 'mmengine==0.10.7'),
        (MINIMAL, dict(mmengine='0.9.1'), '0.9.1', 'mmengine==0.10.7'),
        (MINIMAL, {'mmcv-lite': None}, 'mmcv-lite is not', MMCV),
        (COLUMN_A, dict(mmcv=None), 'is not installed', BUILT),
        (MINIMAL, {'mmcv-lite': '3.0.0'}, '>=2.0.0rc4,<2.3.0', MMCV),
        (
            MINIMAL,
            {'mmcv-lite': None, 'mmcv-full': '1.7.2'},
            'mmcv-full 1.7.2 is installed',
            'pip uninstall -y mmcv-full && pip install',
        ),
        (
            COLUMN_A,
            {'mmcv-lite': '2.1.0'},
            'mmcv and mmcv-lite share one folder',
            'pip uninstall -y mmcv mmcv-lite && ',
        ),
        (NEWEST, dict(numpy=None), 'numpy is not', 'pip install numpy'),
        (COLUMN_A, dict(numpy=None), 'numpy is not', '"numpy<1.24" "opencv'),
        (
            NEWEST,
            dict(torch='2.2.2', torchvision='0.17.2'),
            'numpy 2.4.6 is installed, <2 is needed by torch 2.2.2.',
            NUMPY,
        ),
        (
            NEWEST,
            dict(mmdet='3.2.0'),
            'numpy 2.4.6 is installed, <2 is needed by mmdet 3.2.0.',
            NUMPY,
        ),
        (
            {**NEWEST, 'mmdet': '3.2.0', 'numpy': '1.26.4'},
            dict(mmengine=None),
            'mmengine is not',
            '"mmengine==0.10.7" "numpy<2" "opencv-python==4.10.0.84"',
        ),
    ],
)
def test_one_thing_wrong_is_one_problem(column, change, said, command):
    assert find_problems(column) == []
    (problem,) = find_problems({**column, **change})
    assert said in problem.what and command in problem.fix
    assert problem.fatal


def test_an_empty_environment_reports_each_piece():
    told = ' '.join(problem.what for problem in find_problems({}))
    for piece in ('torch ', 'mmengine ', 'mmcv-lite ', 'numpy '):
        assert piece in told


def test_installed_versions():
    import torch

    version = installed_versions()['torch']
    assert version.split('+')[0] == torch.__version__.split('+')[0]


@pytest.mark.parametrize('name', ['mmcv-lite', 'mmcv'])
@pytest.mark.parametrize('version', ['2.0.0rc4', '2.1.0', '2.2.0'])
def test_an_mmcv_older_than_numpy_2_is_no_problem(name, version):
    assert not find_problems({**NEWEST, 'mmcv-lite': None, name: version})


def test_commands_keep_what_is_there():
    assert pair_line({'torch': '2.4.1+cu121'}) == (
        'pip install "torch==2.4.1" "torchvision==0.19.*"'
    )
    assert '"torchvision==0.17.*" "numpy<2" "opencv-python==' in pair_line(
        {'torch': '2.2.2'}
    )
    assert '"torch==2.6.0" "torchvision==0.21.0" "numpy<2"' in pair_line(
        {'mmdet': '3.3.0'}
    )
    assert '"torch==2.0.1" "torchvision==0.15.2" "numpy<1.24"' in pair_line(
        {'mmtrack': '1.0.0rc1'}
    )


@pytest.mark.parametrize(
    'versions, mmcv',
    [
        ({'torch': '2.0.1', 'mmdet': '3.0.0rc5'}, '2.0.0rc4'),
        ({'torch': '2.6.0', 'mmdet': '3.3.0'}, '2.1.0'),
        ({'torch': '2.2.2', 'mmcv': '2.0.0'}, '2.1.0'),
        ({'mmtrack': '1.0.0rc1'}, '2.0.0rc4'),
    ],
)
def test_mmcv_line_builds_operators_where_wanted(versions, mmcv):
    line = mmcv_line(versions)
    assert f'"mmcv=={mmcv}"' in line
    assert 'MMCV_WITH_OPS=1' in line and '--no-build-isolation' in line
    assert '"numpy<' in line and '"opencv-python==' in line


@pytest.fixture
def problems(monkeypatch):
    """Lets a test say which problems the environment has."""
    monkeypatch.delenv('HVC_SKIP_ENV_CHECK', raising=False)
    found = [Problem('A is old.', 'get A'), Problem('B too.', 'get B')]
    monkeypatch.setattr(environment, 'find_problems', lambda versions: found)
    return found


def test_a_problem_stops_the_import(problems):
    with pytest.raises(ImportError, match=r'A is old\.\n    get A\n- B too'):
        check_dependencies()


def test_the_check_can_be_turned_off(problems, monkeypatch):
    monkeypatch.setenv('HVC_SKIP_ENV_CHECK', '1')
    check_dependencies()


def test_a_worker_process_says_nothing(problems, monkeypatch):
    monkeypatch.setattr(multiprocessing, 'parent_process', object)
    check_dependencies()


def test_import_reports_a_clash_by_metadata_alone(tmp_path, root_dir):
    """A real import, with a second mmcv's metadata put in front."""
    name = 'mmcv' if installed_versions()['mmcv-lite'] else 'mmcv-lite'
    info = tmp_path / f'{name.replace("-", "_")}-2.1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(
        f'Metadata-Version: 2.1\nName: {name}\nVersion: 2.1.0\n'
    )
    paths = [str(root_dir), str(tmp_path)]
    env = {**os.environ, 'PYTHONPATH': os.pathsep.join(paths)}
    env.pop('HVC_SKIP_ENV_CHECK', None)
    run = subprocess.run(
        [sys.executable, '-c', 'import hvc_mm'],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert 'overwrite each other' in run.stderr
    assert 'pip uninstall -y mmcv mmcv-lite && pip install' in run.stderr
