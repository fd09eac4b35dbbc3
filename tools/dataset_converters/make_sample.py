"""Write small data sets in the official layouts, to try everything on.

They are made from photographs that come inside the scikit-image and
scikit-learn wheels: nothing is downloaded. The same seed gives the same
files.

Example:
    python tools/dataset_converters/make_sample.py data
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
import zlib
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Callable, Iterator

import cv2
import numpy as np
from PIL import Image
from rich.progress import track
from sample_scenes import (
    ACTIONS,
    CATEGORIES,
    PHOTOS,
    Scene,
    draw_figure,
    draw_scene,
    load_photo,
    move,
    stream,
)

from hvc_mm.utils.files import whole_file, write_json

MANIFEST = 'sample.json'


class SampleFolder:
    """The folder that samples go to, and the list of what it wrote.

    Only files on that list, `sample.json`, are ever replaced or removed.

    Args:
        root: The folder; made if missing.
        force: Accept a folder that is not empty.
    """

    def __init__(self, root: Path, force: bool) -> None:
        self.root = root
        self.listed: dict[str, list[str]] = {}
        if root.exists() and not root.is_dir():
            raise NotADirectoryError(
                f'{root} is a file; expected a folder to write to'
            )
        found = sorted(root.iterdir()) if root.exists() else []
        if found and not force:
            raise FileExistsError(
                f'{root} is not empty (it holds {found[0].name}'
                f'{" and others" if len(found) > 1 else ""}); give an empty '
                'folder, or --force to write next to what is there'
            )
        if root / MANIFEST in found:
            try:
                text = (root / MANIFEST).read_text()
                self.listed = json.loads(text)['layouts']
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f'{root / MANIFEST} is no list of an earlier sample '
                    f'({error!r}); move it away'
                ) from error
        self._ours = {f for files in self.listed.values() for f in files}

    def write_layout(self, name: str, args: argparse.Namespace) -> None:
        """Write one data set in place of an earlier one."""
        self.counts: Counter = Counter()
        self.sizes: dict[str, int] = {}
        earlier = set(self.listed.get(name, ()))
        try:
            LAYOUTS[name](self, args)
            for file in earlier - set(self.sizes):
                self._remove(self.root / file)
        finally:
            # What was written before an error may be replaced later.
            files = sorted(earlier | set(self.sizes))
            files = [file for file in files if (self.root / file).exists()]
            if files:
                self.listed[name] = files
                write_json(self.root / MANIFEST, {'layouts': self.listed})

    def _remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        for folder in path.parents:
            if folder == self.root or any(folder.iterdir()):
                return
            folder.rmdir()

    def write(self, name: str, content: bytes) -> None:
        """Write a file, unless there is one that no sample wrote."""
        path = self.root / name
        if path.exists() and name not in self._ours:
            raise FileExistsError(
                f'{path} exists and is not of an earlier sample; move it, or '
                'write to another folder'
            )
        with whole_file(path) as partial:
            partial.write_bytes(content)
        self._ours.add(name)
        self.sizes[name] = len(content)

    def write_lines(self, name: str, lines: list[str]) -> None:
        """Write a text file."""
        self.write(name, ''.join(f'{line}\n' for line in lines).encode())

    def write_image(self, name: str, image: np.ndarray) -> None:
        """Write ``(H, W, 3)`` uint8 BGR; the name's ending is the format."""
        self.write(name, cv2.imencode(Path(name).suffix, image)[1].tobytes())

    def write_ids(self, name: str, ids: np.ndarray) -> None:
        """Write ``(H, W)`` uint8 ids as a palette PNG."""
        # Here, so that --help answers at once.
        from hvc_mm.datasets.id_masks import davis_palette

        image, content = Image.fromarray(ids), io.BytesIO()
        image.putpalette(davis_palette().tobytes())
        image.save(content, 'PNG')
        self.write(name, content.getvalue())
        self.counts['masks'] += 1

    def write_video(
        self,
        scene: Scene,
        frames: str,
        masks: str = '',
        given: int = 0,
        number: Callable[[int], int] = int,
    ) -> None:
        """Write a scene's frames, and masks of the first ``given`` ones.

        ``frames`` and ``masks`` are patterns of file names that take
        ``number(frame)``.
        """
        for frame in range(scene.length):
            image, ids = scene.render(frame)
            self.write_image(frames.format(number(frame)), image)
            if frame < given:
                self.write_ids(masks.format(number(frame)), ids)
        self.count(scene)

    def count(self, scene: Scene) -> None:
        """Count a video."""
        objects = len(scene.labels)
        self.counts.update(videos=1, frames=scene.length, objects=objects)


