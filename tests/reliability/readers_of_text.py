"""The same for lists, JSON, checkpoints, configs and options."""

from __future__ import annotations

import argparse
import ast
import io
import json
from pathlib import Path
from typing import Any, Callable, Dict

import cv2
import numpy as np
import torch
import yaml
from mutations import BYTES, OTHER_VALUES, TREES, Rng, nest, nest_text
from readers import (
    SIZE,
    Mutant,
    Reader,
    build_dataset,
    davis_world,
    id_png,
    joints_world,
    picture,
)


class Tree(Reader):
    """A file of nested fields; ``tree`` is those of a whole one."""

    tree: Any = None

    def dump(self, tree: Any) -> bytes:
        return json.dumps(tree).encode()

    def make(self) -> bytes:
        return self.dump(self.tree)

    def mutate(self, kind: str, rng: Rng) -> Mutant:
        if kind in ('swap', 'wrong type'):
            return Mutant(self.dump(TREES[kind](self.tree, rng)))
        return super().mutate(kind, rng)

    def deepen(self, rng: Rng) -> Mutant:
        return Mutant(nest_text(self.content.decode(), rng).encode())


def some_ids() -> np.ndarray:
    ids = np.zeros(SIZE, np.uint8)
    ids[5:20, 5:20], ids[22:36, 10:50] = 1, 2
    return ids


class Names(Reader):
    """A list of videos, as DAVIS has it."""

    suffix = '.txt'

    def make(self) -> bytes:
        davis_world(self.root, id_png(some_ids(), 8, True))
        for kind in ('JPEGImages', 'Annotations'):
            folder = self.root / 'DAVIS' / kind / '480p'
            for name in ('two', 'three'):
                (folder / name).symlink_to(folder / 'one')
        self.path = self.root / 'DAVIS/ImageSets/2017/val.txt'
        self.path.write_text('one\ntwo\nthree\n')
        return self.path.read_bytes()

    def read(self) -> list:
        items = build_dataset('hvc_davis', self.root)
        return list(dict.fromkeys(item['video'] for item in items))

    def judge(self, data: bytes) -> list:
        # Of a path the last part counts, as DAVIS-2016's lists need it.
        lines = data.decode('utf-8-sig').splitlines()
        names = [Path(line.split()[0]).name for line in lines if line.strip()]
        if not set(names) <= {'one', 'two', 'three'} or not names:
            raise ValueError('other names')
        return list(dict.fromkeys(names))

    def deepen(self, rng: Rng) -> Mutant:
        """Paths out of the folder, and into it."""
        others = (
            *('../' * 9 + 'etc\n', '/etc\n', 'one/../two\n', '.\n', '..\n'),
            *('a' * 10**6, 'one ' * 10**5, '/'.join(['one'] * 10**4)),
        )
        return Mutant(others[rng.integers(len(others))].encode())

    def named(self, message: str) -> bool:
        # A video without a folder is named by that.
        return str(self.root / 'DAVIS') in message


class Clips(Names):
    """A split of JHMDB."""

    def make(self) -> bytes:
        joints_world(self.root)
        self.path = self.root / 'JHMDB/splits/wave_test_split1.txt'
        self.path.write_text('clip.avi 2\nother.avi 1\nthird.avi 1\n')
        return self.path.read_bytes()

    def read(self) -> list:
        items = build_dataset('hvc_jhmdb', self.root)
        return list(dict.fromkeys(item['video'] for item in items))

    def judge(self, data: bytes) -> list:
        lines = [
            line.split() for line in data.decode('utf-8-sig').splitlines()
        ]
        lines = [line for line in lines if line]
        parts = {part for _, part in lines}
        if not parts <= {'0', '1', '2'}:
            raise ValueError('other parts')
        found = [f'wave/{Path(c).stem}' for c, part in lines if part == '2']
        if set(found) != {'wave/clip'}:
            raise ValueError('other clips')
        return ['wave/clip']

    def deepen(self, rng: Rng) -> Mutant:
        others = ('../' * 9 + 'evil/clip.avi 2\n', '/clip.avi 2\n', '. 2\n')
        return Mutant(others[rng.integers(3)].encode())

    def named(self, message: str) -> bool:
        return str(self.root / 'JHMDB') in message


