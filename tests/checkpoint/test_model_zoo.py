"""Published weights by name, from a server on this machine."""

import hashlib
import io
import re
import zipfile

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import MODELS
from mmengine.runner.checkpoint import (
    CheckpointLoader,
    get_torchvision_models,
)

from hvc_mm.apis import VOSInferencer, choose_checkpoint
from hvc_mm.checkpoint import (
    MODEL_ZOO,
    CheckpointError,
    PretrainedBackbone,
    find_weights,
    local_weights,
    read_checkpoint,
    sha256_of,
)
from hvc_mm.checkpoint import model_zoo as module
from hvc_mm.engine.run_config import read_config
from hvc_mm.models import HVCResNet

# As the files of HVC's release may be called.
MEMBERS = {
    'hvc-coco': 'releases_models/coco_r18.pth',
    'hvc-voc': 'releases_models/pascal_voc.pth',
    'hvc-msra10k': 'releases_models/MSRA10K.pth.tar',
    'hvc-ytvos': 'releases_models/pytorch_ytb_r18.pth',
}


def _file_of(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _zip_of(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def _network(seed):
    torch.manual_seed(seed)
    network = HVCResNet(18, out_indices=(2,))
    network.init_weights()
    return network.state_dict()


@pytest.fixture
def zoo(server, hub, monkeypatch):
    """The names of HVC's release, at a server; their files in the cache."""
    members = {
        member: _file_of(_network(seed))
        for seed, member in enumerate(MEMBERS.values())
    }
    members['__MACOSX/releases_models/._coco_r18.pth'] = b'\0'
    members['releases_models/README.txt'] = b'coco voc msra ytvos'
    server.files['releases_models.zip'] = _zip_of(members)
    for name in MEMBERS:
        moved = MODEL_ZOO[name]._replace(url=server.url('releases_models.zip'))
        monkeypatch.setitem(MODEL_ZOO, name, moved)
    return server


@pytest.mark.parametrize('seed, name', enumerate(MEMBERS))
def test_each_name_finds_its_member(zoo, hub, seed, name):
    path = local_weights(name)
    assert path == str(hub / f'{name}.pth')
    found = read_checkpoint(path)
    assert torch.equal(found['conv1.weight'], _network(seed)['conv1.weight'])


def test_the_archive_is_downloaded_once(zoo, hub):
    zoo.cuts = [70_000]
    for name in (*MEMBERS, *MEMBERS):
        local_weights(name)
    (hub / 'releases_models.zip').unlink()
    local_weights('hvc-voc')
    assert [wanted for _, wanted in zoo.asked] == [None, 'bytes=70000-']


def test_by_every_door(zoo, hub, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    weight = _network(0)['conv1.weight']
    inferencer = VOSInferencer('hvc_davis', weights='hvc-coco', device='cpu')
    assert torch.equal(inferencer.model.backbone.conv1.weight, weight)
    init_cfg = dict(type='hvc_mm.PretrainedBackbone', checkpoint='hvc-coco')
    r18 = dict(type='hvc_mm.HVCResNet', depth=18, out_indices=(2,))
    backbone = MODELS.build(dict(r18, init_cfg=init_cfg))
    backbone.init_weights()
    assert torch.equal(backbone.conv1.weight, weight)
    loaded = CheckpointLoader.load_checkpoint('hvc-coco', map_location='cpu')
    assert torch.equal(loaded['conv1.weight'], weight)
    cfg = read_config('hvc_davis', dict(load_from='hvc-coco'))
    assert choose_checkpoint(cfg) == str(hub / 'hvc-coco.pth')


def test_a_file_of_this_name_comes_first(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'hvc-coco').write_bytes(b'mine')
    assert find_weights('hvc-coco') == 'hvc-coco' and not zoo.asked


def test_what_is_no_name_is_told_with_the_names(zoo, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'hvc-cocoa: .*\(hvc-coco, '):
        find_weights('hvc-cocoa')
    assert find_weights('torchvision://resnet50') == 'torchvision://resnet50'


def test_the_digest_is_in_the_log(zoo, hub, tmp_path):
    log = tmp_path / 'run.log'
    MMLogger.get_instance('zoo', logger_name='zoo', log_file=str(log))
    digest = sha256_of(local_weights('hvc-coco'))
    line = f'hvc-coco: {hub / "hvc-coco.pth"} (sha256 {digest})'
    local_weights('hvc-coco')
    assert log.read_text().count(line) == 2


@pytest.mark.parametrize(
    'members, said',
    [
        ({'a/one.pth': b'1', 'a/two.pth': b'2'}, 'found a/one.pth, a/two.pth'),
        ({'coco.txt': b'1'}, 'found no checkpoint'),
        (
            {'a/coco.pth': b'1', 'b/COCO.pth': b'2', 'c.pth': b'3'},
            'found a/coco.pth, b/COCO.pth; extract',
        ),
    ],
)
def test_members_are_listed_where_not_one_fits(zoo, members, said):
    zoo.files['releases_models.zip'] = _zip_of(members)
    with pytest.raises(CheckpointError, match=re.escape(said)):
        local_weights('hvc-coco')


def test_a_folder_may_have_the_name(zoo, hub):
    zoo.files['releases_models.zip'] = _zip_of(
        {'coco/r18.pth': b'1', 'voc/r18.pth': b'2'}
    )
    for name, content in (('hvc-coco', b'1'), ('hvc-voc', b'2')):
        local_weights(name)
        assert (hub / f'{name}.pth').read_bytes() == content


def test_a_web_page_in_the_place_of_an_archive(zoo, hub):
    zoo.files['releases_models.zip'] = b'<html>log in</html>'
    with pytest.raises(CheckpointError, match='no whole zip archive .* remov'):
        local_weights('hvc-coco')
    assert not (hub / 'hvc-coco.pth').exists()


def test_a_damaged_archive(zoo, hub):
    content = bytearray(zoo.files['releases_models.zip'])
    content[200_000] ^= 1
    zoo.files['releases_models.zip'] = bytes(content)
    with pytest.raises(CheckpointError, match='no whole zip archive .*CRC'):
        local_weights('hvc-coco')
    assert not (hub / 'hvc-coco.pth').exists()


def test_offline_one_line_says_what_to_do(zoo, hub, monkeypatch):
    moved = MODEL_ZOO['hvc-coco']._replace(url='http://127.0.0.1:9/a.zip')
    monkeypatch.setitem(MODEL_ZOO, 'hvc-coco', moved)
    with pytest.raises(CheckpointError) as caught:
        local_weights('hvc-coco')
    said = str(caught.value)
    assert 'http://127.0.0.1:9/a.zip (' in said and '\n' not in said
    assert f'put that file at {hub / "a.zip"}' in said
    assert 'CHECKPOINT of the tools' in said
    # Doing so is enough.
    (hub / 'a.zip').write_bytes(zoo.files['releases_models.zip'])
    assert local_weights('hvc-coco') == str(hub / 'hvc-coco.pth')


def test_moco_is_checked_by_its_published_checksum(server, hub, monkeypatch):
    published = MODEL_ZOO['moco-v1-r50']
    assert published.md5 == 'b251726a' and not published.member
    state = {f'module.encoder_q.{n}': t for n, t in _network(5).items()}
    content = _file_of({'state_dict': state, 'arch': 'resnet18'})
    server.files['moco.pth.tar'] = content
    moved = published._replace(url=server.url('moco.pth.tar'))
    monkeypatch.setitem(MODEL_ZOO, 'moco-v1-r50', moved)
    with pytest.raises(CheckpointError, match='expected b251726a'):
        local_weights('moco-v1-r50')
    digest = hashlib.md5(content).hexdigest()[:8]
    monkeypatch.setitem(MODEL_ZOO, 'moco-v1-r50', moved._replace(md5=digest))
    backbone = HVCResNet(18, out_indices=(2,))
    PretrainedBackbone('moco-v1-r50', layout='moco')(backbone)
    assert torch.equal(backbone.conv1.weight, _network(5)['conv1.weight'])
    assert (hub / 'moco.pth.tar').read_bytes() == content


def test_torchvisions_names(server, hub, monkeypatch):
    """The end of a file's name is the beginning of its checksum."""
    assert 'resnet50' in get_torchvision_models()
    content = _file_of(_network(6))
    right = f'r-{hashlib.sha256(content).hexdigest()[:8]}.pth'
    wrong = 'r-00000000.pth'
    server.files = {right: content, wrong: content}
    names = {'right': server.url(right), 'wrong': server.url(wrong)}
    monkeypatch.setattr(
        'mmengine.runner.checkpoint.get_torchvision_models', lambda: names
    )
    load = CheckpointLoader.load_checkpoint
    loaded = load('torchvision://right', map_location='cpu')
    assert torch.equal(loaded['conv1.weight'], _network(6)['conv1.weight'])
    with pytest.raises(CheckpointError, match='expected 00000000'):
        load('torchvision://wrong', map_location='cpu')
    assert not (hub / wrong).exists()


def test_configs_use_the_names():
    cfg = read_config('hvc_moco_davis')
    member = cfg.model.backbone.members[1]
    assert member.init_cfg.checkpoint in MODEL_ZOO
    assert module.cached(MODEL_ZOO['moco-v1-r50'].url).name == (
        'moco_v1_200ep_pretrain.pth.tar'
    )
