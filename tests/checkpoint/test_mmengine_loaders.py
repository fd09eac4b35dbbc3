"""What mmengine gets to see of a checkpoint."""

import torch
from mmengine.runner.checkpoint import CheckpointLoader

import hvc_mm.checkpoint  # noqa: F401


def test_a_config_in_a_file_is_never_given_to_mmengine(tmp_path):
    meta = dict(epoch=1, iter=2, config="open('ran', 'w')")
    content = dict(state_dict=dict(weight=torch.ones(2)), meta=meta)
    torch.save(content, tmp_path / 'a.pth')
    found = CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))
    assert found['meta'] == dict(epoch=1, iter=2)
    assert found['state_dict']['weight'].tolist() == [1, 1]
