"""VIP's folders: parts of the first frame, and ids that are none."""

import pytest

from hvc_mm.datasets import PARTS, VIPDataset, write_id_mask

PIPELINE = [
    dict(type='hvc_mm.LoadFrame'),
    dict(type='hvc_mm.LoadPrompt'),
    dict(type='hvc_mm.ResizeFrame', size=(40, 40)),
    dict(type='hvc_mm.PackVOSInputs'),
]
ONE, TWO = (1, 1, 9, 9), (12, 12, 20, 20)
MASKS = 'Annotations/Category_ids/v1'


@pytest.fixture
def vip(tmp_path, photo, boxes):
    """One video; part 13 enters on its second frame."""
    root = tmp_path / 'VIP_Fine'
    late = boxes({2: ONE, 13: TWO})
    masks = [boxes({2: ONE, 255: (0, 20, 3, 30)}), late, late]
    for index, mask in enumerate(masks, 1):
        photo(root / 'Images/v1' / f'{index:012d}.jpg', seed=index)
        write_id_mask(root / MASKS / f'{index:012d}.png', mask)
    (root / 'lists').mkdir()
    (root / 'lists/val_videos.txt').write_text('v1\n')
    return root


def _dataset(vip, **kwargs):
    return VIPDataset(data_root=str(vip), pipeline=PIPELINE, **kwargs)


def test_the_first_frame_s_parts_are_given(vip, prompts):
    dataset = _dataset(vip)
    assert prompts(dataset) == {('v1', f'{1:012d}'): [2]}
    item = dataset[2]
    assert item['inputs'].shape == (3, 40, 40)
    assert item['data_samples'].ori_shape == (24, 32)
    assert item['data_samples'].gt_path.endswith('3.png')


def test_parts_may_enter_late_as_in_hvc_s_own_list(vip, prompts):
    given = prompts(_dataset(vip, prompt_at='new_objects'))
    assert given == {('v1', f'{1:012d}'): [2], ('v1', f'{2:012d}'): [13]}


@pytest.mark.parametrize(
    'ids, message',
    [
        ({25: ONE}, r'0001\.png holds object 25; expected ids up to 19'),
        # Nothing but ignored pixels: VIP has no masks of 0 and 255.
        ({255: ONE}, r'000000000001\.png is empty'),
    ],
)
def test_given_masks_without_parts_are_refused(vip, boxes, ids, message):
    write_id_mask(vip / MASKS / '000000000001.png', boxes(ids))
    with pytest.raises(ValueError, match=message):
        _dataset(vip)


def test_masks_that_are_only_scored_are_read_on_request(vip, boxes):
    """Not when the data set is built: browsing need not wait for that."""
    path = vip / MASKS / '000000000003.png'
    write_id_mask(path, boxes({19: ONE, 255: TWO}))
    _dataset(vip).check_annotations()
    write_id_mask(path, boxes({2: ONE, 25: TWO}))
    dataset = _dataset(vip)
    with pytest.raises(
        ValueError, match=r'0003\.png holds the part 25; expected 0 to 19'
    ):
        dataset.check_annotations()
    _dataset(vip, max_frames=2).check_annotations()
    _dataset(vip, max_objects=None).check_annotations()
    path.write_text('no image')
    dataset = _dataset(vip)
    with pytest.raises(ValueError, match=r'cannot read .*0003\.png'):
        dataset.check_annotations()


def test_names_of_the_parts():
    assert len(PARTS) == 20 and len(set(PARTS)) == 20
    assert VIPDataset.METAINFO['classes'] == PARTS
