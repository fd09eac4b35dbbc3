"""Prompts are loaded where there are any."""

import numpy as np
import pytest
import torch

from hvc_mm.datasets.image_io import write_id_mask
from hvc_mm.datasets.transforms import LoadPrompt
from hvc_mm.datasets.video_dataset import Prompt


def test_frames_without_a_prompt_pass_through():
    assert LoadPrompt()(dict(ori_shape=(4, 5))) == dict(ori_shape=(4, 5))
    results = LoadPrompt()(dict(ori_shape=(4, 5), prompt=None))
    assert 'prompt_ids' not in results


def test_a_prompt_becomes_a_tensor_of_ids(tmp_path):
    ids = np.zeros((4, 5), np.uint8)
    ids[1], ids[2], ids[3] = 1, 2, 255
    write_id_mask(tmp_path / 'm.png', ids)
    prompt = Prompt(str(tmp_path / 'm.png'), objects=(2,)).to_dict()
    found = LoadPrompt()(dict(ori_shape=(4, 5), prompt=prompt))['prompt_ids']
    assert found.dtype == torch.uint8 and found.shape == (4, 5)
    assert found.unique().tolist() == [0, 2] and (found[2] == 2).all()


def test_errors_name_the_file(tmp_path):
    write_id_mask(tmp_path / 'm.png', np.ones((4, 5), np.uint8))
    prompt = Prompt(str(tmp_path / 'm.png')).to_dict()
    with pytest.raises(ValueError, match=r'm\.png has 5x4 .*expected 6x4'):
        LoadPrompt()(dict(ori_shape=(4, 6), prompt=prompt))
