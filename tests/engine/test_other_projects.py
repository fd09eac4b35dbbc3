"""A config that needs another project says so, and what to do."""

import sys

import pytest
from mmengine.config import Config
from mmengine.config.utils import MODULE2PACKAGE

from hvc_mm.engine import other_projects
from hvc_mm.engine.config_file import ConfigError, load_config
from hvc_mm.engine.other_projects import check_projects, need_of
from hvc_mm.engine.preflight import preflight
from hvc_mm.engine.run_config import read_config

# One that no column has.
ABSENT = 'mmrotate'


def test_a_type_of_an_absent_project(tmp_path, root_dir):
    path = tmp_path / 'mine.py'
    path.write_text(
        f'_base_ = {str(root_dir / "configs/hvc_davis.py")!r}\n'
        f"model = dict(backbone=dict(type='{ABSENT}.ReResNet'))\n"
    )
    said = f'mine.py: type {ABSENT}.ReResNet needs {ABSENT}, which is not '
    with pytest.raises(ValueError, match=said) as caught:
        preflight(read_config(path), 'test')
    assert f'`pip install {ABSENT}`' in str(caught.value)


def test_a_scope_of_an_absent_project():
    with pytest.raises(ValueError, match=f'default_scope {ABSENT} needs'):
        check_projects(Config(dict(default_scope=ABSENT)))
    check_projects(Config(dict(default_scope='hvc_mm', a=dict(type='b.c'))))
    check_projects(Config(dict(a=[dict(type='mmengine.ToTensor')])))


def test_a_config_that_derives_from_one_of_an_absent_project(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = '{ABSENT}::any/config.py'\n")
    with pytest.raises(ConfigError, match=f'mine.py: needs {ABSENT}, which'):
        load_config(path)


@pytest.mark.parametrize(
    'project, column, instead',
    [('mmdet', 'b', 'hvc_coco.py'), ('mmtrack', 'a', 'video_demo.py')],
)
def test_the_two_that_configs_of_ours_need(
    project, column, instead, root_dir, monkeypatch
):
    assert project in MODULE2PACKAGE
    said = need_of(project)
    assert f'make env COLUMN={column}`' in said and instead in said
    # As where it is not installed, in every column.
    monkeypatch.setattr(other_projects, 'find_spec', lambda name: None)
    monkeypatch.setitem(sys.modules, project, None)
    cfg = Config(dict(model=dict(backbone=dict(type=f'{project}.ResNet'))))
    with pytest.raises(ValueError, match=f'COLUMN={column}'):
        check_projects(cfg)


def test_a_tracker_for_an_older_mmdetection(tmp_path, monkeypatch):
    """Its config derives from files that only newer versions have."""
    path = tmp_path / 'mine.py'
    path.write_text(
        "raise FileNotFoundError('mmdet/.mim/configs/_base_/new.py')"
    )
    versions = {'mmdet': '3.0.0rc5'}
    monkeypatch.setattr(other_projects, 'installed_versions', lambda: versions)
    with pytest.raises(ConfigError, match='has tracking from 3.1 on') as said:
        load_config(path)
    assert 'COLUMN=b' in str(said.value) and 'MMTracking' in str(said.value)
    for version in ('3.1.0', '3.3.0', None):
        versions['mmdet'] = version
        with pytest.raises(ConfigError, match='cannot be read'):
            load_config(path)
