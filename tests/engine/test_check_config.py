"""Values of a wrong type are refused by their key, before anything runs."""

import re

import pytest

from hvc_mm.engine.config_file import list_configs
from hvc_mm.engine.run_config import read_config


@pytest.mark.parametrize(
    'key, value, message',
    [
        ('model.propagator.topk', 'fifteen', r"'fifteen' \(str\); .*an int"),
        ('model.propagator.topk', 1.5, 'expected an integer'),
        ('model.propagator.topk', True, 'expected an integer'),
        ('model.propagator.temperature', 'cold', 'expected a number'),
        ('model.propagator.temperature', float('inf'), 'is inf .*a number'),
        ('model.propagator.radius', [3], 'expected a number or None'),
        ('model.backbone.typo', 1, 'HVCResNet has no such argument'),
        ('model.data_preprocessor.bgr_to_rgb', 'maybe', 'True or False'),
        ('model.data_preprocessor.mean', [1, 'x', 3], 'a list of: a number'),
        ('model.backbone', 5, 'expected a dict'),
        ('model', 'HVC', 'expected a dict'),
        ('test_dataloader.dataset.max_frames', 'all', 'an integer or None'),
        ('test_dataloader.dataset.ann_file', 3, 'expected a text'),
        ('test_dataloader.batch_size', 'big', 'expected an integer or None'),
        ('test_evaluator.num_workers', 'two', 'expected an integer'),
        ('test_evaluator.nothing', 2, 'VOSMetric has no such argument'),
    ],
)
def test_a_wrong_value_is_named(key, value, message):
    with pytest.raises(ValueError, match=f'hvc_davis.py: {key}.*{message}'):
        read_config('hvc_davis', {key: value})


@pytest.mark.parametrize('name', ['torchvision-r50', 'timm-vit'])
def test_options_that_a_backbone_passes_on_are_not_known_here(name):
    options = {'model.backbone.something': [False, True]}
    cfg = read_config(f'{name}_davis', options)
    assert cfg.model.backbone.something == [False, True]


def test_values_that_fit_are_taken():
    options = {
        'model.propagator.radius': None,
        'model.propagator.temperature': 1,
        'model.backbone.out_indices': 2,
        'model.backbone.strides': (1, 2, 1, 1),
        'test_dataloader.dataset.videos': ['blackswan'],
        'test_evaluator.num_workers': 0,
    }
    cfg = read_config('hvc_davis', options)
    assert cfg.model.propagator.radius is None


@pytest.mark.parametrize(
    'entry, message',
    [
        ('train_dataloder = dict()', 'nothing reads train_dataloder; did you'),
        ('param_schedulers = []', 'did you mean param_scheduler?'),
        ('load_form = None', 'did you mean load_from?'),
    ],
)
def test_a_misspelled_entry(tmp_path, entry, message):
    path = tmp_path / 'mine.py'
    path.write_text(f"_base_ = 'hvc_mm::hvc_coco.py'\n{entry}\n")
    with pytest.raises(ValueError, match=f'{path}: .*{re.escape(message)}'):
        read_config(path)


def test_variables_of_a_configs_own(tmp_path):
    path = tmp_path / 'mine.py'
    names = ('train_pipeline', 'train_dataset', 'model_ema', 'tta_model', 'lr')
    names += ('train_dataloader_2', 'backend_args', 'max_epochs')
    lines = ''.join(f'{name} = 1\n' for name in names)
    path.write_text(f"_base_ = 'hvc_mm::hvc_coco.py'\n{lines}")
    assert read_config(path, {'max_epochs': 3, 'sync_bn': 'torch'})
    path.write_text("default_scope = 'mmdet'\nmodle = dict()\n")
    assert read_config(path)


@pytest.mark.parametrize(
    'key, message',
    [
        ('modle.backbone.depth', r'no entry modle; did you mean model\?$'),
        ('propagator', 'no entry propagator'),
    ],
)
def test_an_option_that_nothing_reads(key, message):
    with pytest.raises(ValueError, match=f'--cfg-options: {message}'):
        read_config('hvc_davis', {key: 50})


@pytest.mark.parametrize('value', [5, ['data']])
def test_a_data_root_that_is_no_folder(value):
    with pytest.raises(ValueError, match='data_root is .*expected a folder'):
        read_config('hvc_davis', {'data_root': value})


def test_an_option_that_does_not_fit_the_config():
    with pytest.raises(ValueError, match='--cfg-options .* do not fit'):
        read_config('hvc_davis', {'test_dataloader.dataset.pipeline.9.a': 1})


def test_what_was_removed_says_what_to_use():
    """An argument with a message of its own gets that far."""
    cfg = read_config('hvc_davis', {'model.propagator.bank_dtype': 'float16'})
    assert cfg.model.propagator.bank_dtype == 'float16'


@pytest.mark.parametrize(
    'name',
    [n for n, path in list_configs().items() if path.parent.name != 'mixed'],
)
def test_our_configs_fit(name):
    assert read_config(name).model
