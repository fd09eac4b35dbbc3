"""Links resolve, command lines name what there is, the pages build."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import hvc_mm
from hvc_mm.checkpoint import MODEL_ZOO
from hvc_mm.engine.config_file import list_configs
from hvc_mm.engine.run_config import read_config

ROOT = Path(__file__).resolve().parents[2]
# Entries that read_config or mmengine's runner add to a config.
OPTIONAL = {'data_root', 'activation_checkpointing', 'model_wrapper_cfg'}


def _anchors(page):
    prose = re.sub(r'^```.*?^```', '', page.read_text(), flags=re.M | re.S)
    heads = re.findall(r'^#+ (.*)$', prose, re.M)
    plain = (re.sub(r'[^\w\- ]', '', head.lower()) for head in heads)
    return [head.replace(' ', '-') for head in plain]


def _commands(page, code_blocks):
    code = '\n'.join(code_blocks(page, 'bash')).replace('\\\n', ' ')
    lines = [shlex.split(line, True) for line in code.splitlines()]
    return [words for words in lines if words]


def test_links_resolve(page):
    for link in re.findall(r'\]\(([^)\s]+)\)', page.read_text()):
        if re.match(r'[a-z]+:', link):
            continue
        path, _, anchor = link.partition('#')
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


def test_paths_exist(page):
    folders = 'configs|tools|hvc_mm|tests|docs|requirements'
    pattern = rf'(?<![\w/.<>-])((?:{folders})/(?!_build)[\w/*-]+[\w.*-]*\w)'
    # The changelog names what earlier versions had.
    text = '' if page.name == 'CHANGELOG.md' else page.read_text()
    for path in re.findall(pattern, text):
        assert list(ROOT.glob(path)) or path.startswith('hvc_mm/.mim'), path


def test_options_exist(page, code_blocks):
    shared = (ROOT / 'hvc_mm/engine/run_config.py').read_text()
    for words in _commands(page, code_blocks):
        tools = [w for w in words[:2] if re.match(r'tools/.*\.(py|sh)$', w)]
        if not tools or 'slurm' in tools[0]:
            continue
        tool = re.sub(r'dist_(\w+)\.sh', r'\1.py', tools[0])
        source = (ROOT / tool).read_text() + shared
        for word in words:
            option = word.split('=')[0]
            assert word[:2] != '--' or f"'{option}'" in source, words


def test_config_entries_exist(page, code_blocks):
    configs = list_configs()
    for words in _commands(page, code_blocks):
        names = [Path(w).stem for w in words if Path(w).stem in configs]
        name = names[0] if names else 'hvc_davis'
        if '--cfg-options' not in words or 'rcnn' in name:
            continue  # detectors need MMDetection
        cfg = read_config(configs[name])
        for word in words[words.index('--cfg-options') + 1 :]:
            *parents, _ = word.split('=')[0].split('.')
            if word.split('=')[0].split('.')[0] in OPTIONAL:
                continue
            entry = cfg
            for key in parents:
                entry = entry[int(key) if key.isdigit() else key]
            assert parents or word.split('=')[0] in ('compile',), word


def test_every_config_is_in_a_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    models = [
        model
        for name in index['Import']
        for model in yaml.safe_load((ROOT / name).read_text())['Models']
    ]
    # An editable install finds the configs through links.
    paths = [path.resolve() for path in list_configs().values()]
    own = {path.relative_to(ROOT).as_posix() for path in paths}
    assert {model['Config'] for model in models} == own
    for model in models:
        recipe = model.get('Metadata', {})
        if 'Epochs' in recipe:
            cfg = read_config(ROOT / model['Config'])
            assert recipe['Epochs'] == cfg.train_cfg.max_epochs
            assert recipe['Batch Size'] == cfg.train_dataloader.batch_size


def test_the_model_zoo_is_the_same_everywhere():
    models = yaml.safe_load((ROOT / 'configs/metafile.yml').read_text())
    found, scores = {}, {}
    for model in models['Models']:
        name = model.get('Metadata', {}).get('Weights Name')
        if name:
            found[name] = model['Weights']
            for result in model['Results']:
                scores[name] = result['Metrics']['J&F (paper)']
    assert found == {name: each.url for name, each in MODEL_ZOO.items()}
    readme = (ROOT / 'README.md').read_text()
    rows = dict(re.findall(r'^\| `([\w-]+)` \|(.*)$', readme, re.M))
    for name, url in found.items():
        assert url in rows[name] or url in rows['hvc-coco']
        if name.startswith('hvc-'):
            assert f'| {scores[name]} |' in rows[name]
            config = name.replace('-', '_')
            assert f'`{config}.py`' in rows[name]
        assert f'`{name}`' in (ROOT / 'docs/mix.md').read_text()


def test_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert citation['version'] == hvc_mm.__version__
    changes = (ROOT / 'CHANGELOG.md').read_text()
    newest = re.search(r'^## \[(.*?)\]', changes, re.M)[1]
    assert newest == hvc_mm.__version__


@pytest.mark.slow
def test_pages_build_without_warnings(tmp_path):
    for name in ('sphinx', 'myst_parser', 'furo'):
        pytest.importorskip(name)
    command = [sys.executable, '-m', 'sphinx', '-W', '-q', '-b', 'html']
    folders = [str(ROOT / 'docs'), str(tmp_path)]
    run = subprocess.run(command + folders, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
