"""The page's command line; tests/web has the page itself."""

import os
import signal
import subprocess
import sys

import pytest
from mmengine.config import Config

from hvc_mm.web.server import missing_for_page

TOOL = 'demo/web_demo.py'
needs_gradio = pytest.mark.skipif(
    bool(missing_for_page()), reason='the extra `web` is not installed'
)


@pytest.fixture
def tiny(tmp_path, tiny_cfg, monkeypatch):
    """A folder with a config, as the current one."""
    Config(tiny_cfg).dump(str(tmp_path / 'tiny.py'))
    joints = {**tiny_cfg['model'], 'codec': dict(type='JointCodec')}
    Config({**tiny_cfg, 'model': joints}).dump(str(tmp_path / 'joints.py'))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_missing_gradio_is_one_line(call_tool, tiny, monkeypatch):
    # As it is where gradio is not installed.
    monkeypatch.setattr('hvc_mm.web.server.gr', None)
    with pytest.raises(SystemExit) as ended:
        call_tool(TOOL)
    assert str(ended.value) == (
        "error: the page needs gradio: pip install 'hvc_mm[web]'"
    )


@needs_gradio
def test_as_a_user_types_it(root_dir, tiny, tmp_path):
    """It listens to this machine alone, and leaves nothing when it ends."""
    (tmp_path / 'tmp').mkdir()
    process = subprocess.Popen(
        [
            *(sys.executable, str(root_dir / 'tools' / TOOL)),
            *('--config', 'tiny.py', '--checkpoint', 'none'),
            *('--device', 'cpu'),
        ],
        env={
            **os.environ,
            'PYTHONPATH': os.pathsep.join(
                [str(root_dir), os.environ.get('PYTHONPATH', '')]
            ),
            'TMPDIR': str(tmp_path / 'tmp'),
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stdout.readline()
        assert line.startswith('the page is at http://127.0.0.1:')
        assert len(list((tmp_path / 'tmp').glob('hvc_web-*'))) == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    finally:
        process.kill()
    assert not list((tmp_path / 'tmp').glob('hvc_web-*'))


@needs_gradio
@pytest.mark.parametrize(
    'options, complaint',
    [
        ('--config nowhere', 'error: .*nowhere'),
        ('--config tiny.py --checkpoint no.pth', 'error: .*no.pth'),
        ('--config joints.py', 'joints.py propagates by a JointCodec'),
    ],
)
def test_what_is_wrong_is_said_first(call_tool, tiny, options, complaint):
    given = ('--device', 'cpu', '--checkpoint', 'none', *options.split())
    with pytest.raises(SystemExit, match=complaint):
        call_tool(TOOL, *given)


def test_what_the_network_sees(load_tool, root_dir):
    set_short_side = load_tool(TOOL).set_short_side
    cfg = Config(dict(model=dict()))
    set_short_side(cfg, 240)
    resize, pack = cfg.test_dataloader.dataset.pipeline
    assert resize == dict(type='hvc_mm.ResizeFrame', short_side=240)
    assert pack.type == 'PackVOSInputs'
    cfg = Config.fromfile(root_dir / 'configs/hvc_davis.py')
    old = dict(type='ResizeFrame', long_side=9, multiple=8, round='floor')
    cfg.test_dataloader.dataset.pipeline[2] = old
    set_short_side(cfg, 120)
    steps = cfg.test_dataloader.dataset.pipeline
    assert [step.type for step in steps] == [
        *('LoadFrame', 'LoadPrompt', 'ResizeFrame', 'PackVOSInputs')
    ]
    assert steps[2] == dict(
        type='ResizeFrame', short_side=120, multiple=8, round='floor'
    )
