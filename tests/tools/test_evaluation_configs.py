"""Every evaluation config, run as tools/test.py runs it, on a sample.

Frames are painted over: each pixel shows its object's id (of joints: which
joint, and where from it), and a backbone reads that off. Its features are
perfect, so what must come out is known: the painted ids, shrunk to the grid
and enlarged again. Where the frames of a video are shuffled behind the first
one, it is the ids of the frames that are shown instead, and the score is that
of those.
"""

import io
import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from PIL import Image

from hvc_mm.checkpoint import sha256_of
from hvc_mm.datasets.id_masks import davis_palette, write_id_mask
from hvc_mm.datasets.jhmdb import read_joints
from hvc_mm.evaluation.functional import region_similarity
from hvc_mm.models import HVCResNet
from hvc_mm.models.vos import MaskCodec, PartCodec
from hvc_mm.registry import MODELS
from hvc_mm.structures import VOSDataSample

# Grey levels from one id to the next.
LEVELS = 12
STRIDE = 4
WIDE = '--videos=2 --size=96x160'
SPECS = {
    'davis': f'--frames=6 {WIDE}',
    'davis_testdev': f'--frames=6 {WIDE}',
    # Long enough for a late object: those come after two annotations.
    'ytvos': f'--frames=12 {WIDE}',
    'ytvos19': f'--frames=12 {WIDE}',
    'vip': '--videos=1 --frames=5 --size=140x140',
    'jhmdb': '--seed=2 --videos=3 --frames=5 --size=320x320',
}
RAW = (
    'model.data_preprocessor.mean=[0,0,0]',
    'model.data_preprocessor.std=[1,1,1]',
)


