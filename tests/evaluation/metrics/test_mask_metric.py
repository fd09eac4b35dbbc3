"""What metrics on id maps share: chunks, files, flat memory."""

import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from hvc_mm.datasets.image_io import write_id_mask
from hvc_mm.evaluation import VOSMetric


@pytest.mark.parametrize(
    'options, message',
    [
        ({'format_only': True}, 'format_only needs out_dir'),
        ({'zip_path': 'a.zip'}, 'zip_path needs out_dir'),
        ({'chunk_frames': 0}, 'chunk_frames must be >= 1'),
        ({'num_workers': -1}, 'num_workers must be >= 0'),
    ],
)
def test_options_that_cannot_work(options, message):
    with pytest.raises(ValueError, match=message):
        VOSMetric(**options)


def test_a_zip_that_exists_stops_the_run_before_it_begins(tmp_path):
    (tmp_path / 'a.zip').touch()
    with pytest.raises(FileExistsError, match=r'a\.zip exists already'):
        VOSMetric(out_dir='masks', zip_path=str(tmp_path / 'a.zip'))


def test_frames_that_do_not_count_are_not_written(
    moving_video, make_video, tmp_path
):
    """`is_scored=False`: propagated for the others' sake only."""
    video = make_video('v', *moving_video(0, 7))
    for t, sample in enumerate(video):
        sample['is_scored'] = t % 3 == 0
        if t % 3:
            del sample['pred_ids']
    metric = VOSMetric(
        num_workers=0,
        format_only=True,
        out_dir=str(tmp_path / 'masks'),
        zip_path=str(tmp_path / 'a.zip'),
        zip_root='Annotations',
    )
    metric.process(None, video)
    assert metric.evaluate(7) == {}
    names = ['00000.png', '00003.png', '00006.png']
    found = sorted(p.name for p in (tmp_path / 'masks/v').iterdir())
    assert found == names
    with zipfile.ZipFile(tmp_path / 'a.zip') as archive:
        assert archive.namelist() == [f'Annotations/v/{n}' for n in names]


def test_files_of_an_earlier_run_stay_out_of_the_zip(
    moving_video, make_video, tmp_path
):
    (tmp_path / 'masks/old').mkdir(parents=True)
    (tmp_path / 'masks/old/00000.png').touch()
    metric = VOSMetric(
        num_workers=0,
        out_dir=str(tmp_path / 'masks'),
        zip_path=str(tmp_path / 'a.zip'),
    )
    metric.process(None, make_video('v', *moving_video(0, 3)))
    metric.evaluate(3)
    with zipfile.ZipFile(tmp_path / 'a.zip') as archive:
        assert len(archive.namelist()) == 3
        assert all(name.startswith('v/') for name in archive.namelist())


@pytest.mark.parametrize('chunk_frames', [1, 3, 100])
def test_chunks_do_not_change_the_scores(
    moving_video, make_video, chunk_frames
):
    video = make_video('v', *moving_video(0, 8))
    found = []
    for chunk in (8, chunk_frames):
        metric = VOSMetric(num_workers=0, chunk_frames=chunk)
        metric.process(None, video)
        found.append(metric.evaluate(8))
    assert found[0] == found[1]


def test_predictions_may_change_after_they_came(moving_video, make_video):
    """A model may reuse its buffer: what came first must be kept."""
    gt, pred = moving_video(0, 5)
    video = make_video('v', gt, pred)
    expected = VOSMetric(num_workers=0)
    expected.process(None, video)
    expected = expected.evaluate(5)
    metric = VOSMetric(num_workers=0, chunk_frames=100)
    for sample in video:
        metric.process(None, [sample])
        sample['pred_ids'].zero_()
    assert metric.evaluate(5) == expected


def test_predictions_from_files(moving_video, make_video, tmp_path):
    """Read only where a frame counts, and named when missing."""
    video = make_video('v', *moving_video(0, 5))
    expected = VOSMetric(num_workers=0)
    expected.process(None, video)
    expected = expected.evaluate(5)
    for sample in video:
        path = tmp_path / 'pred' / f'{sample["frame_name"]}.png'
        if 0 < sample['frame_index'] < 4:
            write_id_mask(path, sample['pred_ids'].numpy())
        del sample['pred_ids']
        sample['pred_path'] = str(path)
    metric = VOSMetric(num_workers=0)
    metric.process(None, video)
    assert metric.evaluate(5) == expected
    os.remove(tmp_path / 'pred/00002.png')
    with pytest.raises(FileNotFoundError, match=r'pred/00002\.png'):
        VOSMetric(num_workers=0).process(None, video)


_LONG_VIDEO = """
import resource, sys
import numpy as np, torch
from hvc_mm.evaluation import VOSMetric

if __name__ == '__main__':
    path, length = sys.argv[1], int(sys.argv[2])
    metric = VOSMetric(num_workers=1, out_dir=sys.argv[3])
    pred = np.zeros((480, 854), np.uint8)
    pred[100:300, 200:400] = 1

    def frame(t):
        return dict(
            video='v', frame_index=t, frame_name=str(t), video_length=length,
            ori_shape=(480, 854), gt_path=path,
            pred_ids=torch.from_numpy(pred.copy()),
        )

    for t in range(20):
        metric.process(None, [frame(t)])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for t in range(20, length):
        metric.process(None, [frame(t)])
    metric.evaluate(length)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print((after - before) / 1024)
"""


def _growth(tmp_path, root_dir, length):
    """By how many MB the main process grows after a video's frame 20."""
    script = tmp_path / 'long_video.py'
    script.write_text(_LONG_VIDEO)
    done = subprocess.run(
        [sys.executable, str(script), 'gt.png', str(length), f'out{length}'],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(root_dir)},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_video(tmp_path, root_dir):
    gt = np.zeros((480, 854), np.uint8)
    gt[100:290, 210:400] = 1
    write_id_mask(tmp_path / 'gt.png', gt)
    short, long = (_growth(tmp_path, root_dir, n) for n in (100, 500))
    # 400 more masks would be 156 MB.
    assert long - short < 15, json.dumps([short, long])
