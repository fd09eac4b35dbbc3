"""DAVIS's layout: what is given where, and bad data by name."""

import re
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from hvc_mm.datasets import VOSDataset, read_id_mask, write_id_mask

ONE, TWO = (1, 1, 9, 9), (12, 12, 20, 20)


@pytest.fixture
def build(davis, pipeline):
    """Build the data set of the videos that are there by then."""
    return partial(VOSDataset, data_root=str(davis.root), pipeline=pipeline())


def test_the_first_mask_only_is_given(davis, build, boxes, prompts):
    davis.add('b', 3).add('a', 2, {0: boxes({2: ONE})}).add('c', 1)
    dataset = build()
    assert prompts(dataset) == {
        ('b', '00000'): [1],
        ('a', '00000'): [2],
        ('c', '00000'): [1],
    }
    item = dataset[0]
    sample = item['data_samples']
    assert item['inputs'].shape == (3, 24, 32)
    assert item['inputs'].dtype == torch.uint8
    mask = read_id_mask(davis.mask('b', 0))
    np.testing.assert_array_equal(sample.prompt_ids, mask)
    assert sample.gt_path == str(davis.mask('b', 0))
    assert sample.ori_shape == (24, 32) and sample.starts_video
    # 'a' has no second annotation, as DAVIS's test-dev.
    assert dataset[4]['data_samples'].gt_path is None
    # A video of one frame.
    assert dataset[5]['data_samples'].video_length == 1
    assert dataset.counts == dict(videos=3, frames=6, objects=3)


def test_frames_before_the_first_annotation(davis, build, boxes, prompts):
    davis.add('a', 4, {2: boxes({1: ONE}), 3: boxes({})})
    with pytest.raises(FileNotFoundError, match=r'no first mask .*a/00000'):
        build()
    dataset = build(prompt_at='first_annotation')
    assert prompts(dataset) == {('a', '00002'): [1]}
    davis.add('b', 2, {})
    with pytest.raises(FileNotFoundError, match=r'no mask in .*/b;'):
        build(prompt_at='first_annotation')


def test_objects_may_enter_late(davis, build, boxes, prompts):
    late = boxes({1: ONE, 2: TWO})
    void = boxes({1: ONE, 255: TWO})
    davis.add('a', 4, {0: boxes({1: ONE}), 1: void, 2: late, 3: late})
    dataset = build(prompt_at='new_objects')
    assert prompts(dataset) == {('a', '00000'): [1], ('a', '00002'): [2]}
    assert dataset.counts['objects'] == 2
    davis.add('b', 2, {0: boxes({}), 1: boxes({})})
    with pytest.raises(ValueError, match='all masks in .*b are empty'):
        build(prompt_at='new_objects')


def test_masks_of_0_and_255(davis, build, boxes, prompts):
    davis.add('a', 2, {i: boxes({255: ONE}) for i in range(2)})
    assert prompts(build()) == {('a', '00000'): [1]}
    with pytest.raises(ValueError, match='empty'):
        build(binary_masks=False)
    with pytest.raises(ValueError, match='prompt_at must be one of'):
        build(prompt_at='never')


def test_without_a_list_every_folder_is_a_video(davis, build):
    davis.add('b').add('a')
    dataset = build(ann_file='')
    assert [dataset.get_data_info(i)['video'] for i in (0, 3)] == ['a', 'b']


@pytest.mark.parametrize(
    'path, message',
    [
        ('', 'DAVIS.*HVC_DATA_ROOT'),
        ('ImageSets/2017/val.txt', r'no list of videos .*val\.txt'),
        (
            'JPEGImages/480p/b',
            r'no folder .*480p/b; .*frames .*val\.txt lists',
        ),
        ('Annotations/480p/b/00000.png', r'no first mask .*b/00000\.png'),
    ],
)
def test_missing_files_are_named_before_the_run(davis, build, path, message):
    davis.add('a').add('b')
    (davis.root / path).rename(davis.root.with_name('elsewhere'))
    with pytest.raises(FileNotFoundError, match=message):
        build()


