"""What a run needs is told before it writes anything, in one line."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from hvc_mm.engine.config_file import list_configs
from hvc_mm.engine.other_projects import check_projects
from hvc_mm.engine.preflight import check_style, preflight
from hvc_mm.engine.run_config import read_config


@pytest.mark.parametrize(
    'options, message',
    [
        ({'model': None}, 'no model; expected a config of a test, with'),
        ({'test_dataloader': None}, 'no test_dataloader; expected'),
        ({'test_evaluator': None, 'test_cfg': None}, 'no test_cfg, test_ev'),
        ({'model.type': None}, 'model has no type'),
        ({'model.type': 'LabelPropagationVOs'}, 'mean LabelPropagationVOS'),
        ({'model.backbone.type': 'HVCResNett'}, 'mean HVCResNet'),
        ({'test_dataloader.dataset.type': 'Davis'}, 'type Davis is not reg'),
        ({'test_dataloader.dataset': None}, 'dataset has no type'),
        ({'test_evaluator.type': 'VOSMetrics'}, 'evaluator: .*mean VOSMetric'),
        (
            {'test_dataloader.dataset.pipeline.0.type': 'LoadFrames'},
            'step of the pipeline: .*LoadFrame',
        ),
    ],
)
def test_a_config_that_lacks_parts_is_named(options, message):
    with pytest.raises(ValueError, match=f'hvc_davis.py: .*{message}'):
        preflight(read_config('hvc_davis', options), 'test')


@pytest.mark.parametrize('name', list_configs())
def test_every_config_has_its_parts(name, tmp_path):
    try:
        cfg = read_config(name, {'data_root': str(tmp_path)})
        check_projects(cfg)
    except ValueError as error:
        missing = ('which is not installed', 'has tracking from 3.1 on')
        if not any(text in str(error) for text in missing):
            raise
        pytest.skip(str(error))
    for mode in ('train', 'test'):
        if cfg.get(f'{mode}_dataloader'):
            root = cfg[f'{mode}_dataloader'].dataset.get('data_root')
            Path(root or tmp_path).mkdir(exist_ok=True, parents=True)
            preflight(cfg, mode)


def test_a_config_of_the_other_tool():
    message = 'hvc_davis.py: no train_dataloader, train_cfg, .*tools/test.py'
    with pytest.raises(ValueError, match=message):
        preflight(read_config('hvc_davis'), 'train')
    message = 'hvc_coco.py: no test_dataloader, .* a test, .*tools/train.py'
    with pytest.raises(ValueError, match=message):
        preflight(read_config('hvc_coco'), 'test')


@pytest.mark.parametrize(
    'name, mode', [('hvc_davis', 'test'), ('hvc_coco', 'train')]
)
def test_a_missing_root_and_what_sets_it(name, mode, tmp_path):
    cfg = read_config(name, {'data_root': str(tmp_path / 'none')})
    message = f'no folder {tmp_path}/none/.*HVC_DATA_ROOT.*data_root='
    with pytest.raises(FileNotFoundError, match=message):
        preflight(cfg, mode)
    # One of several, too.
    data = dict(type='ConcatDataset', datasets=[cfg[f'{mode}_dataloader']])
    cfg[f'{mode}_dataloader'] = dict(dataset=data)
    with pytest.raises(FileNotFoundError, match=message):
        preflight(cfg, mode)


def test_sources_that_are_absolute_need_no_root(tmp_path):
    cfg = read_config('hvc_folder', {'data_root': str(tmp_path / 'none')})
    cfg.train_dataloader.dataset.sources = [str(tmp_path)]
    preflight(cfg, 'train')
    cfg.train_dataloader.dataset.sources = [str(tmp_path), 'photos']
    with pytest.raises(FileNotFoundError, match='no folder .*none'):
        preflight(cfg, 'train')


def _resnet(path, **more):
    backbone = dict(type='HVCResNet', depth=50, **more)
    return Config(dict(model=dict(backbone=backbone), load_from=str(path)))


@pytest.mark.parametrize('text', ["style='caffe'", '"style": "caffe"'])
def test_weights_of_caffe(tmp_path, text, logged):
    path = tmp_path / 'r50.pth'
    torch.save({'state_dict': {}, 'meta': {'cfg': f'dict({text})'}}, path)
    with pytest.raises(ValueError, match=f"{path}: Caffe.*style='caffe'"):
        check_style(_resnet(path))
    check_style(_resnet(path, style='caffe'))
    basic = _resnet(path)
    basic.model.backbone.depth = 34  # a basic block has one stride
    check_style(basic)
    torch.save({'meta': {'cfg': "dict(style='pytorch')"}}, path)
    check_style(_resnet(path))
    assert not logged
    named = tmp_path / 'resnet50_msra.pth'
    torch.save({'state_dict': {}}, named)
    init = dict(
        init_cfg=dict(type='PretrainedBackbone', checkpoint=str(named))
    )
    check_style(_resnet('', **init))
    assert len(logged) == 1 and logged[0].startswith(f'WARNING: {named}: ')
