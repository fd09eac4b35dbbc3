"""What is fuzzed: each kind of file, the door that reads it, and a judge.

A judge decodes the mutated bytes without the project's code and raises where
they are damaged. Only what it says too counts as read rightly.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional

import cv2
import numpy as np
from mutations import BYTES, Rng
from oracles import decode_jpeg, decode_png
from PIL import Image
from scipy.io import loadmat, savemat

SIZE = (40, 56)


class Mutant(NamedTuple):
    """A damaged file; with its value, where that is known by construction."""

    data: bytes
    value: Any = None


class Reader:
    """A kind of file that the project reads.

    ``content`` is a whole file's, ``read`` the project's door (a path to a
    value), ``judge`` an independent one (bytes to a value).
    """

    suffix = '.bin'
    value: Any = None  # of the whole file
    mmdet = False

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = root / f'given{self.suffix}'
        self.content = self.make()

    def make(self) -> bytes:
        """Make a whole file's content, and what must be around it."""
        raise NotImplementedError

    def read(self) -> Any:
        """Read :attr:`path` as a run would."""
        raise NotImplementedError

    def judge(self, data: bytes) -> Any:
        """Decode without the project; raises where it is damaged."""
        raise NotImplementedError

    def mutate(self, kind: str, rng: Rng) -> Mutant:
        """Damage the whole content."""
        if kind == 'depth':
            return self.deepen(rng)
        return Mutant(BYTES[kind](self.content, rng))

    def deepen(self, rng: Rng) -> Mutant:
        """Make a file of another depth: of bits, or of nesting."""
        raise NotImplementedError

    def named(self, message: str) -> bool:
        """Tell whether an error says which file is wrong."""
        return str(self.path) in message


