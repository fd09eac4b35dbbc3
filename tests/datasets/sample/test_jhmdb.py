"""The JHMDB layout: clips, splits, joints in MATLAB files."""

import io

import cv2
import numpy as np
import pytest
from scipy.io import loadmat

from hvc_mm.datasets.sample.jhmdb import (
    draw_jhmdb_scene,
    encode_joints,
    joints_of_clip,
)
from hvc_mm.datasets.sample.puppet import JOINTS


def read(sample, name):
    path = sample / f'JHMDB/joint_positions/{name}/joint_positions.mat'
    return loadmat(str(path))


@pytest.fixture(scope='module')
def clips(spec, photos):
    return [draw_jhmdb_scene(spec, i) for i in range(spec.videos + 1)]


def test_frames(sample, spec, clips):
    for scene, _ in clips:
        folder = sample / 'JHMDB/Rename_Images' / scene.name
        names = sorted(path.name for path in folder.iterdir())
        assert names == [f'{t:05d}.png' for t in range(1, spec.frames + 1)]
        image = cv2.imread(str(folder / names[0]))
        assert image.shape == (*spec.size, 3)


def test_joints_are_counted_from_1(sample, spec, clips):
    for scene, puppet in clips:
        content = read(sample, scene.name)
        assert content['pos_img'].shape == (2, 15, spec.frames)
        for frame in (0, spec.frames - 1):
            expected = puppet.joints_in_pixels(scene.moment(frame))
            assert np.allclose(content['pos_img'][:, :, frame] - 1, expected)


def test_the_face_is_where_its_joint_says(sample, spec, clips):
    """Independent of masks: skin is redder than what is behind it."""
    for scene, _ in clips:
        pos = read(sample, scene.name)['pos_img']
        folder = sample / 'JHMDB/Rename_Images' / scene.name
        for frame in range(0, spec.frames, 5):
            image = cv2.imread(str(folder / f'{frame + 1:05d}.png'))
            x, y = np.rint(pos[:, JOINTS.index('face'), frame] - 1).astype(int)
            blue, _, red = image[y - 1 : y + 2, x - 1 : x + 2].mean((0, 1))
            assert red > blue + 10


def test_other_fields(sample, spec, clips):
    """`pos_world` is what it says; the figure fills the frame by scale."""
    height, width = spec.size
    for scene, _ in clips:
        content = read(sample, scene.name)
        scale = content['scale']
        assert scale.shape == (1, spec.frames)
        assert 0.3 < scale[0, 0] < 1
        x, y = content['pos_img']
        world_x, world_y = content['pos_world'] * scale[0]
        assert np.allclose(world_x * height + width / 2, x)
        assert np.allclose(world_y * height + height / 2, y)
        assert 'viewpoint' in content


def test_splits(sample, spec, clips):
    """All but the last clip are for tests; classes are their folders."""
    for split in (1, 2, 3):
        found = {}
        for path in (sample / 'JHMDB/splits').glob(f'*_test_split{split}.txt'):
            category = path.name[: -len(f'_test_split{split}.txt')]
            for line in path.read_text().splitlines():
                clip, part = line.split()
                assert clip.endswith('.avi')
                found[f'{category}/{clip[:-4]}'] = int(part)
        names = [scene.name for scene, _ in clips]
        assert found == {
            name: 2 if index < spec.videos else 1
            for index, name in enumerate(names)
        }


def test_bytes_do_not_depend_on_the_time(monkeypatch, clips):
    joints = joints_of_clip(*clips[0])
    first = encode_joints(joints, (72, 128), 0.5)
    monkeypatch.setattr('time.asctime', lambda *_: 'Thu Jan  1 00:00:00 1970')
    again = encode_joints(joints, (72, 128), 0.5)
    assert first == again
    assert np.array_equal(loadmat(io.BytesIO(first))['pos_img'], joints)


def test_our_data_set_reads_it(sample, spec):
    from hvc_mm.datasets.jhmdb import JHMDBDataset

    dataset = JHMDBDataset(data_root=str(sample / 'JHMDB'))
    assert len(dataset) == spec.videos * spec.frames
