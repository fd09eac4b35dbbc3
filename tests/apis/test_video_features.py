"""Features of frames, alike to those that the model compares."""

import torch

from hvc_mm.apis import open_frames
from hvc_mm.apis.video_features import video_features


def test_unit_features_of_chosen_frames(tiny_model, moving_square):
    source = open_frames(moving_square[0])
    every = {f.index: m for f, m in video_features(tiny_model, source)}
    some = {f.index: m for f, m in video_features(tiny_model, source, {2, 5})}
    assert list(every) == list(range(8)) and list(some) == [2, 5]
    for index, features in some.items():
        assert features.shape == (64, 12, 16)
        assert torch.equal(features, every[index])
        length = features.norm(dim=0)
        torch.testing.assert_close(length, torch.ones_like(length))
    image = torch.from_numpy(moving_square[0][2]).permute(2, 0, 1)
    batch = tiny_model.data_preprocessor(dict(inputs=[image]))
    expected = tiny_model.extract_feat(batch['inputs'])[0][0]
    torch.testing.assert_close(some[2], expected)
