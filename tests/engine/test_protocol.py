"""What a score depends on, as text: counts, numbers, weights, versions."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config

from hvc_mm.checkpoint import sha256_of
from hvc_mm.engine.protocol import (
    beside_whole,
    defaults_of,
    describe,
    describe_counts,
    describe_versions,
    describe_weights,
    weight_files,
)
from hvc_mm.evaluation import VOSMetric
from hvc_mm.registry import METRICS, MODELS


def test_counts_stand_beside_those_of_the_whole():
    counts = dict(videos=4, frames=236, objects=12)
    whole = dict(name='DAVIS-2017 val', videos=30, frames=1999)
    text = '4 of 30 videos, 236 of 1999 frames, 12 objects'
    assert beside_whole(counts, whole) == text
    dataset = SimpleNamespace(metainfo=dict(counts=counts, benchmark=whole))
    assert describe_counts(dataset) == f'DAVIS-2017 val: {text}'


def test_items_of_a_dataset_of_another_kind_are_counted():
    assert describe_counts([1, 2, 3]) == 'list: 3 items'


def test_numbers_that_a_config_leaves_at_their_defaults():
    text = describe(dict(type='LabelPropagator', topk=10), MODELS)
    assert text.startswith('LabelPropagator(radius=12, topk=10, temper')
    # From the metric's bases too; how it is computed is left out.
    text = describe(dict(type='VOSMetric', num_workers=7), METRICS)
    assert 'first_last_excluded=True' in text
    assert 'format_only=False' in text
    assert 'num_workers' not in text
    cfg = dict(type='LabelPropagator', topk=10, radius=3)
    text = describe(cfg, MODELS, leave_out=['radius', 'context'])
    assert 'topk=10' in text
    assert 'radius' not in text and 'context' not in text
    # A name of another project, as it stands.
    cfg = dict(type='NotHere', a=1, _scope_='x')
    assert describe(cfg, None, defaults=False) == 'NotHere(a=1)'


def test_a_subclass_decides_over_its_bases():
    class Base:
        def __init__(self, a=1, b=2):
            pass

    class Child(Base):
        def __init__(self, a=5, **kwargs):
            super().__init__(a, **kwargs)

    class Closed(Child):
        def __init__(self, c=3):
            super().__init__()

    assert defaults_of(Child) == dict(a=5, b=2)
    assert defaults_of(Closed) == dict(c=3)
    assert defaults_of(None) == {}
    assert defaults_of(VOSMetric)['merge_ids'] is False


def _runner(**cfg):
    return SimpleNamespace(cfg=Config(cfg), seed=7)


def test_weights_are_named_with_their_digest(tmp_path):
    one, two = tmp_path / 'one.pth', tmp_path / 'two.pth'
    one.write_bytes(b'1')
    two.write_bytes(b'2')
    member = dict(init_cfg=dict(type='Pretrained', checkpoint=str(two)))
    model = dict(backbone=dict(members=[{}, member]))
    assert list(weight_files(model)) == [str(two)]
    found = describe_weights(_runner(load_from=str(one), model=model))
    assert found == [f'{p} (sha256 {sha256_of(p)})' for p in (one, two)]
    assert describe_weights(_runner(model={})) == [
        'no file: initialised at random, seed 7'
    ]
    url = 'https://example.org/a.pth'
    assert describe_weights(_runner(load_from=url)) == [
        f'{url} (sha256 not a local file)'
    ]


def test_several_init_cfgs():
    cfg = dict(
        init_cfg=[dict(type='Kaiming'), dict(type='P', checkpoint='a.pth')]
    )
    assert list(weight_files(cfg)) == ['a.pth']
    assert list(weight_files(dict(init_cfg=None))) == []


@pytest.mark.parametrize('name', ['hvc_mm', 'torch', 'mmengine', 'mmcv'])
def test_versions(name):
    text = describe_versions(torch.device('cpu'))
    assert f'{name} ' in text
    assert f'torch {torch.__version__}' in text
    assert ', on cpu (' in text
