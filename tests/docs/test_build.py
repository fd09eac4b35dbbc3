"""Sphinx builds the pages without a warning, where it is installed."""

import subprocess
import sys

import pytest


@pytest.mark.slow
def test_pages_build_without_warnings(root_dir, tmp_path):
    for name in ('sphinx', 'myst_parser', 'furo'):
        pytest.importorskip(name)
    command = [sys.executable, '-m', 'sphinx', '-W', '-q', '-b', 'html']
    run = subprocess.run(
        [*command, str(root_dir / 'docs'), str(tmp_path / 'html')],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert (tmp_path / 'html/extend/codec.html').is_file()
