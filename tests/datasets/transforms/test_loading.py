"""Loading: good files as they are, bad ones refused, skipped or counted."""

import copy
import pickle

import numpy as np
import pytest
import torch

from hvc_mm.datasets import Prompt, write_id_mask
from hvc_mm.datasets.transforms import LoadFrame, LoadPretrainImage, LoadPrompt


@pytest.fixture
def image(tmp_path, photo):
    """A good image of 6 x 8 pixels, next to a truncated one and a line."""
    photo(tmp_path / 'good.png', 6, 8)
    data = (tmp_path / 'good.png').read_bytes()
    (tmp_path / 'cut.png').write_bytes(data[:60])
    photo(tmp_path / 'line.png', 1, 9)
    return str(tmp_path / 'good.png')


@pytest.mark.parametrize('transform', [LoadFrame(), LoadPretrainImage()])
def test_a_good_image(image, photo, tmp_path, transform):
    results = transform(dict(img_path=image, first_img_path=image))
    expected = photo(tmp_path / 'again.png', 6, 8)
    np.testing.assert_array_equal(results['img'], expected)
    assert results['ori_shape'] == results['img_shape'] == (6, 8)


def test_frames_of_one_size_pass_and_others_do_not(image, photo, tmp_path):
    other = str(tmp_path / 'other.png')
    photo(tmp_path / 'other.png', 6, 8)
    LoadFrame()(dict(img_path=other, first_img_path=image))
    photo(tmp_path / 'other.png', 8, 6)
    LoadFrame()(dict(img_path=other))  # nothing to compare with
    with pytest.raises(ValueError, match=r'other\.png has 6x8 .*expected 8x6'):
        LoadFrame()(dict(img_path=other, first_img_path=image))


def test_bad_images_are_counted_each_time_and_logged_once(
    image, tmp_path, logged
):
    transform = LoadPretrainImage()
    found = [
        transform(dict(img_path=str(tmp_path / name)))
        for name in 'cut.png absent.jpg line.png cut.png good.png'.split()
    ]
    assert [results is None for results in found] == [True] * 4 + [False]
    assert transform.num_skipped == 4
    assert len(logged) == 3
    for message, part in zip(logged, ('cut.png', 'no image file', '9x1 pi')):
        assert part in message
    line = dict(img_path=str(tmp_path / 'line.png'))
    assert LoadPretrainImage(min_side=1)(line)


def test_copies_and_pickles(image):
    for twin in (
        copy.deepcopy(LoadPretrainImage()),
        pickle.loads(pickle.dumps(LoadPretrainImage(min_side=3))),
    ):
        assert twin(dict(img_path=image))['img'].shape == (6, 8, 3)


def test_prompts_are_loaded_where_there_are_any(tmp_path):
    assert LoadPrompt()(dict(ori_shape=(4, 5))) == dict(ori_shape=(4, 5))
    results = LoadPrompt()(dict(ori_shape=(4, 5), prompt=None))
    assert 'prompt_ids' not in results
    ids = np.zeros((4, 5), np.uint8)
    ids[1], ids[2], ids[3] = 1, 2, 255
    write_id_mask(tmp_path / 'm.png', ids)
    prompt = Prompt(str(tmp_path / 'm.png'), objects=(2,)).to_dict()
    found = LoadPrompt()(dict(ori_shape=(4, 5), prompt=prompt))['prompt_ids']
    assert found.dtype == torch.uint8 and found.shape == (4, 5)
    assert found.unique().tolist() == [0, 2] and (found[2] == 2).all()
    with pytest.raises(ValueError, match=r'm\.png has 5x4 .*expected 6x4'):
        LoadPrompt()(dict(ori_shape=(4, 6), prompt=prompt))
