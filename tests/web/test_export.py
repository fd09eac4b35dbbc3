"""Files to download hold what was propagated."""

import io
import json
import zipfile

import mmcv
import numpy as np
import pytest
from PIL import Image

from hvc_mm.web.export import export, exported


@pytest.fixture
def done(work, moving_square):
    """Two objects, propagated up to frame 5."""
    ids = moving_square[1][0].copy()
    ids[:12, 48:] = 3
    work.edit(0, ids)
    work.names = {1: 'square', 3: 'Ecke <ü>'}
    for step in work.propagate():
        if step.count == 6:
            break
    return work


def test_masks_run_lengths_and_video(done):
    mask_api = pytest.importorskip('pycocotools.mask')
    steps = list(export(done))
    assert [s.count for s in steps] == [1, 2, 3, 4, 5, 6]
    archive, coco, video = exported(done)
    content = json.loads(coco.read_text())
    assert content['categories'] == [
        {'id': 1, 'name': 'square'},
        {'id': 3, 'name': 'Ecke <ü>'},
    ]
    assert len(content['images']) == 6
    reader = mmcv.VideoReader(str(video))
    assert (len(reader), reader.fps, reader.resolution) == (6, 12, (64, 48))
    with zipfile.ZipFile(archive) as packed:
        names = json.loads(packed.read('objects.json'))
        assert names == {'1': 'square', '3': 'Ecke <ü>'}
        for t in range(6):
            data = packed.read(f'masks/{t:05d}.png')
            with Image.open(io.BytesIO(data)) as image:
                assert image.mode == 'P'
                ids = np.array(image)
            np.testing.assert_array_equal(ids, done.ids(t))
            found = {
                a['category_id']: a
                for a in content['annotations']
                if a['image_id'] == t
            }
            assert set(found) == {1, 3} == set(np.unique(ids)) - {0}
            for object_id, one in found.items():
                runs = one['segmentation']
                mask = mask_api.decode(mask_api.frPyObjects(runs, 48, 64))
                np.testing.assert_array_equal(mask == 1, ids == object_id)
                assert one['area'] == mask.sum()
                assert (
                    one['bbox']
                    == mask_api.toBbox(
                        mask_api.frPyObjects(runs, 48, 64)
                    ).tolist()
                )
    # What was written is written again after a change.
    done.edit(4, np.zeros_like(done.ids(4)))
    assert len(list(export(done))) == 4
    assert len(json.loads(coco.read_text())['images']) == 4


def test_nothing_to_write(work):
    with pytest.raises(ValueError, match='no masks to download; propagate'):
        list(export(work))
