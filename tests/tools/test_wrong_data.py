"""Wrong files and options: one clear error, before the first frame is run."""

import shutil
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import loadmat, savemat

from hvc_mm.datasets.image_io import read_id_mask, write_id_mask
from hvc_mm.datasets.jhmdb import read_test_clips
from hvc_mm.models import LabelPropagationVOS

SPEC = ('--videos=1', '--frames=12', '--size=96x160')
LAYOUTS = ('davis', 'davis_testdev', 'ytvos', 'vip', 'jhmdb')


@pytest.fixture(scope='module')
def whole(tmp_path_factory, sample_tool):
    """Data as they should be."""
    root = tmp_path_factory.mktemp('whole')
    assert not sample_tool.main([str(root), *SPEC, '--benchmarks', *LAYOUTS])
    return root


@pytest.fixture
def data(whole, tmp_path):
    """A copy to break something in."""
    shutil.copytree(whole, tmp_path / 'data')
    return tmp_path / 'data'


class RanAFrameError(AssertionError):
    """The error didn't come before the work."""


@pytest.fixture
def test(root_dir, load_tool, data, tmp_path, monkeypatch):
    """tools/test.py in this process; it may not come to the first frame."""
    tool = load_tool('test.py')

    def ran(*_):
        raise RanAFrameError

    monkeypatch.setattr(LabelPropagationVOS, 'predict', ran)
    monkeypatch.setenv('HVC_DATA_ROOT', str(data))

    def run(config, *options, checkpoint='none'):
        arguments = [root_dir / f'configs/{config}.py', checkpoint]
        arguments += ['--work-dir', tmp_path / 'work', '--cfg-options']
        arguments += [f'experiment_name={tmp_path.name}']
        arguments += ['test_dataloader.num_workers=0', *options]
        monkeypatch.setattr(sys, 'argv', ['test.py', *map(str, arguments)])
        tool.main()

    return run


@pytest.mark.slow
@pytest.mark.parametrize('config', ['davis', 'vip', 'jhmdb', 'ytvos18'])
def test_whole_data_come_to_the_first_frame(test, config):
    with pytest.raises(RanAFrameError):
        test(f'hvc_{config}')


def _joints_of_a_test_clip(data):
    (clip,) = read_test_clips(str(data / 'JHMDB/splits'), 1)
    return data / 'JHMDB/joint_positions' / clip / 'joint_positions.mat'


def test_jhmdb_without_a_mat_file(test, data):
    path = _joints_of_a_test_clip(data)
    path.unlink()
    with pytest.raises(
        FileNotFoundError,
        match=f'no file of joints {path}; expected a joint_positions.mat',
    ):
        test('hvc_jhmdb')


def test_jhmdb_with_fourteen_joints(test, data):
    path = _joints_of_a_test_clip(data)
    savemat(path, {'pos_img': loadmat(path)['pos_img'][:, :14]})
    with pytest.raises(ValueError) as error:
        test('hvc_jhmdb')
    for part in (str(path), '(2, 14, ', 'expected pos_img of shape (2, 15,'):
        assert part in str(error.value)


@pytest.mark.parametrize('frame', [pytest.param(0, marks=pytest.mark.slow), 7])
def test_vip_with_a_part_25(test, data, frame):
    masks = data / 'VIP/VIP_Fine/Annotations/Category_ids'
    path = sorted(masks.glob('*/*.png'))[frame]
    ids = read_id_mask(path)
    ids[:3] = 255  # is ignored
    write_id_mask(path, ids)
    with pytest.raises(RanAFrameError):
        test('hvc_vip')
    ids[3:6] = 25
    write_id_mask(path, ids)
    with pytest.raises(ValueError) as error:
        test('hvc_vip')
    for part in (str(path), '25; expected', '19'):
        assert part in str(error.value)


def test_youtube_vos_with_valid_for_valid_all_frames(test, data):
    folder = data / 'YTB/2018/valid/JPEGImages'
    with pytest.raises(ValueError) as error:
        test(
            'hvc_ytvos18',
            'test_dataloader.dataset.data_prefix.img_path=valid/JPEGImages',
        )
    assert str(folder) in str(error.value)
    assert 'holds every 5th frame only' in str(error.value)
    assert 'expected valid_all_frames' in str(error.value)


@pytest.mark.parametrize('config', ['hvc_davis_testdev', 'hvc_ytvos18'])
def test_a_zip_that_exists_already(test, tmp_path, config):
    path = tmp_path / 'work/submission.zip'
    path.parent.mkdir()
    path.write_bytes(b'of an earlier run')
    with pytest.raises(FileExistsError, match=f'{path} exists already'):
        test(config)
    assert path.read_bytes() == b'of an earlier run'


def test_unreadable_checkpoints(test, tmp_path):
    path = tmp_path / 'epoch_1.pth'
    with pytest.raises(SystemExit, match=f'no checkpoint {path}'):
        test('hvc_davis', checkpoint=path)
    path.write_text('<html>not found</html>')
    with pytest.raises(SystemExit, match=f"{path}: can't be read"):
        test('hvc_davis', checkpoint=path)
    torch.save({'state_dict': {'fc.weight': torch.zeros(2, 2)}}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SystemExit, match=f"{path}: can't be read"):
        test('hvc_davis', checkpoint=path)


def test_a_stage_that_is_not_there(test):
    with pytest.raises(ValueError, match=r'\(4,\), expected stages between 0'):
        test('hvc_davis', 'model.backbone.out_indices=(4,)')


def test_masks_of_colours(test, data):
    name = (data / 'DAVIS/ImageSets/2017/val.txt').read_text().strip()
    path = data / f'DAVIS/Annotations/480p/{name}/00000.png'
    with Image.open(path) as image:
        colours = np.array(image.convert('RGB'))
    Image.fromarray(colours).save(path)
    with pytest.raises(ValueError, match=f"{path} has mode 'RGB'; expected"):
        test('hvc_davis')
