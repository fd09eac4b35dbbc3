"""make_sample.py: its layouts as they are read, exact truth, no harm done."""

import importlib.util
import json
import resource

import cv2
import numpy as np
import pytest
from mmengine.registry import DefaultScope
from PIL import Image, ImageDraw

from hvc_mm.datasets.id_masks import davis_palette, read_id_mask
from hvc_mm.datasets.jhmdb import JOINTS, read_joints
from hvc_mm.registry import DATASETS

VIDEOS, FRAMES, SIZE, IMAGES = 4, 12, (72, 128), 24
SMALL = ('--seed=3', '--videos=4', '--frames=12', '--size=72x128')
TINY = ('--videos=1', '--frames=6', '--size=60x80', '--images=4')
LAYOUTS = 'coco davis davis_testdev ytvos ytvos19 vip jhmdb folder'.split()


@pytest.fixture(scope='module')
def sample(tmp_path_factory, sample_tool):
    """One sample of all layouts."""
    root = tmp_path_factory.mktemp('sample')
    wanted = [str(root), *SMALL, f'--images={IMAGES}', '--benchmarks', 'all']
    assert not sample_tool.main(wanted)
    return root


@pytest.fixture(scope='module')
def args(sample_tool):
    return sample_tool.parse_args(['', *SMALL])


def names(path, ending=''):
    """Names in a list, or in a folder."""
    if path.is_file():
        return path.read_text().split()
    return sorted(p.name for p in path.iterdir() if p.name.endswith(ending))


def ids_in(mask):
    return set(np.unique(mask).tolist()) - {0}


def masks_of(folder):
    return {int(p.stem): read_id_mask(p) for p in sorted(folder.iterdir())}


def content(root):
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob('*')
        if path.is_file() and path.name != 'sample.json'
    }


def silhouettes(scene, frame):
    """What each piece but the backdrop covers, drawn by Pillow, 8 times
    larger."""
    u = frame / (scene.length - 1)
    found = []
    for piece in scene.pieces[1:]:
        matrix = piece.motion(u)
        corners = 8 * (piece.outline @ matrix[:, :2].T + matrix[:, 2])
        canvas = Image.new('L', (8 * SIZE[1], 8 * SIZE[0]))
        if frame >= piece.enters:
            fill = [tuple(corner) for corner in corners - 0.5]
            ImageDraw.Draw(canvas).polygon(fill, fill=1)
        blocks = np.array(canvas).reshape(SIZE[0], 8, SIZE[1], 8)
        found.append(blocks.mean((1, 3)) >= 0.5)
    return found


@pytest.mark.parametrize('index', range(4))
@pytest.mark.parametrize('kind', ['davis', 'vip'])
def test_masks_are_exact(sample_tool, args, kind, index):
    """They equal the outlines, painted one over the other."""
    scene = (
        sample_tool.davis_scene(args, 'val', index)
        if kind == 'davis'
        else sample_tool.figure_scene(args, 'vip', index)
    )
    for frame in range(0, FRAMES, 3):
        expected = np.zeros(SIZE, np.uint8)
        for piece, whole in zip(scene.pieces[1:], silhouettes(scene, frame)):
            expected[whole] = piece.label
        ids = scene.render(frame)[1]
        # Pixels that are about half covered may fall to either side.
        assert (ids != expected).mean() < 0.004


def test_a_frame_shows_the_photographs_where_the_masks_are(sample_tool, args):
    scene = sample_tool.davis_scene(args, 'val', 1)
    for frame in (0, 5, 11):
        u = frame / (FRAMES - 1)
        image, ids = scene.render(frame)
        gain = 1 + 0.04 * np.sin(4 * np.pi * u)
        for piece in scene.pieces:
            rows, columns = np.nonzero(ids == piece.label)
            matrix = piece.motion(u)
            points = np.stack((columns, rows)) + 0.5 - matrix[:, 2:]
            x, y = np.linalg.solve(matrix[:, :2], points)
            photo = cv2.GaussianBlur(
                sample_tool.load_photo(piece.photo), (0, 0), 2
            )
            expected = cv2.remap(
                photo,
                (x - 0.5).astype(np.float32)[None],
                (y - 0.5).astype(np.float32)[None],
                cv2.INTER_LINEAR,
            )[0]
            error = image[rows, columns] / gain - expected
            assert np.abs(error).mean() < 15 and abs(error.mean()) < 2