class Ranges(Names):
    """The release's list of YouTube-VOS, for pre-training."""

    suffix = '.csv'

    def make(self) -> bytes:
        davis_world(self.root, id_png(some_ids(), 8, True))
        self.frames = self.root / 'DAVIS/JPEGImages/480p'
        return b'video,start,len\none,0,4\n'

    def read(self) -> dict:
        from hvc_mm.datasets.pretrain_images import VideoFramesDataset

        built = VideoFramesDataset(
            ann_file=str(self.path),
            data_prefix=dict(img_path=str(self.frames)),
            pipeline=[],
        )
        frames = {
            built.get_data_info(i)['img_path'] for i in range(len(built))
        }
        return {Path(path).parent.name: len(frames) for path in frames}

    def judge(self, data: bytes) -> dict:
        found = {}
        for line in data.decode('utf-8-sig').splitlines():
            words = [word.strip() for word in line.split(',')]
            if line.strip() and not (
                len(words) > 2 and not words[2].isdigit()
            ):
                found[words[0]] = int(words[2]), int(words[1])
        if found != {'one': (4, 0)}:
            raise ValueError('other frames')
        return {'one': 4}

    def named(self, message: str) -> bool:
        return str(self.path) in message or str(self.frames) in message


class Meta(Tree):
    """The meta.json of YouTube-VOS."""

    suffix = '.json'
    tree = dict(
        videos=dict(
            one=dict(
                objects={
                    '1': dict(category='cat', frames=['00000', '00001']),
                    '2': dict(category='dog', frames=['00000']),
                }
            )
        )
    )

    def make(self) -> bytes:
        davis_world(self.root, id_png(some_ids(), 8, True))
        release, davis = self.root / 'YTB/2018', self.root / 'DAVIS'
        for place in ('valid', 'valid_all_frames'):
            (release / place).mkdir(parents=True)
            for kind in ('JPEGImages', 'Annotations'):
                (release / place / kind).symlink_to(davis / kind / '480p')
        self.path = release / 'valid/meta.json'
        return super().make()

    def read(self) -> dict:
        items = build_dataset('hvc_ytvos18', self.root)
        begins = {
            i: item['frame_name']
            for item in items
            if 'prompt' in item
            for i in item['prompt']['objects']
        }
        return dict(begins=begins, names=items[0]['object_categories'])

    def judge(self, data: bytes) -> dict:
        videos = json.loads(data)['videos']
        ((name, video),) = videos.items()
        objects = {int(i): one for i, one in video['objects'].items()}
        for one in objects.values():
            assert isinstance(one.get('category', ''), str)
            assert all(isinstance(f, str) for f in one['frames'])
            assert set(one['frames']) <= {f'{i:05d}' for i in range(4)}
        assert name == 'one' and objects and set(objects) <= {1, 2}
        return dict(
            begins={i: min(one['frames']) for i, one in objects.items()},
            names={
                i: one.get('category', 'unknown') for i, one in objects.items()
            },
        )

    def named(self, message: str) -> bool:
        # A video without a folder is named by that.
        return str(self.root / 'YTB') in message


class Coco(Tree):
    """COCO's json, of which the names of images are read."""

    suffix = '.json'
    tree = dict(
        info={},
        images=[
            dict(id=i, file_name=f'{i}.jpg', height=SIZE[0], width=SIZE[1])
            for i in (1, 2, 3)
        ],
        annotations=[
            dict(
                id=7,
                image_id=1,
                category_id=1,
                bbox=[1, 1, 9, 9],
                area=81,
                iscrowd=0,
                segmentation=[[1, 1, 10, 1, 10, 10]],
            )
        ],
        categories=[dict(id=1, name='person'), dict(id=2, name='cat')],
    )

    def make(self) -> bytes:
        folder = self.root / 'coco'
        (folder / 'annotations').mkdir(parents=True)
        (folder / 'train2017').mkdir()
        for i in (1, 2, 3):
            drawn = picture(np.random.default_rng(i), 3)
            cv2.imwrite(str(folder / f'train2017/{i}.jpg'), drawn)
        self.path = folder / 'annotations/instances_train2017.json'
        return super().make()

    def read(self) -> list:
        items = build_dataset('hvc_coco', self.root, 'train')
        return [Path(item['img_path']).name for item in items]

    def judge(self, data: bytes) -> list:
        content = json.loads(data)
        names = [image['file_name'] for image in content['images']]
        assert all(isinstance(name, str) for name in names) and names
        return list(dict.fromkeys(names))


