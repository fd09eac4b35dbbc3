"""What the pages name is there: links, paths, options, targets, classes."""

import ast
import importlib
import importlib.util
import re
import shlex
from functools import lru_cache
from pathlib import Path

import mmcv
import mmengine.model
from mmengine import registry as root_registry

from hvc_mm import registry
from hvc_mm.apis import list_configs

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = 'configs|tools|hvc_mm|tests|docs|requirements'


def test_links_lead_somewhere(page, read_page):
    for link in re.findall(r'\]\(([^)\s]+)\)', page.prose):
        if re.match(r'[a-z]+:', link):
            continue
        path, _, anchor = link.partition('#')
        target = (page.path.parent / path).resolve() if path else page.path
        assert target.exists(), link
        if anchor:
            assert anchor in read_page(target).anchors(), link


def test_paths_are_there(page):
    words = [word for words in page.commands() for word in words]
    for text in [*page.inline(), *words]:
        # Not what is below another folder, nor what is made (docs/_build).
        for path in re.findall(
            rf'(?<![\w/.<>-])(?:{FOLDERS})/(?!_build)[\w/.*-]*[\w*]', text
        ):
            assert list(ROOT.glob(path)), path


def test_commands_have_their_options(page):
    configs = list_configs()
    for words in page.commands():
        tool = _tool_of(words)
        if tool is None:
            continue
        options = _options_of(tool)
        if tool.name == 'benchmark.py':
            # They are in a table there.
            options = re.findall(r"'(--[\w-]+)'", tool.read_text())
        for word in words:
            if word.startswith('--'):
                assert word.split('=')[0] in options, (word, words)
            if re.fullmatch(r'hvc_[a-z]\w+', word):
                assert word in configs, words


def test_makefile_has_the_targets(page):
    makefile = (ROOT / 'Makefile').read_text()
    columns = (ROOT / 'tools/misc/setup_env.py').read_text()
    lines = [words[1:] for words in page.commands() if words[0] == 'make']
    lines += [
        shlex.split(text)[1:]
        for text in page.inline()
        if text.startswith('make ')
    ]
    for word in [word for words in lines for word in words]:
        name, sign, value = word.partition('=')
        if not sign:
            assert re.search(rf'^{name}:', makefile, re.MULTILINE), word
            continue
        assert re.search(rf'^{name} \?=', makefile, re.MULTILINE), word
        if name == 'COLUMN':
            assert all(f"'{v}': Column" in columns for v in value.split('|'))


def test_names_exist(page):
    own = set(re.findall(r'^class (\w+)', '\n'.join(page.blocks('python'))))
    for text in page.inline():
        called = re.fullmatch(r'([\w.]+)(\(.*\))?', text)
        name = called[1] if called else ''
        if name.startswith('hvc_mm.'):
            known = _importable(name) or _registered(name[len('hvc_mm.') :])
            assert known or name.endswith('.X'), text
        # CamelCase and CAPITALS_OF_TWO, not words of prose.
        elif re.fullmatch(r'[A-Z][a-z0-9]*[A-Z]\w*[a-z]\w*', name):
            known = name in own or _registered(name) or _defined(name)
            foreign = hasattr(mmengine.model, name) or hasattr(mmcv, name)
            assert known or foreign or name in _ELSEWHERE, text


# Of packages that need not be installed.
_ELSEWHERE = {'ConvModule', 'YouTubeVISMetric', 'TrackLocalVisualizer'}


def _tool_of(words):
    """The Python file that a command runs, None for other commands."""
    for word in words[:2]:
        shell = re.fullmatch(r'tools/dist_(train|test)\.sh', word)
        if shell:
            return ROOT / f'tools/{shell[1]}.py'
        if re.match(r'tools/.*\.py$', word):
            return ROOT / word
    return None


@lru_cache(maxsize=None)
def _options_of(tool):
    """Options that a tool's argparse knows, read from its source."""
    calls = [
        node
        for node in ast.walk(ast.parse(tool.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, 'attr', '') == 'add_argument'
    ]
    return frozenset(
        value.value
        for call in calls
        for value in call.args
        if isinstance(value, ast.Constant)
    )


def _registered(name):
    """Whether some registry here, or mmengine's own, has this type."""
    return any(
        name in value.module_dict
        for module in (registry, root_registry)
        for value in vars(module).values()
        if isinstance(value, root_registry.Registry)
    )


def _defined(name):
    """Whether the package's sources define a class or constant."""
    return name in _defined_names()


@lru_cache(maxsize=None)
def _defined_names():
    """Classes and constants at the top of the package's modules."""
    pattern = re.compile(r'^(?:class )?([A-Z]\w*)', re.MULTILINE)
    sources = (ROOT / 'hvc_mm').rglob('*.py')
    return {
        name for path in sources for name in pattern.findall(path.read_text())
    }


def _importable(dotted):
    """Whether a dotted name is a module or something in one."""
    parts = dotted.split('.')
    for at in range(len(parts), 0, -1):
        try:
            # Found, not imported: the bridge to MMTracking imports that.
            found = importlib.util.find_spec('.'.join(parts[:at]))
        except ImportError:
            continue
        if found is None:
            continue
        if at == len(parts):
            return True
        owner = importlib.import_module('.'.join(parts[:at]))
        for part in parts[at:]:
            owner = getattr(owner, part, None)
        return owner is not None
    return False
