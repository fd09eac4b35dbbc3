"""Lists and folders of videos; items, choices and counts of their frames."""

import numpy as np
import pytest

from hvc_mm.datasets import (
    Prompt,
    VideoDataset,
    VideoRecord,
    VOSDataset,
    check_name,
    find_masks,
    list_frames,
    read_video_names,
    stem_of,
    write_id_mask,
)
from hvc_mm.utils.outputs import dataset_inputs


class Numbers(VideoDataset):
    """Videos a, b, c of 2, 3 and 4 frames that aren't on disk."""

    lengths = dict(a=2, b=3, c=4)

    def frames_in(self, folder):
        frames = [f'/f/{folder}/{i:02d}.jpg' for i in range(9)]
        return frames[: self.lengths[folder]][: self.max_frames]

    def list_videos(self):
        return list(self.lengths)

    def load_video(self, name):
        return VideoRecord(
            name=name,
            frames=self.frames_in(name),
            gt_paths={'01': f'/a/{name}/01.png'},
            prompts={'00': dict(prompt=name)},
            num_objects=2,
            extra=dict(category='x'),
            frame_extra={'01': dict(is_scored=False)},
        )


def _infos(dataset):
    return [dataset.get_data_info(i) for i in range(len(dataset))]


def test_one_item_a_frame_in_order():
    infos = _infos(Numbers())
    assert [(i['video'], i['frame_index']) for i in infos] == [
        (name, index)
        for name, length in Numbers.lengths.items()
        for index in range(length)
    ]
    assert [i['starts_video'] for i in infos[:3]] == [True, False, True]
    second = infos[3]
    assert second.pop('sample_idx') == 3
    assert second == dict(
        img_path='/f/b/01.jpg',
        first_img_path='/f/b/00.jpg',
        video='b',
        frame_index=1,
        frame_name='01',
        video_length=3,
        starts_video=False,
        gt_path='/a/b/01.png',
        category='x',
        is_scored=False,
    )
    assert infos[2]['prompt'] == 'b' and infos[2]['gt_path'] is None


def test_some_videos_and_some_frames_stay_whole():
    assert [i['video'] for i in _infos(Numbers(videos='c'))] == list('cccc')
    infos = _infos(Numbers(videos=['c', 'a'], max_frames=3))
    assert [i['video'] for i in infos] == list('aaccc')
    assert [i['video_length'] for i in infos] == [2, 2, 3, 3, 3]


def test_counts_are_told_next_to_the_benchmarks(logged):
    benchmark = dict(name='Abc', videos=3, frames=99)
    dataset = Numbers(benchmark=benchmark)
    Numbers()
    assert dataset.test_mode  # it never skips an item
    assert dataset.metainfo['counts'] == dict(videos=3, frames=9, objects=6)
    assert dataset.metainfo['benchmark'] == benchmark
    assert logged == [
        'WARNING: Abc: 3 videos, 9 frames (the benchmark has 99), 6 objects',
        'INFO: Numbers: 3 videos, 9 frames, 6 objects',
    ]


@pytest.mark.parametrize(
    'kwargs, message',
    [
        (dict(indices=5), 'indices.*max_frames'),
        (dict(max_frames=0), 'max_frames must be'),
        (dict(videos=['a', 'z']), r"no video \['z'\].*3 videos: a, b, c$"),
        (dict(videos=[]), 'no video in'),
    ],
)
def test_what_would_cut_or_miss_videos_is_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Numbers(**kwargs)


PAIRS = ''.join(
    f'/JPEGImages/480p/{v}/{i:05d}.jpg /Annotations/480p/{v}/{i:05d}.png\n'
    for v in ('bear', 'camel')
    for i in range(3)
)


@pytest.mark.parametrize(
    'text, names',
    [
        ('bear\n\ncamel \r\nbear\n', ['bear', 'camel']),
        (PAIRS, ['bear', 'camel']),  # DAVIS-2016
        ('VIP/Im/v1 VIP/Ann/v1\nVIP/Im/v2/ x\n', ['v1', 'v2']),
        ('my clip \r\nclip.png\n', ['my clip', 'clip.png']),
        ('bear\rcamel\r', ['bear', 'camel']),  # old Macs
    ],
)
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16'])
def test_names_of_videos(tmp_path, text, names, encoding):
    (tmp_path / 'val.txt').write_bytes(text.encode(encoding))
    assert read_video_names(str(tmp_path / 'val.txt')) == names


