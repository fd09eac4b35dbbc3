"""YouTube-VOS: frames of one folder, masks where objects begin, meta.json."""

from __future__ import annotations

import json
import os.path as osp
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple

from hvc_mm.registry import DATASETS
from hvc_mm.utils.files import read_text

from .id_masks import VOID
from .image_io import natural_key
from .transforms import Prompt
from .video_dataset import VideoDataset, VideoRecord
from .video_files import check_name, find_masks, list_frames, stem_of


class Entry(NamedTuple):
    """What ``meta.json`` says of an object; its frames in order."""

    category: str
    frames: List[str]


# A video's objects by id.
Objects = Dict[int, Entry]


@DATASETS.register_module()
class YouTubeVOSDataset(VideoDataset):
    """Videos of YouTube-VOS, whose objects may appear late.

    Every object is given to the model once, on the earliest frame that
    ``meta.json`` lists for it; where a mask shows older objects again, they
    are left out. Frames that the benchmark doesn't ask for are passed through
    with ``is_scored=False``. Items also hold ``object_categories``.

    With the ``data_prefix`` of the official download, which is the default
    one, ``meta.json`` and the masks are also found in ``valid_all_frames``
    itself.

    Args:
        ann_file: ``meta.json``: objects, their categories and frames.
        data_prefix: ``img_path``, folders of all frames; ``ann_path``,
            folders of masks; ``scored_path``, folders whose frames are those
            that the benchmark asks for (the release's ``valid``), or None for
            the frames that ``meta.json`` lists.
        all_frames: The protocol propagates through all frames of the video.
            A folder with every fifth frame only, ``valid`` instead of
            ``valid_all_frames``, is refused at once.
        max_objects: The largest id that the run can hold; None for any.
        **kwargs: See :class:`VideoDataset` and mmengine's ``BaseDataset``.

    Raises:
        FileNotFoundError: A missing folder, ``meta.json`` or mask.
        ValueError: ``valid`` was given for ``valid_all_frames``, ``meta.json``
            is damaged, a frame that it or ``scored_path`` names isn't there,
            or a mask doesn't hold what it should.
    """

    METAINFO = dict(dataset_type='youtube_vos')

    FOLDERS = dict(
        img_path='valid_all_frames/JPEGImages',
        ann_path='valid/Annotations',
        scored_path='valid/JPEGImages',
    )

    def __init__(
        self,
        ann_file: str = 'valid/meta.json',
        data_prefix: Optional[dict] = None,
        all_frames: bool = True,
        max_objects: Optional[int] = None,
        **kwargs: Any,
    ) -> None:
        prefix = dict(data_prefix or self.FOLDERS)
        self._is_official = prefix == self.FOLDERS
        # mmengine joins strings only.
        prefix = {k: v for k, v in prefix.items() if v is not None}
        self.all_frames = all_frames
        self.max_objects = max_objects
        self._objects: Dict[str, Objects] = {}
        super().__init__(ann_file=ann_file, data_prefix=prefix, **kwargs)

    def load_data_list(self) -> List[dict]:
        """Find all videos, also where ``valid_all_frames`` has everything."""
        if self._is_official:
            self._search_all_frames()
        return super().load_data_list()

    def list_videos(self) -> List[str]:
        """List the videos of ``meta.json``."""
        self._objects = _read_meta(self.ann_file)
        return list(self._objects)

    def load_video(self, name: str) -> VideoRecord:
        """Find one video's frames, masks and objects."""
        frames = self.frames_in(osp.join(self.data_prefix['img_path'], name))
        stems = [stem_of(path) for path in frames]
        if self.all_frames:
            self._check_step(name, stems)
        folder = osp.join(self.data_prefix['ann_path'], name)
        masks = find_masks(folder)
        begins = self._beginnings(name, stems)
        scored = self._scored(name, stems)
        record = VideoRecord(
            name,
            frames,
            gt_paths={s: masks[s] for s in stems if s in masks},
            extra=dict(
                object_categories={
                    i: entry.category
                    for i, entry in self._objects[name].items()
                }
            ),
            frame_extra={s: dict(is_scored=s in scored) for s in stems},
        )
        for stem, ids in begins.items():
            if stem not in masks:
                raise FileNotFoundError(
                    f'no mask {osp.join(folder, stem + ".png")}; expected '
                    f'object {list(ids)} to begin there, as {self.ann_file} '
                    'has it'
                )
            prompt = Prompt(masks[stem], ids, self.max_objects, binary=False)
            record.add_prompt(stem, prompt)
        return record

    def _search_all_frames(self) -> None:
        """Take what ``valid`` lacks from ``valid_all_frames``."""
        folder = osp.dirname(self.data_prefix['img_path'])
        meta = osp.join(folder, 'meta.json')
        if not osp.isfile(self.ann_file) and osp.isfile(meta):
            self.ann_file = meta
        masks = osp.join(folder, 'Annotations')
        if not osp.isdir(self.data_prefix['ann_path']) and osp.isdir(masks):
            self.data_prefix['ann_path'] = masks
        # Only then: a missing folder of the official layout is an error.
        if self.ann_file == meta and not osp.isdir(
            self.data_prefix['scored_path']
        ):
            del self.data_prefix['scored_path']

    def _beginnings(
        self, name: str, stems: List[str]
    ) -> Dict[str, Tuple[int, ...]]:
        """Find the objects that begin at each frame, in their order."""
        begins: Dict[str, List[int]] = {}
        for object_id, entry in self._objects[name].items():
            begins.setdefault(entry.frames[0], []).append(object_id)
        unknown = sorted(set(begins) - set(stems))
        if unknown and self.max_frames is None:
            raise ValueError(
                f'{self.ann_file}: an object of {name} begins at frame '
                f'{unknown[0]}, which is not among its {len(stems)} frames '
                f'{stems[0]}..{stems[-1]}'
            )
        return {s: tuple(sorted(begins[s])) for s in stems if s in begins}

    def _scored(self, name: str, stems: List[str]) -> Set[str]:
        """List the frames that the benchmark asks for; all must be there."""
        path = self.data_prefix.get('scored_path')
        if path is not None:
            scored = {stem_of(f) for f in list_frames(osp.join(path, name))}
        else:
            entries = self._objects[name].values()
            scored = {frame for entry in entries for frame in entry.frames}
        lost = sorted(scored - set(stems))
        if lost and self.max_frames is None:
            raise ValueError(
                f'{osp.join(self.data_prefix["img_path"], name)} lacks frame '
                f'{lost[0]} ({len(lost)} of the {len(scored)} that the '
                'benchmark asks for); expected all frames of the video'
            )
        return scored

    def _check_step(self, name: str, stems: List[str]) -> None:
        numbers = [int(stem) for stem in stems if stem.isdigit()]
        steps = [b - a for a, b in zip(numbers, numbers[1:])]
        if steps and min(steps) > 1:
            raise ValueError(
                f'{osp.join(self.data_prefix["img_path"], name)} holds every '
                f'{min(steps)}th frame only ({stems[0]}, {stems[1]}, ...), as '
                'valid does; expected valid_all_frames, with all frames '
                '(all_frames=False takes what is there)'
            )