# (H, W) of stills, the usual shapes of COCO's images at half their size.
_SHAPES = ((240, 320), (320, 240), (212, 320), (256, 256))
_YTVOS_STEP = 5  # YouTube-VOS annotates one frame in five,
_VIP_STEP = 25  # VIP one in 25.
_MAT_TEXT = 116  # Bytes of free text at the head of a MATLAB 5 file.


def draw_still(args: argparse.Namespace, purpose: str, index: int) -> Scene:
    """Draw an image for pre-training: a scene of one frame, or no object."""
    rng = stream(args.seed, purpose, index)
    shape = _SHAPES[rng.integers(len(_SHAPES))]
    return draw_scene(rng, '', 1, shape, int(rng.integers(4)))


def _annotations(scene: Scene) -> Iterator[dict]:
    """Describe what a still shows in COCO's manner."""
    for piece in scene.pieces:
        if piece.category in CATEGORIES:
            outline = move(piece.motion(0), piece.outline)
            outline = np.clip(outline, 0, scene.size[::-1]).round(2)
            (x, y), low, high = outline.T, outline.min(0), outline.max(0)
            area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
            yield dict(
                category_id=CATEGORIES[piece.category],
                bbox=np.round([*low, *(high - low)], 2).tolist(),
                area=round(float(area), 2),
                iscrowd=0,
                segmentation=[outline.reshape(-1).tolist()],
            )


def write_coco(folder: SampleFolder, args: argparse.Namespace) -> None:
    """Write `coco/train2017` and its instances."""
    images, annotations = [], []
    for image_id in track(range(1, args.images + 1), 'coco'):
        scene = draw_still(args, 'coco', image_id)
        name = f'{image_id:012d}.jpg'
        folder.write_image(f'coco/train2017/{name}', scene.render(0)[0])
        height, width = scene.size
        images.append(
            dict(id=image_id, file_name=name, height=height, width=width)
        )
        found = list(_annotations(scene))
        for number, each in enumerate(found, len(annotations) + 1):
            annotations.append(dict(id=number, image_id=image_id, **each))
        folder.counts.update({'images': 1, 'objects': len(found)})
        # Some show nothing of COCO's categories, as in COCO itself.
        folder.counts['images without objects'] += not found
    content = dict(
        info=dict(description='things cut from a few photographs'),
        images=images,
        annotations=annotations,
        categories=[dict(id=i, name=name) for name, i in CATEGORIES.items()],
    )
    path = 'coco/annotations/instances_train2017.json'
    folder.write_lines(path, [json.dumps(content)])


def davis_scene(args: argparse.Namespace, split: str, index: int) -> Scene:
    """Draw a video of DAVIS's `val`, of `test-dev`, or with a `new-object`.

    In every fourth video of `val` a further thing comes in later and passes
    in front, and its pixels are background, as in DAVIS.
    """
    new = split == 'new-object'
    passed = split == 'val' and index % 4 == 3
    objects = {'val': (1, 2, 3, 2), 'test-dev': (2, 3)}.get(split, (2,))
    suffix = split if new else f'{split}-{index:02d}'
    return draw_scene(
        stream(args.seed, f'davis-{split}', index),
        f'{{objects}}-{suffix.replace("val-", "")}',
        args.frames,
        args.size,
        objects[index % len(objects)],
        late=args.frames // 3 if passed or new else 0,
        late_label=3 if new else 0,
    )


