"""Strips: which frames, what is drawn on them, when they are written."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from hvc_mm.datasets import davis_palette, write_id_mask
from hvc_mm.scoreboard.strips import StripWriter, draw_tile, strip_frames
from hvc_mm.structures import VOSDataSample
from hvc_mm.visualization import FrameLabels

H, W = 60, 80  # a tile is 120 x 160


@pytest.mark.parametrize(
    'length, frames',
    [
        (1, [0]),
        (2, [0, 1]),
        (6, [0, 1, 2, 3, 4, 5]),
        (8, [0, 1, 3, 4, 6, 7]),
        (101, [0, 20, 40, 60, 80, 100]),
    ],
)
def test_frames_are_spread_from_the_first_to_the_last(length, frames):
    assert strip_frames(length) == frames


@pytest.fixture
def frame():
    return np.full((H, W, 3), 90, np.uint8)


def test_a_tile_shows_ids_where_they_are(frame):
    ids = np.zeros((H, W), np.uint8)
    ids[10:30, 20:40] = 3
    tile = draw_tile(frame, FrameLabels(ids), {})
    assert tile.shape == (120, 160, 3)
    mixed = (90 + davis_palette()[3].astype(int)) // 2
    assert np.abs(tile[40, 60] - mixed).max() <= 1
    # Contours are inside, no label covers a part of it.
    assert (np.abs(tile[22:58, 42:78] - mixed) <= 1).all()
    outside = np.ones(tile.shape[:2], bool)
    outside[20:60, 40:80] = False
    assert (tile[outside] == 90).all()


def test_a_tile_shows_joints_at_its_scale(frame):
    joints = np.array([[20.0, 60, -1], [15, 45, -1]])
    meta = {'joints': ('right hand', 'left hand', 'neck')}
    meta['skeleton_links'] = ((0, 2),)
    tile = draw_tile(frame, FrameLabels(joints=joints), meta)
    assert tile[30, 40].tolist() == [255, 96, 48]
    assert tile[90, 120].tolist() == [48, 160, 255]
    assert (tile[:20] == 90).all() and (tile[:, :30] == 90).all()


@pytest.fixture
def stream(tmp_path):
    """Feed a writer with frames of videos; frame ``t`` has grey 20 t."""
    runner = SimpleNamespace(
        test_dataloader=SimpleNamespace(dataset=SimpleNamespace(metainfo={}))
    )
    writer = StripWriter(tmp_path)
    writer.before_test(runner)

    def feed(video, indices, length, annotated=(), writer=writer):
        frames, samples = [], []
        for t in indices:
            gt_path = None
            if t in annotated:
                gt_path = str(tmp_path / f'gt/{video}/{t}.png')
                ids = np.zeros((H, W), np.uint8)
                ids[20:40] = 1
                write_id_mask(gt_path, ids)
            meta = dict(video=video, frame_index=t, video_length=length)
            meta.update(frame_name=f'{t:05d}', ori_shape=(H, W))
            sample = VOSDataSample(metainfo=dict(meta, gt_path=gt_path))
            sample.pred_ids = torch.full((H, W), 2, dtype=torch.uint8)
            samples.append(sample)
            frames.append(torch.full((3, H, W), 20 * t, dtype=torch.uint8))
        writer.after_test_iter(runner, 0, {'inputs': frames}, samples)

    feed.writer = writer
    return feed


def test_a_strip_is_written_with_its_videos_last_frame(stream, tmp_path):
    strip = tmp_path / 'strips/class/a.jpg'
    stream('class/a', range(7), 8)
    assert not strip.exists()
    stream('class/a', [7], 8)
    picture = cv2.imread(str(strip))
    assert picture.shape == (120, 6 * 160, 3)
    # Half of each frame's grey, half of the id's green.
    colour = davis_palette()[2].astype(float)[::-1]
    for place, t in enumerate([0, 1, 3, 4, 6, 7]):
        seen = picture[60, 160 * place + 80]
        assert np.abs(seen - (20 * t + colour) / 2).max() < 12
    # Nothing is annotated: there is no ground truth to show.
    assert not (tmp_path / 'ground_truth').exists()


def test_ground_truth_shows_annotated_frames_only(stream, tmp_path):
    # The last frame of one video and the first of the next in one batch.
    stream('a', range(3), 3)
    stream('b', range(3), 3, annotated=[0, 2])
    names = {path.name for path in tmp_path.glob('strips/*')}
    assert names == {'a.jpg', 'b.jpg'}
    (path,) = tmp_path.glob('ground_truth/*')
    picture = cv2.imread(str(path))
    bar = picture.shape[0] - 120
    assert path.name == 'b.jpg' and bar > 10  # with the frames' names
    assert picture[:bar].max() > 200
    first, second, third = np.split(picture[bar:], 3, axis=1)
    assert second.max() < 20
    red = davis_palette()[1].astype(float)[::-1]
    for tile, grey in ((first, 0), (third, 40)):
        assert np.abs(tile[60, 80] - (grey + red) / 2).max() < 12
        assert np.abs(tile[5, 80].astype(int) - grey).max() < 12
    assert (picture[bar:].std(axis=(0, 1)) > 5).any()


def test_several_processes_write_the_strips_of_their_own_videos(
    stream, tmp_path
):
    """Each has a writer of its own; their frames come in any order."""
    other = StripWriter(tmp_path)
    turns = [('a', 0), ('b', 0), ('b', 1), ('a', 1)]
    writers = {'a': stream.writer, 'b': other}
    for video, t in turns:
        stream(video, [t], 2, writer=writers[video])
    for video in 'ab':
        picture = cv2.imread(str(tmp_path / f'strips/{video}.jpg'))
        assert picture.shape == (120, 2 * 160, 3)
