"""A whole config in print."""

import sys

import pytest
from mmengine.config import Config


def test_printed_config_is_the_config(
    load_tool, monkeypatch, capsys, tmp_path
):
    tool = load_tool('analysis_tools/print_config.py')
    saved = tmp_path / 'saved.py'
    argv = 'print_config.py hvc_davis --save-path {} --cfg-options {}'.format(
        saved, 'model.propagator.topk=3'
    )
    monkeypatch.setattr(sys, 'argv', argv.split())
    tool.main()
    printed = Config.fromstring(capsys.readouterr().out, '.py')
    assert printed.model.propagator.topk == 3
    assert printed.model.backbone.depth == 18
    assert Config.fromfile(saved).model == printed.model


def test_unknown_name(load_tool, monkeypatch):
    tool = load_tool('analysis_tools/print_config.py')
    monkeypatch.setattr(sys, 'argv', ['print_config.py', 'hvc_dawis'])
    with pytest.raises(SystemExit, match='did you mean hvc_davis'):
        tool.main()
