"""``publish_model.py`` on a checkpoint that mmengine's runner wrote."""

import json
import runpy
import sys

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from hvc_mm.checkpoint import sha256_of
from hvc_mm.models import HVCResNet

TOOL = 'tools/model_converters/publish_model.py'


class _Pretraining(BaseModel):
    """A backbone and something beside it, trained by mmengine."""

    def __init__(self):
        super().__init__()
        self.backbone = HVCResNet(18, out_indices=(0,))
        self.head = torch.nn.Linear(64, 1)

    def forward(self, inputs, data_samples=None, mode='loss'):
        features = self.backbone(inputs)[0].mean((2, 3))
        return {'loss': self.head(features).mean()}


class _Noise(torch.utils.data.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return {'inputs': torch.rand(3, 32, 32)}


@pytest.fixture
def trained(tmp_path):
    """The checkpoint after two iterations, and the backbone in it."""
    runner = Runner(
        model=_Pretraining(),
        work_dir=str(tmp_path / 'run'),
        train_dataloader=DataLoader(_Noise(), batch_size=1),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        default_scope='mmengine',
        experiment_name=f'publish-{tmp_path.name}',
    )
    runner.train()
    return tmp_path / 'run' / 'epoch_1.pth', runner.model.backbone.state_dict()


@pytest.fixture
def publish(root_dir, monkeypatch, capsys):
    """Run the tool as its command line does; gives what it printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [TOOL, *map(str, arguments)])
        monkeypatch.syspath_prepend(str((root_dir / TOOL).parent))
        runpy.run_path(str(root_dir / TOOL), run_name='__main__')
        return capsys.readouterr().out

    return run


def test_backbone_of_a_training_run(publish, trained, tmp_path):
    checkpoint, state = trained
    output = tmp_path / 'hvc.pth'
    printed = publish(checkpoint, output)
    assert f'backbone (ResNet-18), {len(state)} tensors; 2 others' in printed
    published = torch.load(output, weights_only=True)
    assert list(published) == list(state)
    assert all(torch.equal(published[k], v) for k, v in state.items())
    record = json.loads((tmp_path / 'hvc.pth.json').read_text())
    assert record['sha256'] == sha256_of(checkpoint)
    assert (record['epoch'], record['iter']) == (1, 2)
    assert record['experiment_name'].startswith('publish-')


def test_hash_in_the_name(publish, trained, tmp_path):
    printed = publish(trained[0], tmp_path / 'hvc.pth', '--hash-name')
    (output,) = tmp_path.glob('hvc-*.pth')
    assert output.stem[len('hvc-') :] == sha256_of(output)[:8]
    assert output.with_name(f'{output.name}.json').exists()
    assert not (tmp_path / 'hvc.pth').exists()
    assert str(output) in printed


def test_weights_without_a_backbone(publish, tmp_path):
    path = tmp_path / 'linear.pth'
    torch.save(torch.nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(SystemExit, match='linear.pth: no tensor under'):
        publish(path, tmp_path / 'out.pth')
    assert not (tmp_path / 'out.pth').exists()
