"""Masks carried through a video as it is read: a generator.

H, W: height and width of a frame in pixels; O: objects so far.
"""

from __future__ import annotations

import logging
import warnings
from typing import Callable, Iterator, List, Optional, Tuple
from weakref import WeakKeyDictionary

import numpy as np
from mmengine.dataset import Compose, pseudo_collate
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from torch import Tensor

from hvc_mm.models import LabelPropagationVOS
from hvc_mm.registry import TRANSFORMS
from hvc_mm.structures import VOSDataSample

from .frame_source import Frame, FrameSource, open_frames
from .prompt_masks import Masks, PromptMasks

# A model is a stream with one state: which video it is on at the moment.
_streams: WeakKeyDictionary = WeakKeyDictionary()


def frame_pipeline(cfg: Optional[dict] = None) -> Callable[[dict], dict]:
    """What a config does to a frame between loading and the model.

    Args:
        cfg: A config with a test pipeline, whose loading steps
            (``Load...``) are left out; without one frames are only packed.

    Returns:
        A function from ``img`` and meta keys to ``inputs`` and
        ``data_samples``.
    """
    steps = [dict(type='PackVOSInputs')]
    try:
        steps = list(cfg['test_dataloader']['dataset']['pipeline'])
    except (KeyError, TypeError):
        pass  # a config of a model alone
    steps = [
        step
        for step in steps
        if not str(step['type']).split('.')[-1].startswith('Load')
    ]
    with DefaultScope.overwrite_default_scope('hvc_mm'):
        return Compose([TRANSFORMS.build(dict(step)) for step in steps])


