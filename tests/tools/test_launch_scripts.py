"""The shell scripts that start several processes, with a substitute for srun.

No cluster is at hand: the substitute notes what it was asked for and runs the
command once, without a GPU, which the tools must refuse under slurm.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTE = '#!/usr/bin/env bash\nprintf "%s\\n" "$@" >"$RECORD"\n'
SRUN = NOTE + 'while [[ $1 == -* ]]; do shift; done\nexec "$@"\n'
PYTHON = NOTE + 'echo "PYTHONPATH=$PYTHONPATH"\nexit 3\n'
VARIABLES = ('GPUS', 'GPUS_PER_NODE', 'SRUN_ARGS', 'PORT')


@pytest.fixture
def call(root_dir, tmp_path):
    """Run a script with a substitute first in PATH; what that got, and it."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    # Data are looked for first; a folder is enough.
    (tmp_path / 'data/DAVIS').mkdir(parents=True)
    record = tmp_path / 'arguments'

    def run(script, *arguments, program=('srun', NOTE), **variables):
        name, text = program
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
        environment = {
            k: v for k, v in os.environ.items() if k not in VARIABLES
        }
        folders = [folder, Path(sys.executable).parent, os.environ['PATH']]
        environment.update(
            PATH=os.pathsep.join(map(str, folders)),
            RECORD=str(record),
            CUDA_VISIBLE_DEVICES='',
            **variables,
        )
        done = subprocess.run(
            [str(root_dir / 'tools' / script), *map(str, arguments)],
            env=environment,
            cwd=tmp_path,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        noted = record.read_text().splitlines() if record.exists() else []
        return noted, done

    return run


def test_slurm_train(call, root_dir, tmp_path):
    config = root_dir / 'configs/hvc_coco_folder.py'
    work_dir = str(tmp_path / 'work dir')
    more = ['--amp', '--cfg-options', 'randomness.seed=1']
    noted, done = call(
        'slurm_train.sh',
        *('part', 'a job', config, work_dir, *more),
        program=('srun', SRUN),
    )
    command = noted.index('python')
    assert noted[:command] == [
        '--partition=part',
        '--job-name=a job',
        '--gres=gpu:8',
        '--ntasks=8',
        '--ntasks-per-node=8',
        '--cpus-per-task=5',
        '--kill-on-bad-exit=1',
    ]
    assert noted[command + 1] == '-u'
    assert Path(noted[command + 2]).resolve() == root_dir / 'tools/train.py'
    expected = [str(config), '--work-dir', work_dir, '--launcher', 'slurm']
    assert noted[command + 3 :] == expected + more
    # The command line is one that train.py takes, up to the missing GPU.
    assert done.returncode == 1
    assert '--launcher slurm needs CUDA devices' in done.stdout


def test_slurm_test(call, root_dir):
    config = root_dir / 'configs/hvc_davis.py'
    noted, done = call(
        'slurm_test.sh',
        *('part', 'job', config, 'none', '--out', 'masks'),
        GPUS='4',
        CPUS_PER_TASK='3',
        SRUN_ARGS='--nodes=1  --exclusive',
    )
    command = noted.index('python')
    assert noted[:command] == [
        '--partition=part',
        '--job-name=job',
        '--gres=gpu:4',
        '--ntasks=4',
        '--ntasks-per-node=4',
        '--cpus-per-task=3',
        '--kill-on-bad-exit=1',
        '--nodes=1',
        '--exclusive',
    ]
    assert Path(noted[command + 2]).resolve() == root_dir / 'tools/test.py'
    expected = [str(config), 'none', '--launcher', 'slurm', '--out', 'masks']
    assert noted[command + 3 :] == expected
    assert done.returncode == 0, done.stdout
    # Over several nodes.
    arguments = 'part', 'job', 'no_such_config.py', 'work'
    noted, _ = call('slurm_train.sh', *arguments, GPUS='16')
    assert {'--ntasks=16', '--gres=gpu:8', '--ntasks-per-node=8'} <= set(noted)


@pytest.mark.slow
def test_slurm_test_reaches_the_tool(call, root_dir):
    arguments = 'part', 'job', root_dir / 'configs/hvc_davis.py', 'none'
    _, done = call('slurm_test.sh', *arguments, program=('srun', SRUN))
    assert done.returncode == 1
    assert '--launcher slurm needs CUDA devices' in done.stdout


@pytest.mark.parametrize(
    'tool, positional, more',
    [('train', ['a.py'], ['--amp']), ('test', ['a.py', 'b c.pth'], ['--out'])],
)
def test_dist(call, root_dir, tool, positional, more):
    noted, done = call(
        f'dist_{tool}.sh',
        *(*positional, '2', *more),
        program=('python', PYTHON),
        PORT='12345',
        PYTHONPATH='/elsewhere',
    )
    assert noted[:2] == ['-m', 'torch.distributed.run']
    assert {'--master_port=12345', '--nproc_per_node=2'} <= set(noted)
    at = next(i for i, word in enumerate(noted) if word.endswith(f'{tool}.py'))
    assert Path(noted[at]).resolve() == root_dir / f'tools/{tool}.py'
    assert noted[at + 1 :] == [*positional, '--launcher', 'pytorch', *more]
    # Its own checkout first, then what was there; and the tool's verdict.
    first, second = done.stdout.strip().split('=')[1].split(':')
    assert Path(first).resolve() == root_dir and second == '/elsewhere'
    assert done.returncode == 3


@pytest.mark.parametrize(
    'script, arguments',
    [
        ('slurm_train.sh', ['part', 'job', 'config.py']),
        ('slurm_test.sh', ['part', 'job', 'config.py']),
        ('dist_train.sh', ['config.py']),
        ('dist_test.sh', ['config.py', '2']),
    ],
)
def test_what_is_missing_is_said(call, script, arguments):
    noted, done = call(script, *arguments)
    assert done.returncode == 2 and not noted
    assert f'tools/{script} ' in done.stdout
    assert 'Variables: ' in done.stdout and '#' not in done.stdout
