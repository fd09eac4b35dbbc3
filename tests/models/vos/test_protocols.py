"""Published protocols against what their projects' own functions gave."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hvc_mm.models.vos import LabelPropagator, MaskCodec
from hvc_mm.structures import VOSDataSample

GOLDEN = ['dino', 'dinov3', 'vfs', 'vfs_free_first']


@pytest.mark.parametrize('name', GOLDEN)
def test_gives_what_the_projects_own_functions_gave(golden_dir, name):
    golden = np.load(golden_dir / f'protocol_{name}.npz')
    protocol = name.replace('_free_first', '')
    radius = 'neighborhood' if name == 'dino' else 'radius'
    propagator = LabelPropagator.from_protocol(
        protocol,
        radius=int(golden[radius]),
        context=int(golden['context']),
        topk=int(golden['topk']),
        reference_in_window='free' not in name,
    )
    assert propagator.temperature == float(golden['temperature'])
    features = F.normalize(torch.from_numpy(golden['features']), dim=1)
    codec = MaskCodec.from_protocol(protocol)
    ids = torch.from_numpy(golden['first_ids'])
    sample = VOSDataSample(
        metainfo=dict(
            img_shape=ids.shape,
            ori_shape=golden['pred_ids'].shape[1:],
            video='a',
            frame_name='0',
        )
    )
    sample.prompt_ids = ids
    labels = codec.encode(sample, features.shape[-2:])
    np.testing.assert_array_equal(labels, golden['first_labels'])
    propagator.step(features[:1], labels)
    for time, (soft, expected) in enumerate(
        zip(golden['soft_labels'], golden['pred_ids']), start=1
    ):
        found = propagator.step(features[time : time + 1])
        np.testing.assert_allclose(found[0], soft, atol=1e-5)
        codec.decode(found, sample)
        np.testing.assert_array_equal(sample.pred_ids, expected)


def test_a_window_wider_than_the_grid_is_told():
    features = F.normalize(torch.rand(1, 4, 5, 6), dim=1)
    labels = torch.rand(1, 2, 5, 6)
    propagator = LabelPropagator.from_protocol('smtc8')
    with pytest.warns(UserWarning, match='35 cells exceeds .* 5x6 cells'):
        propagator.step(features, labels)