def video_batches(
    source: FrameSource,
    prompts: PromptMasks,
    pipeline: Callable[[dict], dict],
    batch_size: int = 1,
) -> Iterator[Tuple[List[Frame], dict]]:
    """Read a video in batches that a model's ``test_step`` takes.

    Args:
        source: The frames.
        prompts: The masks.
        pipeline: See :func:`frame_pipeline`.
        batch_size: Frames whose features are computed together.

    Yields:
        The frames, and ``inputs`` with ``data_samples``.

    Raises:
        ValueError: A mask is given for a frame beyond the end, or
            ``batch_size`` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f'batch_size must be at least 1, not {batch_size}')
    if source.exact_length:
        prompts.check_length(source.length)
    frames: List[Frame] = []
    items: List[dict] = []
    for frame in source:
        frames.append(frame)
        prompt = prompts.prompt_at(frame.index, frame.image.shape[:2])
        items.append(pipeline(frame_item(frame, source, prompt)))
        if len(items) == batch_size:
            yield frames, pseudo_collate(items)
            frames, items = [], []
    if items:
        yield frames, pseudo_collate(items)
    if prompts.unused():
        print_log(
            f'{source.name}: masks of frames {prompts.unused()} never came '
            'up, the video is shorter',
            logger='current',
            level=logging.WARNING,
        )


def frame_item(
    frame: Frame, source: FrameSource, prompt: Optional[Tensor] = None
) -> dict:
    """A frame in the form that transforms take.

    Args:
        frame: The frame.
        source: Its video.
        prompt: ``(H, W)`` uint8, the ids of objects that begin here.

    Returns:
        ``img`` and the meta keys of a video data set.
    """
    shape = frame.image.shape[:2]
    item = dict(
        img=frame.image,
        img_shape=shape,
        ori_shape=shape,
        img_path=frame.path,
        video=source.name,
        video_length=source.length,
        frame_index=frame.index,
        frame_name=frame.name,
        starts_video=frame.index == 0,
        gt_path=None,
    )
    if prompt is not None:
        item['prompt_ids'] = prompt
    return item


def stream_video(
    model: LabelPropagationVOS,
    batches: Iterator[Tuple[List[Frame], dict]],
    step: Optional[Callable[[dict], List[VOSDataSample]]] = None,
) -> Iterator[Tuple[Frame, VOSDataSample]]:
    """Run a model over a video.

    Args:
        model: In eval mode.
        batches: From :func:`video_batches`.
        step: What takes a batch; by default the model's ``test_step``.

    Yields:
        Each frame and its sample with ``pred_ids``.

    Raises:
        RuntimeError: Another video was begun on the same model meanwhile.
    """
    token = _streams[model] = object()
    for frames, data in batches:
        if _streams.get(model) is not token:
            raise RuntimeError(
                'another video was begun with this model while one was '
                'under way; finish one first, or use a model for each'
            )
        for frame, sample in zip(frames, (step or model.test_step)(data)):
            _warn_of_lost_objects(sample)
            yield frame, sample


def _warn_of_lost_objects(sample: VOSDataSample) -> None:
    """Tell when an object is gone on the very frame that brings it."""
    if 'prompt_ids' not in sample:
        return
    given = set(sample.prompt_ids.unique().tolist()) - {0}
    lost = sorted(given - set(sample.pred_ids.unique().tolist()))
    if lost:
        warnings.warn(
            f'{sample.video}, frame {sample.frame_name}: objects {lost} are '
            'too small for the feature grid and are lost at once; let the '
            'network see larger frames (ResizeFrame)',
            stacklevel=3,
        )


def propagate_in_video(
    model: LabelPropagationVOS,
    frames,
    masks: Masks,
    batch_size: int = 1,
    pipeline: Optional[Callable[[dict], dict]] = None,
) -> Iterator[Tuple[int, List[int], np.ndarray]]:
    """Carry masks through a video, frame by frame.

    Memory doesn't grow with the video: frames are read as they are needed,
    and the model keeps its context and the frames that brought objects.

    Args:
        model: From :func:`~hvc_mm.apis.init_model`.
        frames: A video file, a folder of images, or an iterable of
            ``(H, W, 3)`` uint8 BGR arrays or image files.
        masks: A mask of frame 0, or masks by frame index; see
            :class:`~hvc_mm.apis.prompt_masks.PromptMasks` for their forms.
            Objects may begin at any frame. The mapping may grow while the
            generator runs: a mask counts if it is there before the batch of
            its frame is read.
        batch_size: Frames whose features are computed together.
        pipeline: From a frame to the model's input; by default the one of
            the model's config.

    Yields:
        The frame's index, the ids of all objects so far in ascending order,
        and their masks, ``(O, H, W)`` bool. Before the first mask O is 0.

    Raises:
        FileNotFoundError: A missing video, folder, frame or mask.
        ValueError: One that can't be used; says which and why.
        RuntimeError: Another video was begun on the same model meanwhile.

    Example:
        >>> model = init_model('hvc_davis', 'hvc_r18.pth')  # doctest: +SKIP
        >>> for index, ids, masks in propagate_in_video(  # doctest: +SKIP
        ...         model, 'bear.mp4', {0: 'bear.png', 30: 'cub.png'}):
        ...     print(index, ids, masks.sum((1, 2)))
    """
    source, prompts = open_frames(frames), PromptMasks(masks)
    if pipeline is None:
        pipeline = frame_pipeline(getattr(model, 'cfg', None))
    batches = video_batches(source, prompts, pipeline, batch_size)
    return object_masks(stream_video(model, batches))


def object_masks(
    stream: Iterator[Tuple[Frame, VOSDataSample]],
) -> Iterator[Tuple[int, List[int], np.ndarray]]:
    """From samples to what :func:`propagate_in_video` yields.

    Args:
        stream: Frames with their samples.

    Yields:
        Frame index, ids so far, ``(O, H, W)`` bool masks.
    """
    object_ids: List[int] = []
    for frame, sample in stream:
        if 'prompt_ids' in sample:
            new = sample.prompt_ids.unique().tolist()
            object_ids = sorted({*object_ids, *new} - {0})
        ids = sample.pred_ids.numpy()
        masks = ids == np.array(object_ids, np.uint8)[:, None, None]
        yield frame.index, list(object_ids), masks
