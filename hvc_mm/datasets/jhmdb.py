"""JHMDB: joints of a person, tracked through a clip.

T: annotated frames of a clip.
"""

from __future__ import annotations

import glob
import os.path as osp
import re
from typing import Any, List

import numpy as np
from scipy.io import loadmat

from hvc_mm.registry import DATASETS

from .video_dataset import VideoDataset, VideoRecord
from .video_files import check_name, read_lines, stem_of

JOINTS = (
    'neck',
    'belly',
    'face',
    'right shoulder',
    'left shoulder',
    'right hip',
    'left hip',
    'right elbow',
    'left elbow',
    'right knee',
    'left knee',
    'right wrist',
    'left wrist',
    'right ankle',
    'left ankle',
)
# Limbs as pairs of joints: head and trunk, right arm, left arm, right leg,
# left leg.
LIMBS = (
    *((2, 0), (0, 1)),
    *((0, 3), (3, 7), (7, 11)),
    *((0, 4), (4, 8), (8, 12)),
    *((1, 5), (5, 9), (9, 13)),
    *((1, 6), (6, 10), (10, 14)),
)


@DATASETS.register_module()
class JHMDBDataset(VideoDataset):
    """Clips of one of JHMDB's test splits, one item a frame.

    A video's name is ``<class>/<clip>``. The first frame holds
    ``prompt_joints``, every annotated one ``gt_joints``: ``(2, 15)`` float64,
    x and y in pixels, counted from 0 (the files count from 1). Frames beyond
    the annotation are passed through.

    Args:
        data_prefix: ``img_path`` (``<class>/<clip>/*.png``), ``ann_path``
            (``<class>/<clip>/joint_positions.mat``) and ``split_path``
            (``<class>_test_split<split>.txt``).
        split: Which of the three splits.
        **kwargs: See :class:`VideoDataset` and mmengine's ``BaseDataset``.

    Raises:
        FileNotFoundError: A missing folder, split or file of joints.
        ValueError: A file of joints that can't be read, has other than 15
            joints, or more frames than the clip.
    """

    METAINFO = dict(dataset_type='jhmdb', joints=JOINTS, skeleton_links=LIMBS)

    FOLDERS = dict(
        img_path='Rename_Images',
        ann_path='joint_positions',
        split_path='splits',
    )

    def __init__(self, split: int = 1, **kwargs: Any) -> None:
        self.split = split
        super().__init__(**kwargs)

    def list_videos(self) -> List[str]:
        """List the test clips of all classes, in alphabetical order."""
        return read_test_clips(self.data_prefix['split_path'], self.split)

    def load_video(self, name: str) -> VideoRecord:
        """Find one clip's frames and read its joints."""
        frames = self.frames_in(osp.join(self.data_prefix['img_path'], name))
        path = osp.join(
            self.data_prefix['ann_path'], name, 'joint_positions.mat'
        )
        joints = read_joints(path)
        if joints.shape[2] > len(frames) and self.max_frames is None:
            raise ValueError(
                f'{path} has joints of {joints.shape[2]} frames; expected at '
                f'most {len(frames)}, as many as the clip has'
            )
        each = dict(zip(map(stem_of, frames), np.moveaxis(joints, 2, 0)))
        return VideoRecord(
            name,
            frames,
            gt_paths=dict.fromkeys(each, path),
            prompts={stem_of(frames[0]): dict(prompt_joints=joints[..., 0])},
            num_objects=1,
            frame_extra={s: dict(gt_joints=xy) for s, xy in each.items()},
        )


def read_test_clips(folder: str, split: int) -> List[str]:
    """Read which clips a split tests on.

    Args:
        folder: Holds ``<class>_test_split<split>.txt`` with lines of a file
            name and 1 (train) or 2 (test).
        split: Its number.

    Returns:
        list[str]: ``<class>/<clip>``.

    Raises:
        FileNotFoundError: No file of this split.
        ValueError: A line of another form, or no test clip at all.
    """
    ending = f'_test_split{split}.txt'
    paths = sorted(glob.glob(osp.join(glob.escape(folder), f'*{ending}')))
    if not paths:
        raise FileNotFoundError(
            f'no *{ending} in {folder}; expected one for each class'
        )
    clips: List[str] = []
    for path in paths:
        category = osp.basename(path)[: -len(ending)]
        for number, line in read_lines(path, 'split', 'a clip a line'):
            words = line.rsplit(None, 1)  # the clip's name may have spaces
            if len(words) != 2 or words[1] not in ('0', '1', '2'):
                raise ValueError(
                    f'{path}, line {number}: found {line!r}, expected a clip '
                    'and 1 (train) or 2 (test)'
                )
            if words[1] == '2':
                clip = re.sub(r'\.avi$', '', words[0], flags=re.IGNORECASE)
                check_name(clip, f'{path}, line {number}')
                clips.append(f'{category}/{clip}')
    if not clips:
        raise ValueError(f'no test clip in the *{ending} files of {folder}')
    return list(dict.fromkeys(clips))


def read_joints(path: str) -> np.ndarray:
    """Read a clip's joints.

    Args:
        path: ``joint_positions.mat`` with ``pos_img``, ``(2, 15, T)``, x and
            y in pixels counted from 1.

    Returns:
        np.ndarray: ``(2, 15, T)`` float64, in pixels counted from 0.

    Raises:
        FileNotFoundError: No such file.
        ValueError: It can't be read, or ``pos_img`` is missing or has another
            shape.
    """
    if not osp.isfile(path):
        raise FileNotFoundError(
            f'no file of joints {path}; expected a joint_positions.mat for '
            'each clip'
        )
    wanted = f'expected pos_img of shape (2, {len(JOINTS)}, frames)'
    try:
        content = loadmat(path)
    except Exception as error:  # scipy raises half a dozen kinds
        raise ValueError(f'cannot read {path}: {error}; {wanted}') from error
    if 'pos_img' not in content:
        names = sorted(k for k in content if not k.startswith('__'))
        raise ValueError(f'{path} holds {names}; {wanted}')
    joints = np.asarray(content['pos_img'])
    if joints.dtype.kind not in 'fiu':
        raise ValueError(f'{path}: pos_img holds {joints.dtype}; {wanted}')
    joints = joints.astype(np.float64)
    if joints.ndim == 2:  # MATLAB drops a last axis of length 1
        joints = joints[..., None]
    shape = (2, len(JOINTS))
    if joints.ndim != 3 or joints.shape[:2] != shape or not joints.size:
        raise ValueError(f'{path}: pos_img has shape {joints.shape}; {wanted}')
    if not np.isfinite(joints).all():
        raise ValueError(f'{path}: pos_img holds numbers that are not finite')
    return joints - 1
