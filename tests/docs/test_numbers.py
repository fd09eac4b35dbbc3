"""Numbers of the pages and metafiles are those of the configs."""

import inspect
import re
from pathlib import Path

import pytest
import yaml
from mmengine import registry as root_registry
from mmengine.config import Config, DictAction

import hvc_mm
from hvc_mm import registry
from hvc_mm.apis import list_configs
from hvc_mm.engine.run_config import read_config

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = list_configs()
TESTS = {
    name
    for name, path in CONFIGS.items()
    if 'mixed' not in path.parts and 'test_cfg' in Config.fromfile(path)
}


def _bare(cell):
    return cell.strip('`')


def _entry(cfg, dotted):
    """What stands in a config under ``a.b.1.c``."""
    for key in dotted.split('.'):
        cfg = cfg[int(key) if key.isdigit() else key]
    return cfg


def test_tables_of_config_entries(page):
    """Tables headed by a config's path and `value`."""
    for head, rows in page.tables():
        if head[1:2] != ['value']:
            continue
        cfg = read_config(ROOT / _bare(head[0]))
        for entry, value, *_ in rows:
            # (3 / 4, 4 / 3) is no literal.
            written = eval(_bare(value), {'__builtins__': {}})
            assert _entry(cfg, _bare(entry)) == written, entry


def _rows(page, column):
    """Rows of the table that names configs and has this column."""
    for head, rows in page.tables():
        if head[0] == 'config' and column in head:
            return {
                Path(_bare(row[0])).stem: dict(zip(head, row)) for row in rows
            }
    raise AssertionError(f'{page} has no table of configs by {column}')


def test_protocol_of_propagation(read_page):
    rows = _rows(read_page('docs/evaluate.md'), 'topk')
    assert set(rows) == TESTS
    for name, row in rows.items():
        cfg = read_config(CONFIGS[name])
        for key in ('context', 'topk', 'radius', 'temperature'):
            assert float(row[key]) == cfg.model.propagator[key], (name, key)
        steps = cfg.test_dataloader.dataset.pipeline
        (size,) = (s.size for s in steps if s.type == 'ResizeFrame')
        size = 'own size' if size is None else f'{size[0]}x{size[1]}'
        assert row['frames at'] == size, name


def test_protocol_of_data(read_page):
    rows = _rows(read_page('docs/evaluate.md'), 'videos')
    # The ensemble's data are those of hvc_davis.
    assert set(rows) == TESTS - {'hvc_moco_davis'}
    for name, row in rows.items():
        whole = read_config(CONFIGS[name]).test_dataloader.dataset.benchmark
        for key in ('videos', 'frames', 'objects'):
            written = int(row[key]) if row[key] else None
            assert written == whole.get(key), (name, key)


def _cfg_options(words):
    """What a command's ``--cfg-options`` say."""
    if '--cfg-options' not in words:
        return {}
    pairs = []
    for word in words[words.index('--cfg-options') + 1 :]:
        if '=' not in word or word.startswith('-'):
            break
        pairs.append(word.split('=', 1))
    return {key: DictAction._parse_iterable(value) for key, value in pairs}


# Of read_config and of mmengine's runner: no config has them.
_BY_ITSELF = ('data_root', 'activation_checkpointing', 'model_wrapper_cfg')


def test_cfg_options_are_entries(page):
    """Each is there already, or the part that it is given to takes it."""
    for words in page.commands():
        options = _cfg_options(words)
        names = [Path(w).stem for w in words if Path(w).stem in CONFIGS]
        if not options or 'rcnn' in ''.join(names):
            continue  # those need MMDetection; tests/test_mixing.py has them
        path = CONFIGS[names[0] if names else 'hvc_davis']
        cfg = read_config(path)
        for key in options:
            way, _, last = key.rpartition('.')
            if key.split('.')[0] in _BY_ITSELF or last == '_delete_':
                continue
            part = _entry(cfg, way) if way else cfg
            known = last in part or last in _arguments(part['type'])
            assert known, (key, words)
        read_config(path, options)


def _arguments(name):
    """Arguments of a type's constructor and of its bases'."""
    kinds = [
        value.module_dict[name]
        for module in (registry, root_registry)
        for value in vars(module).values()
        if isinstance(value, root_registry.Registry)
        and name in value.module_dict
    ]
    return {
        argument
        for base in kinds[0].__mro__
        if '__init__' in vars(base)
        for argument in inspect.signature(base.__init__).parameters
    }


@pytest.fixture(scope='module')
def models():
    """The models of all metafiles that the model index imports."""
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    found = []
    for name in index['Import']:
        content = yaml.safe_load((ROOT / name).read_text())
        collections = {c['Name']: c for c in content['Collections']}
        for collection in collections.values():
            assert (ROOT / collection['README']).is_file()
        for model in content['Models']:
            assert model['In Collection'] in collections
            assert Path(model['Config']).parent == Path(name).parent
        found += content['Models']
    return found


def test_every_config_is_in_one_metafile(models):
    listed = sorted(model['Config'] for model in models)
    assert listed == sorted(
        str(path.resolve().relative_to(ROOT)) for path in CONFIGS.values()
    )
    assert all(m['Name'] == Path(m['Config']).stem for m in models)


def test_metafiles_tell_the_recipe(models):
    for model in models:
        cfg = {'Epochs': None}
        if 'Epochs' in model.get('Metadata', {}):
            cfg = read_config(ROOT / model['Config'])
            metadata = model['Metadata']
            assert metadata['Epochs'] == cfg.train_cfg.max_epochs
            assert metadata['Batch Size'] == cfg.train_dataloader.batch_size


def test_figures_are_marked_and_agree(models, read_page):
    """The page's table of the paper's figures has those of the metafiles."""
    (rows,) = (
        rows
        for head, rows in read_page('docs/evaluate.md').tables()
        if head[-1] == 'score (paper)'
    )
    written = {}
    for benchmark, _, score in rows:
        numbers = re.findall(r'(?:([\w&@.]+) )?(\d+\.\d)(?=,|$)', score)
        for measure, value in numbers:
            key = benchmark, f'{measure or "overall"} (paper)'
            written.setdefault(key, set()).add(float(value))
    told = {}
    for model in models:
        for result in model.get('Results', []):
            for measure, value in result['Metrics'].items():
                assert measure.endswith(' (paper)'), model['Name']
                key = result['Dataset'], measure
                told.setdefault(key, set()).add(value)
    assert told == written


def test_the_version_is_told_once(read_page):
    version = hvc_mm.__version__
    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert citation['version'] == version
    assert f'## [{version}]' in read_page('CHANGELOG.md').text
