"""What all tests share: where the reference material is, and skips."""

import importlib
import importlib.util
import logging
import os
import random
import shutil
import subprocess
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.utils import ManagerMixin

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / 'shared'


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


needs_mmdet = pytest.mark.skipif(
    not _installed('mmdet'), reason='mmdet is not installed in this column'
)
needs_mmtrack = pytest.mark.skipif(
    not _installed('mmtrack'), reason='mmtrack is not installed in this column'
)


def pytest_collection_modifyitems(items):
    """`@pytest.mark.mmdet` and `.mmtrack` skip where those are missing."""
    for item in items:
        if item.get_closest_marker('mmdet'):
            item.add_marker(needs_mmdet)
        if item.get_closest_marker('mmtrack'):
            item.add_marker(needs_mmtrack)


@pytest.fixture(autouse=True)
def _forget_runs():
    """End each test with no logger, visualizer, ... that mmengine would share.

    Runs of one config in one second have one name, by which mmengine would
    give the next test the visualizer, and so the folder, of this one. And
    the newest logger would stay the current one, with its file. The default
    scope ends as the test found it.
    """
    scopes = dict(DefaultScope._instance_dict)
    yield
    for logger in MMLogger._instance_dict.values():
        for handler in logger.handlers:
            handler.close()
    for kind in _named_kinds():
        kind._instance_dict.clear()
    DefaultScope._instance_dict.update(scopes)


def _named_kinds(kind=ManagerMixin):
    """List what mmengine gives to all who ask for a name."""
    below = [_named_kinds(child) for child in kind.__subclasses__()]
    return [kind, *chain.from_iterable(below)]


@pytest.fixture(autouse=True)
def _same_random_numbers():
    """Let each test draw the same numbers, alone and after any other one.

    A run without a seed leaves one of its own. Afterwards, too, for what the
    next module's fixtures draw.
    """
    _seed()
    yield
    _seed()


def _seed():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope='session')
def root_dir() -> Path:
    """The checkout's top folder."""
    return ROOT


@pytest.fixture(scope='session')
def shared_dir() -> Path:
    """Reference numbers and real data; a plain clone has none."""
    if not SHARED.is_dir():
        pytest.skip(f'no reference material, {SHARED.name}/ next to the clone')
    return SHARED


@pytest.fixture(scope='session')
def golden_dir(shared_dir) -> Path:
    """Inputs and outputs of the public releases."""
    return shared_dir / 'golden'


@pytest.fixture(scope='session')
def chromium() -> str:
    """The path of a browser; skips where there is none."""
    names = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip('there is no Chromium or Chrome')
    return found


