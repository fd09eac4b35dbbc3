"""The YouTube-VOS layout: what is given where, and meta.json."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hvc_mm.datasets.image_io import read_id_mask
from hvc_mm.datasets.sample.renderer import Renderer
from hvc_mm.datasets.sample.ytvos import (
    STEP,
    draw_ytvos_scene,
    late_entrance,
    video_name,
)


def videos(sample, year, split):
    path = sample / f'YTB/{year}/{split}/meta.json'
    return json.loads(path.read_text())['videos']


def scenes(spec, year, split, count):
    drawn = [draw_ytvos_scene(spec, year, split, i) for i in range(count)]
    return {scene.name: scene for scene in drawn}


def stems(folder):
    return sorted(int(path.stem) for path in folder.iterdir())


@pytest.mark.parametrize('year', [2018, 2019])
def test_frames(sample, spec, year):
    root = sample / f'YTB/{year}'
    meta = videos(sample, year, 'valid')
    assert len(meta) == spec.videos
    for name in meta:
        assert len(name) == 10 and int(name, 16) >= 0
        every = root / 'valid_all_frames/JPEGImages' / name
        fifth = root / 'valid/JPEGImages' / name
        assert stems(every) == list(range(spec.frames))
        assert stems(fifth) == list(range(0, spec.frames, STEP))
        for path in fifth.iterdir():
            assert path.read_bytes() == (every / path.name).read_bytes()


@pytest.mark.parametrize('year', [2018, 2019])
def test_masks_are_given_where_objects_begin(sample, spec, year):
    """Exact ones; older objects are shown again in some videos only."""
    again = set()
    for name, scene in scenes(spec, year, 'valid', spec.videos).items():
        renderer = Renderer(scene, spec.size)
        folder = sample / f'YTB/{year}/valid/Annotations/{name}'
        twin = sample / f'YTB/{year}/valid_all_frames/Annotations/{name}'
        late = [a for a in scene.actors if a.enters]
        begins = sorted({0, *(a.enters for a in late)})
        assert stems(folder) == stems(twin) == begins
        for path in folder.iterdir():
            assert path.read_bytes() == (twin / path.name).read_bytes()
        first = read_id_mask(folder / '00000.png')
        assert np.array_equal(first, renderer.ids(0))
        for actor in late:
            given = read_id_mask(folder / f'{actor.enters:05d}.png')
            seen = renderer.ids(actor.enters)
            mine = seen == actor.label
            assert mine.any()
            assert np.array_equal(given == actor.label, mine)
            old = given[~mine]
            again.add(bool(old.any()))
            if old.any():
                assert np.array_equal(given, seen)
    assert again == {False, True}


def test_meta_lists_each_object_from_its_first_annotated_frame(sample, spec):
    for split, count in (('valid', spec.videos), ('train', 2)):
        meta = videos(sample, 2018, split)
        for name, scene in scenes(spec, 2018, split, count).items():
            objects = meta[name]['objects']
            assert set(objects) == {str(label) for label in scene.labels}
            for actor in scene.actors:
                entry = objects[str(actor.label)]
                assert entry['category'] == actor.category
                assert entry['frames'][0] == f'{actor.enters:05d}'
                assert all(int(f) % STEP == 0 for f in entry['frames'])


def test_train_has_all_fifth_masks(sample, spec):
    root = sample / 'YTB/2018'
    for name, scene in scenes(spec, 2018, 'train', 2).items():
        renderer = Renderer(scene, spec.size)
        folder = root / 'train/Annotations' / name
        assert stems(folder) == list(range(0, spec.frames, STEP))
        for path in folder.iterdir():
            expected = renderer.ids(int(path.stem))
            assert np.array_equal(read_id_mask(path), expected)


def test_list_of_training_frames(sample, spec):
    path = sample / 'YTB/2018/train_all_frames/ytvos.csv'
    rows = [line.split(',') for line in path.read_text().splitlines()]
    assert len(rows) == len(videos(sample, 2018, 'train'))
    for name, first, count in rows:
        folder = path.parent / 'JPEGImages' / name
        last = int(first) + int(count)
        assert stems(folder) == list(range(int(first), last))


def test_newcomers_need_time():
    assert [late_entrance(n) for n in (1, 10, 11, 30, 60)] == [0, 0, 5, 10, 20]


def test_names_differ():
    names = {
        video_name(year, split, seed, index)
        for year in (2018, 2019)
        for split in ('train', 'valid')
        for seed in (0, 1)
        for index in range(50)
    }
    assert len(names) == 400


def test_short_videos_have_no_newcomer(tmp_path, spec, write_sample):
    write_sample(tmp_path, replace(spec, frames=4), 'ytvos')
    for entry in videos(tmp_path, 2018, 'valid').values():
        assert {o['frames'][0] for o in entry['objects'].values()} == {'00000'}


@pytest.mark.parametrize('year', [2018, 2019])
def test_our_data_set_reads_valid(sample, spec, year):
    from hvc_mm.datasets.youtube_vos import YouTubeVOSDataset

    dataset = YouTubeVOSDataset(data_root=str(sample / f'YTB/{year}'))
    assert len(dataset) == spec.videos * spec.frames


def test_our_data_set_reads_train_frames(sample, spec):
    from hvc_mm.datasets.pretrain_images import VideoFramesDataset

    dataset = VideoFramesDataset(
        ann_file='ytvos.csv',
        data_root=str(sample / 'YTB/2018/train_all_frames'),
        data_prefix=dict(img_path='JPEGImages'),
        max_per_video=5,
    )
    assert len(dataset) == 5 * len(videos(sample, 2018, 'train'))
