from types import SimpleNamespace

import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner

from hvc_mm.checkpoint import sha256_of
from hvc_mm.engine.hooks.protocol_log_hook import (
    counts_of_total,
    defaults_of,
    describe,
    describe_counts,
    describe_weights,
    weight_files,
)
from hvc_mm.evaluation import VOSMetric
from hvc_mm.registry import METRICS, MODELS


class _Model(BaseModel):
    def __init__(self, radius=3, **_):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.forgotten = 0

    def reset(self):
        self.forgotten += 1

    def forward(self, mode='tensor', **_):
        return [dict(score=1.0)]


class _Score(BaseMetric):
    default_prefix = 'own'

    def process(self, data_batch, data_samples):
        self.results += list(data_samples)

    def compute_metrics(self, results):
        return dict(mean=1.0)


def test_logs_before_the_first_frame(tmp_path, monkeypatch):
    monkeypatch.setitem(MODELS.module_dict, '_Model', _Model)
    monkeypatch.setitem(METRICS.module_dict, '_Score', _Score)
    weights = tmp_path / 'w.pth'
    torch.save({'state_dict': _Model().state_dict()}, weights)
    cfg = Config(
        dict(
            default_scope='hvc_mm',
            model=dict(type='_Model', propagator=dict(type='_Model')),
            test_dataloader=dict(
                batch_size=2,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(
                    type='ImageFolderDataset',
                    data_root='',
                    sources=[str(tmp_path / 'images')],
                    pipeline=[],
                ),
            ),
            test_evaluator=dict(type='_Score'),
            test_cfg=dict(),
            default_hooks=dict(protocol=dict(type='ProtocolLogHook')),
            load_from=str(weights),
            randomness=dict(seed=11),
            work_dir=str(tmp_path / 'work'),
            experiment_name=tmp_path.name,
        )
    )
    images = tmp_path / 'images'
    images.mkdir()
    from hvc_mm.datasets.id_masks import write_id_mask

    write_id_mask(images / 'a.png', torch.zeros(4, 4).byte().numpy())
    runner = Runner.from_cfg(cfg)
    metrics = runner.test()
    assert runner.model.forgotten == 1, 'the last video is over'
    assert metrics == {'own/mean': 1.0}
    (log,) = tmp_path.glob('work/*/*.log')
    text = log.read_text()
    text = text[text.index('protocol of this test') :]
    assert 'ImageFolderDataset: 1 items' in text
    assert '_Model(radius=3, ' in text
    assert f'{weights} (sha256 ' in text
    lines = {line.split('  ')[0].strip() for line in text.splitlines()}
    assert {'seed', 'versions', 'metric'} <= lines
    assert all(f'{n} ' in text for n in ('hvc_mm', 'mmengine', 'mmcv'))
    assert f'torch {torch.__version__}' in text
    assert 'on cpu (' in text or torch.cuda.is_available()


def test_counts_of_the_whole_benchmark():
    counts = dict(videos=4, frames=236, objects=12)
    whole = dict(name='DAVIS-2017 val', videos=30, frames=1999)
    text = '4 of 30 videos, 236 of 1999 frames, 12 objects'
    assert counts_of_total(counts, whole) == text
    dataset = SimpleNamespace(metainfo=dict(counts=counts, benchmark=whole))
    assert describe_counts(dataset) == f'DAVIS-2017 val: {text}'
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
    # Another project's name stays as it is.
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
    cfg = dict(
        init_cfg=[dict(type='Kaiming'), dict(type='P', checkpoint='a.pth')]
    )
    assert list(weight_files(cfg)) == ['a.pth']
    assert list(weight_files(dict(init_cfg=None))) == []