@pytest.fixture(scope='session')
def run_tool():
    """Run a tool as a user does; return what it printed and its status."""

    def run(tool, *arguments, data_root=None, cwd=None, launch=()):
        environment = dict(os.environ, PYTHONPATH=str(ROOT))
        environment.pop('HVC_DATA_ROOT', None)
        if data_root is not None:
            environment['HVC_DATA_ROOT'] = str(data_root)
        return subprocess.run(
            [
                sys.executable,
                *launch,
                str(ROOT / 'tools' / tool),
                *map(str, arguments),
            ],
            env=environment,
            cwd=cwd,
            text=True,
            errors='replace',  # OpenCV prints bytes of damaged videos
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    return run


@pytest.fixture(scope='session')
def sample_tool():
    """The module make_sample; skips where photographs are missing."""
    pytest.importorskip('skimage')
    pytest.importorskip('sklearn')
    sys.path.insert(0, str(ROOT / 'tools/dataset_converters'))
    yield importlib.import_module('make_sample')
    sys.path.remove(str(ROOT / 'tools/dataset_converters'))


@pytest.fixture(scope='session')
def sample_dir(tmp_path_factory, run_tool) -> Path:
    """A tiny sample: 12 training images, 2 videos of 6 frames."""
    folder = tmp_path_factory.mktemp('sample')
    made = run_tool(
        'dataset_converters/make_sample.py',
        folder,
        '--size=96x160',
        '--videos=2',
        '--frames=6',
        '--images=12',
        '--force',
    )
    assert made.returncode == 0, made.stdout
    return folder


@pytest.fixture
def tiny_cfg() -> dict:
    """Layer1 of a ResNet-18 (stride 4), so that a frame takes milliseconds."""
    return dict(
        default_scope='hvc_mm',
        model=dict(
            type='LabelPropagationVOS',
            backbone=dict(type='HVCResNet', depth=18, out_indices=(0,)),
            propagator=dict(radius=4, topk=5, context=3),
        ),
    )


@pytest.fixture
def tiny_model(tiny_cfg):
    """The network, with weights that are random but always the same."""
    from hvc_mm.apis import init_model

    torch.manual_seed(0)
    with pytest.warns(UserWarning, match='random'):
        return init_model(tiny_cfg, device='cpu')


@pytest.fixture
def hvc_cfg() -> dict:
    """A small HVC, whose batch norms and target are as in the recipe."""
    layers = dict(type='ConvProjector', hidden_channels=16, out_channels=8)
    return dict(
        type='hvc_mm.HVC',
        backbone=dict(type='HVCResNet', depth=18, out_indices=(1,)),
        projector=dict(layers, in_channels=128),
        predictor=dict(layers, in_channels=8),
        flow_head=dict(
            type='PseudoFlowHead', in_channels=8, hidden_channels=6
        ),
        loss=dict(type='HybridCorrespondenceLoss', pos_radius=0.5),
        target=dict(type='CosineMomentumTarget', total_steps=10),
        data_preprocessor=dict(mean=[0.0] * 3, std=[1.0] * 3),
    )


@pytest.fixture(scope='session')
def moving_square():
    """8 frames (T, 48, 64, 3) uint8 BGR and their masks (T, 48, 64), id 1."""
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 80, (48, 64, 3), np.uint8)
    square = rng.integers(150, 255, (16, 16, 3), np.uint8)
    frames = np.repeat(ground[None], 8, 0)
    masks = np.zeros(frames.shape[:3], np.uint8)
    for t in range(8):
        frames[t, 16:32, 8 + 2 * t : 24 + 2 * t] = square
        masks[t, 16:32, 8 + 2 * t : 24 + 2 * t] = 1
    # Many tests share them.
    frames.flags.writeable = masks.flags.writeable = False
    return frames, masks


@pytest.fixture
def frame_folder(tmp_path, moving_square) -> Path:
    """The square's frames as PNGs, without loss."""
    import mmcv

    for index, frame in enumerate(moving_square[0]):
        mmcv.imwrite(frame, str(tmp_path / f'square/{index}.png'))
    return tmp_path / 'square'


@pytest.fixture
def video(tmp_path, moving_square) -> Path:
    """The square's frames as a video of 12 frames per second."""
    from hvc_mm.apis import PictureWriter

    path = tmp_path / 'square.avi'
    with PictureWriter(path, fps=12) as writer:
        for frame in moving_square[0]:
            writer.write(frame[..., ::-1])
    return path


@pytest.fixture
def logged():
    """What reaches the current logger, as a list of 'LEVEL: message'."""
    found = []
    handler = logging.Handler()
    handler.setFormatter(logging.Formatter('%(levelname)s: %(message)s'))
    handler.emit = lambda record: found.append(handler.format(record))
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    yield found
    logger.removeHandler(handler)


@pytest.fixture(scope='session')
def pretrained(tmp_path_factory) -> str:
    """A checkpoint as pre-training writes it, of a ResNet-18."""
    from hvc_mm.models import HVCResNet

    torch.manual_seed(0)
    state = HVCResNet(18).state_dict()
    path = tmp_path_factory.mktemp('weights') / 'epoch_20.pth'
    content = {f'backbone.{name}': value for name, value in state.items()}
    torch.save({'state_dict': content, 'meta': {'epoch': 20}}, path)
    return str(path)


@pytest.fixture
def file_limit():
    """Let no file grow beyond some bytes, as on a full disk: OSError."""
    resource = pytest.importorskip('resource')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    @contextmanager
    def limit(size):
        # The limit holds too for what pytest captures.
        with open(os.devnull, 'w') as null, redirect_stdout(null):
            with redirect_stderr(null):
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
                try:
                    yield
                finally:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit
