"""tools/test.py as a user calls it: score, write, show, two processes."""

import argparse
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from contextlib import suppress

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from hvc_mm.checkpoint import sha256_of
from hvc_mm.datasets.id_masks import read_id_mask
from hvc_mm.engine.run_config import read_config
from hvc_mm.evaluation.functional import region_similarity
from hvc_mm.models.backbones import HVCResNet


def _state(prefix):
    torch.manual_seed(0)
    weights = HVCResNet(18).state_dict()
    return {f'{prefix}{name}': value for name, value in weights.items()}


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """What the training script of the HVC release writes."""
    state = _state('online_encoder.')
    others = {f'target_encoder.{n}': v * 0 for n, v in _state('').items()}
    content = {
        'model': {**others, **state},
        'optimizer': {'state': {}, 'param_groups': [{'lr': 1e-3}]},
        'epoch': 19,
        'args': argparse.Namespace(lr=1e-3),
    }
    path = tmp_path_factory.mktemp('checkpoint') / 'hvc.pth'
    torch.save(content, path)
    return path


@pytest.fixture(scope='module')
def config(root_dir):
    return root_dir / 'configs' / 'hvc_davis.py'


def _scores(work_dir):
    (path,) = work_dir.glob('[0-9]*/*.json')
    return json.loads(path.read_text())


