"""Where the results of an inferencer's video go."""

from pathlib import Path

import pytest

from hvc_mm.apis import open_frames
from hvc_mm.apis.video_job import VideoJob


@pytest.mark.parametrize('is_file, name', [(True, 'square.mp4'), (False, '')])
def test_places(is_file, name, video, frame_folder, tmp_path):
    source = open_frames(video if is_file else frame_folder)
    job = VideoJob(source, iter(()), source.inputs)
    assert job.outputs == []
    vis, preds = tmp_path / 'out/vis', tmp_path / 'out/preds'
    job.place(vis, preds)
    assert job.outputs == [vis / (name or 'square'), preds / 'square']
    assert not (tmp_path / 'out').exists()
    job.claim()
    assert (preds / 'square').is_dir()
    (preds / 'square/notes.txt').touch()
    with pytest.raises(FileExistsError, match='notes.txt'):
        job.claim()
    job.claim(force=True)
    only_masks = VideoJob(source, iter(()), source.inputs)
    only_masks.place(None, preds)
    assert only_masks.outputs == [Path(preds / 'square')]
