import argparse
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from hvc_mm.engine.config_file import find_config, list_configs
from hvc_mm.engine.run_config import (
    DATA_ROOT_VARIABLE,
    add_cfg_options,
    choose_checkpoint,
    evaluators_of,
    prepare_cpu_processes,
    read_config,
    read_run,
)
from hvc_mm.utils import config_root as module
from hvc_mm.utils.config_root import config_root

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


def test_configs_by_name_or_path(root_dir, tmp_path):
    path = find_config('hvc_davis')
    assert path.samefile(root_dir / 'configs/hvc_davis.py')
    assert find_config('hvc_davis.py') == path
    assert find_config(path) == path
    assert 'hvc_coco' in list_configs()
    assert 'default_runtime' not in list_configs()
    with pytest.raises(FileNotFoundError, match='did you mean hvc_davis'):
        read_config('hvc_daviss')
    # The last part is a name, but the path was meant.
    with pytest.raises(FileNotFoundError, match='no config'):
        find_config(tmp_path / 'hvc_davis')


@pytest.mark.parametrize(
    'text, names',
    [
        ('blackswan', ['blackswan']),
        ('00001', ['00001']),
        ('[00001]', ['00001']),
        ('[12e3456789]', ['12e3456789']),
        ('00001,"a b"', ['00001', 'a b']),
        ("['00001', 1]", ['00001', '1']),
        ('None', None),
    ],
)
def test_names_of_videos_stay_names(text, names):
    parser = argparse.ArgumentParser()
    add_cfg_options(parser)
    words = [f'test_dataloader.dataset.videos={text}', 'env_cfg.size=[1,2.5]']
    options = parser.parse_args(['--cfg-options', *words]).cfg_options
    assert options == {
        'test_dataloader.dataset.videos': names,
        'env_cfg.size': [1, 2.5],
    }
    cfg = read_config('hvc_davis', {**options, 'env_cfg.size': [1]})
    assert cfg.test_dataloader.dataset.videos == names


def test_an_installed_package_uses_its_own_folder(tmp_path, monkeypatch):
    package = tmp_path / 'site-packages' / 'hvc_mm'
    inside = package / '.mim' / 'configs'
    # Another project's configs may be next to an installed package.
    outside = tmp_path / 'site-packages' / 'configs'
    for folder in (inside, outside):
        folder.mkdir(parents=True)
    (inside / 'ours.py').write_text('')
    (outside / 'theirs.py').write_text('')
    here = package / 'utils/config_root.py'
    monkeypatch.setattr(module, '__file__', str(here))
    assert list(list_configs()) == ['ours']
    inside.rename(package / '.mim' / 'gone')
    assert list(list_configs()) == ['theirs']
    outside.rename(tmp_path / 'gone')
    with pytest.raises(FileNotFoundError, match='.mim/configs'):
        config_root()


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.delenv(DATA_ROOT_VARIABLE, raising=False)
    (tmp_path / 'base.py').write_text(BASE)
    leaf = tmp_path / 'leaf.py'
    leaf.write_text("_base_ = './base.py'\n")
    return leaf


def _roots(cfg):
    datasets = cfg.train_dataloader.dataset.datasets
    return [dataset.data_root for dataset in datasets]


@pytest.mark.parametrize(
    'environment, options, root',
    [
        (None, {}, 'data'),
        ('/mnt/d', {}, '/mnt/d'),
        (None, {'data_root': '/opt/e'}, '/opt/e'),
        ('/mnt/d', {'data_root': '/opt/e'}, '/opt/e'),
        ('/mnt/d/', {'data_root': '/opt/e'}, '/opt/e'),
    ],
)
def test_a_data_root_reaches_every_path(
    config, monkeypatch, environment, options, root
):
    if environment:
        monkeypatch.setenv(DATA_ROOT_VARIABLE, environment)
    options['train_dataloader.batch_size'] = 7
    given = dict(options)
    cfg = read_config(config, options)
    assert _roots(cfg) == [f'{root}/coco', root, '/elsewhere/voc']
    assert cfg.data_root == root
    assert cfg.train_dataloader.batch_size == 7
    assert options == given
    # What is no path of data stays.
    assert cfg.work_dir == 'data/work'
    assert cfg.train_pipeline[0].data == 'data'