def picture(rng: Rng, *channels: int) -> np.ndarray:
    """Draw a smooth picture, ``(H, W, C)`` uint8."""
    noise = rng.integers(0, 256, (*SIZE, *channels), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def png(array: np.ndarray, mode: Optional[str] = None) -> bytes:
    """Encode a PNG by Pillow."""
    content = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(content, 'PNG')
    return content.getvalue()


def id_png(ids: np.ndarray, depth: int, palette: bool) -> bytes:
    """Encode ids by the standard, ``depth`` bits a pixel."""
    bits = np.unpackbits(ids.astype(np.uint8)[..., None], axis=2)
    rows = np.packbits(bits[..., 8 - depth :].reshape(len(ids), -1), axis=1)
    raw = b''.join(b'\0' + row.tobytes() for row in rows)
    header = struct.pack(
        '>IIBBBBB', *ids.shape[::-1], depth, 3 * palette, *3 * (0,)
    )
    colours = bytes(range(3 * 2**depth % 256)).ljust(3 * 2**depth, b'\7')
    parts = {b'IHDR': header, b'PLTE': colours, b'IDAT': zlib.compress(raw)}
    if not palette:
        del parts[b'PLTE']
    content = b'\x89PNG\r\n\x1a\n'
    for kind, body in {**parts, b'IEND': b''}.items():
        check = zlib.crc32(kind + body).to_bytes(4, 'big')
        content += len(body).to_bytes(4, 'big') + kind + body + check
    return content


class Frame(Reader):
    """A frame, JPEG or PNG."""

    def read(self) -> np.ndarray:
        from hvc_mm.datasets import read_image

        return read_image(self.path)

    def deepen(self, rng: Rng) -> Mutant:
        """Grey and 16-bit values, more channels, huge sizes."""
        grey = picture(rng)
        colour = np.repeat(grey[..., None], 3, -1)
        kinds = [
            Mutant(png(grey), colour),
            Mutant(png(grey.astype(np.uint16) * 257), colour),
            Mutant(png(np.dstack([grey] * 4)), colour),
            Mutant(cv2.imencode('.tiff', grey * 257.0)[1].tobytes(), None),
            Mutant(cv2.imencode('.tiff', grey / 255)[1].tobytes(), colour),
            Mutant(self.huge(), None),
        ]
        return kinds[rng.integers(len(kinds))]

    def huge(self) -> bytes:
        """Claim a size that would take 40 GB."""
        data = id_png(np.zeros((1, 1)), 8, False)
        body = b'IHDR' + struct.pack('>IIBBBBB', 10**5, 10**5, 8, 2, 0, 0, 0)
        body += zlib.crc32(body).to_bytes(4, 'big')
        return data[:12] + body + data[33:]


class JpegFrame(Frame):
    """A frame as DAVIS has it."""

    suffix = '.jpg'

    def make(self) -> bytes:
        drawn = picture(np.random.default_rng(0), 3)
        return cv2.imencode('.jpg', drawn)[1].tobytes()

    def judge(self, data: bytes) -> np.ndarray:
        return decode_jpeg(data)


class PngFrame(Frame):
    """A frame as JHMDB has it."""

    suffix = '.png'

    def make(self) -> bytes:
        return png(picture(np.random.default_rng(0), 3))

    def judge(self, data: bytes) -> np.ndarray:
        return decode_png(data)[..., ::-1]


class IdMask(Reader):
    """An annotation."""

    suffix = '.png'

    def make(self) -> bytes:
        self.ids = np.zeros(SIZE, np.uint8)
        self.ids[5:20, 5:20], self.ids[22:36, 10:50] = 1, 2
        return id_png(self.ids, 8, True)

    def read(self) -> np.ndarray:
        from hvc_mm.datasets import read_id_mask

        return read_id_mask(self.path)

    def judge(self, data: bytes) -> np.ndarray:
        ids = decode_png(data)
        if ids.ndim != 2:
            raise ValueError('colours')
        return ids

    def deepen(self, rng: Rng) -> Mutant:
        """Ids in 1, 2, 4 and 8 bits, grey or palette; 16 bits, colours."""
        ids, depth = self.ids, int(rng.choice([1, 2, 4, 8, 16, 24]))
        if depth == 16:
            return Mutant(png(ids.astype(np.uint16)), ids)
        if depth == 24:
            return Mutant(png(np.dstack([ids] * 3)), None)
        ids = ids & (2**depth - 1)
        return Mutant(id_png(ids, depth, bool(rng.integers(2))), ids)


class MaskToScore(IdMask):
    """A mask that eval_masks.py scores."""

    def make(self) -> bytes:
        content = super().make()
        davis_world(self.root, content)
        self.masks = self.root / 'masks/one'
        self.masks.mkdir(parents=True)
        for frame in range(4):
            (self.masks / f'{frame:05d}.png').write_bytes(content)
        self.path = self.masks / '00001.png'
        return content

    def read(self) -> float:
        found = eval_masks('davis17_val', self.root, self.root / 'masks')
        return found['davis/J_mean']

    def judge(self, data: bytes) -> float:
        return self.score(super().judge(data))

    def score(self, ids: np.ndarray) -> float:
        """J of frame 1 in percent, averaged with that of a perfect one."""
        if ids.shape != self.ids.shape or ids.max() > 2:
            raise ValueError('not a mask of these objects')
        shares = [
            ((ids == i) & (self.ids == i)).sum()
            / ((ids == i) | (self.ids == i)).sum()
            for i in (1, 2)
        ]
        return 50 + 50 * float(np.mean(shares))

    def deepen(self, rng: Rng) -> Mutant:
        mutant = super().deepen(rng)
        if mutant.value is None:
            return mutant
        return Mutant(mutant.data, self.score(mutant.value))


def davis_world(root: Path, mask: bytes) -> None:
    """Write a DAVIS of one video of four frames."""
    frames = root / 'DAVIS/JPEGImages/480p/one'
    masks = root / 'DAVIS/Annotations/480p/one'
    lists = root / 'DAVIS/ImageSets/2017'
    for folder in (frames, masks, lists):
        folder.mkdir(parents=True)
    picture_ = picture(np.random.default_rng(0), 3)
    for frame in range(4):
        cv2.imwrite(str(frames / f'{frame:05d}.jpg'), picture_)
        (masks / f'{frame:05d}.png').write_bytes(mask)
    (lists / 'val.txt').write_text('one\n')


def eval_masks(config: str, data: Path, pred: Path) -> Dict[str, float]:
    """Call the tool in this process."""
    import eval_masks as tool

    folder = Path(__file__).resolve().parents[2] / 'configs/_base_/datasets'
    options = [f'data_root={data}', 'test_evaluator.num_workers=0']
    given = [str(folder / f'{config}.py'), f'--pred={pred}', '--cfg-options']
    return tool.main([*given, *options])


def joints_world(root: Path) -> Path:
    """Write a JHMDB of one clip of five frames; give its file of joints."""
    clip = root / 'JHMDB/Rename_Images/wave/clip'
    clip.mkdir(parents=True)
    for frame in range(1, 6):
        cv2.imwrite(
            str(clip / f'{frame:05d}.png'),
            picture(np.random.default_rng(0), 3),
        )
    (root / 'JHMDB/splits').mkdir()
    split = root / 'JHMDB/splits/wave_test_split1.txt'
    split.write_text('clip.avi 2\n')
    path = root / 'JHMDB/joint_positions/wave/clip/joint_positions.mat'
    path.parent.mkdir(parents=True)
    save_joints(path, some_joints())
    return path


def some_joints() -> np.ndarray:
    """Draw joints ``(2, 15, 5)`` inside the frame."""
    rng = np.random.default_rng(1)
    size = np.array(SIZE[::-1]).reshape(2, 1, 1)
    return rng.uniform(0.2, 0.8, (2, 15, 5)) * size


def save_joints(where: Any, value: Any) -> None:
    savemat(where, {'pos_img': value}, do_compression=True)


def other_arrays(array: np.ndarray, rng: Rng, kind: str) -> Any:
    """Change the type, the axes or the values of an array."""
    if kind == 'swap':
        first, second = rng.permutation(array.ndim)[:2]
        return array.swapaxes(first, second)
    if kind == 'depth':
        changed = (
            *(array[None], array[0], array.ravel(), array[..., None]),
            *(np.float64(1), array[:0], np.stack([array] * 2)),
        )
        return changed[rng.integers(len(changed))]
    damaged = array.copy()
    damaged.flat[rng.integers(array.size)] = rng.choice(
        [np.nan, np.inf, -np.inf, 1e300]
    )
    changed = (
        *(array.astype(np.float32), array.astype(np.int16), damaged),
        *(array.astype(str), array.astype(object), array + 1j, array > 9),
    )
    return changed[rng.integers(len(changed))]


def checked_joints(joints: np.ndarray, frames: int = 5) -> np.ndarray:
    """Accept what can be joints of the clip."""
    if joints.dtype.kind not in 'fiu':
        raise ValueError('no numbers')
    joints = joints[..., :frames].astype(np.float64)
    if joints.shape != (2, 15, frames) or not np.isfinite(joints).all():
        raise ValueError('no joints')
    return joints


class Joints(Reader):
    """An annotation of JHMDB."""

    def make(self) -> bytes:
        self.path = joints_world(self.root)
        self.joints = some_joints()
        return self.path.read_bytes()

    def mutate(self, kind: str, rng: Rng) -> Mutant:
        if kind in ('swap', 'depth') or (
            kind == 'wrong type' and rng.integers(2)
        ):
            content = io.BytesIO()
            save_joints(content, other_arrays(self.joints, rng, kind))
            return Mutant(content.getvalue())
        return Mutant(BYTES[kind](self.content, rng))

    def read(self) -> np.ndarray:
        items = build_dataset('hvc_jhmdb', self.root)
        return np.stack([item['gt_joints'] for item in items], -1) + 1

    def judge(self, data: bytes) -> np.ndarray:
        return checked_joints(np.asarray(loadmat(io.BytesIO(data))['pos_img']))


def build_dataset(config: str, root: Path, part: str = 'test') -> list:
    """List the items of a config's data set."""
    from hvc_mm.engine.run_config import read_config
    from hvc_mm.registry import DATASETS

    cfg = read_config(config, {'data_root': str(root)})
    settings = {**cfg[f'{part}_dataloader'].dataset, 'pipeline': []}
    built = DATASETS.build(settings)
    return [built.get_data_info(i) for i in range(len(built))]


class JointsToScore(Reader):
    """Joints that eval_masks.py scores."""

    suffix = '.npy'

    def make(self) -> bytes:
        joints_world(self.root)
        size = np.array(SIZE[::-1]).reshape(2, 1, 1)
        self.cells = (some_joints() - 1) / size * 40
        self.path = self.root / 'pred/wave/clip.npy'
        self.path.parent.mkdir(parents=True)
        np.save(self.path, self.cells)
        return self.path.read_bytes()

    def mutate(self, kind: str, rng: Rng) -> Mutant:
        if kind in ('swap', 'depth') or (
            kind == 'wrong type' and rng.integers(2)
        ):
            content = io.BytesIO()
            np.save(content, other_arrays(self.cells, rng, kind))
            return Mutant(content.getvalue())
        return Mutant(BYTES[kind](self.content, rng))

    def read(self) -> list:
        found = eval_masks('jhmdb_split1', self.root, self.root / 'pred')
        return [found[f'jhmdb/PCK@0.{i}'] for i in range(1, 6)]

    def judge(self, data: bytes) -> list:
        from hvc_mm.evaluation.functional import pck

        cells = checked_joints(np.load(io.BytesIO(data), allow_pickle=False))
        thresholds = (0.1, 0.2, 0.3, 0.4, 0.5)
        return pck([some_joints() - 1], [cells], [SIZE], thresholds).tolist()


class Video(Reader):
    """A video of the user's own."""

    suffix = '.mp4'
    code = 'mp4v'

    def make(self) -> bytes:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        code = cv2.VideoWriter_fourcc(*self.code)
        writer = cv2.VideoWriter(str(self.path), code, 12, SIZE[::-1])
        for seed in range(6):
            writer.write(picture(np.random.default_rng(seed), 3))
        writer.release()
        content = self.path.read_bytes()
        self.frames = self.read()
        return content

    def read(self) -> np.ndarray:
        from hvc_mm.apis.video_io import open_frames

        with warnings.catch_warnings():
            # A warning that names the file is a notice, too.
            warnings.simplefilter('error', UserWarning)
            frames = [frame.image for frame in open_frames(self.path)]
        return np.stack(frames)

    def judge(self, data: bytes) -> np.ndarray:
        if data != self.content:
            raise ValueError('video streams have no checksums')
        return self.frames

    def deepen(self, rng: Rng) -> Mutant:
        """Give it another name's format, or no frame."""
        other = Path(self.root, 'other.avi')
        code = cv2.VideoWriter_fourcc(*'MJPG')
        writer = cv2.VideoWriter(str(other), code, 12, SIZE[::-1])
        for frame in self.frames[: int(rng.integers(0, 7))]:
            writer.write(frame)
        writer.release()
        reader, frames = cv2.VideoCapture(str(other)), []
        while reader.isOpened() and reader.grab():
            frames.append(reader.retrieve()[1])
        return Mutant(other.read_bytes(), np.stack(frames) if frames else None)


class MotionJpeg(Video):
    """A video of whole pictures."""

    suffix = '.avi'
    code = 'MJPG'
