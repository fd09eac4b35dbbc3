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

# Registries that hvc_mm adds nothing to: with a child of every one, mmengine
# finds the scope wherever it looks a name up, and then goes on to its own.
RUNNERS = Registry('runner', parent=root.RUNNERS, scope='hvc_mm')
RUNNER_CONSTRUCTORS = Registry(
    'runner constructor', parent=root.RUNNER_CONSTRUCTORS, scope='hvc_mm'
)
LOOPS = Registry('loop', parent=root.LOOPS, scope='hvc_mm')
MODEL_WRAPPERS = Registry(
    'model_wrapper', parent=root.MODEL_WRAPPERS, scope='hvc_mm'
)
OPTIMIZERS = Registry('optimizer', parent=root.OPTIMIZERS, scope='hvc_mm')
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=root.OPTIM_WRAPPER_CONSTRUCTORS,
    scope='hvc_mm',
)
PARAM_SCHEDULERS = Registry(
    'parameter scheduler', parent=root.PARAM_SCHEDULERS, scope='hvc_mm'
)
EVALUATOR = Registry('evaluator', parent=root.EVALUATOR, scope='hvc_mm')
VISBACKENDS = Registry('vis_backend', parent=root.VISBACKENDS, scope='hvc_mm')
LOG_PROCESSORS = Registry(
    'log_processor', parent=root.LOG_PROCESSORS, scope='hvc_mm'
)

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
WEIGHT_INITIALIZERS = Registry(
    'weight initializer',
    parent=root.WEIGHT_INITIALIZERS,
    scope='hvc_mm',
    locations=['hvc_mm.checkpoint'],
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