def _read_meta(path: str) -> Dict[str, Objects]:
    """Read the objects of each video."""
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'no file {path}; expected the meta.json of YouTube-VOS'
        )
    try:
        videos = json.loads(read_text(path))['videos']
        if not isinstance(videos, dict):
            raise TypeError(f'videos is a {type(videos).__name__}')
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f'cannot read {path}: {error!r}; expected {{"videos": {{NAME: '
            '{"objects": {ID: {"category": ..., "frames": [...]}}}}}'
        ) from error
    return {
        check_name(name, path): _read_objects(entry, f'{path}: video {name}')
        for name, entry in videos.items()
    }


def _read_objects(video: Any, where: str) -> Objects:
    objects = video.get('objects') if isinstance(video, dict) else None
    if not isinstance(objects, dict) or not objects:
        raise ValueError(f'{where} has no objects, but {video!r:.60}')
    found: Objects = {}
    for key, entry in objects.items():
        known = entry if isinstance(entry, dict) else {}
        frames = known.get('frames')
        category = known.get('category', 'unknown')
        names = frames if isinstance(frames, list) else []
        if not names or not all(isinstance(f, str) for f in names):
            raise ValueError(
                f'{where} has no frames for object {key}, but {frames!r:.60}; '
                'expected their names, ["00000", ...]'
            )
        object_id = int(key) if key.isdecimal() and len(key) < 4 else 0
        if not 0 < object_id < VOID or object_id in found:
            raise ValueError(
                f'{where} has the object {key!r:.60}; expected each id once, '
                f'from 1 to {VOID - 1}'
            )
        if not isinstance(category, str):
            raise ValueError(
                f'{where}, object {key} has the category {category!r:.60}; '
                'expected a name'
            )
        found[object_id] = Entry(category, sorted(names, key=natural_key))
    return found
