"""The output folder of an inferencer."""

import mmcv
import numpy as np
import pytest

from hvc_mm.apis import open_frames
from hvc_mm.apis.result_writer import ResultWriter
from hvc_mm.datasets.image_io import read_id_mask


@pytest.fixture
def run(moving_square):
    images, masks = moving_square

    def write(out_dir, fps=None, **kwargs):
        source = open_frames(images[:3])
        source.name, source.fps = 'square', fps
        with ResultWriter(out_dir, source, **kwargs) as writer:
            paths = []
            for frame in source:
                writer.write_picture(frame, frame.image)
                paths.append(writer.write_mask(frame, masks[frame.index]))
        return writer, paths

    return write


def test_frames_give_pictures(run, tmp_path, moving_square):
    writer, paths = run(tmp_path)
    assert writer.vis_path == tmp_path / 'vis/square'
    assert sorted(p.name for p in writer.vis_path.iterdir()) == [
        '00000.jpg',
        '00001.jpg',
        '00002.jpg',
    ]
    assert paths[2] == str(tmp_path / 'preds/square/00002.png')
    np.testing.assert_array_equal(read_id_mask(paths[2]), moving_square[1][2])


def test_a_video_gives_a_video(run, tmp_path):
    writer, _ = run(tmp_path, fps=15)
    reader = mmcv.VideoReader(str(tmp_path / 'vis/square.mp4'))
    assert (len(reader), reader.fps) == (3, 15)
    assert writer.vis_path == tmp_path / 'vis/square.mp4'


def test_parts_can_be_left_out(run, tmp_path):
    run(tmp_path / 'a', save_vis=False)
    run(tmp_path / 'b', save_pred=False)
    assert [p.name for p in (tmp_path / 'a').iterdir()] == ['preds']
    assert [p.name for p in (tmp_path / 'b').iterdir()] == ['vis']
    writer, paths = run(None)
    assert paths == [None] * 3 and writer.vis_path is None
