"""Masks in every form that a user may have them in."""

import numpy as np
import pytest
import torch
from PIL import Image

from hvc_mm.apis import PromptMasks
from hvc_mm.datasets import write_id_mask

SHAPE = (4, 6)


@pytest.fixture
def ids():
    mask = np.zeros(SHAPE, np.uint8)
    mask[0, :2], mask[1, :3] = 1, 2
    return mask


def test_forms_of_one_mask(ids, tmp_path):
    write_id_mask(tmp_path / 'm.png', ids)
    for form in (
        ids,
        ids.astype(np.int64),
        torch.from_numpy(ids),
        tmp_path / 'm.png',
        str(tmp_path / 'm.png'),
        {0: ids},
        {0: {1: ids == 1, 2: ids == 2}},
        [ids == 1, ids == 2],
        np.stack([ids == 1, ids == 2]),
        {0: torch.from_numpy(np.stack([ids == 1, ids == 2])).byte()},
        # Left, top, right, bottom.
        [(0, 0, 2, 1), (0, 1, 3, 2)],
        {0: {2: [0.2, 1, 2.9, 2], 1: ids == 1}},
    ):
        prompts = PromptMasks(form)
        prompt = prompts.prompt_at(0, SHAPE)
        assert prompt.ids.dtype == torch.uint8 and not prompt.corrections
        np.testing.assert_array_equal(prompt.ids, ids)
        assert prompts.prompt_at(1, SHAPE) is None
        assert prompts.known == {1, 2}


def test_void_and_binary_masks(ids):
    void = np.where(ids == 0, 255, ids)
    prompt = PromptMasks(void).prompt_at(0, SHAPE)
    np.testing.assert_array_equal(prompt.ids, ids)
    for binary in ((ids > 0) * np.uint8(255), ids > 0):
        prompt = PromptMasks(binary).prompt_at(0, SHAPE)
        np.testing.assert_array_equal(prompt.ids, ids > 0)


def test_objects_may_come_later_and_again(ids):
    before = ids.copy()
    masks = {0: {1: ids == 1}}
    prompts = PromptMasks(masks)
    prompts.prompt_at(0, SHAPE)
    masks[2] = ids  # put in while the video runs
    prompt = prompts.prompt_at(2, SHAPE)
    np.testing.assert_array_equal(prompt.ids, np.where(ids == 2, 2, 0))
    np.testing.assert_array_equal(ids, before)  # the user's own
    assert prompt.corrections.keys() == {1}
    np.testing.assert_array_equal(prompt.corrections[1], ids == 1)
    masks[3] = ids
    prompt = prompts.prompt_at(3, SHAPE)
    assert prompt.ids is None and prompt.corrections.keys() == {1, 2}


def test_a_known_object_may_be_empty(ids):
    """In a mask for each object; a mask of ids says nothing about others."""
    empty = np.zeros(SHAPE, bool)
    for given, absent in (
        ({2: empty}, {2}),
        ([ids == 1, empty], {2}),
        (ids * (ids == 1), set()),
    ):
        prompts = PromptMasks({0: ids, 4: given})
        prompts.prompt_at(0, SHAPE)
        corrections = prompts.prompt_at(4, SHAPE).corrections
        found = {i for i, mask in corrections.items() if not mask.any()}
        assert found == absent
    prompts = PromptMasks({0: ids, 4: {3: empty}})
    prompts.prompt_at(0, SHAPE)
    with pytest.raises(ValueError, match='frame 4: object 3 is empty'):
        prompts.prompt_at(4, SHAPE)


@pytest.mark.parametrize(
    ('masks', 'complaint'),
    [
        (None, 'no mask'),
        ({}, 'no mask'),
        ('gone.png', 'no mask file gone.png'),
        ({0: np.zeros(SHAPE, np.uint8)}, 'mask of frame 0 is empty'),
        ({-1: np.ones(SHAPE)}, 'count from 0'),
        ({'first.png': np.ones(SHAPE, np.uint8)}, "'first.png'"),
        ({0: np.ones((*SHAPE, 3), np.uint8)}, r'\(4, 6, 3\)'),
        ({0: np.ones(SHAPE)}, 'float64'),
        ({0: np.full(SHAPE, 300)}, '300'),
        ({0: {0: np.ones(SHAPE, bool)}}, 'object id 0'),
        ({0: {1: np.zeros(SHAPE, bool)}}, 'object 1 is empty'),
        (
            {0: {1: np.ones(SHAPE, bool), 2: np.ones(SHAPE, bool)}},
            'object 2 overlaps object 1',
        ),
        ([(0, 0, 2)], r'object 1 is \(0, 0, 2\); expected a box of four'),
        ({0: {3: [0, 0, 7, 1]}}, 'object 3 is the box .*right <= 6 and top'),
        ([(2, 0, 2, 1)], 'left < right'),
        (np.zeros((2, 4, 5), bool), r'\(2, 4, 5\)'),
    ],
)
def test_bad_masks_are_refused(masks, complaint):
    errors = (ValueError, TypeError, FileNotFoundError)
    with pytest.raises(errors, match=complaint):
        PromptMasks(masks).prompt_at(0, SHAPE)


def test_smooth_edges_and_exchanged_sides(tmp_path):
    ids = np.zeros((60, 90), np.uint8)
    ids[10:50, 20:70] = 255
    image = Image.fromarray(ids).resize((45, 30), Image.BILINEAR)
    image = image.resize((90, 60), Image.BICUBIC)
    image.save(tmp_path / 'smooth.png')
    for mask in (tmp_path / 'smooth.png', np.asarray(image)):
        with pytest.raises(ValueError, match='edges are smooth.*--binarize'):
            PromptMasks(mask).prompt_at(0, ids.shape)
        found = PromptMasks(mask, binarize=True).prompt_at(0, ids.shape)
        assert found.ids.unique().tolist() == [0, 1]
        assert np.mean(found.ids.numpy() != (ids > 0)) < 0.03
    turned = PromptMasks(ids.T.copy())
    message = 'has 60x90 pixels; expected 90x60.*EXIF orientation'
    with pytest.raises(ValueError, match=message):
        turned.prompt_at(0, ids.shape)
