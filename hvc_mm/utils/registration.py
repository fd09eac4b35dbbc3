"""Registration of everything hvc_mm has, as other OpenMMLab projects do."""

import datetime
import warnings
from importlib import import_module

_SCOPE = 'hvc_mm'
_MODULES = ('models', 'datasets', 'engine', 'evaluation', 'visualization')


def register_all_modules(init_default_scope: bool = True) -> None:
    """Import every module that registers something.

    Runs from a config need no call: the registries import their modules when
    a name is first looked up. This is for scripts that build parts by hand.

    Args:
        init_default_scope: Also make ``hvc_mm`` the default scope, so that
            types need no ``hvc_mm.`` in front. Another scope that is current
            by then is replaced, with a warning.
    """
    for name in _MODULES:
        import_module(f'{_SCOPE}.{name}')
    if not init_default_scope:
        return

    # Imported late: `import hvc_mm` brings neither mmengine nor torch.
    from mmengine.registry import DefaultScope

    current = DefaultScope.get_current_instance()
    if current is not None and current.scope_name == _SCOPE:
        return
    if current is not None:
        warnings.warn(
            f'the default scope was "{current.scope_name}" and becomes '
            f'"{_SCOPE}"; init_default_scope=False leaves it',
            stacklevel=2,
        )
    # An instance's name can be used once only, a scope's name at will.
    name = _SCOPE
    if DefaultScope.check_instance_created(name):
        name = f'{_SCOPE}-{datetime.datetime.now()}'
    DefaultScope.get_instance(name, scope_name=_SCOPE)
