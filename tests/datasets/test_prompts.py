"""Given masks: what is kept of them, and what a run can't start from."""

import numpy as np
import pytest
from PIL import Image

from hvc_mm.datasets.image_io import objects_in, without_void, write_id_mask
from hvc_mm.datasets.video_dataset import Prompt


@pytest.fixture
def mask(tmp_path, boxes):
    """Writes a mask and returns a prompt of it."""

    def write(ids, **kwargs):
        path = tmp_path / 'first.png'
        write_id_mask(path, boxes(ids) if isinstance(ids, dict) else ids)
        return Prompt(str(path), **kwargs)

    return write


TWO = {1: (2, 2, 8, 8), 3: (10, 10, 20, 20)}


def test_void_becomes_background(mask, boxes):
    ids = mask({**TWO, 255: (0, 20, 5, 30)}).read((24, 32))
    np.testing.assert_array_equal(ids, boxes(TWO))
    assert ids.dtype == np.uint8


def test_only_the_objects_that_begin_are_kept(mask, boxes):
    ids = mask(TWO, objects=(3,)).read((24, 32))
    np.testing.assert_array_equal(ids, boxes({3: TWO[3]}))


@pytest.mark.parametrize('binary', [None, True])
def test_masks_of_0_and_255_are_one_object(mask, binary):
    ids = mask({255: TWO[1]}, binary=binary).read((24, 32))
    assert objects_in(ids) == [1] and ids[3, 3] == 1


def test_binary_can_be_forced_and_forbidden(mask):
    assert objects_in(mask(TWO, binary=True).read((24, 32))) == [1]
    with pytest.raises(ValueError, match='empty'):
        mask({255: TWO[1]}, binary=False).read((24, 32))


def test_an_empty_mask_is_refused(mask):
    with pytest.raises(ValueError, match=r'first\.png is empty'):
        mask({}).read((24, 32))


def test_another_size_is_refused(mask):
    with pytest.raises(
        ValueError, match=r'first\.png has 32x24 pixels; expected 30x20'
    ):
        mask(TWO).read((20, 30))


def test_a_colour_image_is_refused(tmp_path):
    path = tmp_path / 'rgb.png'
    Image.new('RGB', (32, 24), (128, 0, 0)).save(path)
    with pytest.raises(ValueError, match=r'rgb\.png has mode .RGB.'):
        Prompt(str(path)).read((24, 32))


def test_an_id_beyond_the_runs_is_refused(mask):
    assert objects_in(mask(TWO, max_objects=3).read((24, 32))) == [1, 3]
    with pytest.raises(ValueError, match='object 3; expected ids up to 2'):
        mask(TWO, max_objects=2).read((24, 32))
    # What isn't asked for needs no room.
    prompt = mask(TWO, max_objects=2, objects=(1,))
    assert objects_in(prompt.read((24, 32))) == [1]


def test_an_object_that_should_begin_must_be_there(mask):
    with pytest.raises(ValueError, match=r'lacks object \[2\].*\[1, 3\]'):
        mask(TWO, objects=(1, 2)).read((24, 32))


def test_plain_dictionary_and_back(mask):
    prompt = mask(TWO, objects=(3,), max_objects=9)
    assert Prompt(**prompt.to_dict()) == prompt


def test_without_void_leaves_its_argument_alone():
    ids = np.array([[1, 255]], np.uint8)
    assert without_void(ids, None).tolist() == [[1, 0]]
    assert ids.tolist() == [[1, 255]]
