"""YouTube-VOS: late objects, frames that count, wrong folders."""

import json
import shutil
from functools import partial

import pytest

from hvc_mm.datasets import YouTubeVOSDataset, write_id_mask

ONE, TWO = (1, 1, 9, 9), (12, 12, 20, 20)


@pytest.fixture
def year(tmp_path, photo, boxes):
    """Video 'a': 11 frames, object 1 from the start, 2 from frame 5 on.

    Frame 5's mask shows object 1 again, as some of the real ones do.
    """
    root = tmp_path / '2018'
    for index in range(11):
        name = f'{index:05d}.jpg'
        photo(root / 'valid_all_frames/JPEGImages/a' / name, seed=index)
        if index % 5 == 0:
            photo(root / 'valid/JPEGImages/a' / name, seed=index)
    masks = root / 'valid/Annotations/a'
    write_id_mask(masks / '00000.png', boxes({1: ONE}))
    write_id_mask(masks / '00005.png', boxes({1: ONE, 2: TWO}))
    objects = {
        '1': dict(category='bear', frames=['00000', '00005', '00010']),
        '2': dict(category='cat', frames=['00005', '00010']),
    }
    _write_meta(root / 'valid', {'a': dict(objects=objects)})
    return root


def _write_meta(folder, videos):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'meta.json').write_text(json.dumps(dict(videos=videos)))


@pytest.fixture
def build(year, pipeline):
    """Build the data set."""
    return partial(YouTubeVOSDataset, data_root=str(year), pipeline=pipeline())


OFFICIAL = dict(
    img_path='valid_all_frames/JPEGImages',
    ann_path='valid/Annotations',
    scored_path='valid/JPEGImages',
)


def _scored(dataset):
    samples = [item['data_samples'] for item in dataset]
    return [s.frame_index for s in samples if s.is_scored]


def test_objects_are_given_once_where_they_begin(build, prompts):
    dataset = build()
    assert prompts(dataset) == {('a', '00000'): [1], ('a', '00005'): [2]}
    prompt = dataset[5]['data_samples'].prompt_ids
    assert (prompt[TWO[0], TWO[1]] == 2).all()
    assert dataset.counts == dict(videos=1, frames=11, objects=2)
    categories = dataset[0]['data_samples'].object_categories
    assert categories == {1: 'bear', 2: 'cat'}
    with_truth = [i for i in range(11) if dataset[i]['data_samples'].gt_path]
    assert with_truth == [0, 5]


@pytest.mark.parametrize('prefix', [None, OFFICIAL])
@pytest.mark.parametrize('moved', [False, True])
def test_frames_of_valid_are_scored(year, build, prompts, prefix, moved):
    if moved:  # all of the annotation next to all frames
        inside = year / 'valid_all_frames'
        (year / 'valid/Annotations').rename(inside / 'Annotations')
        (year / 'valid/meta.json').rename(inside / 'meta.json')
        shutil.rmtree(year / 'valid')
    dataset = build(data_prefix=prefix)
    assert len(dataset) == 11 and _scored(dataset) == [0, 5, 10]
    assert len(prompts(dataset)) == 2


def test_the_frames_of_meta_count_where_no_folder_says(year, build):
    objects = {'1': dict(frames=['00000'])}
    _write_meta(year / 'valid', {'a': dict(objects=objects)})
    dataset = build(data_prefix=dict(OFFICIAL, scored_path=None))
    assert _scored(dataset) == [0]


def test_valid_instead_of_valid_all_frames_fails_at_once(year, build):
    prefix = dict(OFFICIAL, img_path='valid/JPEGImages')
    message = 'valid/JPEGImages/a holds every 5th.*valid_all_frames'
    with pytest.raises(ValueError, match=message):
        build(data_prefix=prefix)
    # The same by copying the folder under the other name.
    frames = year / 'valid_all_frames/JPEGImages'
    shutil.rmtree(frames)
    shutil.copytree(year / 'valid/JPEGImages', frames)
    with pytest.raises(ValueError, match='holds every 5th frame only'):
        build()
    assert len(build(all_frames=False)) == 3


def test_a_shortened_video_leaves_out_objects_that_come_later(build):
    counts = build(max_frames=4).counts
    assert counts == dict(videos=1, frames=4, objects=1)


