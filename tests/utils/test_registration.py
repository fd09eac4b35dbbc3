import pytest
from mmengine.registry import DefaultScope

from hvc_mm.utils import register_all_modules


@pytest.fixture(autouse=True)
def leave_no_scope(monkeypatch):
    """Scopes are global: take the ones that a test makes away again."""
    monkeypatch.setattr(
        DefaultScope, '_instance_dict', DefaultScope._instance_dict.copy()
    )
    DefaultScope._instance_dict.clear()


def test_it_registers_and_sets_the_scope_once_if_wanted():
    register_all_modules(init_default_scope=False)
    assert DefaultScope.get_current_instance() is None
    register_all_modules()
    first = DefaultScope.get_current_instance()
    assert first.scope_name == 'hvc_mm'
    register_all_modules()
    assert DefaultScope.get_current_instance() is first


def test_another_scope_is_replaced_with_a_warning():
    register_all_modules()
    DefaultScope.get_instance('other', scope_name='mmdet')
    with pytest.warns(UserWarning, match='"mmdet" and becomes "hvc_mm"'):
        register_all_modules()
    assert DefaultScope.get_current_instance().scope_name == 'hvc_mm'
