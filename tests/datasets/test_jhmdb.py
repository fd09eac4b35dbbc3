"""JHMDB's folders: joints by frame, and files that are wrong."""

from functools import partial

import numpy as np
import pytest
from scipy.io import savemat

from hvc_mm.datasets import JOINTS, JHMDBDataset
from hvc_mm.datasets.jhmdb import LIMBS, read_joints, read_test_clips

NAME = 'run/clip#1'
MAT = f'joint_positions/{NAME}/joint_positions.mat'


@pytest.fixture
def jhmdb(tmp_path, photo):
    """A test clip of four frames, three of them annotated, and another."""
    root = tmp_path / 'JHMDB'
    for name in ('run/clip#1', 'jump/two'):
        for index in range(1, 5):
            photo(root / 'Rename_Images' / name / f'{index:05d}.png')
        _write_joints(root, name, _positions())
    (root / 'splits').mkdir()
    for name, text in (
        ('run_test_split1', 'clip#1.avi 2\nother.avi 1\n'),
        ('jump_test_split1', 'two.avi 2 \n'),
        ('run_test_split2', 'other.avi 2\n'),
    ):
        (root / f'splits/{name}.txt').write_text(text)
    return root


def _positions(joints=15, frames=3):
    return np.random.default_rng(0).uniform(1, 24, (2, joints, frames))


def _write_joints(root, name, positions, key='pos_img'):
    folder = root / 'joint_positions' / name
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / 'joint_positions.mat', {key: positions, 'scale': 1.0})


@pytest.fixture
def build(jhmdb, pipeline):
    """Build the data set."""
    return partial(
        JHMDBDataset, data_root=str(jhmdb), pipeline=pipeline((32, 32))
    )


def test_joints_are_counted_from_zero_and_given_once(build):
    dataset = build()
    items = list(dataset)
    samples = [item['data_samples'] for item in items]
    assert [s.video for s in samples[::4]] == ['jump/two', 'run/clip#1']
    expected = _positions() - 1
    for sample in samples:
        annotated = sample.frame_index < 3
        assert ('gt_joints' in sample) == annotated
        assert (sample.gt_path is not None) == annotated
        if annotated:
            truth = expected[:, :, sample.frame_index]
            np.testing.assert_allclose(sample.gt_joints, truth)
        assert ('prompt_joints' in sample) == sample.starts_video
    np.testing.assert_allclose(samples[4].prompt_joints, expected[:, :, 0])
    assert items[0]['inputs'].shape == (3, 32, 32)
    assert samples[0].ori_shape == (24, 32)
    assert dataset.counts['videos'] == 2


def test_splits_differ(jhmdb):
    folder = str(jhmdb / 'splits')
    assert read_test_clips(folder, 1) == ['jump/two', 'run/clip#1']
    assert read_test_clips(folder, 2) == ['run/other']
    with pytest.raises(FileNotFoundError, match=r'no \*_test_split3\.txt'):
        read_test_clips(folder, 3)
    for text, message in (
        ('other.avi 1\n', 'no test clip'),
        ('other.avi\n', r'split2\.txt, line 1'),
        ('../../evil/clip.avi 2\n', r'split2\.txt, line 1: .* no name below'),
        ('/evil/clip.avi 2\n', r'split2\.txt, line 1: .* no name below'),
    ):
        (jhmdb / 'splits/run_test_split2.txt').write_text(text)
        with pytest.raises(ValueError, match=message):
            read_test_clips(folder, 2)


@pytest.mark.parametrize(
    'positions, key, message',
    [
        (_positions(14), 'pos_img', r'\(2, 14, 3\); expected.*\(2, 15'),
        (np.ones((3, 15, 3)), 'pos_img', r'has shape \(3, 15, 3\)'),
        (np.ones((2, 15, 3, 2)), 'pos_img', r'has shape \(2, 15, 3, 2\)'),
        (_positions(), 'pos_world', r"holds \['pos_world', 'scale'\]; exp"),
        (np.full((2, 15, 3), np.nan), 'pos_img', 'not finite'),
        (_positions().astype(str), 'pos_img', 'holds <U'),
        (_positions() + 1j, 'pos_img', 'holds complex128'),
        (_positions(frames=5), 'pos_img', 'of 5 frames; expected at most 4'),
    ],
)
def test_bad_joints_are_named(jhmdb, build, positions, key, message):
    _write_joints(jhmdb, NAME, positions, key)
    with pytest.raises(ValueError, match=rf'{MAT}.*{message}'):
        build()


def test_bad_files_are_named(jhmdb, build):
    (jhmdb / MAT).write_text('no mat file')
    with pytest.raises(ValueError, match=f'cannot read .*{MAT}'):
        build()
    (jhmdb / MAT).unlink()
    with pytest.raises(FileNotFoundError, match=MAT):
        build()
    (jhmdb / 'Rename_Images').rename(jhmdb / 'Images')
    with pytest.raises(FileNotFoundError, match='Rename_Im.*HVC_DATA_ROOT'):
        build()


def test_names_with_spaces_dots_and_marks(jhmdb):
    path = jhmdb / 'splits/run_test_split2.txt'
    for encoding in ('utf-8-sig', 'utf-16'):
        path.write_text('my (clip).AVI 2\na.b 2\nc.d.avi 2\n', encoding)
        found = read_test_clips(str(jhmdb / 'splits'), 2)
        assert found == ['run/my (clip)', 'run/a.b', 'run/c.d']


def test_joints_are_of_their_frames_without_zeros_too(jhmdb, build):
    folder = jhmdb / f'Rename_Images/{NAME}'
    for path in sorted(folder.iterdir()):
        path.rename(folder / f'{int(path.stem) + 8}.png')  # 9 to 12
    infos = [build().get_data_info(i) for i in range(4, 8)]
    assert [info['frame_name'] for info in infos] == ['9', '10', '11', '12']
    for index, info in enumerate(infos[:3]):
        wanted = _positions()[:, :, index] - 1
        np.testing.assert_allclose(info['gt_joints'], wanted)


def test_a_clip_of_one_annotated_frame(jhmdb):
    _write_joints(jhmdb, NAME, _positions(frames=1))
    assert read_joints(str(jhmdb / MAT)).shape == (2, 15, 1)
    assert len(set(JOINTS)) == 15


def test_limbs_join_the_body_and_are_the_same_on_both_sides():
    other = {'right': 'left', 'left': 'right'}

    def mirrored(joint):
        side, _, rest = JOINTS[joint].partition(' ')
        name = f'{other[side]} {rest}' if side in other else JOINTS[joint]
        return JOINTS.index(name)

    assert {tuple(map(mirrored, limb)) for limb in LIMBS} == set(LIMBS)
    arm = [JOINTS[j] for limb in LIMBS[2:5] for j in limb]
    assert arm == ['neck', *['right shoulder'] * 2, *['right elbow'] * 2] + [
        'right wrist'
    ]
    # As many as a tree over all joints has, and each joint is reached.
    assert len(LIMBS) == len(JOINTS) - 1
    assert {end for _, end in LIMBS} == set(range(len(JOINTS))) - {2}