class PaintedIds(BaseModule):
    """Each cell's share of each painted id: a codec's label channels."""

    def __init__(self, stride=STRIDE, align_corners=True, **_):
        super().__init__()
        self.stride, self.align_corners = stride, align_corners

    def forward(self, x):
        ids = (x[:, 0] / LEVELS).round().long()
        channels = F.one_hot(ids, 21).movedim(-1, 1).float()
        grid = [side // self.stride for side in x.shape[-2:]]
        return (
            F.interpolate(
                channels,
                size=grid,
                mode='bilinear',
                align_corners=self.align_corners,
            ),
        )


class PaintedJoints(BaseModule):
    """One-hot of a cell's place relative to each joint that is near."""

    def __init__(self, **_):
        super().__init__()

    def forward(self, x):
        # Pixel k of a cell is about joint k.
        pixels = F.pixel_unshuffle(x[:, :1], 8)[:, :15]
        cells = F.one_hot((pixels / LEVELS).round().long(), 17)
        channels = cells[..., 1:].movedim(-1, 2).flatten(1, 2).float()
        nothing = (channels.sum(dim=1, keepdim=True) == 0).float()
        return (torch.cat([channels, nothing], dim=1),)


@pytest.fixture(scope='module', autouse=True)
def _registered():
    for cls in (PaintedIds, PaintedJoints):
        MODELS.register_module(module=cls, force=True)
    yield
    for cls in (PaintedIds, PaintedJoints):
        MODELS.module_dict.pop(cls.__name__)


def scenes(tool, layout):
    """Folders of frames, their stems, and the scene behind each."""
    args = tool.parse_args(['', *SPECS[layout].split()])
    if layout.startswith('davis'):
        split, count = ('val', 2) if layout == 'davis' else ('test-dev', 1)
        for index in range(count):
            scene = tool.davis_scene(args, split, index)
            yield f'DAVIS/JPEGImages/480p/{scene.name}', '{:05d}'.format, scene
    elif layout == 'vip':
        scene = tool.figure_scene(args, 'vip', 0)
        name = lambda frame: f'{1 + 25 * frame:012d}'  # noqa: E731
        yield f'VIP/VIP_Fine/Images/{scene.name}', name, scene
    else:
        year = 2019 if layout == 'ytvos19' else 2018
        videos = [('valid', 0), ('valid', 1), ('train', 0)]
        for split, index in videos[: 2 if year == 2019 else 3]:
            scene = tool.ytvos_scene(args, year, split, index)
            folder = f'YTB/{year}/{split}_all_frames/JPEGImages/{scene.name}'
            yield folder, '{:05d}'.format, scene


def shown(frame, length, shuffled):
    """Which frame a video shows at another's place; the first one stays."""
    if not shuffled or frame == 0:
        return frame
    return 1 + (frame - 1 + (length - 1) // 2) % (length - 1)


def write_frame(path, image):
    """Replace a frame by a PNG: JPEG would blur the codes."""
    for old in path.parent.glob(f'{path.name}.*'):
        old.unlink()
    cv2.imwrite(str(path.with_name(f'{path.name}.png')), image)


def paint_joints(joints):
    """Joints ``(2, 15)`` of a frame of 40x40 cells of 8 pixels.

    Each joint is drawn into the four by four cells that the codec gives it.
    """
    image = np.zeros((320, 320), np.uint8)
    first = (joints / 8 - 1.5).astype(int)
    for joint, (left, top) in enumerate(first.T):
        for cell in range(16):
            row = 8 * (top + cell // 4) + joint // 8
            column = 8 * (left + cell % 4) + joint % 8
            image[row, column] = LEVELS * (cell + 1)
    return np.repeat(image[..., None], 3, axis=2)


@pytest.fixture(
    scope='module', params=[False, pytest.param(True, marks=pytest.mark.slow)]
)
def sample(request, tmp_path_factory, sample_tool):
    """All benchmarks' samples, painted; second time round, shuffled."""
    root = tmp_path_factory.mktemp('painted')
    for layout, spec in SPECS.items():
        wanted = [str(root), *spec.split(), '--benchmarks', layout, '--force']
        assert not sample_tool.main(wanted)
    truth = {}
    for layout in SPECS:
        if layout == 'jhmdb':
            continue
        for folder, stem, scene in scenes(sample_tool, layout):
            for t in range(scene.length):
                order = shown(t, scene.length, request.param)
                _, ids = scene.render(order)
                truth[scene.name, stem(t)] = ids
                image = np.repeat(LEVELS * ids[..., None], 3, axis=2)
                write_frame(root / folder / stem(t), image)
    clips = {}
    for path in sorted((root / 'JHMDB/joint_positions').glob('*/*/*.mat')):
        clip = path.parent.relative_to(root / 'JHMDB/joint_positions')
        joints = read_joints(str(path))
        order = [
            shown(t, joints.shape[2], request.param)
            for t in range(joints.shape[2])
        ]
        clips[str(clip)] = joints = joints[:, :, order]
        for t in range(joints.shape[2]):
            frame = root / 'JHMDB/Rename_Images' / clip / f'{t + 1:05d}'
            write_frame(frame, paint_joints(joints[:, :, t]))
    return root, request.param, truth, clips


@pytest.fixture
def run(call_test, sample):
    """Test a config: its scores, log and folder."""

    def run(config, *options):
        work = call_test(config, *RAW, *options, data_root=sample[0])
        found = list(work.glob('[0-9]*/*.json'))
        scores = json.loads(found[0].read_text()) if found else {}
        (log,) = work.glob('*/*.log')
        return scores, log.read_text(), work

    return run


@pytest.fixture
def score_of(call_tool, sample, root_dir):
    """The score of masks that are on the disk."""

    def score(config, folder, *options):
        return call_tool(
            'analysis_tools/eval_masks.py',
            *(root_dir / f'configs/{config}.py', '--pred', folder),
            *('--cfg-options', *options),
            data_root=sample[0],
        )

    return score


def through_grid(ids, codec, grid):
    """What a codec makes of ids that go to the grid and back."""
    meta = dict(ori_shape=ids.shape, video='v', frame_name='f')
    sample = VOSDataSample(metainfo=meta)
    sample.prompt_ids = torch.from_numpy(ids)
    codec.reset()
    channels = codec.encode(sample, grid)
    codec.decode(channels, sample)
    return sample.pred_ids.numpy()


def write_truth(sample, folder, names, codec=None, stride=STRIDE):
    """Write what perfect features can give at most, as masks."""
    for (video, frame), ids in sample[2].items():
        if video in names:
            grid = [side // stride for side in ids.shape]
            if isinstance(codec, PartCodec):
                grid = [side // 8 for side in codec.size]
            ids = through_grid(ids, codec or MaskCodec(), tuple(grid))
            write_id_mask(folder / video / f'{frame}.png', ids)
    return folder


def _names(root, path):
    return (root / path).read_text().split()


IDS = ('model.backbone.type=PaintedIds', 'test_evaluator.num_workers=0')
IN_ONE = ('test_evaluator.num_workers=0',)


@pytest.mark.parametrize('year', [2017, 2016])
def test_davis(sample, run, score_of, tmp_path, year):
    root, shuffled, *_ = sample
    config = 'hvc_davis' if year == 2017 else 'hvc_davis16'
    names = _names(root, f'DAVIS/ImageSets/{year}/val.txt')
    scores, log, work = run(config, *IDS)
    limit = write_truth(sample, tmp_path / 'limit', names)
    expected = score_of(config, limit, *IN_ONE)['davis/J&F']
    assert scores['davis/J&F'] == pytest.approx(expected, abs=3)
    assert expected < 75 if shuffled else expected > 90
    # The log names what a score depends on.
    whole = {2017: (30, 1999), 2016: (20, 1376)}[year]
    found = f'DAVIS-{year} val: {len(names)} of {whole[0]} videos'
    assert f'{found}, {6 * len(names)} of {whole[1]} frames' in log
    assert 'radius=12, topk=15, temperature=0.1, context=50' in log
    assert 'no file: initialised at random, seed 42' in log
    assert (work / f'scores/davis/videos/{names[0]}.json').is_file()


@pytest.mark.parametrize('folder', ['JPEGImages', 'JPEGImages_10fps'])
def test_vost(call_test, tmp_path, folder):
    """Two objects that move; every second frame has a mask at 10 fps."""
    root = tmp_path / 'VOST'
    best = []  # J of what perfect features can give, by frame and object
    for t in range(13):
        ids = np.zeros((96, 160), np.uint8)
        ids[16:48, 8 + 4 * t : 40 + 4 * t] = 1
        ids[56:88, 100 - 4 * t : 132 - 4 * t] = 2
        found = through_grid(ids, MaskCodec(), (24, 40))
        painted = np.repeat(LEVELS * ids[..., None], 3, axis=2)
        for images in ('JPEGImages',) * (t % 2 == 0) + ('JPEGImages_10fps',):
            path = root / images / 'cut' / f'frame{t:05d}'
            path.parent.mkdir(parents=True, exist_ok=True)
            write_frame(path, painted)
        if t % 2 == 0:
            if t > 9:
                ids[ids == 2] = 0  # as if it were no longer there
            ids[0, :9] = 255
            path = root / 'Annotations/cut' / f'frame{t:05d}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            write_id_mask(path, ids)
            pairs = [((ids == i)[None], (found == i)[None]) for i in (1, 2)]
            best.append([region_similarity(*pair)[0] for pair in pairs])
    (root / 'ImageSets').mkdir()
    (root / 'ImageSets/val.txt').write_text('cut\n')
    work = call_test(
        'hvc_vost',
        *(*RAW, *IDS),
        f'test_dataloader.dataset.data_prefix.img_path={folder}',
        'test_dataloader.dataset.pipeline.2.short_side=96',
        data_root=tmp_path,
    )
    (path,) = work.glob('[0-9]*/*.json')
    scores = json.loads(path.read_text())
    # Five masks are scored; the last two are the last quarter.
    scored = 100 * np.array(best[1:-1])
    assert scored[-1, 1] == 0 and scored[:-1].min() > 80
    assert scores['vost/J_mean'] == pytest.approx(scored.mean(), abs=3)
    assert scores['vost/J_last'] == pytest.approx(scored[3:].mean(), abs=3)
    (log,) = work.glob('*/*.log')
    frames = 7 if folder == 'JPEGImages' else 13
    assert f'1 of 70 videos, {frames} of 7820 frames' in log.read_text()


def test_davis_with_the_ensemble(sample, run, score_of, tmp_path):
    root = sample[0]
    # Convolutions of zeros and biases of ones: the same in every cell, so
    # that the first member alone decides.
    network = HVCResNet(50, out_indices=(2,)).state_dict()
    state = {
        f'module.encoder_q.{name}': torch.zeros_like(value)
        if 'conv' in name or 'downsample.0' in name
        else torch.ones_like(value)
        for name, value in network.items()
    }
    state['module.encoder_q.fc.0.weight'] = torch.zeros(2, 2)
    moco = tmp_path / 'moco_v1_200ep_pretrain.pth.tar'
    torch.save({'state_dict': state, 'arch': 'resnet50', 'epoch': 200}, moco)
    scores, log, _ = run(
        'hvc_moco_davis',
        'model.backbone.members.0.type=PaintedIds',
        'model.backbone.members.0.stride=8',
        f'model.backbone.members.1.init_cfg.checkpoint={moco}',
        *IN_ONE,
    )
    names = _names(root, 'DAVIS/ImageSets/2017/val.txt')
    limit = write_truth(sample, tmp_path / 'limit', names, stride=8)
    expected = score_of('hvc_davis', limit, *IN_ONE)['davis/J&F']
    assert scores['davis/J&F'] == pytest.approx(expected, abs=4)
    assert 'weights=[1.05, 1.0]' in log
    assert f'{moco} (sha256 {sha256_of(moco)})' in log
    # Loaded, not only named.
    assert f'HVCResNet: 258 of 258 tensors found in {moco} ' in log


def check_zip(sample, path, root, wanted):
    """The zip holds the frames that are asked for, with the right ids.

    Return how well they fit, and how well they can through the grid.
    """
    found, overlaps, limit = set(), [], []
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            *above, video, file = name.split('/')
            assert above == root and file.endswith('.png')
            with Image.open(io.BytesIO(archive.read(name))) as image:
                assert image.mode == 'P'
                palette = np.array(image.getpalette()).reshape(256, 3)
                assert np.array_equal(palette, davis_palette())
                mask = np.array(image)
            key = video, Path(file).stem
            found.add(key)
            truth = sample[2][key]
            assert mask.shape == truth.shape == (96, 160)
            possible = through_grid(truth, MaskCodec(), (24, 40))
            for i in np.unique(truth)[1:]:
                for ids, scores in ((mask, overlaps), (possible, limit)):
                    pair = (truth == i)[None], (ids == i)[None]
                    scores.append(float(region_similarity(*pair)[0]))
    assert found == wanted
    return np.mean(overlaps), np.mean(limit)


def test_davis_testdev(sample, run):
    root = sample[0]
    names = _names(root, 'DAVIS/ImageSets/2017/test-dev.txt')
    scores, log, work = run('hvc_davis_testdev', *IDS)
    assert not any('davis' in name for name in scores)
    wanted = {(name, f'{t:05d}') for name in names for t in range(6)}
    found, limit = check_zip(sample, work / 'submission.zip', [], wanted)
    # Against the frames that were shown, shuffled or not.
    assert found == pytest.approx(limit, abs=0.03) and limit > 0.85
    assert 'DAVIS-2017 test-dev: 1 of 30 videos, 6 of 2086 frames' in log


@pytest.mark.parametrize('year, videos', [(2018, 474), (2019, 507)])
def test_youtube_vos(sample, run, year, videos):
    root, shuffled, *_ = sample
    _, log, work = run(f'hvc_ytvos{year - 2000}', *IDS)
    valid = root / f'YTB/{year}/valid/JPEGImages'
    wanted = {(p.parent.name, p.stem) for p in valid.glob('*/*')}
    assert len(wanted) == 2 * 3
    path = work / 'submission.zip'
    found, limit = check_zip(sample, path, ['Annotations'], wanted)
    if not shuffled:
        assert found == pytest.approx(limit, abs=0.03) and limit > 0.85
    else:
        # A late object's label falls on a frame that shows another time.
        assert found < limit - 0.05
    assert f'YouTube-VOS {year} val: 2 of {videos} videos, 24 frames' in log


def test_youtube_vos_scores_a_split_of_train(sample, run, score_of, tmp_path):
    root, shuffled, *_ = sample
    folders = dict(
        img_path='train_all_frames/JPEGImages',
        ann_path='train/Annotations',
        scored_path='train/JPEGImages',
    )
    options = [
        f'test_dataloader.dataset.data_prefix.{key}={path}'
        for key, path in folders.items()
    ]
    options += ['test_dataloader.dataset.ann_file=train/meta.json']
    meta = json.loads((root / 'YTB/2018/train/meta.json').read_text())
    names = list(meta['videos'])
    scores, _, _ = run('hvc_ytvos18', *IDS, *options)
    limit = write_truth(sample, tmp_path / 'limit', names)
    expected = score_of('hvc_ytvos18', limit, *IN_ONE, *options)
    if shuffled:
        # A late object's label falls on a frame that shows another time.
        assert scores['ytvos/overall'] < 75
        return
    for name in ('ytvos/J_seen', 'ytvos/F_seen', 'ytvos/overall'):
        assert scores[name] == pytest.approx(expected[name], abs=4)
    assert expected['ytvos/overall'] > 90


def test_vip(sample, run, score_of, tmp_path):
    root, shuffled, *_ = sample
    scores, log, _ = run('hvc_vip', *IDS, 'model.backbone.stride=8',
                         'model.backbone.align_corners=False')  # fmt: skip
    names = _names(root, 'VIP/VIP_Fine/lists/val_videos.txt')
    codec = PartCodec((560, 560))
    limit = write_truth(sample, tmp_path / 'limit', names, codec)
    expected = score_of('hvc_vip', limit, *IN_ONE)['vip/mIoU']
    assert scores['vip/mIoU'] == pytest.approx(expected, abs=4)
    assert expected < 70 if shuffled else expected > 85
    assert 'VIP val: 1 of 50 videos, 5 of 2445 frames' in log
    assert 'radius=12, topk=10, temperature=0.05, context=4' in log


def test_jhmdb(sample, run, score_of, tmp_path):
    _, shuffled, _, clips = sample
    # This figure's joints keep more than a label's width from each other:
    # where they meet, perfect features propagate both joints' labels.
    (clip,) = [name for name in clips if name.startswith('jump/')]
    only = f'test_dataloader.dataset.videos=[{clip}]'
    joints = 'model.backbone.type=PaintedJoints'
    scores, log, _ = run('hvc_jhmdb', joints, only)
    path = tmp_path / 'limit' / f'{clip}.npy'
    path.parent.mkdir(parents=True)
    np.save(path, clips[clip] / 8)
    expected = score_of('hvc_jhmdb', tmp_path / 'limit', only)['jhmdb/PCK@0.1']
    assert scores['jhmdb/PCK@0.1'] == pytest.approx(expected, abs=4)
    assert expected < 75 if shuffled else scores['jhmdb/PCK@0.1'] > 99
    assert 'JHMDB split 1: 1 of 268 videos' in log
    assert 'radius=5, topk=10, temperature=0.05, context=7' in log


@pytest.mark.slow
@pytest.mark.parametrize('sample', [False], indirect=True)
@pytest.mark.parametrize(
    'config', 'davis davis16 vip jhmdb davis_testdev ytvos18 ytvos19'.split()
)
def test_as_shipped_in_a_process_of_its_own(
    sample, run_tool, root_dir, config, tmp_path
):
    """The unchanged config with its own network, workers and all."""
    out = run_tool(
        'test.py',
        root_dir / f'configs/hvc_{config}.py',
        *('none', f'--work-dir={tmp_path / "work"}'),
        data_root=sample[0],
    )
    assert out.returncode == 0, out.stdout
    assert 'protocol of this test' in out.stdout
    zipped = config in ('davis_testdev', 'ytvos18', 'ytvos19')
    assert (tmp_path / 'work/submission.zip').is_file() is zipped
