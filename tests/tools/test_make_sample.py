"""make_sample.py as a user calls it."""

import importlib.util
import os
import subprocess
import sys

import pytest

SMALL = ('--videos', '1', '--frames', '3', '--size', '60x80', '--images', '3')


@pytest.fixture(scope='module')
def script(root_dir):
    return root_dir / 'tools/dataset_converters/make_sample.py'


@pytest.fixture(scope='module')
def module(script):
    spec = importlib.util.spec_from_file_location('make_sample', script)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture(scope='module')
def photos():
    pytest.importorskip('skimage')
    pytest.importorskip('sklearn')


def test_command_line(script, root_dir, tmp_path, photos):
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / 'data'), *SMALL],
        env=dict(os.environ, PYTHONPATH=str(root_dir)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert 'coco: 3 images' in done.stdout
    assert 'davis: ' in done.stdout and '2 videos' in done.stdout
    assert 'MB' in done.stdout and 'seed 0' in done.stdout
    data = tmp_path / 'data'
    assert {p.name for p in data.iterdir()} == {'coco', 'DAVIS', 'sample.json'}
    assert (data / 'DAVIS/ImageSets/2017/val.txt').is_file()


def test_the_choices_are_the_layouts(module):
    from hvc_mm.datasets.sample import LAYOUTS

    assert tuple(LAYOUTS) == module.NAMES


def test_help_needs_no_libraries(script):
    """Nothing but the standard library is there under -I -S."""
    done = subprocess.run(
        [sys.executable, '-I', '-S', str(script), '--help'],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert '--benchmarks' in done.stdout


def test_refuses_a_full_folder_then_takes_it(module, tmp_path, photos, capsys):
    (tmp_path / 'mine.txt').write_text('mine')
    args = [str(tmp_path), '--benchmarks', 'coco', *SMALL]
    assert module.main(args) == 1
    assert 'is not empty (it holds mine.txt)' in capsys.readouterr().err
    assert module.main([*args, '--force']) == 0
    assert module.main([*args, '--force']) == 0
    assert (tmp_path / 'mine.txt').read_text() == 'mine'


@pytest.mark.parametrize(
    'wrong, message',
    [
        (['--size', '60'], 'expected HEIGHTxWIDTH'),
        (['--size', '-6x80'], 'expected'),
        (['--benchmarks', 'imagenet'], 'invalid choice'),
    ],
)
def test_wrong_words(module, tmp_path, wrong, message, capsys):
    with pytest.raises(SystemExit) as stop:
        module.main([str(tmp_path / 'x'), *wrong])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    'wrong', [['--videos', '0'], ['--size', '10x10'], ['--seed', '-1']]
)
def test_wrong_numbers(module, tmp_path, wrong, capsys):
    assert module.main([str(tmp_path / 'x'), *wrong]) == 1
    assert 'expected' in capsys.readouterr().err
    assert not (tmp_path / 'x').exists()
