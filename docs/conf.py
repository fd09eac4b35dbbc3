"""Sphinx: ``make docs`` builds these pages into ``docs/_build/html``."""

from pathlib import Path

_scope = {}
exec(
    (Path(__file__).resolve().parents[1] / 'hvc_mm/version.py').read_text(),
    _scope,
)

project = 'hvc_mm'
author = 'hvc_mm contributors'
version = release = _scope['__version__']

extensions = ['myst_parser']
source_suffix = {'.md': 'markdown'}
exclude_patterns = ['_build']
# Links to headings, `page.md#a-heading`, as GitHub makes them.
myst_heading_anchors = 3
nitpicky = True

html_theme = 'furo'
html_title = f'hvc_mm {version}'
html_show_copyright = False
