"""`register_all_modules`, alone and after another project's."""

import subprocess
import sys

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


def test_modules_register_in_a_fresh_process(root_dir):
    """Beside it, mmengine's registries know nothing until it is called."""
    code = (
        'from hvc_mm.registry import MODELS, TRANSFORMS\n'
        'assert not MODELS.module_dict and not TRANSFORMS.module_dict\n'
        'from hvc_mm.utils import register_all_modules\n'
        'register_all_modules()\n'
        'assert "HVCResNet" in MODELS.module_dict\n'
        'assert TRANSFORMS.module_dict\n'
    )
    subprocess.run([sys.executable, '-c', code], cwd=root_dir, check=True)
