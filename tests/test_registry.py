import subprocess
import sys

import pytest
from mmengine import registry as root
from mmengine.registry import DefaultScope

from hvc_mm import registry

# All of version 0.1.0 but DenseLabelPropagator, and what came since.
NAMES = {
    'MODELS': 'ConvProjector CosineMomentumTarget FeatureEnsemble HVC '
    'HVCResNet HybridCorrespondenceLoss LabelPropagationVOS LabelPropagator '
    'PairedViewsDataPreprocessor PseudoFlowHead TorchvisionBackbone '
    'VOSDataPreprocessor WithHVCLoss',
    'TASK_UTILS': 'JointCodec MaskCodec PartCodec',
    'DATASETS': 'ImageFolderDataset JHMDBDataset VIPDataset VOSDataset '
    'VideoFramesDataset YouTubeVOSDataset',
    'DATA_SAMPLERS': 'VideoSampler',
    'TRANSFORMS': 'LoadFrame LoadPretrainImage LoadPrompt PackPairedViews '
    'PackVOSInputs PairedRandomResizedCrop ResizeFrame',
    'METRICS': 'MeanIoUMetric PCKMetric VOSMetric YouTubeVOSMetric',
    'VISUALIZERS': 'VOSLocalVisualizer',
    'HOOKS': 'EpochSeedHook PairedViewsVisualizationHook ProtocolLogHook '
    'TimeBudgetHook VOSVisualizationHook',
    'OPTIM_WRAPPERS': 'BF16OptimWrapper',
    'FUNCTIONS': 'seed_worker',
    'WEIGHT_INITIALIZERS': 'PretrainedBackbone',
    'INFERENCERS': 'VOSInferencer',
}


@pytest.mark.parametrize('kind', NAMES)
def test_found_by_scope_and_by_prefix(kind):
    ours, theirs = getattr(registry, kind), getattr(root, kind)
    for name in NAMES[kind].split():
        found = ours.get(name)
        assert found is not None and found.__module__.startswith('hvc_mm.')
        assert theirs.get(f'hvc_mm.{name}') is found


@pytest.mark.mmtrack
def test_the_tracker_is_found():
    from mmtrack.registry import MODELS

    import hvc_mm.bridges.mmtrack  # noqa: F401

    assert MODELS.get('HVCInstanceTracker') is not None


def test_every_registry_of_mmengine_has_a_child():
    """So that mmengine finds the scope wherever it looks a name up."""
    for kind in vars(root):
        parent = getattr(root, kind)
        if isinstance(parent, root.Registry) and kind != 'STRATEGIES':
            assert 'hvc_mm' in parent.children, kind


def test_another_scope_needs_no_custom_imports():
    """In a fresh process nothing of hvc_mm has been imported before."""
    code = (
        'from mmengine.registry import MODELS, DefaultScope\n'
        "DefaultScope.get_instance('run', scope_name='mmengine')\n"
        "model = MODELS.build(dict(type='hvc_mm.HVCResNet', depth=18))\n"
        'print(type(model).__module__)'
    )
    command = [sys.executable, '-c', code]
    printed = subprocess.run(command, check=True, capture_output=True).stdout
    assert b'hvc_mm.models.backbones.hvc_resnet' in printed


def test_default_scope_of_a_config():
    with DefaultScope.overwrite_default_scope('hvc_mm'):
        optimizer = root.OPTIMIZERS.get('Adam')
        model = root.MODELS.build(dict(type='ConvProjector', in_channels=3))
    assert optimizer is not None
    assert type(model).__name__ == 'ConvProjector'


@pytest.mark.parametrize('scope', ['hvc_mm', 'mmengine', 'mmdet'])
def test_models_find_their_default_parts_in_any_scope(scope, hvc_cfg):
    if scope == 'mmdet':
        pytest.importorskip('mmdet')
    for part in ('backbone', 'projector', 'predictor', 'flow_head', 'loss'):
        hvc_cfg[part]['type'] = f'hvc_mm.{hvc_cfg[part]["type"]}'
    hvc_cfg['target'].pop('type')
    vos = dict(type='hvc_mm.LabelPropagationVOS', backbone=hvc_cfg['backbone'])
    with DefaultScope.overwrite_default_scope(scope):
        hvc, vos = map(root.MODELS.build, (hvc_cfg, vos))
    parts = hvc.data_preprocessor, hvc.target
    parts += vos.data_preprocessor, vos.propagator, vos.codec
    assert [type(part).__name__ for part in parts] == [
        'PairedViewsDataPreprocessor',
        'CosineMomentumTarget',
        'VOSDataPreprocessor',
        'LabelPropagator',
        'MaskCodec',
    ]
