"""Versions in, problems and mending commands out; and what import makes of it.

The environments are invented, column by column of `requirements/`, with one
thing wrong in each.
"""

import multiprocessing
import os
import subprocess
import sys

import pytest

from hvc_mm.utils import dependencies
from hvc_mm.utils.dependencies import (
    PACKAGES,
    Problem,
    check_dependencies,
    diagnose,
    format_problems,
    installed_versions,
)

COLUMN_A = {
    'torch': '2.0.1',
    'torchvision': '0.15.2',
    'mmengine': '0.10.7',
    'mmcv': '2.0.0rc4',
    'mmdet': '3.0.0rc5',
    'mmtrack': '1.0.0rc1',
    'mmcls': '1.0.0rc6',
    'modelindex': '0.0.2',
    'numpy': '1.23.5',
    'opencv-python': '4.10.0.84',
    'setuptools': '69.5.1',
}
COLUMN_B = {
    'torch': '2.6.0',
    'torchvision': '0.21.0',
    'mmengine': '0.10.7',
    'mmcv': '2.1.0',
    'mmdet': '3.3.0',
    'numpy': '1.26.4',
    'opencv-python': '4.10.0.84',
    'setuptools': '69.5.1',
}
MINIMAL = {
    'torch': '2.6.0+cu124',
    'torchvision': '0.21.0+cu124',
    'mmengine': '0.10.7',
    'mmcv-lite': '2.1.0',
    'numpy': '1.26.4',
}


@pytest.mark.parametrize('column', [COLUMN_A, COLUMN_B, MINIMAL])
def test_the_tested_columns_have_no_problem(column):
    assert diagnose(column) == []


# column, what differs there, words of the report, words of the command, fatal
CASES = {
    'no torch': (
        MINIMAL,
        {'torch': None},
        'torch is not installed',
        'pip install "torch==2.6.0" "torchvision==0.21.0"',
        True,
    ),
    'no torch beside mmtrack': (
        COLUMN_A,
        {'torch': None},
        'torch is not installed',
        '"torch==2.0.1" "torchvision==0.15.2"',
        True,
    ),
    'torch of another age': (
        MINIMAL,
        {'torch': '1.13.1', 'torchvision': '0.14.1'},
        '2.0 or later',
        '"torch==2.6.0"',
        True,
    ),
    'no torchvision': (
        MINIMAL,
        {'torchvision': None},
        'torchvision is not installed',
        '"torch==2.6.0" "torchvision==0.21.*"',
        True,
    ),
    'torchvision of another torch': (
        MINIMAL,
        {'torchvision': '0.20.1'},
        'goes with torchvision 0.21',
        '"torchvision==0.21.*"',
        True,
    ),
    'torchvision whose minor version only begins alike': (
        COLUMN_A,
        {'torchvision': '0.150.0'},
        'goes with torchvision 0.15',
        '"torchvision==0.15.*"',
        True,
    ),
    'torch without CUDA, torchvision with': (
        COLUMN_B,
        {'torch': '2.6.0+cpu'},
        'one source',
        'pip uninstall -y torch torchvision && pip install "torch===2.6.0"',
        True,
    ),
    'no mmengine': (
        MINIMAL,
        {'mmengine': None},
        'mmengine is not installed',
        'pip install "mmengine==0.10.7"',
        True,
    ),
    'old mmengine': (
        MINIMAL,
        {'mmengine': '0.9.1'},
        'mmengine 0.9.1',
        'pip install "mmengine==0.10.7"',
        True,
    ),
    'no mmcv': (
        MINIMAL,
        {'mmcv-lite': None},
        'neither mmcv nor mmcv-lite',
        'pip install "mmcv-lite==2.1.0" "numpy<2"',
        True,
    ),
    'no mmcv beside mmdet': (
        COLUMN_A,
        {'mmcv': None},
        'neither mmcv nor mmcv-lite',
        'MMCV_WITH_OPS=1 pip install --no-build-isolation "mmcv==2.0.0rc4"',
        True,
    ),
    'both of mmcv': (
        COLUMN_B,
        {'mmcv-lite': '2.1.0'},
        'mmcv 2.1.0 and mmcv-lite 2.1.0 share one folder',
        'pip uninstall -y mmcv mmcv-lite && ',
        True,
    ),
    'mmcv 1.x under its old name': (
        MINIMAL,
        {'mmcv-lite': None, 'mmcv-full': '1.7.2'},
        'mmcv-full 1.7.2',
        'pip uninstall -y mmcv-full && ',
        True,
    ),
    'mmcv of the future': (
        MINIMAL,
        {'mmcv-lite': '3.0.0'},
        '>=2.0.0rc4,<2.3.0',
        'mmcv-lite==2.1.0',
        True,
    ),
    'no numpy': (
        MINIMAL,
        {'numpy': None},
        'numpy is not installed',
        'pip install "numpy<2"',
        True,
    ),
    'numpy 2 under a torch built for numpy 1': (
        {**MINIMAL, 'torch': '2.2.2', 'torchvision': '0.17.2'},
        {'numpy': '2.1.0'},
        'built for numpy 1',
        'pip install "numpy<2" "opencv-python==',
        True,
    ),
    'numpy 2 with an mmcv that predates it': (
        MINIMAL,
        {'numpy': '2.1.0'},
        'mmcv predates numpy 2',
        'pip install "numpy<2"',
        False,
    ),
    'mmdet without operators': (
        COLUMN_B,
        {'mmcv': None, 'mmcv-lite': '2.1.0'},
        'mmcv-lite has none',
        'pip uninstall -y mmcv-lite && ',
        False,
    ),
    'mmcv too new for mmdet': (
        COLUMN_B,
        {'mmcv': '2.2.0'},
        'mmdet 3.3.0 wants mmcv < 2.2.0',
        '"mmcv==2.1.0"',
        False,
    ),
    'mmcv too new for mmtrack': (
        COLUMN_A,
        {'mmcv': '2.0.1'},
        'mmtrack 1.0.0rc1 wants mmcv < 2.0.0',
        '"mmcv==2.0.0rc4"',
        False,
    ),
    'mmdet too new for mmtrack': (
        COLUMN_A,
        {'mmdet': '3.0.0rc6'},
        'goes with mmdet 3.0.0rc5; found: 3.0.0rc6',
        '"mmdet==3.0.0rc5"',
        False,
    ),
    'mmtrack without mmdet': (
        COLUMN_A,
        {'mmdet': None},
        'goes with mmdet 3.0.0rc5; found: None',
        '"mmdet==3.0.0rc5"',
        False,
    ),
    'mmtrack without what mmcls imports': (
        COLUMN_A,
        {'modelindex': None},
        'imports mmcls',
        'pip install modelindex && pip install --no-deps "mmcls==',
        False,
    ),
    'numpy without np.bool': (
        COLUMN_A,
        {'numpy': '1.24.0'},
        'uses np.bool',
        'pip install "numpy==1.23.5"',
        False,
    ),
    'setuptools without pkg_resources': (
        COLUMN_B,
        {'setuptools': '82.0.0'},
        'pkg_resources',
        'pip install "setuptools<70"',
        False,
    ),
}