class Checkpoint(Reader):
    """A checkpoint, as torch writes it since 1.6."""

    suffix = '.pth'
    is_zip = True

    def save(self, tree: Any) -> bytes:
        content = io.BytesIO()
        torch.save(tree, content, _use_new_zipfile_serialization=self.is_zip)
        return content.getvalue()

    def make(self) -> bytes:
        from hvc_mm.models import HVCResNet

        torch.manual_seed(0)
        self.network = HVCResNet(18, out_indices=(0,))
        self.state = {
            f'backbone.{name}': value
            for name, value in self.network.state_dict().items()
        }
        return self.save(dict(state_dict=self.state, meta=dict(epoch=1)))

    def mutate(self, kind: str, rng: Rng) -> Mutant:
        if kind not in ('swap', 'wrong type', 'depth'):
            return Mutant(BYTES[kind](self.content, rng))
        state, names = dict(self.state), list(self.state)
        one, other = rng.choice(names, 2, replace=False)
        if kind == 'swap':
            state[one], state[other] = state[other], state[one]
        elif kind == 'depth':
            return Mutant(self.save(nest(dict(state_dict=state), rng)))
        else:
            wrong = (
                *(state[one].numpy(), state[one].double() * np.nan, 'x', None),
                *(state[one] / 0, [1.0], state[one].tolist(), {}),
            )
            state[one] = wrong[rng.integers(len(wrong))]
            if rng.integers(4) == 0:
                return Mutant(BYTES[kind](self.content, rng))
        return Mutant(self.save(dict(state_dict=state)))

    def read(self) -> np.ndarray:
        from hvc_mm.checkpoint import load_backbone

        load_backbone(self.network, str(self.path))
        return self.digest(self.network.state_dict())

    def digest(self, state: Dict[str, torch.Tensor]) -> np.ndarray:
        parts = [value.double().flatten() for value in state.values()]
        return torch.cat(parts).numpy()

    def judge(self, data: bytes) -> np.ndarray:
        """Accept the same weights only, whatever is around them."""
        return self.digest(self.state)


class OldCheckpoint(Checkpoint):
    """A checkpoint in torch's older format, which has no checksum."""

    is_zip = False


class PythonConfig(Tree):
    """A config in Python."""

    suffix = '.py'
    tree = dict(
        model=dict(type='LabelPropagationVOS', backbone=dict(depth=18)),
        test_cfg=dict(type='TestLoop', scores=[1, 2.5, True, None]),
        work_dir='somewhere',
    )

    def dump(self, tree: Any) -> bytes:
        if not isinstance(tree, dict):
            return repr(tree).encode()
        return '\n'.join(f'{k} = {v!r}' for k, v in tree.items()).encode()

    def read(self) -> dict:
        from hvc_mm.engine.run_config import read_config

        found = read_config(self.path).to_dict()
        return {k: v for k, v in found.items() if k != 'data_root'}

    def judge(self, data: bytes) -> dict:
        # A configuration in Python is code: what Python makes of it counts.
        space: Dict[str, Any] = {}
        exec(compile(data.decode(), 'config', 'exec'), space)
        del space['__builtins__']
        return {k: v for k, v in space.items() if k != 'data_root'}


class YamlConfig(PythonConfig):
    """A config in YAML."""

    suffix = '.yaml'

    def dump(self, tree: Any) -> bytes:
        return yaml.safe_dump(tree).encode()

    def judge(self, data: bytes) -> dict:
        found = yaml.safe_load(data)
        assert isinstance(found, dict)
        assert all(isinstance(key, str) for key in found)
        return found


class JsonConfig(PythonConfig):
    """A config in JSON."""

    suffix = '.json'

    def dump(self, tree: Any) -> bytes:
        return json.dumps(tree).encode()

    def judge(self, data: bytes) -> dict:
        found = json.loads(data)
        assert isinstance(found, dict)
        return found


