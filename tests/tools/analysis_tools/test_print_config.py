"""A whole config in print."""

import pytest
from mmengine.config import Config

TOOL = 'analysis_tools/print_config.py'


def test_printed_config_is_the_config(call_tool, capsys, tmp_path):
    saved = tmp_path / 'saved.py'
    options = ('--save-path', saved, '--cfg-options')
    call_tool(TOOL, 'hvc_davis', *options, 'model.propagator.topk=3')
    printed = Config.fromstring(capsys.readouterr().out, '.py')
    assert printed.model.propagator.topk == 3
    assert printed.model.backbone.depth == 18
    assert Config.fromfile(saved).model == printed.model


def test_unknown_name(call_tool):
    with pytest.raises(SystemExit, match='did you mean hvc_davis'):
        call_tool(TOOL, 'hvc_dawis')
