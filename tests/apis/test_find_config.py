"""Configs are found by name in a checkout and in an installed package."""

import pytest

import hvc_mm
from hvc_mm.apis import find_config, list_configs
from hvc_mm.apis.find_config import config_root


def test_project_configs_are_found_by_name(root_dir):
    path = find_config('hvc_davis')
    assert path.samefile(root_dir / 'configs/hvc_davis.py')
    assert find_config('hvc_davis.py') == path
    assert 'hvc_coco' in list_configs()


def test_a_path_is_taken_as_it_is(tmp_path):
    file = tmp_path / 'mine.py'
    file.write_text('a = 1')
    assert find_config(file) == file


def test_parts_of_configs_are_no_configs():
    assert 'default_runtime' not in list_configs()


def test_unknown_names_are_told_their_neighbours(tmp_path):
    with pytest.raises(FileNotFoundError, match='did you mean hvc_davis'):
        find_config('hvc_daviss')
    # The last part is a name, but the path was meant.
    with pytest.raises(FileNotFoundError, match='no config'):
        find_config(tmp_path / 'hvc_davis')


def test_installed_package_uses_its_own_folder(tmp_path, monkeypatch):
    package = tmp_path / 'site-packages' / 'hvc_mm'
    inside = package / '.mim' / 'configs'
    # Another project's configs may lie beside an installed package.
    beside = tmp_path / 'site-packages' / 'configs'
    for folder in (inside, beside):
        folder.mkdir(parents=True)
    (inside / 'ours.py').write_text('')
    (beside / 'theirs.py').write_text('')
    monkeypatch.setattr(hvc_mm, '__file__', str(package / '__init__.py'))
    assert list(list_configs()) == ['ours']
    inside.rename(package / '.mim' / 'gone')
    assert list(list_configs()) == ['theirs']
    beside.rename(tmp_path / 'gone')
    with pytest.raises(FileNotFoundError, match='.mim/configs'):
        config_root()