@pytest.mark.parametrize('name', ['..', 'a/..', '.', 'x/../y', 'b\0'])
def test_names_that_lead_out_of_their_folder(tmp_path, name):
    (tmp_path / 'val.txt').write_text(f'bear\n{name}\n')
    message = r'val\.txt, line 2: .* is no name below its folder'
    with pytest.raises(ValueError, match=message):
        read_video_names(str(tmp_path / 'val.txt'))


@pytest.mark.parametrize(
    'name', ['', '/etc', '../x', 'a/../b', 'a//b', 'a/', './a', 'a\nb']
)
def test_names_with_folders(name):
    assert check_name('run/clip 1', 'here') == 'run/clip 1'
    with pytest.raises(ValueError, match='here: '):
        check_name(name, 'here')


def test_a_list_that_is_no_text_is_named(tmp_path):
    (tmp_path / 'val.txt').write_bytes(b'b\xe4r\n')
    with pytest.raises(ValueError, match=r'val\.txt is no text.*UTF-8'):
        read_video_names(str(tmp_path / 'val.txt'))


def test_a_list_without_names_is_refused(tmp_path):
    (tmp_path / 'empty.txt').write_text('\n \n')
    with pytest.raises(ValueError, match=r'empty\.txt names no video'):
        read_video_names(str(tmp_path / 'empty.txt'))


def test_frames_and_masks_by_stem(tmp_path):
    for name in ('2.jpg', '0.png', '1.JPG', '._0.jpg', '._0.png', 'a.txt'):
        (tmp_path / name).touch()
    frames = list_frames(str(tmp_path))
    assert [stem_of(path) for path in frames] == ['0', '1', '2']
    assert find_masks(str(tmp_path)) == {'0': str(tmp_path / '0.png')}
    assert find_masks(str(tmp_path / 'absent')) == {}
    (tmp_path / '2.png').touch()
    message = r'two frames named 2, 2\.jpg and 2\.png; .*masks in a folder'
    with pytest.raises(ValueError, match=message):
        list_frames(str(tmp_path))
    (tmp_path / '0.PNG').touch()
    with pytest.raises(ValueError, match=r'two masks named 0, 0\.PNG and 0'):
        find_masks(str(tmp_path))


def test_inputs_are_what_the_data_set_reads(davis):
    davis.add('a')
    found = dataset_inputs(VOSDataset(data_root=str(davis.root)))
    assert [path[len(str(davis.root)) :] for path in found] == [
        '/Annotations/480p',
        '/Annotations/480p/a',
        '/ImageSets/2017/val.txt',
        '/JPEGImages/480p',
        '/JPEGImages/480p/a',
    ]


TWO = {1: (2, 2, 8, 8), 3: (10, 10, 20, 20)}
VOID = {255: (2, 2, 8, 8)}


@pytest.fixture
def read(tmp_path, boxes):
    """Writes a mask and reads it as a prompt."""

    def write_and_read(ids, shape=(24, 32), **kwargs):
        write_id_mask(tmp_path / 'first.png', boxes(ids))
        return Prompt(str(tmp_path / 'first.png'), **kwargs).read(shape)

    return write_and_read


@pytest.mark.parametrize(
    'ids, kwargs, expected',
    [
        ({**TWO, 255: (0, 20, 5, 30)}, {}, TWO),  # void is background
        (TWO, dict(objects=(3,)), {3: TWO[3]}),
        (TWO, dict(max_objects=3), TWO),
        # What isn't asked for needs no room.
        (TWO, dict(max_objects=2, objects=(1,)), {1: TWO[1]}),
        (VOID, {}, {1: VOID[255]}),
        (VOID, dict(binary=True), {1: VOID[255]}),
    ],
)
def test_what_is_kept_of_a_prompt(read, boxes, ids, kwargs, expected):
    found = read(ids, **kwargs)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, boxes(expected))


def test_ids_may_be_merged(read, boxes):
    np.testing.assert_array_equal(read(TWO, binary=True), boxes(TWO) > 0)


@pytest.mark.parametrize(
    'ids, kwargs, message',
    [
        (VOID, dict(binary=False), r'first\.png is empty'),
        ({}, {}, r'first\.png is empty'),
        (TWO, dict(shape=(20, 30)), r'png has 32x24 pixels; expected 30x20'),
        (TWO, dict(max_objects=2), 'object 3; expected ids up to 2'),
        (TWO, dict(objects=(1, 2)), r'lacks object \[2\].*\[1, 3\]'),
    ],
)
def test_prompts_that_no_run_can_start_from(read, ids, kwargs, message):
    with pytest.raises(ValueError, match=message):
        read(ids, **kwargs)
