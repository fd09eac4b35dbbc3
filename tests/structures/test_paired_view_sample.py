"""Samples of paired views survive mmengine's collation, boxes and all."""

import numpy as np
import torch
from mmengine.dataset import default_collate

from hvc_mm.structures import PairedViewSample


def test_a_batch_keeps_samples_as_a_list():
    items = []
    for i in range(3):
        box = np.full(4, i / 10, np.float32)
        sample = PairedViewSample(
            metainfo=dict(img_path=f'{i}.jpg', box1=box, box2=box + 0.5)
        )
        views = [torch.full((3, 4, 4), i, dtype=torch.uint8)] * 2
        items.append(dict(inputs=views, data_samples=sample))
    batch = default_collate(items)
    assert [v.shape for v in batch['inputs']] == [(3, 3, 4, 4)] * 2
    assert batch['inputs'][0].dtype == torch.uint8
    assert [s.img_path for s in batch['data_samples']] == [
        '0.jpg', '1.jpg', '2.jpg',
    ]  # fmt: skip
    np.testing.assert_allclose(batch['data_samples'][2].box2, 0.7)
