"""The VIP layout: names, parts, exact masks."""

import numpy as np

from hvc_mm.datasets.image_io import read_id_mask
from hvc_mm.datasets.sample.renderer import Renderer
from hvc_mm.datasets.sample.vip import draw_vip_scene, frame_stem


def test_names():
    assert frame_stem(0) == '000000000001'
    assert frame_stem(2) == '000000000051'


def test_frames_and_exact_parts(sample, spec):
    root = sample / 'VIP/VIP_Fine'
    names = (root / 'lists/val_videos.txt').read_text().splitlines()
    assert len(names) == spec.videos
    expected = [frame_stem(t) for t in range(spec.frames)]
    for index, name in enumerate(names):
        scene, _ = draw_vip_scene(spec, index)
        assert scene.name == name
        images = sorted((root / 'Images' / name).iterdir())
        masks = sorted((root / 'Annotations/Category_ids' / name).iterdir())
        assert [p.name for p in images] == [f'{e}.jpg' for e in expected]
        assert [p.name for p in masks] == [f'{e}.png' for e in expected]
        renderer = Renderer(scene, spec.size)
        for frame in range(0, spec.frames, 4):
            ids = read_id_mask(masks[frame])
            assert np.array_equal(ids, renderer.ids(frame))


def test_parts_that_are_seen(sample):
    """Every part is seen somewhere; a frame lacks few of them."""
    seen = []
    for path in (sample / 'VIP/VIP_Fine/Annotations').rglob('*.png'):
        seen.append(set(np.unique(read_id_mask(path)).tolist()))
    everything = {0, 2, 3, 5, 9, 13, 14, 15, 16, 17, 18, 19}
    assert set().union(*seen) == everything
    assert min(map(len, seen)) >= len(everything) - 2


def test_our_data_set_reads_it(sample, spec):
    from hvc_mm.datasets.vip import VIPDataset

    dataset = VIPDataset(data_root=str(sample / 'VIP/VIP_Fine'))
    assert len(dataset) == spec.videos * spec.frames
