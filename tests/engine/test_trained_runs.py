"""Which run's weights are taken where none are given."""

import os

import pytest
import torch

from hvc_mm.apis import VOSInferencer
from hvc_mm.engine.run_config import choose_checkpoint, read_config
from hvc_mm.engine.trained_runs import architecture, newest_checkpoint

R18 = dict(type='HVCResNet', depth=18, strides=(1, 2, 1, 1))


@pytest.fixture
def work_dirs(tmp_path, monkeypatch):
    """A function that leaves what a training of HVC leaves."""
    monkeypatch.chdir(tmp_path)

    def train(name, age, steps=3, config='hvc_coco', **options):
        folder = tmp_path / 'work_dirs' / name
        folder.mkdir(parents=True)
        cfg = read_config(config, options)
        cfg.dump(folder / f'{name}.py')
        path = folder / f'epoch_{steps}.pth'
        torch.save({'state_dict': {}, 'meta': {'iter': 1}}, path)
        (folder / 'last_checkpoint').write_text(f'/moved/{path.name}')
        os.utime(path, (1e9 - age, 1e9 - age))
        return f'work_dirs/{name}/{path.name}'

    return train


def test_the_newest_run_that_trained_this_backbone(work_dirs, logged):
    work_dirs('old', age=9)
    newest = work_dirs('newest', age=5)
    deep = work_dirs('deep', age=3, **{'model.backbone.depth': 50})
    work_dirs('a_test', age=1, config='hvc_davis')
    davis = read_config('hvc_davis')
    assert choose_checkpoint(davis) == newest
    assert logged == [
        f'INFO: weights: {newest}, of the newest run in work_dirs that '
        'trained HVC with this backbone'
    ]
    davis.model.backbone.depth = 50
    assert choose_checkpoint(davis) == deep
    # Of an ensemble the first member takes the weights.
    assert choose_checkpoint(read_config('hvc_moco_davis')) == newest
    davis.model.backbone.padding_mode = 'reflect'
    with pytest.raises(FileNotFoundError, match='no training of HVC with'):
        choose_checkpoint(davis)


def test_folders_that_are_no_runs(work_dirs, tmp_path):
    assert newest_checkpoint(R18) is None
    found = work_dirs('run', age=9)
    folder = tmp_path / 'work_dirs/odd'
    folder.mkdir()
    assert str(newest_checkpoint(R18)) == found
    torch.save({}, folder / 'epoch_1.pth')
    (folder / 'odd.py').write_text("raise ValueError('not a config')")
    (folder / 'gone.py').write_text(
        "custom_imports = dict(imports=['a_module_that_is_gone'])\n"
        "model = dict(type='HVC', backbone=dict(type='Theirs', a=[1, 2]))\n"
    )
    assert str(newest_checkpoint(R18)) == found
    theirs = newest_checkpoint(dict(type='Theirs', a=(1, 2)))
    assert str(theirs) == 'work_dirs/odd/epoch_1.pth'
    assert newest_checkpoint(dict(type='Theirs', a=(1, 3))) is None


def test_what_is_the_same_backbone():
    same = dict(type='hvc_mm.HVCResNet', out_indices=(2,), norm_eval=True)
    assert architecture(R18) == architecture(same)
    for other in (dict(depth=34), dict(strides=(1, 2, 2, 2))):
        assert architecture(R18) != architecture({**R18, **other})


def test_the_inferencer_takes_it(work_dirs, tiny_cfg, pretrained):
    tiny_cfg['model']['warmup_zero_image'] = None
    with pytest.warns(UserWarning, match='random'):
        VOSInferencer(tiny_cfg, device='cpu')
    path = work_dirs('run', age=1)
    os.replace(_copy(pretrained), path)
    inferencer = VOSInferencer(tiny_cfg, device='cpu')
    weight = torch.load(pretrained)['state_dict']['backbone.conv1.weight']
    assert torch.equal(inferencer.model.backbone.conv1.weight, weight)
    with pytest.warns(UserWarning, match='random'):
        VOSInferencer(tiny_cfg, 'none', device='cpu')


def _copy(path):
    torch.save(torch.load(path), 'copy.pth')
    return 'copy.pth'
