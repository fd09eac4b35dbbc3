"""`register_all_modules`, alone and after another project's."""

import pytest


@pytest.fixture(autouse=True)
def leave_no_scope(monkeypatch):
    """Scopes are global: take the ones that a test makes away again."""
    from mmengine.registry import DefaultScope

    monkeypatch.setattr(
        DefaultScope, '_instance_dict', DefaultScope._instance_dict.copy()
    )
    DefaultScope._instance_dict.clear()


def _scope():
    from mmengine.registry import DefaultScope

    return DefaultScope.get_current_instance()


def test_it_registers_and_sets_the_scope():
    from hvc_mm.utils import register_all_modules

    register_all_modules()
    assert _scope().scope_name == 'hvc_mm'


def test_the_scope_can_be_left_alone():
    from hvc_mm.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    assert _scope() is None


def test_another_scope_is_replaced_with_a_warning():
    from mmengine.registry import DefaultScope

    from hvc_mm.utils import register_all_modules

    register_all_modules()
    DefaultScope.get_instance('other', scope_name='mmdet')
    with pytest.warns(UserWarning, match='"mmdet" and becomes "hvc_mm"'):
        register_all_modules()
    assert _scope().scope_name == 'hvc_mm'


def test_a_second_call_changes_nothing():
    from hvc_mm.utils import register_all_modules

    register_all_modules()
    first = _scope()
    register_all_modules()
    assert _scope() is first