@pytest.mark.parametrize('case', CASES, ids=list(CASES))
def test_one_thing_wrong_is_one_problem_with_its_command(case):
    column, change, said, command, fatal = CASES[case]
    problems = diagnose({**column, **change}, wheels_carry_cuda=True)
    assert len(problems) == 1, problems
    assert said in problems[0].what
    assert command in problems[0].mend
    assert problems[0].fatal is fatal


def test_a_cpu_suffix_means_nothing_where_plain_wheels_are_cpu_builds():
    versions = {**COLUMN_B, 'torch': '2.6.0+cpu'}
    assert diagnose(versions, wheels_carry_cuda=False) == []


def test_fatal_problems_come_first_and_all_are_told():
    versions = {**COLUMN_A, 'modelindex': None, 'torchvision': '0.16.0'}
    problems = diagnose(versions)
    assert [problem.fatal for problem in problems] == [True, False]
    text = format_problems(problems)
    assert all(p.what in text and p.mend in text for p in problems)


def test_an_empty_environment_reports_each_piece():
    told = ' '.join(problem.what for problem in diagnose({}))
    for piece in ('torch ', 'mmengine ', 'mmcv-lite ', 'numpy '):
        assert piece in told


def test_installed_versions_covers_all_and_knows_what_is_absent():
    versions = installed_versions((*PACKAGES, 'no-such-package'))
    assert set(versions) == {*PACKAGES, 'no-such-package'}
    assert versions['no-such-package'] is None
    import torch

    assert versions['torch'].split('+')[0] == torch.__version__.split('+')[0]


@pytest.fixture
def problems(monkeypatch):
    """Lets a test say which problems the environment has."""
    monkeypatch.delenv('HVC_SKIP_ENV_CHECK', raising=False)
    found = []
    monkeypatch.setattr(dependencies, 'diagnose', lambda versions: found)
    return found


def test_a_fatal_problem_stops_the_import(problems):
    problems += [Problem('A is old.', 'get A'), Problem('B too.', 'get B')]
    with pytest.raises(ImportError, match=r'A is old\.\n    get A\n- B too'):
        check_dependencies()


def test_another_problem_only_warns(problems):
    problems += [Problem('mmdet is old.', 'get mmdet', fatal=False)]
    with pytest.warns(UserWarning, match=r'mmdet is old\.\n    get mmdet'):
        check_dependencies()


def test_the_check_can_be_turned_off(problems, monkeypatch):
    problems += [Problem('A is old.', 'get A')]
    monkeypatch.setenv('HVC_SKIP_ENV_CHECK', '1')
    check_dependencies()


def test_a_worker_process_says_nothing(problems, monkeypatch):
    problems += [Problem('A is old.', 'get A')]
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
