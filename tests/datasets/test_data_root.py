"""The data root reaches every path, from wherever it was set."""

from pathlib import Path

import pytest
from mmengine.config import Config

from hvc_mm.datasets.data_root import (
    DATA_ROOT_VARIABLE,
    read_config,
    set_data_root,
)

BASE = """
train_pipeline = [dict(type='X', data='data')]
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        type='ConcatDataset',
        datasets=[
            dict(type='A', data_root='{{$HVC_DATA_ROOT:data}}/coco'),
            dict(type='B', data_root='{{$HVC_DATA_ROOT:data}}'),
            dict(type='C', data_root='/elsewhere/voc'),
        ],
        pipeline=train_pipeline,
    ),
)
work_dir = 'data/work'
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.delenv(DATA_ROOT_VARIABLE, raising=False)
    base = tmp_path / 'base.py'
    base.write_text(BASE)
    leaf = tmp_path / 'leaf.py'
    leaf.write_text("_base_ = './base.py'\n")
    return leaf


def _roots(cfg):
    datasets = cfg.train_dataloader.dataset.datasets
    return [dataset.data_root for dataset in datasets]


def test_default(config):
    cfg = read_config(config)
    assert _roots(cfg) == ['data/coco', 'data', '/elsewhere/voc']
    assert cfg.data_root == 'data'


def test_environment(config, monkeypatch):
    monkeypatch.setenv(DATA_ROOT_VARIABLE, '/mnt/d')
    cfg = read_config(config)
    assert _roots(cfg) == ['/mnt/d/coco', '/mnt/d', '/elsewhere/voc']
    assert cfg.data_root == '/mnt/d'


@pytest.mark.parametrize('environment', [None, '/mnt/d', '/mnt/d/'])
def test_option_beats_environment(config, monkeypatch, environment):
    if environment:
        monkeypatch.setenv(DATA_ROOT_VARIABLE, environment)
    options = {'data_root': '/opt/e', 'train_dataloader.batch_size': 7}
    cfg = read_config(config, options)
    assert _roots(cfg) == ['/opt/e/coco', '/opt/e', '/elsewhere/voc']
    assert cfg.train_dataloader.batch_size == 7
    assert options['data_root'] == '/opt/e'  # left as it was given


def test_a_config_of_ones_own_may_set_it(config, tmp_path):
    own = tmp_path / 'own.py'
    own.write_text("_base_ = './leaf.py'\ndata_root = '/home/f'\n")
    assert _roots(read_config(own))[:2] == ['/home/f/coco', '/home/f']
    options = {'data_root': '/opt/e'}
    assert _roots(read_config(own, options))[:2] == ['/opt/e/coco', '/opt/e']


def test_a_dumped_config_can_be_moved_again(config, tmp_path):
    dumped = tmp_path / 'dumped.py'
    read_config(config, {'data_root': '/opt/e'}).dump(dumped)
    assert _roots(read_config(dumped))[:2] == ['/opt/e/coco', '/opt/e']
    moved = read_config(dumped, {'data_root': 'rel/g'})
    assert _roots(moved) == ['rel/g/coco', 'rel/g', '/elsewhere/voc']


def test_one_path_can_be_given_by_itself(config):
    key = 'train_dataloader.dataset.datasets.0.data_root'
    options = {'data_root': '/opt/e', key: 'data/mine'}
    roots = _roots(read_config(config, options))
    assert roots == ['data/mine', '/opt/e', '/elsewhere/voc']


def test_what_is_no_path_of_data_stays(config):
    cfg = read_config(config, {'data_root': '/opt/e'})
    assert cfg.work_dir == 'data/work'
    assert cfg.train_pipeline[0].data == 'data'


def test_a_config_in_memory(monkeypatch):
    monkeypatch.delenv(DATA_ROOT_VARIABLE, raising=False)
    cfg = Config(dict(test_dataloader=dict(dataset=dict(data_root='data/D'))))
    set_data_root(cfg, '/opt/e/')
    assert cfg.test_dataloader.dataset.data_root == '/opt/e/D'


def test_base_configs_spell_the_root_once(root_dir):
    """Every data set of ours can be moved."""
    bases = sorted((root_dir / 'configs/_base_/datasets').glob('*.py'))
    assert len(bases) > 10
    for base in bases:
        cfg = read_config(base, {'data_root': '/opt/e'})
        roots = list(_values(cfg.to_dict(), 'data_root'))
        # Its own and the data set's; only what all share has no data set.
        assert len(roots) == 2 or base.stem == 'paired_views', base
        assert all(root.startswith('/opt/e') for root in roots), base


def _values(node, key):
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield str(Path(value))
            else:
                yield from _values(value, key)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _values(value, key)