def test_data_roots_of_derived_and_dumped_configs(config, tmp_path):
    own, dumped = tmp_path / 'own.py', tmp_path / 'dumped.py'
    own.write_text("_base_ = './leaf.py'\ndata_root = '/home/f'\n")
    assert _roots(read_config(own))[:2] == ['/home/f/coco', '/home/f']
    options = {'data_root': '/opt/e'}
    assert _roots(read_config(own, options))[:2] == ['/opt/e/coco', '/opt/e']
    read_config(config, options).dump(dumped)
    assert _roots(read_config(dumped))[:2] == ['/opt/e/coco', '/opt/e']
    moved = read_config(dumped, {'data_root': 'rel/g'})
    assert _roots(moved) == ['rel/g/coco', 'rel/g', '/elsewhere/voc']
    # One path can be given by itself.
    options['train_dataloader.dataset.datasets.0.data_root'] = 'data/mine'
    roots = _roots(read_config(config, options))
    assert roots == ['data/mine', '/opt/e', '/elsewhere/voc']


def test_results_follow_the_work_dir(root_dir, tmp_path):
    shipped = root_dir / 'configs/hvc_davis_testdev.py'
    derived = tmp_path / 'mine.py'
    derived.write_text(f"_base_ = '{shipped}'\n")
    for config in (shipped, derived):
        cfg = read_run(config, work_dir='w')
        (evaluator,) = evaluators_of(cfg)
        assert cfg.work_dir == 'w'
        assert evaluator.zip_path == 'w/submission.zip'
        assert evaluator.out_dir == 'w/masks'
        assert evaluator.results_dir == 'w/scores'
    (evaluator,) = evaluators_of(read_run(derived))
    assert evaluator.zip_path == 'work_dirs/mine/submission.zip'
    options = {'test_evaluator.zip_path': 'elsewhere/a.zip'}
    (evaluator,) = evaluators_of(read_run(derived, options, 'w'))
    assert evaluator.zip_path == 'elsewhere/a.zip'


def test_another_projects_metric_is_left_alone():
    cfg = read_run('hvc_davis', {'test_evaluator.type': 'mmdet.CocoMetric'})
    assert 'results_dir' not in cfg.test_evaluator
    assert evaluators_of(read_run('hvc_coco')) == []


VOS = dict(type='LabelPropagationVOS', backbone=dict(type='HVCResNet'))
WITH_FILE = dict(init_cfg=dict(type='PretrainedBackbone', checkpoint='a'))
DETECTOR = dict(type='mmdet.FasterRCNN', backbone=WITH_FILE)


def test_which_weights_are_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('given.pth').write_bytes(b'')
    cfg = Config(dict(model=VOS))
    assert choose_checkpoint(cfg, 'given.pth') == 'given.pth'
    assert choose_checkpoint(cfg, 'https://a/b.pth') == 'https://a/b.pth'
    assert choose_checkpoint(cfg, 'none') is None
    with pytest.raises(FileNotFoundError, match='no checkpoint gone.pth'):
        choose_checkpoint(cfg, 'gone.pth')
    cfg.load_from = 'given.pth'
    assert choose_checkpoint(cfg) == 'given.pth'
    own = Config(dict(model=dict(VOS, backbone=WITH_FILE)))
    assert choose_checkpoint(own) is None
    tracker = dict(type='HVCInstanceTracker', detector=WITH_FILE)
    assert choose_checkpoint(Config(dict(model=tracker))) is None
    cfg.load_from = None
    with pytest.raises(FileNotFoundError, match='tools/train.py configs/hvc'):
        choose_checkpoint(cfg)


def test_the_last_pretraining_fits_label_propagation_alone(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'work_dirs/hvc_coco'
    folder.mkdir(parents=True)
    read_config('hvc_coco').dump(folder / 'hvc_coco.py')
    # The folder was moved: the old path is no longer there.
    torch.save({'state_dict': {}}, folder / 'epoch_7.pth')
    (folder / 'last_checkpoint').write_text('/old/place/epoch_7.pth')
    last = 'work_dirs/hvc_coco/epoch_7.pth'
    assert choose_checkpoint(Config(dict(model=VOS))) == last
    # A detector's head would be random.
    cfg = Config(dict(model=DETECTOR))
    with pytest.raises(FileNotFoundError, match=r'mmdet\.FasterRCNN: give a'):
        choose_checkpoint(cfg)
    assert choose_checkpoint(cfg, 'none') is None


def test_launchers_without_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    env = dict(dist_cfg=dict(backend='nccl'))
    cfg = Config(dict(launcher='none', env_cfg=env))
    prepare_cpu_processes(cfg)
    assert cfg.env_cfg.dist_cfg.backend == 'nccl'
    assert 'model_wrapper_cfg' not in cfg
    cfg.launcher = 'slurm'
    with pytest.raises(ValueError, match='slurm needs CUDA'):
        prepare_cpu_processes(cfg)
