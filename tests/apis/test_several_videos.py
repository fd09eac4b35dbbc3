"""Several videos in one call, and what tells them from frames of one."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hvc_mm.apis import VOSInferencer, open_frames
from hvc_mm.apis.several_videos import check_names, open_videos
from hvc_mm.datasets import write_id_mask

FRAME = np.zeros((4, 6, 3), np.uint8)


@pytest.mark.parametrize(
    'frames',
    [
        ['0.jpg', Path('1.PNG')],
        [FRAME, FRAME],
        (Image.new('RGB', (6, 4)),),
        [torch.zeros(3, 4, 6).byte()],
        np.stack([FRAME, FRAME]),
        iter([FRAME]),
        'gone.mp4',
    ],
    ids=['files', 'arrays', 'Pillow', 'tensors', 'stack', 'iterator', 'name'],
)
def test_frames_of_one_video(frames):
    assert open_videos(frames, FRAME[..., 0]) is None


def test_forms_of_several_videos(video, frame_folder, tmp_path):
    given = [
        video,
        str(frame_folder),
        [FRAME, FRAME],
        (FRAME for _ in range(3)),
        np.stack([FRAME] * 4),
        open_frames([FRAME]),
    ]
    found = open_videos(given, [1, 2, 3, 4, 5, 6])
    assert [masks for _, masks in found] == [1, 2, 3, 4, 5, 6]
    sources = [source for source, _ in found]
    names = ['square', 'square', 'video_2', 'video_3', 'video_4', 'video']
    assert [source.name for source in sources] == names
    assert [len(list(source)) for source in sources] == [8, 8, 2, 3, 4, 1]


def test_a_folder_of_videos(video, tmp_path):
    folder = tmp_path / 'many'
    folder.mkdir()
    assert open_videos(folder, None) is None  # is refused as one of frames
    for name in ('clip10', 'clip9', '._clip1'):
        shutil.copy(video, folder / f'{name}.avi')
    (folder / 'notes.txt').touch()
    masks = {'clip9': 9, 'clip10': 10}
    found = open_videos(folder, masks)
    assert [(source.name, given) for source, given in found] == [
        ('clip9', 9),
        ('clip10', 10),
    ]
    write_id_mask(folder / 'first.png', np.ones((4, 6), np.uint8))
    assert open_videos(folder, masks) is None


@pytest.mark.parametrize(
    'inputs, masks, error, message',
    [
        ('{v} gone.avi', [1, 2], FileNotFoundError, 'video 1: no video gone'),
        ('{v} 0.jpg', [1, 2], ValueError, r'item 0 .*avi\), item 1 is a fr'),
        ('{v} {v}', [1], ValueError, r'2 videos \(square, square\) need ma'),
        ('{v} {v}', 'first.png', ValueError, 'by their names; found first'),
        ('{v}', {'other': 1}, ValueError, r"found masks for \['other'\]"),
        ('{v} {v}', {'square': 1}, ValueError, r"for \['square'\]"),
    ],
)
def test_what_is_refused(video, inputs, masks, error, message):
    with pytest.raises(error, match=message):
        open_videos(inputs.format(v=video).split(), masks)


def test_equal_names(video, tmp_path):
    shutil.copy(video, tmp_path / 'SQUARE.avi')
    found = open_videos([video, tmp_path / 'SQUARE.avi'], [1, 2])
    with pytest.raises(ValueError, match='0 and 1 are both named SQUARE, as'):
        check_names([source for source, _ in found])


@pytest.fixture
def inferencer(tiny_cfg):
    return VOSInferencer(tiny_cfg, 'none', 'cpu', show_progress=False)


@pytest.mark.filterwarnings('ignore:no checkpoint')
def test_the_inferencer_takes_them(
    inferencer, video, moving_square, late_mask, tmp_path
):
    images, masks = moving_square
    other = tmp_path / 'other.avi'
    shutil.copy(video, other)
    found = inferencer(
        [video, images[:5], other],
        [masks[0], late_mask, {0: masks[0], 3: late_mask}],
        out_dir=tmp_path / 'out',
    )
    assert [len(one['predictions']) for one in found] == [8, 5, 8]
    for one, name, last in zip(
        found, ('square', 'video_1', 'other'), ([1], [5], [1, 5])
    ):
        assert Path(one['preds_dir']) == tmp_path / 'out/preds' / name
        assert Path(one['vis_path']).stem == name
        assert one['predictions'][-1]['object_ids'] == last
    expected = inferencer(other, {0: masks[0], 3: late_mask})
    (alone,) = inferencer([other], {'other': {0: masks[0], 3: late_mask}})
    assert alone == expected
    with pytest.raises(ValueError, match='are both named square'):
        inferencer([video, video], [*masks[:2]], out_dir=tmp_path / 'two')
    assert not (tmp_path / 'two').exists()


@pytest.mark.filterwarnings('ignore:no checkpoint')
def test_errors_name_the_video_before_any_is_begun(
    inferencer, video, moving_square, tmp_path
):
    images, masks = moving_square
    other, out = tmp_path / 'other.avi', tmp_path / 'out'
    shutil.copy(video, other)

    def refused(error, message, videos, given):
        with pytest.raises(error, match=message):
            inferencer(videos, given, out_dir=out)

    refused(
        ValueError,
        r'other: .*frames \[9\]',
        [video, other],
        [masks[0], {9: 1}],
    )
    refused(
        FileNotFoundError, 'other: no mask fi', [video, other], [masks[0], 'g']
    )
    (out / 'preds/other').mkdir(parents=True)
    (out / 'preds/other/notes.txt').touch()
    refused(FileExistsError, 'notes.txt', [video, other], [masks[0]] * 2)
    assert not list(out.rglob('*.png'))
    shutil.rmtree(out)
    # One that shows on the way.
    refused(
        ValueError,
        '^other: .*expected 64',
        [video, other],
        [masks[0], FRAME[..., 0]],
    )
    assert len(list(out.rglob('*.png'))) == 8
