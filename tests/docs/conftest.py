"""Pages of Markdown, taken apart; tests with an argument `page` run on all."""

import re
import shlex
from pathlib import Path
from typing import Iterator, List, Tuple

import pytest

from hvc_mm.utils import register_all_modules

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(r'^```(\w*)\n(.*?)^```', re.MULTILINE | re.DOTALL)


class Page:
    """One page.

    Args:
        path: Its file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding='utf-8')
        self.prose = _BLOCK.sub('', self.text)

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    def blocks(self, language: str) -> List[str]:
        """Its code blocks in a language."""
        found = _BLOCK.findall(self.text)
        return [code for name, code in found if name == language]

    def inline(self) -> List[str]:
        """Its inline code."""
        return re.findall(r'`([^`\n]+)`', self.prose)

    def commands(self) -> List[List[str]]:
        """The words of its command lines."""
        code = '\n'.join(self.blocks('bash')).replace('\\\n', ' ')
        lines = [shlex.split(line, True) for line in code.splitlines()]
        return [words for words in lines if words]

    def tables(self) -> Iterator[Tuple[List[str], List[List[str]]]]:
        """Its tables, each as the head's cells and the rows' cells."""
        for block in re.findall(r'(?:^\|.*\n)+', self.prose, re.MULTILINE):
            head, _, *rows = [
                [cell.strip() for cell in line.strip('|').split('|')]
                for line in block.splitlines()
            ]
            yield head, rows

    def anchors(self) -> List[str]:
        """By what its headings can be linked."""
        heads = re.findall(r'^#+ (.*)$', self.prose, re.MULTILINE)
        plain = (re.sub(r'[^\w\- ]', '', head.lower()) for head in heads)
        return [head.replace(' ', '-') for head in plain]

    def files(self) -> dict:
        """Code blocks that begin with the name of the file they are."""
        named = (
            (re.match(r'# ([\w/-]+\.py)', code), code)
            for code in self.blocks('python')
        )
        return {match[1]: code for match, code in named if match}


def all_pages() -> List[Page]:
    """The documents and the READMEs."""
    paths = [*ROOT.glob('*.md')]
    for folder in ('docs', 'configs'):
        paths += sorted((ROOT / folder).rglob('*.md'))
    return [Page(path) for path in paths if '_build' not in path.parts]


def pytest_generate_tests(metafunc):
    if 'page' in metafunc.fixturenames:
        metafunc.parametrize('page', all_pages(), ids=str)


@pytest.fixture(scope='session')
def read_page():
    """Gives the page of a path below the checkout."""
    return lambda name: Page(ROOT / name)


@pytest.fixture(scope='session')
def pages():
    """All pages."""
    return all_pages()


@pytest.fixture(autouse=True)
def _registered():
    register_all_modules(init_default_scope=True)
