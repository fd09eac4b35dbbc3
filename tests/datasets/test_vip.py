"""VIP's folders: parts of the first frame, and ids that are none."""

from functools import partial

import pytest

from hvc_mm.datasets import PARTS, VIPDataset, write_id_mask

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


@pytest.fixture
def build(vip, pipeline):
    """Build the data set."""
    return partial(VIPDataset, data_root=str(vip), pipeline=pipeline((40, 40)))


def test_parts_are_given_in_the_first_frame_or_where_they_enter(
    build, prompts
):
    dataset = build()
    assert prompts(dataset) == {('v1', f'{1:012d}'): [2]}
    item = dataset[2]
    assert item['inputs'].shape == (3, 40, 40)
    assert item['data_samples'].ori_shape == (24, 32)
    # Labels keep the size of the annotation.
    assert dataset[0]['data_samples'].prompt_ids.shape == (24, 32)
    assert dataset.metainfo['classes'] == PARTS and len(set(PARTS)) == 20
    assert item['data_samples'].gt_path.endswith('3.png')
    given = prompts(build(prompt_at='new_objects'))
    assert given == {('v1', f'{1:012d}'): [2], ('v1', f'{2:012d}'): [13]}


@pytest.mark.parametrize(
    'ids, message',
    [
        ({25: ONE}, r'0001\.png holds object 25; expected ids up to 19'),
        # Nothing but ignored pixels: VIP has no masks of 0 and 255.
        ({255: ONE}, r'000000000001\.png is empty'),
    ],
)
def test_masks_without_parts_are_refused(vip, build, boxes, ids, message):
    write_id_mask(vip / MASKS / '000000000001.png', boxes(ids))
    with pytest.raises(ValueError, match=message):
        build()


def test_masks_that_are_only_scored_are_read_late(vip, build, boxes):
    """Not when the data set is built: browsing need not wait for that."""
    path = vip / MASKS / '000000000003.png'
    write_id_mask(path, boxes({19: ONE, 255: TWO}))
    build().check_annotations()
    write_id_mask(path, boxes({2: ONE, 25: TWO}))
    message = r'0003\.png holds the part 25; expected 0 to 19'
    with pytest.raises(ValueError, match=message):
        build().check_annotations()
    build(max_frames=2).check_annotations()
    build(max_objects=None).check_annotations()
    path.write_text('no image')
    with pytest.raises(ValueError, match=r'cannot read .*0003\.png'):
        build().check_annotations()