class Backbones(Tree):
    """A scoreboard's list of backbones."""

    suffix = '.yaml'
    tree = dict(
        backbones=dict(
            small=dict(type='HVCResNet', depth=18, stage=1),
            strided=dict(type='HVCResNet', depth=18, out_indices=[0], map=0),
        )
    )

    def dump(self, tree: Any) -> bytes:
        return yaml.safe_dump(tree).encode()

    def read(self) -> dict:
        from hvc_mm.scoreboard import make_backbone, parse_backbones

        found = parse_backbones([str(self.path)])
        return {
            name: make_backbone(name, entry).config
            for name, entry in found.items()
        }

    def judge(self, data: bytes) -> dict:
        found = {}
        for name, entry in yaml.safe_load(data)['backbones'].items():
            entry = dict(type=entry) if type(entry) is str else dict(entry)
            if entry.pop('map', None) not in (None, 0, [0]):
                raise ValueError('no such map')
            stage = entry.pop('stage', None)
            if stage is not None:
                entry['out_indices'] = (stage - 1,)
            depth = entry.get('depth', 18)
            if type(depth) is not int or depth not in (18, 34, 50, 101):
                raise ValueError('no such depth')
            found[str(name)] = entry
        assert found
        return found

    def named(self, message: str) -> bool:
        names = ('backbone small', 'backbone strided')
        return str(self.path) in message or message.startswith(names)


class JsonBackbones(Backbones):
    """The same in JSON."""

    suffix = '.json'

    def dump(self, tree: Any) -> bytes:
        return json.dumps(tree).encode()


class Result(Tree):
    """The result of an earlier run of the scoreboard."""

    suffix = '.json'
    tree = dict(
        format=2,
        backbone=dict(
            name='small',
            title='ResNet-18',
            config=dict(type='HVCResNet', depth=18),
            weights={'small.pth': '0123'},
            channels=128,
            stride=8.0,
            parameters=683072,
        ),
        benchmark=dict(
            name='davis',
            title='DAVIS-2017 val',
            headline='J&F',
            counts=dict(videos=1, frames=4, objects=2),
            whole=dict(name='DAVIS-2017 val', videos=30),
            fingerprint='4567',
        ),
        protocol=dict(
            name=None,
            text='text',
            model=dict(
                propagator=dict(type='LabelPropagator', radius=12),
                codec=dict(type='MaskCodec'),
                data_preprocessor=dict(type='VOSDataPreprocessor'),
                warmup_zero_image=[256, 256],
                feature_stride=None,
            ),
            frames=dict(type='ResizeFrame', size=None),
            input_size=None,
        ),
        key='0123456789ab',
        unit='percent',
        scores={'J&F': 51.5, 'J': 50.0, 'F': 53.0},
        sequences=dict(one={'J&F': 51.5, 'J': 50.0, 'F': 53.0}),
        pooled=None,
        curves=dict(one=[50.0, 51.0]),
        seconds_per_frame=0.5,
        seed=0,
        versions=dict(torch='2.6.0', threads=1),
        strips=None,
    )

    def make(self) -> bytes:
        self.path = self.root / 'result.json'
        return super().make()

    def read(self) -> dict:
        from hvc_mm.scoreboard.results import read_result

        same = {
            'backbone.name': 'small',
            'benchmark.name': 'davis',
            'protocol.name': None,
            'key': self.tree['key'],
        }
        return read_result(self.path, same)

    def judge(self, data: bytes) -> dict:
        found = json.loads(data)
        _compare_types(found, self.tree)
        for key in ('format', 'key', 'unit'):
            assert found[key] == self.tree[key]
        for key in ('backbone', 'benchmark', 'protocol'):
            assert found[key]['name'] == self.tree[key]['name']
        assert all(0 <= v <= 100 for v in found['scores'].values())
        return found


def _compare_types(found: Any, whole: Any) -> None:
    assert type(found) is type(whole)
    if isinstance(whole, dict):
        # A letter of a name that changed can't be told.
        assert len(found) == len(whole)
        for key in set(whole) & set(found):
            _compare_types(found[key], whole[key])
    if isinstance(whole, list):
        assert len(found) == len(whole)
        for one, other in zip(found, whole):
            _compare_types(one, other)
    if isinstance(whole, float):
        assert abs(found) < 1e9