def test_davis_lists_frames_and_masks(sample):
    root = sample / 'DAVIS'
    val = names(root / 'ImageSets/2017/val.txt')
    (late,) = names(root / 'ImageSets/2017/new-object.txt')
    testdev = names(root / 'ImageSets/2017/test-dev.txt')
    assert len(set(val)) == VIDEOS and len(set(testdev)) == VIDEOS // 2
    assert set(names(root / 'ImageSets/2016/val.txt')) < set(val)
    videos = sorted([*val, late, *testdev])
    assert names(root / 'JPEGImages/480p') == videos
    for video in videos:
        frames = [f'{t:05d}' for t in range(FRAMES)]
        found = names(root / 'JPEGImages/480p' / video)
        assert found == [f'{name}.jpg' for name in frames]
        given = names(root / 'Annotations/480p' / video)
        if video in testdev:
            frames = frames[:1]
        assert given == [f'{name}.png' for name in frames]
    with Image.open(root / f'Annotations/480p/{late}/00000.png') as image:
        assert (image.mode, image.size) == ('P', SIZE[::-1])
        palette = np.array(image.getpalette()).reshape(-1, 3)
    assert np.array_equal(palette[:8], davis_palette()[:8])


def test_davis_objects(sample, sample_tool, args):
    """All are there from the first frame on, whole there, hidden in part
    later; who passes by is background; a late object gets the next id."""
    root = sample / 'DAVIS/Annotations/480p'
    for index in range(VIDEOS):
        scene = sample_tool.davis_scene(args, 'val', index)
        masks = masks_of(root / scene.name)
        objects = set(range(1, 1 + (1, 2, 3, 2)[index]))
        shares = []
        for frame, mask in masks.items():
            assert ids_in(mask) == objects
            whole = silhouettes(scene, frame)
            shares.append([(mask == i)[whole[i - 1]].mean() for i in objects])
            if index == 3:
                assert whole[2].any() == (frame >= FRAMES // 3)
                assert (mask[whole[2]] > 0).sum() < 4
        assert min(shares[0]) > 0.95
        assert 0.4 < np.min(shares) and (index == 0 or np.min(shares) < 0.85)
    (late,) = root.glob('*-new-object')
    for frame, mask in masks_of(late).items():
        entered = frame >= FRAMES // 3
        assert ids_in(mask) == ({1, 2, 3} if entered else {1, 2})


def test_youtube_vos(sample, sample_tool, args):
    again = set()
    for year, split, count in (
        (2018, 'valid', 4),
        (2019, 'valid', 4),
        (2018, 'train', 2),
    ):
        root = sample / f'YTB/{year}'
        meta = json.loads((root / split / 'meta.json').read_text())['videos']
        assert len(meta) == count
        for index, name in enumerate(meta):
            assert len(name) == 10 and int(name, 16) >= 0
            scene = sample_tool.ytvos_scene(args, year, split, index)
            fifth = root / split / 'JPEGImages' / name
            every = root / f'{split}_all_frames/JPEGImages' / name
            assert [int(n[:-4]) for n in names(every)] == list(range(FRAMES))
            assert [int(n[:-4]) for n in names(fifth)] == [0, 5, 10]
            for path in fifth.iterdir():
                assert path.read_bytes() == (every / path.name).read_bytes()
            masks = masks_of(root / split / 'Annotations' / name)
            late = [p for p in scene.pieces if p.enters]
            assert bool(late) == (index % 2 == 0)
            objects = meta[name]['objects']
            assert set(objects) == {str(i) for i in scene.labels}
            for piece in scene.pieces[1:]:
                seen = objects[str(piece.label)]
                assert seen['category'] == piece.category
                assert seen['frames'][0] == f'{piece.enters:05d}'
            if split == 'train':
                assert set(masks) == {0, 5, 10}
                for frame, mask in masks.items():
                    assert np.array_equal(mask, scene.render(frame)[1])
                continue
            twins = root / 'valid_all_frames/Annotations' / name
            assert content(twins) == content(
                twins.parents[2] / f'valid/Annotations/{name}'
            )
            assert set(masks) == {0, *(p.enters for p in late)}
            assert np.array_equal(masks[0], scene.render(0)[1])
            for piece in late:
                mask, ids = masks[piece.enters], scene.render(piece.enters)[1]
                new = ids == piece.label
                assert new.any() and np.array_equal(mask == piece.label, new)
                again.add(bool(mask[~new].any()))
                if mask[~new].any():
                    assert np.array_equal(mask, ids)
    # Earlier objects are shown again in some videos only.
    assert again == {False, True}
    rows = names(sample / 'YTB/2018/train_all_frames/ytvos.csv')
    assert [row.split(',')[1:] for row in rows] == 2 * [['0', str(FRAMES)]]


def test_vip_names_and_parts(sample):
    root = sample / 'VIP/VIP_Fine'
    videos = names(root / 'lists/val_videos.txt')
    assert videos == [f'videos{i}' for i in range(1, VIDEOS + 1)]
    seen = []
    for video in videos:
        frames = [f'{1 + 25 * t:012d}' for t in range(FRAMES)]
        assert names(root / 'Images' / video) == [f'{f}.jpg' for f in frames]
        masks = masks_of(root / 'Annotations/Category_ids' / video)
        assert list(masks) == [int(f) for f in frames]
        seen += [ids_in(mask) for mask in masks.values()]
    parts = {2, 3, 5, 9, 13, 14, 15, 16, 17, 18, 19}
    assert set().union(*seen) == parts
    assert min(map(len, seen)) >= len(parts) - 2


def test_jhmdb_joints_are_inside_their_figure(sample, sample_tool, args):
    """The file's joints, counted from 1, are on the parts they belong to."""
    parts = dict(belly=5, neck=5, face=13, elbow=15, wrist=15, knee=17)
    parts.update(shoulder=5, hip=9, ankle=17)
    found = {}
    for index in range(VIDEOS + 1):
        scene = sample_tool.figure_scene(args, 'jhmdb', index)
        frames = names(sample / 'JHMDB/Rename_Images' / scene.name)
        assert frames == [f'{t:05d}.png' for t in range(1, FRAMES + 1)]
        path = sample / f'JHMDB/joint_positions/{scene.name}'
        joints = read_joints(str(path / 'joint_positions.mat'))
        assert joints.shape == (2, 15, FRAMES)
        found[scene.name] = 2 if index < VIDEOS else 1
        for frame in range(FRAMES):
            image, _ = scene.render(frame)
            stored = cv2.imread(
                str(sample / f'JHMDB/Rename_Images/{scene.name}')
                + f'/{frame + 1:05d}.png'
            )
            assert np.array_equal(image, stored)
            whole = silhouettes(scene, frame)
            for name, (x, y) in zip(JOINTS, joints[:, :, frame].T):
                side, joint = name.split()[0], name.split()[-1]
                label = parts[joint] - (side == 'left' and parts[joint] > 13)
                there = {
                    piece.label
                    for piece, mask in zip(scene.pieces[1:], whole)
                    if mask[round(y), round(x)]
                }
                assert label in there, (scene.name, name)
    for split in (1, 2, 3):
        listed = {}
        for path in (sample / 'JHMDB/splits').glob(f'*_split{split}.txt'):
            for line in path.read_text().splitlines():
                clip, part = line.split()
                action = path.name[: -len(f'_test_split{split}.txt')]
                listed[f'{action}/{clip[:-4]}'] = int(part)
        assert listed == found


@pytest.mark.parametrize('shape', [(120, 60), (60, 240), (56, 56)])
def test_figures_and_late_objects_fit_in_frames_of_any_shape(
    sample_tool, shape
):
    size = f'--size={shape[0]}x{shape[1]}'
    args = sample_tool.parse_args(['', '--frames=9', size])
    for index in range(4):
        scene = sample_tool.figure_scene(args, 'jhmdb', index)
        for frame in range(9):
            places = np.array(list(scene.joints(frame / 8).values()))
            assert places.min() > 2
            assert (places < np.array(shape[::-1]) - 2).all()
        video = sample_tool.davis_scene(args, 'new-object', index)
        seen = [ids_in(video.render(frame)[1]) for frame in range(9)]
        assert seen == 3 * [{1, 2}] + 6 * [{1, 2, 3}]


def test_coco(sample, sample_tool, args, shared_dir):
    coco_api = pytest.importorskip('pycocotools.coco')
    path = sample / 'coco/annotations/instances_train2017.json'
    coco = coco_api.COCO(str(path))
    assert names(sample / 'coco/train2017') == [
        f'{i:012d}.jpg' for i in range(1, IMAGES + 1)
    ]
    assert list(coco.imgs) == list(range(1, IMAGES + 1))
    for image in coco.imgs.values():
        pixels = cv2.imread(
            str(sample / 'coco/train2017' / image['file_name'])
        )
        assert pixels.shape == (image['height'], image['width'], 3)
    assert 10 < len({a['image_id'] for a in coco.anns.values()}) < IMAGES
    for number, annotation in coco.anns.items():
        mask = coco.annToMask(annotation)
        index = annotation['image_id']
        scene = sample_tool.draw_still(args, 'coco', index)
        named = [
            p for p in scene.pieces if p.category in sample_tool.CATEGORIES
        ]
        piece = named[number - min(coco.getAnnIds(index))]
        shown = scene.render(0)[1] == piece.label
        assert (mask & shown).sum() > 0.93 * (mask | shown).sum()
        assert (
            sample_tool.CATEGORIES[piece.category] == annotation['category_id']
        )
        assert mask.sum() == pytest.approx(annotation['area'], rel=0.03)
        x, y, w, h = annotation['bbox']
        rows, columns = np.nonzero(mask)
        seen = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert np.allclose(seen, (x, y, x + w, y + h), atol=2)
    real = shared_dir / 'data/coco128/annotations/instances_train2017.json'
    real = json.loads(real.read_text())['categories']
    real = {(each['id'], each['name']) for each in real}
    assert {(c['id'], c['name']) for c in coco.cats.values()} <= real


FOLDERS = {
    'images': 'photo_0001.jpg',
    'Static/JPEGImages/COCO': '000000000001.jpg',
    'Static/JPEGImages/MSRA10K': '1.jpg',
    'Static/JPEGImages/PASCAL': '2008_000001.jpg',
    'VOCdevkit/VOC2012/JPEGImages': '2008_000001.jpg',
    'MSRA10K_Imgs_GT/Imgs': '1.jpg',
}


@pytest.mark.parametrize('folder', FOLDERS)
def test_plain_folders(sample, folder):
    folder, first = sample / folder, FOLDERS[folder]
    photographs = names(folder, '.jpg')
    assert photographs[0] == first and len(photographs) == IMAGES // 10
    for name in names(folder, '.png'):
        mask = cv2.imread(str(folder / name))
        photograph = cv2.imread(str(folder / f'{name[:-4]}.jpg'))
        assert mask.shape == photograph.shape
        assert set(np.unique(mask).tolist()) <= {0, 255}
    masks = len(photographs) if folder.parts[-2] == 'MSRA10K_Imgs_GT' else 0
    assert len(names(folder, '.png')) == masks


@pytest.mark.parametrize(
    'count, dataset',
    [
        (48, dict(type='VOSDataset', data_root='DAVIS',
                  ann_file='ImageSets/2017/val.txt')),
        (12, dict(type='VOSDataset', data_root='DAVIS',
                  ann_file='ImageSets/2017/new-object.txt',
                  prompt_at='new_objects')),
        (24, dict(type='VOSDataset', data_root='DAVIS',
                  ann_file='ImageSets/2017/test-dev.txt')),
        (48, dict(type='YouTubeVOSDataset', data_root='YTB/2018')),
        (48, dict(type='YouTubeVOSDataset', data_root='YTB/2019')),
        (10, dict(type='VideoFramesDataset', ann_file='ytvos.csv',
                  data_root='YTB/2018/train_all_frames',
                  data_prefix=dict(img_path='JPEGImages'), max_per_video=5)),
        (48, dict(type='VIPDataset', data_root='VIP/VIP_Fine')),
        (48, dict(type='JHMDBDataset', data_root='JHMDB')),
        *((IMAGES // 10, dict(type='ImageFolderDataset', data_root=folder))
          for folder in list(FOLDERS)[:-1]),
        pytest.param(
            IMAGES,
            dict(type='mmdet.CocoDataset', data_root='coco',
                 ann_file='annotations/instances_train2017.json',
                 data_prefix=dict(img='train2017/')),
            marks=pytest.mark.mmdet),
    ],
)  # fmt: skip
def test_the_data_sets_read_it(sample, count, dataset):
    import hvc_mm.datasets  # noqa: F401

    if dataset['type'].startswith('mmdet'):
        import mmdet.datasets  # noqa: F401
    root = str(sample / dataset['data_root'])
    with DefaultScope.overwrite_default_scope('hvc_mm'):
        built = DATASETS.build(dict(dataset, data_root=root, pipeline=[]))
    assert len(built) == count


@pytest.mark.parametrize('layout', LAYOUTS)
def test_same_seed_same_bytes(sample_tool, layout, tmp_path, monkeypatch):
    """At any time: scipy writes the date into the files of joints."""
    wanted = ['--benchmarks', layout, *TINY]
    for folder, seed in (('a', '1'), ('b', '1'), ('c', '2')):
        assert not sample_tool.main(
            [str(tmp_path / folder), *wanted, '--seed', seed]
        )
        monkeypatch.setattr('time.asctime', lambda *_: 'Thu Jan  1 1970')
    first, again, other = (content(tmp_path / folder) for folder in 'abc')
    assert first == again != other


def test_more_videos_begin_with_the_same_ones(sample_tool, sample, tmp_path):
    wanted = [*SMALL, '--videos=2', '--benchmarks', 'davis']
    assert not sample_tool.main([str(tmp_path), *wanted])
    few = content(tmp_path / 'DAVIS/JPEGImages')
    assert few and few.items() <= content(sample / 'DAVIS/JPEGImages').items()


@pytest.mark.parametrize('frames', [1, 2, 4])
def test_short_videos_have_no_late_object(sample_tool, tmp_path, frames):
    wanted = [*TINY, f'--frames={frames}', '--benchmarks', 'davis', 'ytvos']
    assert not sample_tool.main([str(tmp_path), *wanted])
    late = tmp_path / 'DAVIS/ImageSets/2017/new-object.txt'
    assert late.exists() == (frames > 2)
    meta = json.loads((tmp_path / 'YTB/2018/valid/meta.json').read_text())
    for video in meta['videos'].values():
        begins = {o['frames'][0] for o in video['objects'].values()}
        assert begins == {'00000'}


def test_what_the_command_line_writes_and_tells(sample_tool, tmp_path, capsys):
    assert not sample_tool.main([str(tmp_path / 'data'), *TINY])
    printed = capsys.readouterr().out
    for part in ('coco: 4 images', '2 videos', 'MB', 'seed 0'):
        assert part in printed
    found = {path.name for path in (tmp_path / 'data').iterdir()}
    assert found == {'coco', 'DAVIS', 'sample.json'}


@pytest.mark.parametrize(
    'wrong, status, message',
    [
        (['--size', '60'], 2, 'expected HEIGHTxWIDTH'),
        (['--size', '-6x80'], 2, 'expected'),
        (['--benchmarks', 'imagenet'], 2, 'invalid choice'),
        (['--videos', '0'], 1, 'videos is 0; expected 1 or more'),
        (['--frames', '0'], 1, 'frames is 0; expected 1 or more'),
        (['--images', '0'], 1, 'images is 0; expected 1 or more'),
        (['--size', '47x100'], 1, 'expected height and width of 48'),
        (['--seed', '-1'], 1, 'seed is -1; expected 0 or more'),
    ],
)
def test_wrong_words(sample_tool, tmp_path, wrong, status, message, capsys):
    try:
        assert sample_tool.main([str(tmp_path / 'x'), *wrong]) == status
    except SystemExit as stop:
        assert stop.code == status
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'x').exists()


@pytest.fixture
def write(sample_tool, tmp_path, capsys):
    """Write a small sample with --force; return the error."""

    def run(*options):
        sample_tool.main([str(tmp_path), *TINY, *options])
        return capsys.readouterr().err

    return run


def test_a_folder_that_is_not_empty(write, tmp_path, sample_tool, capsys):
    (tmp_path / 'thesis.txt').write_text('mine')
    assert 'is not empty (it holds thesis.txt)' in write()
    assert names(tmp_path) == ['thesis.txt']
    assert not write('--force')
    assert (tmp_path / 'thesis.txt').read_text() == 'mine'
    assert sample_tool.main([str(tmp_path / 'thesis.txt')]) == 1
    assert 'is a file; expected a folder' in capsys.readouterr().err


def test_force_never_replaces_what_others_wrote(write, tmp_path):
    other = tmp_path / 'coco/train2017/000000000002.jpg'
    other.parent.mkdir(parents=True)
    other.write_text('a real one')
    wanted = ['--force', '--benchmarks', 'coco']
    assert f'{other} exists and is not of an earlier sample' in write(*wanted)
    assert other.read_text() == 'a real one'
    # What was written before the error is known as ours: it may be replaced.
    other.unlink()
    assert not write(*wanted)


def test_force_replaces_an_earlier_sample_layout_by_layout(write, tmp_path):
    write('--benchmarks', 'coco', 'davis')
    (tmp_path / 'coco/mine.txt').write_text('mine')
    davis = content(tmp_path / 'DAVIS')
    old = tmp_path / 'DAVIS/JPEGImages/480p'
    assert not write('--force', '--benchmarks', 'coco', '--images=2')
    assert content(tmp_path / 'DAVIS') == davis
    assert len(names(tmp_path / 'coco/train2017')) == 2
    assert (tmp_path / 'coco/mine.txt').exists()
    before = set(names(old))
    assert not write('--force', '--benchmarks', 'davis', '--seed=5')
    # Folders that became empty are gone.
    assert set(names(old)) != before and len(names(old)) == len(before)
    listed = json.loads((tmp_path / 'sample.json').read_text())['layouts']
    assert set(listed) == {'coco', 'davis'}
    found = {'coco/mine.txt', *listed['coco'], *listed['davis']}
    assert found == set(content(tmp_path))


def test_a_full_disk_leaves_whole_files_and_is_named(write, tmp_path):
    """And what was written is known as a sample's: the next run goes on."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, hard))
        error = write('--benchmarks', 'davis', '--size=120x160')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert 'File too large' in error and f'{tmp_path}/DAVIS' in error
    for path in tmp_path.rglob('*.jpg'):
        assert cv2.imread(str(path)) is not None
    assert not list(tmp_path.rglob('*.partial*'))
    if (tmp_path / 'sample.json').exists():
        json.loads((tmp_path / 'sample.json').read_text())
    assert not write('--force', '--benchmarks', 'davis')


def test_an_unreadable_list_is_an_error(write, tmp_path):
    (tmp_path / 'sample.json').write_text('{"layouts": ')
    assert 'sample.json is no list of an earlier sample' in write('--force')


@pytest.fixture
def package(tmp_path, monkeypatch, sample_tool):
    """Put an empty folder, or nothing, in the place of scikit-learn."""
    sample_tool.load_photo.cache_clear()
    real = importlib.util.find_spec
    fake = type('Spec', (), dict(submodule_search_locations=[str(tmp_path)]))

    def replace(by):
        monkeypatch.setattr(
            importlib.util,
            'find_spec',
            lambda name, *_: by if name == 'sklearn' else real(name, *_),
        )

    yield replace, fake
    sample_tool.load_photo.cache_clear()


def test_lack_of_photographs_is_told_before_anything_is_written(
    sample_tool, package, tmp_path, capsys
):
    replace, fake = package
    china = tmp_path / 'datasets/images/china.jpg'
    for spec, message in (
        (None, 'scikit-learn, which is not installed: pip install scikit-le'),
        (fake, f'scikit-learn is installed, but without {china}; expected a'),
    ):
        replace(spec)
        assert sample_tool.main([str(tmp_path / 'out'), *TINY]) == 1
        assert message in capsys.readouterr().err
    china.parent.mkdir(parents=True)
    china.write_text('no photograph')
    assert sample_tool.main([str(tmp_path / 'out'), *TINY]) == 1
    assert f'cannot decode {china}' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_photographs_are_in_colour_and_not_flat(sample_tool):
    for name in sample_tool.PHOTOS:
        photo = sample_tool.load_photo(name)
        assert photo.dtype == np.uint8 and photo.shape[2] == 3
        assert min(photo.shape[:2]) >= 300 and photo.std() > 20
    # The astronaut's suit is orange: much red, little blue.
    blue, _, red = sample_tool.load_photo('astronaut.png')[300, 100]
    assert int(red) > int(blue) + 80