def _objects(object_id, video='a', **entry):
    return {video: dict(objects={object_id: entry})}


@pytest.mark.parametrize(
    'text, message',
    [
        ('{', r'cannot read .*meta\.json.*"videos"'),
        ('{"videos": []}', r'cannot read .*meta\.json'),
        ({'a': dict(objects={})}, r'meta\.json: video a has no objects'),
        (
            _objects('1', category='x'),
            'a has no frames for object 1, but None',
        ),
        (_objects('1', frames=['00099']), 'of a begins at frame 00099'),
        (_objects('1', frames=[0]), r'for object 1, but \[0\]; expected'),
        (_objects('1', frames='00000'), 'for object 1, but .00000'),
        (_objects('1', frames=[['00000']]), 'no frames for object 1'),
        (_objects('x', frames=['00000']), "has the object 'x'; expected each"),
        (_objects('0', frames=['00000']), "has the object '0'"),
        (_objects('255', frames=['00000']), "has the object '255'"),
        (_objects('9' * 5000, frames=['00000']), 'has the object'),
        ({'a': dict(objects=[dict(frames=['00000'])])}, 'a has no objects'),
        ({'a': dict(objects={'1': ['00000']})}, 'no frames for object 1'),
        ({'a': ['00000']}, r'meta\.json: video a has no objects'),
        (_objects('1', category=[], frames=['00000']), r'the category \[\]'),
        (
            {'a': dict(objects={i: dict(frames=['0']) for i in ('1', '01')})},
            "has the object '01'; expected each id once",
        ),
        ('[' * 100000, r'cannot read .*meta\.json: Recursion'),
        (b'\xff', r'meta\.json is no text'),
        (_objects('1', '../../out', frames=['00000']), r'meta\.json: .*below'),
        (_objects('1', '/tmp/out', frames=['00000']), r'meta\.json: .*below'),
        (_objects('3', frames=['00000']), r'a/00000\.png lacks object \[3\]'),
        (_objects('1', 'b', frames=['00000']), 'no folder .*JPEGImages/b'),
    ],
)
def test_bad_meta_is_named(year, build, text, message):
    if isinstance(text, dict):
        text = json.dumps(dict(videos=text))
    if isinstance(text, str):
        text = text.encode()
    (year / 'valid/meta.json').write_bytes(text)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        build()


@pytest.mark.parametrize(
    'path, message',
    [
        ('valid/meta.json', r'no file .*valid/meta\.json'),
        (
            'valid/Annotations/a/00005.png',
            r'no mask .*a/00005.*\[2\] to begin',
        ),
        ('valid_all_frames/JPEGImages', 'valid_all_frames.*HVC_DATA_ROOT'),
    ],
)
def test_missing_files_are_named(year, build, path, message):
    (year / path).rename(year / 'elsewhere')
    with pytest.raises(FileNotFoundError, match=message):
        build()


@pytest.mark.parametrize('encoding', ['utf-8-sig', 'utf-16'])
def test_unsorted_frames_and_marks(year, build, prompts, encoding):
    objects = {'1': dict(frames=['00010', '00000', '00005'])}
    text = json.dumps(dict(videos={'a': dict(objects=objects)}))
    (year / 'valid/meta.json').write_text(text, encoding)
    assert prompts(build()) == {('a', '00000'): [1]}


def test_a_missing_frame_is_named(year, build):
    (year / 'valid_all_frames/JPEGImages/a/00010.jpg').unlink()
    message = r'JPEGImages/a lacks frame 00010 \(1 of the 3'
    with pytest.raises(ValueError, match=message):
        build()


def test_a_real_video_of_the_training_set(shared_dir, pipeline):
    dataset = YouTubeVOSDataset(
        ann_file='train/meta.json',
        data_root=str(shared_dir / 'data/YTVOS'),
        data_prefix=dict(
            img_path='train/JPEGImages', ann_path='train/Annotations'
        ),
        all_frames=False,
        pipeline=pipeline(),
    )
    assert dataset.counts == dict(videos=1, frames=15, objects=5)
    samples = [item['data_samples'] for item in dataset]
    assert all(s.gt_path and s.is_scored for s in samples)
    assert 'prompt_ids' in samples[0]