def _is(
    *kinds: type, least: float = -np.inf, most: float = np.inf
) -> Callable:
    def fits(value: Any) -> bool:
        if type(value) not in kinds:
            return False
        return type(value) is str or value is None or least <= value <= most

    return fits


_WHOLE = _is(int, least=0)
_FLAG = _is(bool)
NOTHING = type(None)
# Options of a test, and what they may be.
OPTIONS: Dict[str, Callable[[Any], bool]] = {
    'model.propagator.radius': _is(int, float, NOTHING, least=1e-9, most=1e9),
    'model.propagator.topk': _is(int, least=1),
    'model.propagator.temperature': _is(int, float, least=1e-9, most=1e9),
    'model.propagator.context': _WHOLE,
    'model.propagator.repeat_reference': _FLAG,
    'model.data_preprocessor.bgr_to_rgb': _FLAG,
    'model.backbone.depth': lambda v: v in (18, 34, 50, 101),
    'model.backbone.norm_eval': _FLAG,
    # One that is too large is refused at the first frame.
    'model.feature_index': _is(int, NOTHING, least=0),
    'model.codec.cell_mean': _FLAG,
    'test_dataloader.dataset.max_frames': _is(int, NOTHING, least=1),
    'test_dataloader.dataset.max_objects': _is(int, NOTHING, least=2),
    'test_dataloader.dataset.binary_masks': _is(bool, NOTHING),
    'test_evaluator.bound_th': lambda v: type(v) is float and 0 < v < 1,
    'test_evaluator.num_workers': _WHOLE,
    'test_evaluator.chunk_frames': _is(int, least=1),
    'test_evaluator.per_sequence': _FLAG,
    'test_evaluator.first_last_excluded': _FLAG,
}


class Option(Reader):
    """A value of --cfg-options; the file holds the words."""

    def make(self) -> bytes:
        davis_world(self.root, id_png(some_ids(), 8, True))
        return b'test_evaluator.bound_th=0.01'

    def mutate(self, kind: str, rng: Rng) -> Mutant:
        key = list(OPTIONS)[rng.integers(len(OPTIONS))]
        good = rng.choice(['12', 'True', '0.05', '18', 'None'])
        if kind == 'wrong type':
            good = str(OTHER_VALUES[rng.integers(len(OTHER_VALUES))])
        elif kind == 'depth':
            good = nest_text(good, rng)[:5000]
        elif kind == 'swap':
            other = list(OPTIONS)[rng.integers(len(OPTIONS))]
            good = rng.choice([good, other, f'{other}={good}', '(1,)'])
        else:
            good = BYTES[kind](good.encode() * 2, rng).decode('latin1')
        return Mutant(f'{key}={good}'.encode('latin1', 'replace'))

    def read(self) -> Any:
        self.key, _, text = (
            self.path.read_bytes().decode('latin1').partition('=')
        )
        return _build_test(self.root, f'{self.key}={text}', self.key)

    def judge(self, data: bytes) -> Any:
        key, _, text = data.decode('latin1').partition('=')
        words = text.replace(' ', '')
        try:
            value = ast.literal_eval(words)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            lower = {'true': True, 'false': False, 'none': None}
            value = lower.get(words.lower(), words.strip('\'"'))
        if not OPTIONS[key](value):
            raise ValueError('no value for this option')
        return value

    def named(self, message: str) -> bool:
        return self.key.split('.')[-1] in message


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        """Raise what argparse would print before it ends the tool."""
        raise ValueError(message)


def _build_test(root: Path, option: str, key: str) -> Any:
    """Come to the point where tools/test.py would begin to run."""
    from hvc_mm.engine.run_config import add_cfg_options, read_run
    from hvc_mm.registry import DATASETS, METRICS, MODELS

    parser = _Parser()
    add_cfg_options(parser)
    given = parser.parse_args(['--cfg-options', option]).cfg_options
    small = {
        'data_root': str(root),
        'model.backbone.out_indices': (0,),
        'model.codec.type': 'MaskCodec',
    }
    cfg = read_run('hvc_davis', {**small, **given}, str(root / 'work'))
    MODELS.build(cfg.model)
    DATASETS.build(cfg.test_dataloader.dataset)
    METRICS.build(cfg.test_evaluator)
    value: Any = cfg
    for part in key.split('.'):
        value = value[part]
    return value