@pytest.fixture(scope='module')
def one_process(run_tool, checkpoint, sample_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp('one')
    out = run_tool(
        'test.py',
        'hvc_davis',
        checkpoint,
        f'--work-dir={folder / "work"}',
        f'--out={folder / "masks"}',
        f'--show-dir={folder / "show"}',
        data_root=sample_dir,
    )
    assert out.returncode == 0, out.stdout
    return folder, out.stdout


def test_scores_writes_and_shows(one_process, checkpoint, sample_dir):
    folder, printed = one_process
    scores = _scores(folder / 'work')
    jf = scores['davis/J&F']
    assert 0 < jf <= 100
    assert f'{jf:.1f}' in printed
    assert f'HVCResNet: 90 of 90 tensors found in {checkpoint} ' in printed
    assert "under 'model.online_encoder'" in printed
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


def test_published_weights_by_their_name(
    run_tool, one_process, sample_dir, tmp_path, monkeypatch
):
    """As after a download by hand, which the message offline asks for."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    for name in ('https_proxy', 'HTTPS_PROXY'):
        monkeypatch.setenv(name, 'http://127.0.0.1:9')
    command = ['test.py', 'hvc_davis', 'hvc-coco', f'--work-dir={tmp_path}/w']
    run = run_tool(*command, data_root=sample_dir)
    archive = tmp_path / 'hub/checkpoints/releases_models.zip'
    assert run.returncode == 1
    (line,) = [x for x in run.stdout.splitlines() if x.startswith('hvc-coco')]
    assert f'put that file at {archive}, or' in line and 'CHECKPOINT' in line
    torch.save(_state(''), tmp_path / 'weights.pth')
    with zipfile.ZipFile(archive, 'w') as file:
        file.write(tmp_path / 'weights.pth', 'models/hvc_coco_r18.pth')
    run = run_tool(*command, data_root=sample_dir)
    assert run.returncode == 0, run.stdout
    weights = archive.with_name('hvc-coco.pth')
    (log,) = (tmp_path / 'w').glob('[0-9]*/*.log')
    assert f'{weights} (sha256 {sha256_of(weights)})' in log.read_text()
    # The same weights as in the checkpoint of the other test.
    found, expected = _scores(tmp_path / 'w'), _scores(one_process[0] / 'work')
    assert found['davis/J&F'] == pytest.approx(expected['davis/J&F'])


def test_fused_batch_norms_change_no_score(
    one_process, run_tool, config, checkpoint, sample_dir, tmp_path
):
    out = run_tool(
        'test.py',
        config,
        checkpoint,
        '--fuse-conv-bn',
        f'--work-dir={tmp_path}',
        data_root=sample_dir,
    )
    assert '15 of 15 batch norms fused' in out.stdout, out.stdout
    assert 'warmup_zero_image=(256, 256)' in out.stdout
    plain = _scores(one_process[0] / 'work')['davis/J&F']
    assert _scores(tmp_path)['davis/J&F'] == pytest.approx(plain, abs=0.5)


def test_a_published_protocol_end_to_end(
    run_tool, config, checkpoint, sample_dir, tmp_path
):
    out = run_tool(
        'test.py',
        config,
        checkpoint,
        '--protocol=dino',
        '--cfg-options',
        'model.propagator.radius=6',
        'test_dataloader.dataset.pipeline.2.short_side=192',
        data_root=sample_dir,
        cwd=tmp_path,
    )
    assert out.returncode == 0, out.stdout
    for text in ('protocol ', 'radius=6, topk=5, temperature=0.1, context=7'):
        assert text in out.stdout
    assert 'warmup_zero_image=None' in out.stdout
    scores = _scores(tmp_path / 'work_dirs/hvc_davis_dino')
    assert 0 < scores['davis/J&F'] <= 100


def test_a_vision_transformer_end_to_end(
    run_tool, root_dir, sample_dir, tmp_path
):
    pytest.importorskip('timm')
    vit = [root_dir / 'configs/mixed/timm-vit_davis.py', 'none']
    depth = 'model.backbone.depth=1'

    def run(*arguments):
        return run_tool(
            'test.py', *vit, *arguments, data_root=sample_dir, cwd=tmp_path
        )

    out = run(
        '--protocol=dino',
        '--cfg-options',
        depth,
        'model.propagator.radius=6',
        'test_dataloader.dataset.pipeline.2.short_side=192',
    )
    assert out.returncode == 0, out.stdout
    scores = _scores(tmp_path / 'work_dirs/timm-vit_davis_dino')
    assert 0 < scores['davis/J&F'] <= 100
    name = 'vit_small_patch14_dinov2'
    out = run('--cfg-options', depth, f'model.backbone.model_name={name}')
    assert out.returncode == 1
    (line,) = [x for x in out.stdout.splitlines() if x.startswith('error:')]
    assert f'TimmBackbone {name}: a frame of 96x160 is no multiple' in line
    assert 'Traceback' not in out.stdout


@pytest.mark.parametrize(
    'config, protocol, message',
    [
        ('hvc_davis', 'dinno', "no protocol 'dinno'; did you mean dino"),
        ('hvc_jhmdb', 'vfs', 'a MaskCodec, which does not fit'),
        ('hvc_voc', 'vfs', 'for LabelPropagationVOS, but the model is a HVC'),
    ],
)
def test_protocols_that_do_not_fit(load_config, config, protocol, message):
    with pytest.raises(SystemExit, match=message):
        load_config(config, 'none', '--protocol', protocol)


@pytest.mark.parametrize('given', ['LoggerHook', 'mmengine.LoggerHook'])
def test_a_config_of_any_project_logs_its_scores_once(load_config, given):
    options = ('--cfg-options', f'default_hooks.logger.type={given}')
    cfg = load_config('hvc_davis', 'none', *options)
    expected = dict(type='hvc_mm.MainProcessLoggerHook', interval=50)
    assert cfg.default_hooks.logger == expected
    cfg = load_config('hvc_davis', 'none', *options[:1], 'default_hooks=None')
    assert cfg.default_hooks.logger == dict(type=expected['type'])


def _free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def test_two_processes_equal_one(
    one_process, run_tool, config, checkpoint, sample_dir, tmp_path
):
    (tmp_path / 'empty').mkdir()
    out = run_tool(
        'test.py',
        config,
        f'--checkpoint={checkpoint}',
        f'--work-dir={tmp_path / "work"}',
        f'--out={tmp_path / "masks"}',
        '--launcher=pytorch',
        data_root=sample_dir,
        cwd=tmp_path / 'empty',
        launch=(
            '-m',
            'torch.distributed.run',
            '--nproc_per_node=2',
            f'--master_port={_free_port()}',
        ),
    )
    assert out.returncode == 0, out.stdout
    assert not list((tmp_path / 'empty').iterdir())
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


def test_takes_the_last_checkpoint_of_pretraining(
    run_tool, config, sample_dir, tmp_path
):
    out = run_tool('test.py', config, data_root=sample_dir, cwd=tmp_path)
    assert out.returncode != 0
    last = out.stdout.strip().splitlines()[-1]
    assert 'tools/train.py configs/hvc_coco.py' in last
    folder = tmp_path / 'work_dirs' / 'my_run'
    folder.mkdir(parents=True)
    read_config('hvc_coco').dump(folder / 'my_run.py')
    target = folder / 'epoch_1.pth'
    state = {**_state('target.module.backbone.'), **_state('backbone.')}
    torch.save({'state_dict': state, 'meta': {'epoch': 1}}, target)
    (folder / 'last_checkpoint').write_text(str(target))
    out = run_tool('test.py', config, data_root=sample_dir, cwd=tmp_path)
    assert out.returncode == 0, out.stdout
    path = 'work_dirs/my_run/epoch_1.pth'
    assert f'weights: {path}, of the newest run in work_dirs' in out.stdout
    assert f'Load checkpoint from {path}' in out.stdout
    assert "under 'state_dict.backbone'" in out.stdout


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


@pytest.fixture
def load_config(load_tool, sample_dir, monkeypatch):
    """What tools/test.py makes of a config and a command line."""
    tool = load_tool('test.py')
    monkeypatch.setenv('HVC_DATA_ROOT', str(sample_dir))

    def load(*arguments):
        monkeypatch.setattr(sys, 'argv', ['test.py', *map(str, arguments)])
        return tool.load_config(tool.parse_args())

    return load


@pytest.fixture
def detector(tmp_path):
    """A config as a detector of another project has it."""
    cfg = dict(
        default_scope='mmdet',
        model=dict(
            type='mmdet.FasterRCNN',
            backbone=dict(init_cfg=dict(checkpoint='a.pth')),
        ),
        default_hooks=dict(visualization=dict(type='DetVisualizationHook')),
        visualizer=dict(type='DetLocalVisualizer'),
        test_dataloader=dict(batch_size=1),
        test_cfg=dict(),
        test_evaluator=dict(type='CocoMetric', metric='bbox'),
    )
    path = tmp_path / 'detector.py'
    Config(cfg).dump(path)
    return path


@pytest.mark.parametrize('option', ['--out', '--show-dir'])
def test_what_is_read_is_never_written(
    call_tool, config, sample_dir, tmp_path, option
):
    folder = sample_dir / 'DAVIS/JPEGImages/480p'
    if option == '--out':
        folder = sample_dir / 'DAVIS/Annotations/480p'
    (tmp_path / 'link').symlink_to(folder)
    before = {p: p.stat().st_mtime_ns for p in folder.rglob('*')}
    with pytest.raises(SystemExit, match=f'{tmp_path}/link.*is {folder}'):
        call_tool(
            *('test.py', config, 'none', option, tmp_path / 'link'),
            *('--force', '--work-dir', tmp_path / 'work'),
            *('--cfg-options', f'experiment_name={tmp_path.name}'),
            data_root=sample_dir,
        )
    after = {p: p.stat().st_mtime_ns for p in folder.rglob('*')}
    assert after == before


def test_sigterm_leaves_no_process(root_dir, config, sample_dir, tmp_path):
    """Neither the fork server, nor its resource tracker, nor a worker."""
    command = [
        *(sys.executable, root_dir / 'tools/test.py', config, 'none'),
        *('--work-dir', tmp_path / 'work', '--out', tmp_path / 'masks'),
        *('--cfg-options', 'test_evaluator.chunk_frames=1'),
    ]
    variables = dict(PYTHONPATH=str(root_dir), HVC_DATA_ROOT=str(sample_dir))
    process = subprocess.Popen(
        command,
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        # Masks are written before the second frame is scored.
        while len(list(tmp_path.glob('masks/*/0*.png'))) < 4:
            assert process.poll() is None
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 128 + signal.SIGTERM
        for _ in range(100):
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                break
            time.sleep(0.1)
        else:
            pytest.fail('a process is left')
        assert not list(tmp_path.rglob('*.partial*'))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.mmdet
def test_a_detector_writes_and_draws_its_own_way(
    load_config, detector, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    given = detector, 'none'
    cfg = load_config(*given, '--out=results.pkl', '--show-dir=show')
    coco, dump = cfg.test_evaluator
    assert coco == dict(type='CocoMetric', metric='bbox')
    assert dump == dict(type='DumpResults', out_file_path='results.pkl')
    hook = cfg.default_hooks.visualization
    assert hook.draw and hook.test_out_dir == str(tmp_path / 'show')
    assert cfg.visualizer.type == 'DetLocalVisualizer'
    assert 'custom_hooks' not in cfg
    with pytest.raises(SystemExit, match='expected a name that ends in .pkl'):
        load_config(*given, '--out=results')
    with pytest.raises(SystemExit, match='mmdet.FasterRCNN: give a checkpoi'):
        load_config(detector)
    option = '--cfg-options=default_hooks.visualization=None'
    with pytest.raises(SystemExit, match='default_hooks.visualization'):
        load_config(*given, '--show-dir=show', option)


def test_a_prefix_is_for_backbones(load_config, config):
    cfg = load_config(config, 'none', '--prefix=model_ema')
    assert cfg.model.weights_prefix == 'model_ema'
    assert 'weights_prefix' not in load_config(config, 'none').model


@pytest.mark.mmdet
def test_a_prefix_is_for_no_detector(load_config, detector):
    with pytest.raises(SystemExit, match='--prefix: mmdet.FasterRCNN takes'):
        load_config(detector, 'none', '--prefix=model_ema')


def test_masks_do_not_go_into_a_pickle_file(load_config, config, tmp_path):
    with pytest.raises(SystemExit, match='VOSMetric writes a folder of PNGs'):
        load_config(config, 'none', f'--out={tmp_path / "results.pkl"}')
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.mmdet
def test_a_detector_end_to_end(run_tool, root_dir, sample_dir, tmp_path):
    coco = tmp_path / 'data/coco'
    shutil.copytree(sample_dir / 'coco/train2017', coco / 'val2017')
    annotations = sample_dir / 'coco/annotations/instances_train2017.json'
    (coco / 'annotations').mkdir()
    shutil.copy(annotations, coco / 'annotations/instances_val2017.json')
    out = run_tool(
        'test.py',
        root_dir / 'configs/mixed/faster-rcnn_hvc-r18_coco.py',
        'none',
        *('--out=results.pkl', '--show-dir=show', '--work-dir=work'),
        '--cfg-options',
        'test_dataloader.dataset.indices=2',
        'test_dataloader.dataset.pipeline.1.scale=(160,96)',
        data_root=tmp_path / 'data',
        cwd=tmp_path,
    )
    assert out.returncode == 0, out.stdout
    assert len(pickle.loads((tmp_path / 'results.pkl').read_bytes())) == 2
    assert len(list((tmp_path / 'show').glob('*.jpg'))) == 2


def test_an_error_of_a_worker_is_one_line(
    call_tool, config, sample_dir, tmp_path
):
    shutil.copytree(sample_dir / 'DAVIS', tmp_path / 'data/DAVIS')
    image = max((tmp_path / 'data/DAVIS/JPEGImages').rglob('*.jpg'))
    image.write_bytes(image.read_bytes()[:900])
    with pytest.raises(SystemExit) as caught:
        call_tool(
            *('test.py', config, 'none', '--work-dir', tmp_path / 'work'),
            *('--cfg-options', 'test_dataloader.num_workers=1'),
            f'experiment_name={tmp_path.name}',
            data_root=tmp_path / 'data',
        )
    message = str(caught.value)
    assert message.startswith(f'error: cannot read the image {image}: ')
    assert '\n' not in message