def write_davis(
    folder: SampleFolder, args: argparse.Namespace, split: str = 'val'
) -> None:
    """Write a split of DAVIS-2017; with val, two more lists.

    DAVIS-2016 val holds two thirds of its videos, as in reality;
    `new-object` one more video, for methods that take new objects.
    """
    half = max(args.videos // 2, 1)
    count = {'val': args.videos, 'test-dev': half}.get(split, 1)
    given = 1 if split == 'test-dev' else args.frames
    names = []
    for index in track(range(count), f'davis {split}'):
        scene = davis_scene(args, split, index)
        names.append(scene.name)
        stem = f'480p/{scene.name}/{{:05d}}'
        frames, masks = f'JPEGImages/{stem}.jpg', f'Annotations/{stem}.png'
        folder.write_video(scene, f'DAVIS/{frames}', f'DAVIS/{masks}', given)
    folder.write_lines(f'DAVIS/ImageSets/2017/{split}.txt', names)
    if split == 'val':
        older = names[: max(1, round(len(names) * 2 / 3))]
        folder.write_lines('DAVIS/ImageSets/2016/val.txt', older)
        if args.frames >= 3:
            write_davis(folder, args, 'new-object')


def ytvos_scene(
    args: argparse.Namespace, year: int, split: str, index: int
) -> Scene:
    """Draw one of YouTube-VOS's videos; every other has a late object."""
    # It comes at an annotated frame, if there are more than two of them.
    late = max(args.frames // 3 // _YTVOS_STEP, 1) * _YTVOS_STEP
    if index % 2 or args.frames <= 2 * _YTVOS_STEP:
        late = 0
    # Names are ten hexadecimal digits, as those of YouTube-VOS.
    key = f'{year} {split} {args.seed} {index}'.encode()
    return draw_scene(
        stream(args.seed, f'ytvos-{year}-{split}', index),
        f'{index % 256:02x}{zlib.crc32(key):08x}',
        args.frames,
        args.size,
        objects=1 + index % 3,
        late=late,
        late_label=2 + index % 3,
    )


def _given_masks(
    masks: dict[int, np.ndarray], again: bool
) -> dict[int, np.ndarray]:
    """Keep what a valid set gives: the masks ``(H, W)`` where objects begin.

    With ``again`` a late mask shows the earlier objects too.
    """
    given, known = {}, {0}
    for frame, ids in masks.items():
        new = set(np.unique(ids).tolist()) - known
        if new:
            shown = np.isin(ids, list(new)) | again
            given[frame] = ids * shown.astype(np.uint8)
        known |= new
    return given


def _meta(scene: Scene, masks: dict[int, np.ndarray]) -> dict:
    """Tell objects and the annotated frames that show them."""
    objects = {}
    for piece in scene.pieces:
        if piece.label:
            seen = [
                t for t, ids in masks.items() if (ids == piece.label).any()
            ]
            objects[str(piece.label)] = dict(
                category=piece.category, frames=[f'{t:05d}' for t in seen]
            )
    return dict(objects=objects)


def write_ytvos(
    folder: SampleFolder,
    args: argparse.Namespace,
    year: int = 2018,
    split: str = 'valid',
) -> None:
    """Write one split of YouTube-VOS; before 2018's valid, its train.

    In ``<split>`` there is every fifth frame, in ``<split>_all_frames`` all.
    ``train`` has masks of every fifth, ``valid`` where objects begin.
    """
    if year == 2018 and split == 'valid':
        write_ytvos(folder, args, 2018, 'train')
    root, meta, rows = f'YTB/{year}', {}, []
    count = args.videos if split == 'valid' else max(args.videos // 2, 1)
    for index in track(range(count), f'ytvos {year} {split}'):
        scene = ytvos_scene(args, year, split, index)
        masks, places = {}, [split]
        for frame in range(scene.length):
            image, ids = scene.render(frame)
            stem = f'JPEGImages/{scene.name}/{frame:05d}.jpg'
            folder.write_image(f'{root}/{split}_all_frames/{stem}', image)
            if frame % _YTVOS_STEP == 0:
                masks[frame] = ids
                folder.write_image(f'{root}/{split}/{stem}', image)
        meta[scene.name] = _meta(scene, masks)
        rows.append(f'{scene.name},0,{scene.length}')
        if split == 'valid':
            # Releases repeat the masks next to all frames.
            places.append('valid_all_frames')
            masks = _given_masks(masks, again=index % 4 >= 2)
        for frame, ids in masks.items():
            for place in places:
                stem = f'Annotations/{scene.name}/{frame:05d}.png'
                folder.write_ids(f'{root}/{place}/{stem}', ids)
        folder.count(scene)
    text = json.dumps(dict(videos=meta), indent=1)
    folder.write_lines(f'{root}/{split}/meta.json', [text])
    if split == 'train':
        folder.write_lines(f'{root}/train_all_frames/ytvos.csv', rows)


def figure_scene(
    args: argparse.Namespace, benchmark: str, index: int
) -> Scene:
    """Draw one of VIP's or JHMDB's videos; its action goes by the index."""
    action = list(ACTIONS)[index % len(ACTIONS)]
    name = f'videos{index + 1}'
    if benchmark == 'jhmdb':
        name = f'{action}/sample_{action}_f_nm_np1_fr_med_{index}'
    rng = stream(args.seed, benchmark, index)
    return draw_figure(rng, name, action, args.frames, args.size)


def write_vip(folder: SampleFolder, args: argparse.Namespace) -> None:
    """Write `VIP/VIP_Fine`: images, category ids, the list of val videos."""
    root, names = 'VIP/VIP_Fine', []
    for index in track(range(args.videos), 'vip'):
        scene = figure_scene(args, 'vip', index)
        names.append(scene.name)
        folder.write_video(
            scene,
            f'{root}/Images/{scene.name}/{{:012d}}.jpg',
            f'{root}/Annotations/Category_ids/{scene.name}/{{:012d}}.png',
            args.frames,
            lambda frame: 1 + _VIP_STEP * frame,
        )
    folder.write_lines(f'{root}/lists/val_videos.txt', names)


def encode_joints(scene: Scene) -> bytes:
    """Make the content of a `joint_positions.mat`.

    ``pos_img`` is ``(2, 15, T)``, in pixels counted from 1, as in MATLAB.
    """
    from scipy.io import savemat

    from hvc_mm.datasets.jhmdb import JOINTS

    moments = [scene.joints(scene.moment(t)) for t in range(scene.length)]
    joints = np.array([[at[name] for name in JOINTS] for at in moments])
    content = io.BytesIO()
    # A scene counts from a pixel's corner.
    savemat(content, dict(pos_img=joints.T + 0.5), do_compression=True)
    # scipy puts the time there; the same sample must have the same bytes.
    text = b'MATLAB 5.0 MAT-file, joints of a drawn figure'
    return text.ljust(_MAT_TEXT) + content.getvalue()[_MAT_TEXT:]


def write_jhmdb(folder: SampleFolder, args: argparse.Namespace) -> None:
    """Write `JHMDB`: ``--videos`` test clips and one training clip."""
    classes: dict[str, list[str]] = {}
    for index in track(range(args.videos + 1), 'jhmdb'):
        scene = figure_scene(args, 'jhmdb', index)
        folder.write_video(
            scene,
            f'JHMDB/Rename_Images/{scene.name}/{{:05d}}.png',
            number=lambda frame: frame + 1,
        )
        path = f'JHMDB/joint_positions/{scene.name}/joint_positions.mat'
        folder.write(path, encode_joints(scene))
        action, clip = scene.name.split('/')
        part = 2 if index < args.videos else 1  # 1 trains, 2 tests
        classes.setdefault(action, []).append(f'{clip}.avi {part}')
    for split in (1, 2, 3):
        for action, lines in classes.items():
            path = f'JHMDB/splits/{action}_test_split{split}.txt'
            folder.write_lines(path, lines)


# Folders of photographs for pre-training: official layouts, those of HVC's
# release (`Static`), and what `configs/hvc_folder.py` reads by default.
_FOLDERS = {
    'images': 'photo_{:04d}.jpg',
    'Static/JPEGImages/COCO': '{:012d}.jpg',
    'Static/JPEGImages/MSRA10K': '{}.jpg',
    'Static/JPEGImages/PASCAL': '2008_{:06d}.jpg',
    'VOCdevkit/VOC2012/JPEGImages': '2008_{:06d}.jpg',
    'MSRA10K_Imgs_GT/Imgs': '{}.jpg',
}


def write_folders(folder: SampleFolder, args: argparse.Namespace) -> None:
    """Write these, each with a tenth of the images.

    MSRA10K has the mask of the salient objects next to each photograph.
    """
    count = max(args.images // 10, 1)
    for path, pattern in track(_FOLDERS.items(), 'folder'):
        for index in range(1, count + 1):
            image, ids = draw_still(args, path, index).render(0)
            name = f'{path}/{pattern.format(index)}'
            folder.write_image(name, image)
            if path.startswith('MSRA10K'):
                mask = 255 * (ids > 0).astype(np.uint8)
                folder.write_image(name[:-3] + 'png', cv2.merge([mask] * 3))
    folder.counts.update(images=count * len(_FOLDERS), folders=len(_FOLDERS))


LAYOUTS: dict[str, Callable] = {
    'coco': write_coco,
    'davis': write_davis,
    'davis_testdev': partial(write_davis, split='test-dev'),
    'ytvos': write_ytvos,
    'ytvos19': partial(write_ytvos, year=2019),
    'vip': write_vip,
    'jhmdb': write_jhmdb,
    'folder': write_folders,
}


def parse_size(text: str) -> tuple[int, int]:
    """'240x432' to (height, width)."""
    parts = text.lower().split('x')
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(
            f'{text!r} is no size; expected HEIGHTxWIDTH, e.g. 240x432'
        )
    return int(parts[0]), int(parts[1])


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n\n')[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add('out', type=Path, help='an empty or new folder, e.g. data')
    add(
        '--benchmarks',
        nargs='+',
        choices=(*LAYOUTS, 'all'),
        default=['coco', 'davis'],
        metavar='NAME',
        help=f'which of {", ".join(LAYOUTS)}, or all',
    )
    add('--seed', type=int, default=0, help='of every random choice')
    add('--videos', type=int, default=4, help='videos per benchmark')
    add('--frames', type=int, default=30, help='frames per video')
    add(
        '--size',
        type=parse_size,
        default=(240, 432),
        metavar='HxW',
        help='height and width of the frames',
    )
    add('--images', type=int, default=200, help='images for pre-training')
    add(
        '--force',
        action='store_true',
        help='write into a folder that is not empty; an earlier sample is '
        'replaced, other files are never touched',
    )
    return parser.parse_args(argv)


def write(args: argparse.Namespace) -> None:
    """Write what the command line asks for."""
    for name, least in dict(seed=0, videos=1, frames=1, images=1).items():
        if getattr(args, name) < least:
            raise ValueError(
                f'{name} is {getattr(args, name)}; expected {least} or more'
            )
    if min(args.size) < 48:
        raise ValueError(
            f'size is {args.size}; expected height and width of 48 or more'
        )
    started = time.perf_counter()
    folder = SampleFolder(args.out, args.force)
    for photo in PHOTOS:
        load_photo(photo)
    for name in LAYOUTS:
        if name in args.benchmarks or 'all' in args.benchmarks:
            folder.write_layout(name, args)
            counts = [f'{n} {kind}' for kind, n in folder.counts.items() if n]
            size = sum(folder.sizes.values()) / 1e6
            print(f'{name}: {", ".join(counts)}; {size:.1f} MB')
    seconds = time.perf_counter() - started
    print(f'wrote {args.out} (seed {args.seed}) in {seconds:.1f} s')


def main(argv: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    args = parse_args(argv)
    try:
        write(args)
    except (OSError, ValueError, ModuleNotFoundError) as error:
        print(f'make_sample: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