def test_bad_frames_are_named_before_the_run(davis, build):
    davis.add('a').add('b')
    davis.frame('b', 0).write_bytes(b'nothing')
    with pytest.raises(OSError, match=r'b/00000\.jpg'):
        build()
    for index in range(3):
        davis.frame('b', index).unlink()
    with pytest.raises(ValueError, match='no frame in .*/b;'):
        build()


@pytest.mark.parametrize(
    'image, message',
    [
        (Image.new('L', (32, 24)), 'is empty'),
        (Image.new('RGB', (32, 24)), 'has mode .RGB.'),
        (Image.new('L', (16, 10), 1), 'has 16x10 pixels; expected 32x24'),
        (Image.new('L', (32, 24), 3), 'holds object 3; expected ids up to 2'),
    ],
)
def test_bad_first_masks_are_named_before_the_run(
    davis, build, image, message
):
    davis.add('a').add('b')
    image.save(davis.mask('b', 0))
    with pytest.raises(ValueError, match=rf'b/00000\.png {message}'):
        build(max_objects=2)


def test_broken_frames_and_frames_of_another_size_are_named(
    davis, build, photo
):
    davis.add('a')
    path = davis.frame('a', 1)
    path.write_bytes(path.read_bytes()[:200])
    photo(davis.frame('a', 2), 24, 30)
    dataset = build()
    dataset[0]
    with pytest.raises(OSError, match=re.escape(str(path))):
        dataset[1]
    with pytest.raises(ValueError, match=r'00002\.jpg has 30x24.*32x24'):
        dataset[2]


def test_real_davis(shared_dir, pipeline):
    root = str(shared_dir / 'data/DAVIS')
    dataset = VOSDataset(data_root=root, pipeline=pipeline())
    assert dataset.counts == dict(videos=4, frames=236, objects=12)
    last = dataset[235]
    assert last['inputs'].shape[0] == 3
    assert last['data_samples'].gt_path.endswith('.png')


def test_frames_without_zeros_are_in_order(davis, build):
    davis.add('a', 12, {i: np.eye(24, 32, dtype=np.uint8) for i in range(12)})
    for index in range(12):
        for path in (davis.frame('a', index), davis.mask('a', index)):
            path.rename(path.with_name(f'f_{index}{path.suffix}'))
    infos = [build().get_data_info(i) for i in range(12)]
    assert [i['frame_name'] for i in infos] == [f'f_{i}' for i in range(12)]
    assert all(i['frame_name'] in i['gt_path'] for i in infos)


def test_frames_are_turned_and_masks_have_to_fit(davis, build, boxes):
    davis.add('a', 2, {0: boxes({1: ONE}), 1: boxes({1: ONE})})
    exif = Image.Exif()
    exif[0x0112] = 6
    for index in range(2):
        path = davis.frame('a', index)
        Image.open(path).save(path, exif=exif)
    message = 'has 32x24 pixels; expected 24x32 .*turned as their EXIF'
    with pytest.raises(ValueError, match=message):
        build()
    write_id_mask(davis.mask('a', 0), np.rot90(boxes({1: ONE}), -1))
    sample = build()[0]['data_samples']
    assert sample.ori_shape == (32, 24)


def test_one_object_with_smooth_edges(davis, build, boxes, prompts):
    davis.add('a', 1, {0: boxes({1: (4, 4, 20, 28)})})
    path = davis.mask('a', 0)
    sharp = read_id_mask(path)
    image = Image.fromarray(sharp * 255).resize((16, 12), Image.BILINEAR)
    image.resize((32, 24), Image.BICUBIC).save(path)
    with pytest.raises(ValueError, match=r'00000\.png has .*smooth'):
        build()
    dataset = build(binary_masks=True)
    assert prompts(dataset) == {('a', '00000'): [1]}
    given = dataset[0]['data_samples'].prompt_ids.numpy()
    assert np.mean(given != sharp) < 0.1
