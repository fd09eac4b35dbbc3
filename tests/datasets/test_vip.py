"""VIP's folders: parts of the first frame, and ids that are none."""

import numpy as np
import pytest

from hvc_mm.datasets import VIPDataset
from hvc_mm.datasets.image_io import write_id_mask
from hvc_mm.datasets.vip import PARTS

PIPELINE = [
    dict(type='hvc_mm.LoadFrame'),
    dict(type='hvc_mm.LoadPrompt'),
    dict(type='hvc_mm.ResizeFrame', size=(40, 40)),
    dict(type='hvc_mm.PackVOSInputs'),
]


@pytest.fixture
def vip(tmp_path, photo, boxes):
    """One video; part 13 enters on its second frame."""
    root = tmp_path / 'VIP_Fine'
    masks = [
        boxes({2: (1, 1, 9, 9), 255: (0, 20, 3, 30)}),
        boxes({2: (1, 1, 9, 9), 13: (12, 12, 20, 20)}),
        boxes({2: (1, 1, 9, 9), 13: (12, 12, 20, 20)}),
    ]
    for index, mask in enumerate(masks, 1):
        photo(root / 'Images/v1' / f'{index:012d}.jpg', seed=index)
        folder = root / 'Annotations/Category_ids/v1'
        write_id_mask(folder / f'{index:012d}.png', mask)
    (root / 'lists').mkdir()
    (root / 'lists/val_videos.txt').write_text('v1\n')
    return root


def _given(vip, **kwargs):
    dataset = VIPDataset(data_root=str(vip), pipeline=PIPELINE, **kwargs)
    found = {}
    for item in dataset:
        assert item['inputs'].shape == (3, 40, 40)
        sample = item['data_samples']
        assert sample.ori_shape == (24, 32) and sample.gt_path
        if 'prompt_ids' in sample:
            ids = np.unique(sample.prompt_ids.numpy()).tolist()
            found[sample.frame_name] = ids
    return found


def test_the_first_frame_s_parts_are_given(vip):
    assert _given(vip) == {f'{1:012d}': [0, 2]}


def test_parts_may_enter_late_as_in_hvc_s_own_list(vip):
    given = _given(vip, prompt_at='new_objects')
    assert given == {f'{1:012d}': [0, 2], f'{2:012d}': [0, 13]}


def test_an_id_beyond_the_parts_is_refused(vip, boxes):
    mask = boxes({25: (1, 1, 9, 9)})
    path = vip / 'Annotations/Category_ids/v1/000000000001.png'
    write_id_mask(path, mask)
    with pytest.raises(
        ValueError, match=r'000000000001\.png holds object 25; .*up to 19'
    ):
        _given(vip)


def test_masks_that_are_only_scored_are_looked_at_before_the_run(vip, boxes):
    path = vip / 'Annotations/Category_ids/v1/000000000003.png'
    write_id_mask(path, boxes({19: (1, 1, 9, 9), 255: (12, 12, 20, 20)}))
    assert _given(vip)
    write_id_mask(path, boxes({2: (1, 1, 9, 9), 25: (12, 12, 20, 20)}))
    with pytest.raises(
        ValueError, match=r'0003\.png holds the part 25; expected 0 to 19'
    ):
        _given(vip)
    path.write_text('no image')
    with pytest.raises(ValueError, match=r'cannot read .*0003\.png'):
        _given(vip)


def test_a_mask_of_nothing_but_ignored_pixels_is_empty(vip, boxes):
    path = vip / 'Annotations/Category_ids/v1/000000000001.png'
    write_id_mask(path, boxes({255: (1, 1, 9, 9)}))
    with pytest.raises(ValueError, match=r'000000000001\.png is empty'):
        _given(vip)


def test_names_of_the_parts():
    assert len(PARTS) == 20 and len(set(PARTS)) == 20
    assert VIPDataset.METAINFO['classes'] == PARTS
