"""Config files: nothing runs that only describes, and errors name files."""

import json
import random

import pytest
from mmengine.config import Config

from hvc_mm.apis import VOSInferencer
from hvc_mm.engine.config_file import ConfigError, load_config, load_values
from hvc_mm.engine.run_config import read_config
from hvc_mm.scoreboard import BackboneError, parse_backbones


@pytest.fixture
def payload(tmp_path):
    """A YAML value that makes a file when it is executed, and that file."""
    marker = tmp_path / 'executed'
    touch = json.dumps(f'touch {marker}')
    return f'!!python/object/apply:os.system [{touch}]', marker


def test_a_payload_works_where_yaml_may_execute(payload):
    import yaml

    yaml.unsafe_load(payload[0])
    assert payload[1].exists()


@pytest.mark.parametrize(
    'read, error',
    [
        (load_config, ConfigError),
        (load_values, ConfigError),
        (read_config, ConfigError),
        (VOSInferencer, ConfigError),
        (lambda path: parse_backbones([path]), BackboneError),
        # mmengine's own readers, on which the others rest.
        (Config.fromfile, Exception),
    ],
)
@pytest.mark.parametrize('name', ['a.yaml', 'a.yml', 'a.json', 'derived.py'])
def test_nothing_is_executed(tmp_path, payload, read, error, name):
    path = tmp_path / name
    path.write_text(f'backbones: {payload[0]}\n')
    if name == 'derived.py':
        path.write_text('_base_ = "./base.yaml"\n')
        (tmp_path / 'base.yaml').write_text(f'backbones: {payload[0]}\n')
    with pytest.raises(error):
        read(str(path))
    assert not payload[1].exists()


def test_all_that_a_config_dumps_is_read_again(tmp_path):
    whole = read_config('hvc_davis')
    whole.model.backbone.strides = (1, 2, 1, 1)
    for name in ('a.py', 'a.yaml', 'a.json'):
        whole.dump(tmp_path / name)
        found = load_config(tmp_path / name).to_dict()
        if name == 'a.json':
            assert found == json.loads(json.dumps(whole.to_dict()))
        else:
            assert found == whole.to_dict()


@pytest.mark.parametrize(
    'name, text, message',
    [
        ('a.py', 'x = dict(\n', r'a\.py, line 1: cannot be read: SyntaxError'),
        ('a.py', 'x = 1\ny = z\n', r'a\.py, line 2: .*NameError'),
        ('a.py', 'x = \0', r'a\.py: .*SyntaxError'),
        ('a.py', b'x = "\xff"', r'a\.py: .*UnicodeDecodeError'),
        ('a.py', '_base_ = "b.py"', r'a\.py: .*FileNotFoundError: .*b\.py'),
        ('a.py', 'x = dict(a=1)["b"]', r"a\.py, line 1: .*KeyError: 'b'"),
        ('a.yaml', 'a: 1\nb: {', r'a\.yaml, line 2: .*ParserError'),
        ('a.yaml', 'a: 1\n b: c: d', r'a\.yaml, line 2: .*ScannerError'),
        ('a.yaml', '', r'a\.yaml: expected keys and values, found nothing'),
        ('a.yaml', '[1, 2]', r'a\.yaml: .* found list'),
        ('a.yaml', b'a: \xff', r'a\.yaml: .*UnicodeDecodeError'),
        ('a.yaml', '[' * 5000, r'a\.yaml: .*RecursionError'),
        ('a.json', '{"a": 1', r'a\.json: .*JSONDecodeError.*line 1 column 8'),
        ('a.json', '7', r'a\.json: expected keys and values, found int'),
        ('a.txt', 'a = 1', r'a\.txt: expected a name that ends in \.py'),
    ],
)
def test_a_message_names_the_file_and_the_line(tmp_path, name, text, message):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=message) as caught:
        read_config(path)
    assert str(caught.value).startswith(str(tmp_path))
    assert '\n' not in str(caught.value)


def test_an_error_of_a_base_names_the_base(tmp_path):
    (tmp_path / 'base.py').write_text('x = 1\n\ny = nothing\n')
    (tmp_path / 'a.py').write_text('_base_ = "base.py"\n')
    with pytest.raises(ConfigError, match=r'base\.py, line 3: .*nothing'):
        load_config(tmp_path / 'a.py')


@pytest.mark.parametrize('suffix', ['.py', '.yaml', '.json'])
def test_damaged_configs_are_read_or_refused_by_name(tmp_path, suffix):
    """Cut, with flipped bits or with holes: no other error, no silence."""
    read_config('hvc_davis').dump(tmp_path / f'whole{suffix}')
    content = (tmp_path / f'whole{suffix}').read_bytes()
    rng = random.Random(0)
    path = tmp_path / f'damaged{suffix}'
    refused = 0
    for index in range(30):
        damaged = bytearray(content)
        place = rng.randrange(len(content))
        if index % 3 == 0:
            del damaged[place:]
        elif index % 3 == 1:
            damaged[place] ^= 1 << rng.randrange(8)
        else:
            del damaged[place : place + rng.randrange(1, 300)]
        path.write_bytes(damaged)
        try:
            load_config(path)
        except ConfigError as error:
            refused += str(path) in str(error)
    # A changed digit or a missing line may well be another good config.
    assert refused >= 10


def test_a_base_of_this_project_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'mine.py'
    path.write_text(
        "_base_ = ['hvc_mm::hvc_coco.py',\n"
        "           'hvc_mm::_base_/datasets/davis17_minival.py']\n"
        'pipeline = {{_base_.val_pipeline}}\n'
    )
    found = Config.fromfile(path)
    by_name = read_config('hvc_coco')
    assert found.model == by_name.model
    # Of a function mmengine would take a scope for an argument.
    assert found.train_dataloader == by_name.train_dataloader
    assert found.pipeline[0] == dict(type='hvc_mm.LoadFrame')
    path.write_text("_base_ = 'hvc_mm::torchvision-r50_davis'\n")
    assert Config.fromfile(path).model.type == 'LabelPropagationVOS'
    path.write_text("_base_ = 'hvc_mm::hvc_dvis.py'\n")
    with pytest.raises(ConfigError, match='mine.py.*did you mean hvc_davis'):
        load_config(path)
    path.write_text("_base_ = 'nothing::a/b.py'\n")
    with pytest.raises(ConfigError, match='does not support to load nothing'):
        load_config(path)
