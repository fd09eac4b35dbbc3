"""tools/test.py as a user calls it: score, write, show, two processes."""

import json
import socket

import cv2
import numpy as np
import pytest
import torch

from hvc_mm.datasets.image_io import read_id_mask
from hvc_mm.evaluation.functional import region_similarity
from hvc_mm.models.backbones import HVCResNet


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """What pre-training writes: a backbone among other things."""
    torch.manual_seed(0)
    weights = HVCResNet(18).state_dict()
    state = {f'backbone.{name}': value for name, value in weights.items()}
    state.update({f'target.module.{n}': v for n, v in state.items()})
    path = tmp_path_factory.mktemp('checkpoint') / 'epoch_1.pth'
    torch.save({'state_dict': state, 'meta': {'epoch': 1}}, path)
    return path


@pytest.fixture(scope='module')
def config(root_dir):
    return root_dir / 'configs' / 'hvc_davis.py'


def _scores(work_dir):
    (path,) = work_dir.glob('[0-9]*/*.json')
    return json.loads(path.read_text())


@pytest.fixture(scope='module')
def one_process(run_tool, config, checkpoint, sample_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp('one')
    out = run_tool(
        'test.py',
        config,
        checkpoint,
        f'--work-dir={folder / "work"}',
        f'--out={folder / "masks"}',
        f'--show-dir={folder / "show"}',
        data_root=sample_dir,
    )
    assert out.returncode == 0, out.stdout
    return folder, out.stdout


def test_scores_writes_and_shows(one_process, sample_dir):
    folder, printed = one_process
    scores = _scores(folder / 'work')
    jf = scores['davis/J&F']
    assert 0 < jf <= 100
    assert f'{jf:.1f}' in printed
    assert 'all 90 tensors of the model found' in printed
    davis = sample_dir / 'DAVIS'
    videos = (davis / 'ImageSets/2017/val.txt').read_text().split()
    assert len(videos) == 2
    overlaps = []
    for video in (davis / 'Annotations/480p' / name for name in videos):
        for path in video.glob('*.png'):
            mask = read_id_mask(folder / 'masks' / video.name / path.name)
            assert mask.shape == (96, 160)
            picture = folder / 'show' / video.name / f'{path.stem}.jpg'
            assert cv2.imread(str(picture)) is not None
        truth, found = (
            np.stack([read_id_mask(path) for path in sorted(f.glob('*.png'))])
            for f in (video, folder / 'masks' / video.name)
        )
        for i in range(1, truth[0].max() + 1):
            both = (truth == i)[1:-1], (found == i)[1:-1]
            overlaps.append(region_similarity(*both).mean())
        # The first frame's own output is its labels, shrunk and enlarged.
        given = read_id_mask(video / '00000.png')
        first = read_id_mask(folder / 'masks' / video.name / '00000.png')
        assert np.mean(given == first) > 0.9
    # Percent: the masks that were written tell the scale.
    j_mean = 100 * np.mean(overlaps)
    assert scores['davis/J_mean'] == pytest.approx(j_mean, abs=1e-6)


def _free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def test_two_processes_equal_one(
    one_process, run_tool, config, checkpoint, sample_dir, tmp_path
):
    out = run_tool(
        'test.py',
        config,
        f'--checkpoint={checkpoint}',
        f'--work-dir={tmp_path / "work"}',
        f'--out={tmp_path / "masks"}',
        '--launcher=pytorch',
        data_root=sample_dir,
        launch=(
            '-m',
            'torch.distributed.run',
            '--nproc_per_node=2',
            f'--master_port={_free_port()}',
        ),
    )
    assert out.returncode == 0, out.stdout
    folder, _ = one_process
    one, two = _scores(folder / 'work'), _scores(tmp_path / 'work')
    timing = {'time', 'data_time'}
    assert {k: v for k, v in one.items() if k not in timing} == {
        k: v for k, v in two.items() if k not in timing
    }
    paths = sorted((folder / 'masks').glob('*/*.png'))
    assert len(paths) >= 12
    for path in paths:
        other = tmp_path / 'masks' / path.relative_to(folder / 'masks')
        assert path.read_bytes() == other.read_bytes()


def test_format_only_writes_and_does_not_score(
    run_tool, config, sample_dir, tmp_path
):
    out = run_tool(
        'test.py',
        config,
        'none',
        f'--work-dir={tmp_path / "work"}',
        f'--out={tmp_path / "masks"}',
        '--format-only',
        data_root=sample_dir,
    )
    assert out.returncode == 0, out.stdout
    assert len(list((tmp_path / 'masks').glob('*/*.png'))) >= 12
    assert 'J&F' not in out.stdout


def test_says_what_to_do_without_weights(run_tool, config, tmp_path):
    out = run_tool('test.py', config, cwd=tmp_path)
    assert out.returncode != 0
    last = out.stdout.strip().splitlines()[-1]
    assert 'tools/train.py configs/hvc_coco.py' in last


def test_takes_the_last_checkpoint_of_pretraining(
    run_tool, config, checkpoint, sample_dir, tmp_path
):
    folder = tmp_path / 'work_dirs' / 'hvc_coco'
    folder.mkdir(parents=True)
    target = folder / 'epoch_1.pth'
    target.write_bytes(checkpoint.read_bytes())
    (folder / 'last_checkpoint').write_text(str(target))
    out = run_tool('test.py', config, data_root=sample_dir, cwd=tmp_path)
    assert out.returncode == 0, out.stdout
    assert f'Load checkpoint from {target}' in out.stdout


@pytest.mark.parametrize(
    ('state', 'message'),
    [
        ({'vit.cls_token': torch.zeros(1)}, 'other.pth: none of the tensors'),
        (None, 'no checkpoint '),
    ],
)
def test_refuses_unfitting_checkpoints(
    run_tool, config, sample_dir, tmp_path, state, message
):
    path = tmp_path / 'other.pth'
    if state is not None:
        torch.save({'state_dict': state}, path)
    out = run_tool(
        'test.py',
        config,
        path,
        f'--work-dir={tmp_path / "work"}',
        data_root=sample_dir,
    )
    assert out.returncode != 0
    assert message in out.stdout.strip().splitlines()[-1]
