"""Files that would run code, given to every tool that reads weights.

Each door is tried in this process; a payload that ran would leave a file.
"""

import argparse
import functools
import http.server
import pickle
import threading

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint

from hvc_mm.apis import VOSInferencer, init_model
from hvc_mm.checkpoint import CheckpointError, PretrainedBackbone
from hvc_mm.engine.run_config import read_config
from hvc_mm.models import HVCResNet


class _Calls:
    """Unpickles by calling something, be it an attribute of another one."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __call__(self):
        """A pickle may call only what can be called."""

    def __reduce__(self):
        return self.call


def _evaluates(marker):
    return _Calls(eval, f'open({str(marker)!r}, "w").close()')


def _gets_attributes(marker):
    """``Namespace.__init__.__globals__.get('_os').system('touch ...')``."""
    scope = _Calls(getattr, argparse.Namespace, '__init__')
    scope = _Calls(getattr, scope, '__globals__')
    module = _Calls(_Calls(getattr, scope, 'get'), '_os')
    system = _Calls(getattr, module, 'system')
    return _Calls(system, f'touch "{marker}"')


PAYLOADS = {'eval in a zip': _evaluates, 'getattr, legacy': _gets_attributes}


REFUSED = 'epoch_1.pth: refused, because unpickling it would use'
# Of a folder's checkpoints those that can't be read are passed over.
NONE_LEFT = 'none of its checkpoints can be read (epoch_1.pth)'


@pytest.fixture(params=PAYLOADS)
def hostile(request, tmp_path):
    """A training checkpoint with a payload, and the file that it makes."""
    marker = tmp_path / 'marker'
    state = {f'backbone.{k}': v for k, v in HVCResNet(18).state_dict().items()}
    content = {
        'state_dict': state,
        'meta': {
            'epoch': 1,
            'iter': 3,
            'note': PAYLOADS[request.param](marker),
        },
        'message_hub': {},
    }
    path = tmp_path / 'hostile' / 'epoch_1.pth'
    path.parent.mkdir()
    is_zip = request.param.endswith('zip')
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    yield path
    assert not marker.exists()


def test_the_payloads_do_run(tmp_path):
    for make in PAYLOADS.values():
        marker = tmp_path / 'marker'
        pickle.loads(pickle.dumps(make(marker), 2))
        marker.unlink()


def _refused(call, *arguments, said=REFUSED, **options):
    with pytest.raises((CheckpointError, SystemExit, RuntimeError)) as error:
        call(*arguments, **options)
    message = str(error.value)
    assert said in message
    assert '\n' not in message


@pytest.fixture
def config(tmp_path, tiny_cfg):
    path = tmp_path / 'tiny.py'
    Config(tiny_cfg).dump(str(path))
    return path


TEST_DOORS = {
    'checkpoint': ('{path}',),
    'last of pre-training': (),
    'load_from': ('--cfg-options', 'load_from={path}'),
    'init_cfg': (
        'none',
        '--cfg-options',
        'model.backbone.init_cfg.type=Pretrained',
        'model.backbone.init_cfg.checkpoint={path}',
    ),
}


@pytest.mark.parametrize('door', TEST_DOORS)
def test_a_test(call_tool, hostile, sample_dir, tmp_path, monkeypatch, door):
    monkeypatch.chdir(tmp_path)
    said = REFUSED
    if door == 'last of pre-training':
        said = NONE_LEFT
        (tmp_path / 'work_dirs').mkdir()
        folder = hostile.parent.rename(tmp_path / 'work_dirs/hvc_coco')
        read_config('hvc_coco').dump(folder / 'hvc_coco.py')
    arguments = [text.format(path=hostile) for text in TEST_DOORS[door]]
    _refused(
        call_tool,
        'test.py',
        'hvc_davis',
        *arguments,
        data_root=sample_dir,
        said=said,
    )


TRAIN_DOORS = {
    'resume a path': ('--resume', '{path}'),
    'resume the last': ('--resume',),
    'load_from': ('--cfg-options', 'load_from={path}'),
    'init_cfg': (
        '--cfg-options',
        'model.backbone.init_cfg.type=Pretrained',
        'model.backbone.init_cfg.checkpoint={path}',
    ),
}


@pytest.mark.parametrize('door', TRAIN_DOORS)
def test_a_training(call_tool, hostile, sample_dir, tmp_path, door):
    work, said = tmp_path / 'work', REFUSED
    if door == 'resume the last':
        work, said = hostile.parent, NONE_LEFT
        (work / 'last_checkpoint').write_text(str(hostile))
    arguments = [text.format(path=hostile) for text in TRAIN_DOORS[door]]
    _refused(
        call_tool,
        *('train.py', 'hvc_coco_folder', '--work-dir', work, *arguments),
        data_root=sample_dir,
        said=said,
    )


def test_a_url(hostile, config, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=hostile.parent
    )
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_port}/epoch_1.pth'
        _refused(init_model, str(config), url, 'cpu')
        server.shutdown()


def test_python(hostile, config):
    path = str(hostile)
    _refused(init_model, str(config), path, 'cpu')
    _refused(VOSInferencer, str(config), path, 'cpu')
    _refused(PretrainedBackbone(path), HVCResNet(18))
    # Other projects' models, in a process that has imported hvc_mm.
    init_default_scope('mmengine')
    _refused(load_checkpoint, torch.nn.Linear(1, 1), path)


def test_converters_and_scoreboard(call_tool, hostile, tmp_path):
    out = tmp_path / 'out.pth'
    _refused(call_tool, 'model_converters/convert.py', hostile, out)
    _refused(call_tool, 'model_converters/publish_model.py', hostile, out)
    arguments = '--backbones', hostile, '--out', tmp_path / 'board'
    _refused(call_tool, 'benchmark_backbones.py', *arguments)


def test_demos(call_tool, hostile, config, frame_folder, tmp_path):
    given = '--config', config, '--checkpoint', hostile, '--device', 'cpu'
    out = '--out', tmp_path / 'out'
    tool = 'visualizations/feature_map.py'
    _refused(call_tool, tool, 'pca', frame_folder, *given, *out)
