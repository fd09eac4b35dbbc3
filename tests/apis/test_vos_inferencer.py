"""The inferencer, used as a user does."""

import json
import resource
from pathlib import Path

import mmcv
import numpy as np
import pytest

from hvc_mm.apis import PictureWriter, VOSInferencer
from hvc_mm.apis.vos_inferencer import mask_to_rle
from hvc_mm.datasets import read_id_mask, write_id_mask
from hvc_mm.registry import INFERENCERS
from hvc_mm.structures import VOSDataSample


@pytest.fixture
def inferencer(tiny_cfg):
    with pytest.warns(UserWarning, match='random'):
        return VOSInferencer(tiny_cfg, device='cpu', show_progress=False)


def test_video_file_to_folder(inferencer, video, moving_square, tmp_path):
    mask = tmp_path / 'first.png'
    write_id_mask(mask, moving_square[1][0])
    video = str(video)
    results = inferencer(video, str(mask), out_dir=tmp_path / 'out')
    assert results['vis_path'] == str(tmp_path / 'out/vis/square.mp4')
    reader = mmcv.VideoReader(results['vis_path'])
    assert (len(reader), reader.fps) == (8, 12)
    expected = inferencer.propagate_in_video(video, str(mask))
    assert len(results['predictions']) == 8
    for result, (index, ids, masks) in zip(results['predictions'], expected):
        assert result['frame_index'] == index
        assert result['object_ids'] == ids == [1]
        assert result['corrected_ids'] == []
        written = read_id_mask(result['mask_path'])
        np.testing.assert_array_equal(written == 1, masks[0])
    json.dumps(results)


@pytest.mark.slow
def test_memory_stays_flat_on_a_long_video(
    inferencer, moving_square, tmp_path
):
    """2,000 frames from a file, with a video and masks written."""
    images, masks = moving_square
    path = tmp_path / 'long.avi'
    with PictureWriter(path, fps=25) as writer:
        for index in range(2000):
            # There and back again, so that nothing jumps.
            frame = images[min(index % 14, 14 - index % 14)]
            writer.write(frame[..., ::-1])
    resident = []
    visualize = inferencer.visualize

    def note(*args, **kwargs):
        pages = Path('/proc/self/statm').read_text().split()[1]
        resident.append(int(pages) * resource.getpagesize() / 2**20)
        return visualize(*args, **kwargs)

    inferencer.visualize = note
    results = inferencer(str(path), masks[0], out_dir=tmp_path / 'out')
    assert len(results['predictions']) == len(resident) == 2000
    # In MB. The frames alone are 9 kB each, their features 49 kB: kept, the
    # last 1,700 would be 98.
    assert resident[-1] - resident[300] < 20


def test_results_in_memory(inferencer, frame_folder, moving_square):
    first = moving_square[1][0]
    plain = inferencer(str(frame_folder), first, return_vis=True, batch_size=3)
    samples = inferencer(frame_folder, first, return_datasamples=True)
    assert 'vis_path' not in plain and samples['visualization'] is None
    for result, sample, picture, image in zip(
        plain['predictions'],
        samples['predictions'],
        plain['visualization'],
        moving_square[0],
    ):
        assert isinstance(sample, VOSDataSample)
        mask = sample.pred_ids.numpy() == 1
        assert result['masks'] == [mask_to_rle(mask)]
        # RGB, and untouched but for object, contour and label.
        away = np.ones((48, 64), bool)
        away[4:40] = False
        np.testing.assert_array_equal(picture[away], image[away][:, ::-1])
        assert (picture[mask] != image[mask][:, ::-1]).any()
    json.dumps(plain['predictions'])


def test_soft_labels_on_request(inferencer, moving_square):
    images, masks = moving_square
    plain = inferencer(images, masks[0], return_datasamples=True)
    assert not any('soft_labels' in one for one in plain['predictions'])
    found = inferencer(images, masks[0], return_soft_labels=True)
    for one, sample in zip(found['predictions'], plain['predictions']):
        assert one['soft_labels'].shape == (2, 48, 64)
        expected = sample.pred_ids.numpy()
        np.testing.assert_array_equal(one['soft_labels'].argmax(0), expected)


def test_results_say_what_was_corrected(inferencer, moving_square, late_mask):
    images, masks = moving_square
    given = {0: masks[0], 3: late_mask, 5: {1: masks[5]}}
    found = inferencer(images, given)['predictions']
    assert [one['corrected_ids'] for one in found] == [[]] * 5 + [[1], [], []]
    expected = inferencer.propagate_in_video(images, given)
    for one, (_, ids, masks) in zip(found, expected):
        assert one['object_ids'] == ids
        assert one['masks'] == [mask_to_rle(mask) for mask in masks]
    samples = inferencer(images, given, return_datasamples=True)['predictions']
    assert ['corrections' in one for one in samples] == [
        index == 5 for index in range(8)
    ]


def test_frames_give_pictures_and_parts_can_be_left_out(
    inferencer, frame_folder, moving_square, tmp_path
):
    def run(name, **kwargs):
        first = moving_square[1][0]
        inferencer(frame_folder, first, out_dir=tmp_path / name, **kwargs)
        return {path.name for path in (tmp_path / name).iterdir()}

    assert run('both') == {'preds', 'vis'}
    for folder, suffix in (('vis', 'jpg'), ('preds', 'png')):
        names = {p.name for p in (tmp_path / 'both' / folder).rglob('[0-9]*')}
        assert names == {f'{t}.{suffix}' for t in range(8)}
    assert run('preds', no_save_vis=True) == {'preds'}
    assert run('vis', no_save_pred=True) == {'vis'}
    inferencer(
        frame_folder, moving_square[1][0], no_save_vis=True, no_save_pred=True
    )


