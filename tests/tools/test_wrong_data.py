"""Wrong files and options: one clear error, before the first frame is run."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import loadmat, savemat

from hvc_mm.datasets.id_masks import read_id_mask, write_id_mask
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
    return shutil.copytree(whole, tmp_path / 'data')


class RanAFrameError(AssertionError):
    """The error didn't come before the work."""


@pytest.fixture
def test(call_test, data, monkeypatch):
    """tools/test.py in this process; it may not come to the first frame."""

    def ran(*_):
        raise RanAFrameError

    monkeypatch.setattr(LabelPropagationVOS, 'predict', ran)

    def run(config, *options, **given):
        return call_test(f'hvc_{config}', *options, data_root=data, **given)

    return run


@pytest.mark.slow
@pytest.mark.parametrize('config', ['davis', 'vip', 'jhmdb', 'ytvos18'])
def test_whole_data_come_to_the_first_frame(test, config):
    with pytest.raises(RanAFrameError):
        test(config)


def _no_joints(path):
    path.unlink()
    return f'no file of joints {path}; expected a joint_positions.mat'


def _fourteen_joints(path):
    savemat(path, {'pos_img': loadmat(path)['pos_img'][:, :14]})
    return rf'{path}.*\(2, 14, .*expected pos_img of shape \(2, 15,'


@pytest.mark.parametrize('damage', [_no_joints, _fourteen_joints])
def test_jhmdb(test, data, damage):
    (clip,) = read_test_clips(str(data / 'JHMDB/splits'), 1)
    path = data / 'JHMDB/joint_positions' / clip / 'joint_positions.mat'
    with pytest.raises(SystemExit, match=damage(path)):
        test('jhmdb')


@pytest.mark.parametrize('frame', [pytest.param(0, marks=pytest.mark.slow), 7])
def test_vip_with_a_part_25(test, data, frame):
    masks = data / 'VIP/VIP_Fine/Annotations/Category_ids'
    path = sorted(masks.glob('*/*.png'))[frame]
    ids = read_id_mask(path)
    ids[:3] = 255  # is ignored
    write_id_mask(path, ids)
    with pytest.raises(RanAFrameError):
        test('vip')
    ids[3:6] = 25
    write_id_mask(path, ids)
    with pytest.raises(SystemExit, match=f'{path}.*25; expected.*19'):
        test('vip')


def test_youtube_vos_with_valid_for_valid_all_frames(test, data):
    folder = data / 'YTB/2018/valid/JPEGImages'
    message = f'{folder}.*holds every 5th frame only.*expected valid_all_frame'
    with pytest.raises(SystemExit, match=message):
        test(
            'ytvos18',
            'test_dataloader.dataset.data_prefix.img_path=valid/JPEGImages',
        )


@pytest.mark.parametrize('config', ['davis_testdev', 'ytvos18'])
def test_a_zip_that_exists_already(test, tmp_path, config):
    path = tmp_path / 'submission.zip'
    path.write_bytes(b'of somebody')
    with pytest.raises(SystemExit, match=f'{path} exists already'):
        test(config, f'test_evaluator.zip_path={path}')
    assert path.read_bytes() == b'of somebody'


@pytest.mark.parametrize(
    'option, place, found',
    [
        ('test_evaluator.out_dir', 'Annotations/480p', 'Annotations/480p'),
        ('test_evaluator.out_dir', '', 'contains .*Annotations/480p'),
        ('test_evaluator.results_dir', 'JPEGImages/480p/x', 'JPEGImages/480p'),
        ('test_evaluator.zip_path', 'Annotations/480p/a.zip', 'Annotations'),
    ],
)
def test_what_is_read_is_never_written(
    test, data, tmp_path, option, place, found
):
    """Once, the ground truth was written over while it was scored."""
    folder = data / 'DAVIS'
    before = {p: p.stat().st_mtime_ns for p in folder.rglob('*')}
    options = [f'{option}={folder / place}']
    if option.endswith('zip_path'):
        options.append(f'test_evaluator.out_dir={tmp_path / "masks"}')
    with pytest.raises(SystemExit, match=f'output {folder}.*{found}.* reads'):
        test('davis', *options)
    after = {p: p.stat().st_mtime_ns for p in folder.rglob('*')}
    assert after == before


def test_unreadable_checkpoints(test, tmp_path):
    path = tmp_path / 'epoch_1.pth'
    with pytest.raises(SystemExit, match=f'no checkpoint {path}'):
        test('davis', checkpoint=path)
    torch.save({'state_dict': {'fc.weight': torch.zeros(2, 2)}}, path)
    whole = path.read_bytes()
    for content in (b'<html>not found</html>', whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(SystemExit, match=f"{path}: can't be read"):
            test('davis', checkpoint=path)


def test_a_stage_that_is_not_there(test):
    with pytest.raises(SystemExit, match=r'\(4,\), expected stages between 0'):
        test('davis', 'model.backbone.out_indices=(4,)')


def test_masks_of_colours(test, data):
    name = (data / 'DAVIS/ImageSets/2017/val.txt').read_text().strip()
    path = data / f'DAVIS/Annotations/480p/{name}/00000.png'
    with Image.open(path) as image:
        colours = np.array(image.convert('RGB'))
    Image.fromarray(colours).save(path)
    with pytest.raises(SystemExit, match=f"{path} has mode 'RGB'; expected"):
        test('davis')
