"""Pages of Markdown; tests with an argument `page` run on each of them."""

import re
from pathlib import Path

import pytest

from hvc_mm.utils import register_all_modules

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    path
    for pattern in ('*.md', 'docs/**/*.md', 'configs/**/*.md')
    for path in sorted(ROOT.glob(pattern))
    if '_build' not in path.parts
]


def pytest_generate_tests(metafunc):
    if 'page' in metafunc.fixturenames:
        names = [str(path.relative_to(ROOT)) for path in PAGES]
        metafunc.parametrize('page', PAGES, ids=names)


@pytest.fixture(scope='session')
def code_blocks():
    """Finds the code blocks of a page in a language."""

    def find(page, language):
        pattern = rf'^```{language}\n(.*?)^```'
        return re.findall(pattern, page.read_text(), re.M | re.S)

    return find


@pytest.fixture(autouse=True)
def _registered():
    register_all_modules(init_default_scope=True)
