"""Every pre-training config, run by tools/train.py on a sample's layout."""

import json
import math
import shutil

import pytest

from hvc_mm.datasets.transforms import LoadPretrainImage

SPEC = ('--videos=1', '--frames=12', '--size=96x160', '--images=40')
BATCH = 2
# Images each of the sample's plain folders holds.
IMAGES = 4
SMALL = (
    'model.backbone.out_indices=(0,)',
    f'train_dataloader.batch_size={BATCH}',
    'train_dataloader.num_workers=0',
    'default_hooks.logger.interval=1',
    'default_hooks.checkpoint.interval=1000',
    'default_hooks.checkpoint.save_last=False',
    'train_cfg.max_epochs=1',
)


@pytest.fixture(scope='module')
def data(tmp_path_factory, sample_tool):
    """The layouts of all sources."""
    root = tmp_path_factory.mktemp('sources')
    layouts = ('--benchmarks', 'coco', 'ytvos', 'folder')
    assert not sample_tool.main([str(root), *SPEC, *layouts])
    return root


@pytest.fixture
def train(call_tool, tmp_path, monkeypatch):
    """The command line in this process: its losses and the files it read."""
    read = []
    load = LoadPretrainImage.transform

    def noted(self, results):
        read.append(results['img_path'])
        return load(self, results)

    monkeypatch.setattr(LoadPretrainImage, 'transform', noted)

    def run(config, root, *options):
        if 'mixed' not in str(config):
            options += ('train_dataloader.dataset.pipeline.1.size=32',)
        call_tool(
            *('train.py', config, '--work-dir', tmp_path / 'work'),
            *('--cfg-options', *SMALL, *options),
            f'experiment_name={tmp_path.name}_{len(options)}',
            data_root=root,
        )
        (scalars,) = tmp_path.glob('work/*/vis_data/scalars.json')
        lines = map(json.loads, scalars.read_text().splitlines())
        losses = [line['loss'] for line in lines if 'loss' in line]
        assert losses and all(math.isfinite(loss) for loss in losses)
        return losses, read

    return run


SOURCES = {
    'coco_folder': 'coco/train2017',
    'voc': 'VOCdevkit/VOC2012/JPEGImages',
    'msra10k': 'MSRA10K_Imgs_GT/Imgs',
    'folder': 'images',
}
RELEASE = {'coco_folder': 'COCO', 'voc': 'PASCAL', 'msra10k': 'MSRA10K'}


def _check(losses, read, folder):
    """Each of the folder's photographs was read once, in pairs of crops."""
    images = sorted(str(path) for path in folder.glob('*.jpg'))
    assert len(images) >= IMAGES
    assert sorted(read) == images
    assert len(losses) == math.ceil(len(images) / BATCH)


@pytest.mark.parametrize('name', SOURCES)
def test_official_folders(train, root_dir, data, name):
    config = root_dir / f'configs/hvc_{name}.py'
    _check(*train(config, data), data / SOURCES[name])


@pytest.mark.slow
@pytest.mark.parametrize('name', RELEASE)
def test_folders_of_the_release(train, root_dir, data, tmp_path, name):
    root = tmp_path / 'data'
    shutil.copytree(data / 'Static', root / 'Static')
    config = root_dir / f'configs/hvc_{name}.py'
    _check(*train(config, root), root / 'Static/JPEGImages' / RELEASE[name])


def test_coco_by_its_json(train, root_dir, data):
    losses, read = train(root_dir / 'configs/hvc_coco.py', data)
    _check(losses, read, data / 'coco/train2017')


@pytest.mark.parametrize('listed', [True, False])
def test_frames_of_youtube_vos(train, root_dir, data, listed):
    options = ['train_dataloader.dataset.max_per_video=5']
    if not listed:
        options.append('train_dataloader.dataset.ann_file=')
    config = root_dir / 'configs/hvc_ytvos.py'
    losses, read = train(config, data, 'train_cfg.max_epochs=3', *options)
    # Three epochs of five of the video's twelve frames.
    assert len(losses) == 3 * math.ceil(5 / BATCH)
    epochs = [set(read[i : i + 5]) for i in (0, 5, 10)]
    assert [len(epoch) for epoch in epochs] == [5, 5, 5]
    assert len(set(map(frozenset, epochs))) > 1
    frames = data / 'YTB/2018/train_all_frames/JPEGImages'
    assert set(read) <= {str(path) for path in frames.glob('*/*.jpg')}


def test_a_mixture_of_sources(train, root_dir, data, tmp_path):
    config = tmp_path / 'mixed.py'
    config.write_text(
        f"""
_base_ = '{root_dir}/configs/hvc_voc.py'
pipeline = [
    dict(type='LoadPretrainImage'),
    dict(type='PairedRandomResizedCrop', size=32),
    dict(type='PackPairedViews'),
]
images = dict(
    type='ImageFolderDataset',
    data_root='{data}',
    sources='images',
    pipeline=pipeline,
)
frames = dict(
    type='VideoFramesDataset',
    data_root='{data}/YTB/2018/train_all_frames',
    max_per_video=3,
    pipeline=pipeline,
)
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='ConcatDataset',
        ignore_keys=['dataset_type'],
        datasets=[images, dict(type='RepeatDataset', times=2, dataset=frames)],
    )
)
"""
    )
    _, read = train(config, data)
    assert sum('/images/' in path for path in read) == IMAGES
    assert sum('/YTB/' in path for path in read) == 2 * 3
