"""ProtocolLogHook: what a test's log says before its first frame."""

import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner

from hvc_mm.engine import ProtocolLogHook
from hvc_mm.registry import HOOKS, METRICS, MODELS


class _Model(BaseModel):
    def __init__(self, radius=3, **_):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, mode='tensor', **_):
        return [dict(score=1.0)]


class _Score(BaseMetric):
    default_prefix = 'own'

    def process(self, data_batch, data_samples):
        self.results += list(data_samples)

    def compute_metrics(self, results):
        return dict(mean=1.0)


def test_is_found_by_name():
    cfg = dict(type='hvc_mm.ProtocolLogHook')
    assert isinstance(HOOKS.build(cfg), ProtocolLogHook)


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
    from hvc_mm.datasets.image_io import write_id_mask

    write_id_mask(images / 'a.png', torch.zeros(4, 4).byte().numpy())
    metrics = Runner.from_cfg(cfg).test()
    assert metrics == {'own/mean': 1.0}
    (log,) = tmp_path.glob('work/*/*.log')
    text = log.read_text()
    start = text.index('protocol of this test')
    assert 'ImageFolderDataset: 1 items' in text[start:]
    assert '_Model(radius=3, ' in text[start:]
    assert f'{weights} (sha256 ' in text[start:]
    lines = {line.split('  ')[0] for line in text[start:].splitlines()}
    assert {'seed', 'versions', 'metric'} <= {s.strip() for s in lines}
