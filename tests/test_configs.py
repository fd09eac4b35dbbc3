from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import DefaultScope

from hvc_mm.engine.config_file import list_configs
from hvc_mm.engine.other_projects import lacks_tracking
from hvc_mm.engine.run_config import read_config
from hvc_mm.registry import MODELS
from hvc_mm.utils import register_all_modules

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
LEAVES = sorted(CONFIGS.glob('*.py'))
DATA = sorted((CONFIGS / '_base_' / 'datasets').glob('*.py'))
DATA.remove(CONFIGS / '_base_/datasets/paired_views.py')  # has no data set
# All of version 0.1.0 below configs/, and what came since.
NAMES = (
    'hvc_coco hvc_coco_folder hvc_davis hvc_davis16 hvc_davis_testdev '
    'hvc_folder hvc_jhmdb hvc_moco_davis hvc_msra10k hvc_vip hvc_voc '
    'hvc_vost hvc_ytvos hvc_ytvos18 hvc_ytvos19'
).split()
# Those in configs/mixed, by what they build on.
MIXED = {
    'faster-rcnn_hvc-loss_coco': 'mmdet',
    'faster-rcnn_hvc-r18_coco': 'mmdet',
    'mask-rcnn_hvc-r50_coco': 'mmdet',
    'mask-rcnn_hvc_ytvis': 'mmtrack',
    'mask-rcnn_hvc_ytvis_mmdet': 'mmdet',
    'timm-vit_davis': 'hvc_mm',
    'torchvision-r50_davis': 'hvc_mm',
}
RECIPES = [p for p in LEAVES if 'train_cfg' in Config.fromfile(p)]


@pytest.fixture(autouse=True)
def _registered():
    register_all_modules(init_default_scope=True)


@pytest.mark.parametrize('path', LEAVES, ids=lambda p: p.stem)
def test_builds_its_model(path):
    cfg = read_config(path)
    backbone = cfg.model.backbone
    for member in backbone.get('members', []):
        member.pop('init_cfg', None)  # a file that only users have
    model = MODELS.build(cfg.model)
    assert sum(p.numel() for p in model.parameters()) > 1e6


def test_names_of_all_configs():
    assert set(list_configs()) == {*NAMES, *MIXED}


@pytest.mark.parametrize('name', MIXED)
def test_mixed_builds_its_model_in_its_own_scope(name):
    scope = MIXED[name]
    pytest.importorskip(scope)
    if name.endswith('_mmdet') and lacks_tracking():
        pytest.skip('MMDetection has tracking from 3.1 on')
    if name.startswith('timm'):
        pytest.importorskip('timm')
    cfg = read_config(
        CONFIGS / 'mixed' / f'{name}.py', {'data_root': '/elsewhere'}
    )
    assert cfg.default_scope == scope
    assert "'data/" not in cfg.pretty_text
    carrier = cfg.model.get('carrier')
    if carrier:
        carrier.backbone.pop('init_cfg')  # a file that only users have
    with DefaultScope.overwrite_default_scope(scope):
        model = ROOT_MODELS.build(cfg.model)
    assert sum(p.numel() for p in model.parameters()) > 1e6


@pytest.mark.parametrize('path', LEAVES + DATA, ids=lambda p: p.stem)
def test_a_data_root_reaches_every_path(path):
    text = read_config(path, {'data_root': '/elsewhere'}).pretty_text
    assert "'data/" not in text
    assert '/elsewhere' in text


@pytest.mark.parametrize('path', RECIPES, ids=lambda p: p.stem)
def test_recipe_is_the_papers(path):
    cfg = read_config(path)
    assert cfg.optim_wrapper.optimizer == dict(
        type='Adam', lr=1e-3, weight_decay=0
    )
    assert cfg.train_cfg.max_epochs == 20
    assert cfg.train_dataloader.batch_size == 128
    assert cfg.param_scheduler == []
    assert cfg.model.loss.pos_radius == 0.1
    assert cfg.model.target.base_momentum == 0.99
    assert cfg.randomness.seed == 42
    assert cfg.train_dataloader.persistent_workers is False


@pytest.mark.parametrize(
    ('name', 'context', 'topk', 'radius', 'temperature'),
    [
        ('hvc_davis', 50, 15, 12, 0.1),
        ('hvc_davis16', 50, 15, 12, 0.1),
        ('hvc_moco_davis', 50, 15, 12, 0.1),
        ('hvc_davis_testdev', 50, 15, 12, 0.1),
        ('hvc_ytvos18', 50, 15, 12, 0.1),
        ('hvc_ytvos19', 50, 15, 12, 0.1),
        ('hvc_vost', 50, 15, 12, 0.1),
        ('hvc_vip', 4, 10, 12, 0.05),
        ('hvc_jhmdb', 7, 10, 5, 0.05),
    ],
)
def test_protocol_numbers(name, context, topk, radius, temperature):
    model = read_config(CONFIGS / f'{name}.py').model
    propagator = model.propagator
    published = name not in ('hvc_vip', 'hvc_jhmdb')
    zero_image = (256, 256) if published else None
    assert model.warmup_zero_image == zero_image
    assert (
        propagator.context,
        propagator.topk,
        propagator.radius,
        propagator.temperature,
    ) == (context, topk, radius, temperature)
