"""The DAVIS layout: lists, frames, masks that equal the scene's."""

import numpy as np
import pytest
from PIL import Image

from hvc_mm.datasets.image_io import davis_palette, read_id_mask
from hvc_mm.datasets.sample.davis import (
    draw_newcomer_scene,
    draw_testdev_scene,
    draw_val_scene,
    entrance_frame,
)
from hvc_mm.datasets.sample.renderer import Renderer


def names_in(sample, path):
    return (sample / 'DAVIS/ImageSets' / path).read_text().splitlines()


def masks_of(sample, name):
    folder = sample / 'DAVIS/Annotations/480p' / name
    return [read_id_mask(p) for p in sorted(folder.iterdir())]


def ids_in(mask):
    return set(np.unique(mask).tolist()) - {0}


def test_lists(sample, spec):
    val = names_in(sample, '2017/val.txt')
    older = names_in(sample, '2016/val.txt')
    assert len(set(val)) == spec.videos
    assert set(older) < set(val)
    (newcomer,) = names_in(sample, '2017/newcomer.txt')
    testdev = names_in(sample, '2017/test-dev.txt')
    everything = [*val, newcomer, *testdev]
    folders = {p.name for p in (sample / 'DAVIS/JPEGImages/480p').iterdir()}
    assert sorted(everything) == sorted(folders)


def test_frames_and_masks_are_complete(sample, spec):
    for name in names_in(sample, '2017/val.txt'):
        frames = sorted((sample / 'DAVIS/JPEGImages/480p' / name).iterdir())
        masks = sorted((sample / 'DAVIS/Annotations/480p' / name).iterdir())
        expected = [f'{t:05d}' for t in range(spec.frames)]
        assert [p.name for p in frames] == [f'{e}.jpg' for e in expected]
        assert [p.name for p in masks] == [f'{e}.png' for e in expected]


def test_masks_are_palette_pngs_with_daviss_colours(sample, spec):
    for path in (sample / 'DAVIS/Annotations').rglob('*.png'):
        with Image.open(path) as image:
            assert image.mode == 'P'
            assert image.size == spec.size[::-1]
            colours = np.array(image.getpalette()).reshape(-1, 3)
        assert np.array_equal(colours[:8], davis_palette()[:8])


def test_masks_and_frames_equal_the_rendered_scene(sample, spec):
    scenes = [draw_val_scene(spec, i) for i in range(spec.videos)]
    scenes.append(draw_newcomer_scene(spec))
    for scene in scenes:
        renderer = Renderer(scene, spec.size)
        masks = masks_of(sample, scene.name)
        for frame in range(0, spec.frames, 5):
            image, ids = renderer.render(frame)
            assert np.array_equal(masks[frame], ids)
            path = f'DAVIS/JPEGImages/480p/{scene.name}/{frame:05d}.jpg'
            with Image.open(sample / path) as jpeg:
                stored = np.array(jpeg)[..., ::-1].astype(int)
            # Fine texture loses some of its colour in a JPEG.
            assert np.abs(stored - image).mean() < 8
            assert np.abs(stored.mean((0, 1)) - image.mean((0, 1))).max() < 1


def test_the_first_mask_holds_every_object(sample):
    for name in names_in(sample, '2017/val.txt'):
        masks = masks_of(sample, name)
        first = ids_in(masks[0])
        assert first == set(range(1, len(first) + 1)) and first
        for mask in masks:
            assert ids_in(mask) == first


def test_objects_are_covered_at_times(sample, spec):
    for index in (1, 2, 3):
        scene = draw_val_scene(spec, index)
        renderer = Renderer(scene, spec.size)
        masks = masks_of(sample, scene.name)
        covered = [
            (mask != actor.label)[whole].mean()
            for frame, mask in enumerate(masks)
            for actor, whole in zip(scene.actors, renderer.silhouettes(frame))
            if actor.label
        ]
        assert max(covered) > 0.15


def test_the_passer_by_is_background(sample, spec):
    """It is seen, it covers objects, and its pixels are 0."""
    scene = draw_val_scene(spec, 3)
    assert scene.actors[-1].label == 0
    renderer = Renderer(scene, spec.size)
    for frame, mask in enumerate(masks_of(sample, scene.name)):
        whole = renderer.silhouettes(frame)[-1]
        assert whole.any() == (frame >= entrance_frame(spec.frames))
        assert not mask[whole].any()


def test_the_newcomer_has_an_id_from_its_entrance_on(sample, spec):
    (name,) = names_in(sample, '2017/newcomer.txt')
    for frame, mask in enumerate(masks_of(sample, name)):
        entered = frame >= entrance_frame(spec.frames)
        assert ids_in(mask) == ({1, 2, 3} if entered else {1, 2})


def test_testdev_has_first_masks_only(sample, spec):
    for index, name in enumerate(names_in(sample, '2017/test-dev.txt')):
        assert draw_testdev_scene(spec, index).name == name
        masks = sorted((sample / 'DAVIS/Annotations/480p' / name).iterdir())
        assert [p.name for p in masks] == ['00000.png']
        frames = sample / 'DAVIS/JPEGImages/480p' / name
        assert len(list(frames.iterdir())) == spec.frames


def test_a_clip_too_short_for_newcomers(tmp_path, spec, write_sample):
    from dataclasses import replace

    write_sample(tmp_path, replace(spec, frames=2), 'davis')
    assert not (tmp_path / 'DAVIS/ImageSets/2017/newcomer.txt').exists()
    assert len(names_in(tmp_path, '2017/val.txt')) == spec.videos


@pytest.mark.parametrize('ann_file', ['val.txt', 'newcomer.txt'])
def test_our_data_set_reads_it(sample, spec, ann_file):
    from hvc_mm.datasets.davis import VOSDataset

    dataset = VOSDataset(
        data_root=str(sample / 'DAVIS'),
        ann_file=f'ImageSets/2017/{ann_file}',
        prompt_at='new_objects',
        pipeline=[],
    )
    names = names_in(sample, f'2017/{ann_file}')
    assert len(dataset) == len(names) * spec.frames