def test_frames_and_masks_are_never_written_over(
    inferencer, frame_folder, moving_square, tmp_path
):
    mask = tmp_path / 'preds/square/0.png'
    write_id_mask(mask, moving_square[1][0])
    for frames, first in (
        (frame_folder, str(mask)),
        (str(tmp_path / 'vis/square'), moving_square[1][0]),
    ):
        (tmp_path / 'vis').mkdir(exist_ok=True)
        if frames != frame_folder:
            frame_folder.rename(frames)
        with pytest.raises(ValueError, match='square .*, which this run read'):
            inferencer(frames, first, out_dir=tmp_path)
    assert [p.name for p in tmp_path.rglob('*.*')].count('0.png') == 2


def test_another_call_replaces_what_the_one_before_wrote(
    inferencer, moving_square, tmp_path
):
    images, masks = moving_square
    for length in (8, 3):
        results = inferencer(images[:length], masks[0], out_dir=tmp_path)
    for key, suffix in (('preds_dir', 'png'), ('vis_path', 'jpg')):
        assert len(list(Path(results[key]).glob(f'*.{suffix}'))) == 3
    (Path(results['preds_dir']) / 'notes.png').touch()
    with pytest.raises(FileExistsError, match='notes.png'):
        inferencer(images, masks[0], out_dir=tmp_path)
    inferencer(images, masks[0], out_dir=tmp_path, force=True)


def test_run_lengths_are_cocos():
    mask = np.array([[0, 1], [0, 1], [1, 0]], bool)
    # Down the columns: 0 0 1 1 1 0.
    assert mask_to_rle(mask) == {'size': [3, 2], 'counts': [2, 3, 1]}
    coco = pytest.importorskip('pycocotools.mask')
    noise = np.random.default_rng(0).random((7, 5)) > 0.5
    for mask in (noise, ~noise, noise & False, noise | True):
        rle = json.loads(json.dumps(mask_to_rle(mask)))
        decoded = coco.decode(coco.frPyObjects(rle, *rle['size']))
        np.testing.assert_array_equal(decoded.astype(bool), mask)


def test_show_gives_every_frame_to_the_window(
    inferencer, moving_square, monkeypatch
):
    shown = []
    monkeypatch.setattr(
        inferencer.visualizer, 'show', lambda image, **kw: shown.append(kw)
    )
    inferencer(moving_square[0], moving_square[1][0], show=True, wait_time=0.5)
    assert len(shown) == 8 and shown[0]['wait_time'] == 0.5
    with pytest.raises(ValueError, match='colour'):
        inferencer(moving_square[0], moving_square[1][0], colour='red')


def test_name_and_weights(tiny_cfg):
    with pytest.warns(UserWarning, match='random'):
        by_name = VOSInferencer('hvc_davis', device='cpu')
    assert by_name.model.propagator.context == 50
    with pytest.raises(FileNotFoundError, match='no.pth'):
        VOSInferencer(tiny_cfg, weights='no.pth')
    with pytest.raises(FileNotFoundError, match='did you mean hvc_davis'):
        VOSInferencer('hvc_davi')
    assert 'hvc_davis' in VOSInferencer.list_models(patterns='hvc_')
    assert INFERENCERS.get('VOSInferencer') is VOSInferencer


@pytest.mark.slow
def test_real_video(shared_dir, tiny_cfg):
    weights = next((shared_dir / 'data/weights').glob('resnet50*.pth'))
    tiny_cfg['model'].update(
        backbone=dict(depth=50, style='caffe', out_indices=(2,)),
        propagator=dict(topk=10, temperature=0.07, context=7),
    )
    tiny_cfg['model']['backbone']['type'] = 'HVCResNet'
    resize = dict(type='ResizeFrame', size=(240, 432))
    steps = [resize, dict(type='PackVOSInputs')]
    tiny_cfg['test_dataloader'] = dict(dataset=dict(pipeline=steps))
    inferencer = VOSInferencer(tiny_cfg, weights=weights, show_progress=False)
    reader = mmcv.VideoReader(str(shared_dir / 'data/videos/bear.mp4'))
    first = np.zeros((480, 854), np.uint8)
    first[230:400, 110:430] = 1  # a box about the bear
    frames = [reader[i] for i in range(0, 60, 12)]
    *_, (_, _, masks) = inferencer.propagate_in_video(frames, first)
    y, x = np.nonzero(masks[0])
    # It walks on the spot while the camera pans with it.
    assert 200 < x.mean() < 340 and 250 < y.mean() < 370
    assert 0.5 < masks[0].sum() / (first > 0).sum() < 1.5


def test_frames_are_shown_smaller(tiny_cfg, moving_square):
    frames, masks = moving_square
    seen = []
    inferencer = VOSInferencer(
        tiny_cfg, 'none', 'cpu', show_progress=False, input_size=(24, 32)
    )
    inferencer.model.backbone.register_forward_pre_hook(
        lambda _, inputs: seen.append(inputs[0].shape[-2:])
    )
    found = inferencer(frames, masks[0], return_datasamples=True)
    assert {tuple(size) for size in seen} == {(24, 32)}
    (sample, *_) = found['predictions']
    assert sample.pred_ids.shape == (48, 64)


def test_large_frames_are_told(inferencer, monkeypatch, moving_square):
    monkeypatch.setattr('hvc_mm.apis.inference._LARGE', 48 * 64 - 1)
    with pytest.warns(UserWarning, match='64x48 pixels.*input_size=') as said:
        inferencer(moving_square[0][:3], moving_square[1][0])
    assert sum('input_size' in str(w.message) for w in said) == 1
