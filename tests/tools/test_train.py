"""tools/train.py as a user calls it: train, mixed precision, refusals.

That it resumes exactly is tested in tests/reliability/test_kills.py.
"""

import json

import pytest
import torch
from mmengine.config import Config

from hvc_mm.checkpoint import read_checkpoint

# A small HVC on small views: an epoch is three steps of four images.
SMALL = (
    'model.backbone.out_indices=(1,)',
    'model.projector.in_channels=128',
    'train_dataloader.batch_size=4',
    'train_dataloader.num_workers=1',
    'train_dataloader.dataset.pipeline.1.size=64',
    'default_hooks.logger.interval=1',
)


@pytest.fixture(scope='module')
def folder_config(tmp_path_factory, root_dir, sample_dir):
    """hvc_coco.py with its images read as a folder: needs no mmdet."""
    path = tmp_path_factory.mktemp('config') / 'folder.py'
    images = sample_dir / 'coco' / 'train2017'
    path.write_text(
        f"_base_ = '{root_dir}/configs/hvc_coco.py'\n"
        'train_dataloader = dict(dataset=dict(_delete_=True,\n'
        f"    type='ImageFolderDataset', data_root='{images}',\n"
        '    pipeline=_base_.train_pipeline))\n'
    )
    return path


def _losses(work_dir):
    """``{step: losses}`` out of the scalars that the run logged."""
    losses = {}
    for path in work_dir.glob('*/vis_data/scalars.json'):
        for line in path.read_text().splitlines():
            row = json.loads(line)
            if 'loss_static' in row:
                losses[row['step']] = (
                    row['loss_static'],
                    row['loss_dynamic'],
                )
    return losses


@pytest.mark.parametrize('isa', ['DEFAULT', 'AVX2'])
def test_amp_works_on_a_cpu(
    run_tool, folder_config, tmp_path, isa, monkeypatch
):
    monkeypatch.setenv('ONEDNN_MAX_CPU_ISA', isa)
    out = run_tool(
        'train.py',
        folder_config,
        f'--work-dir={tmp_path}',
        '--amp',
        '--cfg-options',
        *SMALL,
        'train_cfg.max_epochs=1',
    )
    assert out.returncode == 0, out.stdout
    assert "type='BF16OptimWrapper'" in out.stdout
    assert out.stdout.count('a small convolution takes') == 1
    if isa == 'AVX2':
        assert 'mixed precision is off, fp32 is faster' in out.stdout
    assert len(_losses(tmp_path)) == 3


def test_trains_on_coco(run_tool, sample_dir, root_dir, tmp_path):
    out = run_tool(
        'train.py',
        root_dir / 'configs/hvc_coco.py',
        f'--work-dir={tmp_path}',
        '--auto-scale-lr',
        '--cfg-options',
        *SMALL,
        'train_cfg.max_epochs=1',
        data_root=sample_dir,
    )
    assert out.returncode == 0, out.stdout
    # Twelve images, some without annotations, are three batches of four.
    assert len(_losses(tmp_path)) == 3
    assert 'lr: 3.1250e-05' in out.stdout  # 1e-3 * 4 / 128
    saved = read_checkpoint(tmp_path / 'epoch_1.pth')['state_dict']
    assert 'backbone.layer2.1.bn2.weight' in saved


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['train_dataloader.dataset.data_root=nowhere'], 'nowhere'),
        (['optim_wrapper.type=Odd', '--amp'], 'optim_wrapper is Odd'),
    ],
)
def test_bad_settings_stop_with_their_name(
    run_tool, folder_config, tmp_path, options, message
):
    flags = [o for o in options if o.startswith('--')]
    entries = [o for o in options if not o.startswith('--')]
    out = run_tool(
        'train.py',
        folder_config,
        f'--work-dir={tmp_path}',
        *flags,
        '--cfg-options',
        *SMALL,
        *entries,
    )
    assert out.returncode != 0
    assert message in out.stdout.strip().splitlines()[-1]


def test_work_dirs_and_files_that_are_refused(
    run_tool, folder_config, tmp_path
):
    """Before anything is written there, in one line."""
    work_dir = tmp_path / 'work'
    work_dir.mkdir()
    torch.save({'weight': torch.zeros(1)}, work_dir / 'epoch_1.pth')

    def refused(*options):
        arguments = (folder_config, f'--work-dir={work_dir}', *options)
        out = run_tool('train.py', *arguments, '--cfg-options', *SMALL)
        assert out.returncode == 1 and 'Traceback' not in out.stdout
        return out.stdout.strip().splitlines()[-1]

    used = refused()
    assert f'{work_dir} holds checkpoints' in used and '--resume' in used
    assert [p.name for p in work_dir.iterdir()] == ['epoch_1.pth']
    plain = refused('--resume', work_dir / 'epoch_1.pth')
    assert 'epoch_1.pth: plain weights' in plain and 'load_from=' in plain
    missing = refused('--resume', tmp_path / 'no.pth')
    assert f'{tmp_path}/no.pth: there is no such file' in missing


def test_configs_of_any_project_get_whole_checkpoints(load_tool, tmp_path):
    protect = load_tool('train.py').protect_checkpoints
    whole = dict(type='hvc_mm.WholeCheckpointHook', interval=1)
    for given, expected in (
        ({}, whole),
        (dict(checkpoint=dict(type='CheckpointHook', interval=1)), whole),
        (dict(checkpoint=dict(type='Odd')), dict(type='Odd')),
        (dict(checkpoint=None), None),
    ):
        cfg = Config(dict(work_dir=str(tmp_path), default_hooks=given))
        protect(cfg)
        assert cfg.default_hooks.checkpoint == expected
        assert cfg.default_hooks.resume == dict(type='hvc_mm.ResumeHook')
    cfg = Config(dict(work_dir=str(tmp_path)))
    protect(cfg)
    assert cfg.default_hooks.checkpoint == whole
