"""hvc_mm's registries: children of mmengine's, with scope ``hvc_mm``.

``default_scope = 'hvc_mm'`` in a config, and ``type='hvc_mm.X'`` from any
other OpenMMLab project, both find what is registered here. ``locations``
makes mmengine import the modules when a name is first looked up, so no
``custom_imports`` is needed.
"""

from mmengine import registry as root
from mmengine.registry import Registry

_MODELS_AT = ['hvc_mm.models']
_DATASETS_AT = ['hvc_mm.datasets']
_ENGINE_AT = ['hvc_mm.engine']

MODELS = Registry(
    'model', parent=root.MODELS, scope='hvc_mm', locations=_MODELS_AT
)
TASK_UTILS = Registry(
    'task util', parent=root.TASK_UTILS, scope='hvc_mm', locations=_MODELS_AT
)
DATASETS = Registry(
    'dataset', parent=root.DATASETS, scope='hvc_mm', locations=_DATASETS_AT
)
DATA_SAMPLERS = Registry(
    'data sampler',
    parent=root.DATA_SAMPLERS,
    scope='hvc_mm',
    locations=_DATASETS_AT,
)
TRANSFORMS = Registry(
    'transform', parent=root.TRANSFORMS, scope='hvc_mm', locations=_DATASETS_AT
)
METRICS = Registry(
    'metric',
    parent=root.METRICS,
    scope='hvc_mm',
    locations=['hvc_mm.evaluation'],
)
VISUALIZERS = Registry(
    'visualizer',
    parent=root.VISUALIZERS,
    scope='hvc_mm',
    locations=['hvc_mm.visualization'],
)
HOOKS = Registry(
    'hook', parent=root.HOOKS, scope='hvc_mm', locations=_ENGINE_AT
)
OPTIM_WRAPPERS = Registry(
    'optimizer wrapper',
    parent=root.OPTIM_WRAPPERS,
    scope='hvc_mm',
    locations=_ENGINE_AT,
)
FUNCTIONS = Registry(
    'function', parent=root.FUNCTIONS, scope='hvc_mm', locations=_DATASETS_AT
)
INFERENCERS = Registry(
    'inferencer',
    parent=root.INFERENCERS,
    scope='hvc_mm',
    locations=['hvc_mm.apis'],
)
