"""Models and videos: labels propagated, and features, frame by frame.

H, W: height and width of a frame in pixels; O: objects so far; C: channels,
h w: feature grid.
"""

from __future__ import annotations

import logging
import warnings
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import (
    Any,
    Callable,
    Container,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import load_checkpoint
from torch import Tensor

from hvc_mm.checkpoint import find_weights
from hvc_mm.engine.run_config import read_config
from hvc_mm.models import LabelPropagationVOS
from hvc_mm.models.vos import VideoStream
from hvc_mm.registry import MODELS, TRANSFORMS
from hvc_mm.structures import VOSDataSample
from hvc_mm.utils.protocols import apply_protocol

from .prompt_masks import FramePrompt, Masks, PromptMasks
from .video_io import Frame, FrameSource, open_frames

ConfigLike = Union[str, Path, Config, ConfigDict, dict]
Pipeline = Callable[[dict], dict]
Stream = Iterator[Tuple[Frame, VOSDataSample]]

_PACK = dict(type='PackVOSInputs')
# Pixels of a frame of Full HD; with more, users are told.
_LARGE = 1920 * 1088

# mmengine's default scope is one for all threads.
_building = Lock()


def init_model(
    config: ConfigLike,
    checkpoint: Optional[Union[str, Path]] = None,
    device: Optional[str] = None,
    cfg_options: Optional[dict] = None,
    prefix: Optional[str] = None,
    protocol: Optional[str] = None,
) -> LabelPropagationVOS:
    """Build a propagation model, load weights, put it in eval mode.

    Args:
        config: A config file, the name of one (``hvc_davis``), or a config
            in memory, which is not changed.
        checkpoint: A file, a URL or the name of published weights
            (``'hvc-coco'``) for the config's backbone, from whatever
            training; None leaves random weights and warns.
        device: As torch names it; None takes the best that is there.
        cfg_options: Entries to override, dotted keys to values.
        prefix: Which network of the checkpoint, where it has several that
            fit: what the names of its tensors begin with.
        protocol: Name of a published protocol (``'dino'``, ...) in place of
            the config's own; ``cfg_options`` come after it.

    Returns:
        The model; ``model.cfg`` is its config.

    Raises:
        FileNotFoundError: No such config or checkpoint.
        TypeError: The config has no :class:`LabelPropagationVOS`.
        ValueError: The checkpoint doesn't fit the backbone, or there is no
            such protocol.
    """
    if isinstance(config, (str, Path)):
        cfg = read_config(config, cfg_options, protocol)
    else:
        if isinstance(config, Config):
            cfg = config.copy()
        else:
            cfg = Config(ConfigDict(config).to_dict())
        if protocol is not None:
            apply_protocol(cfg, protocol)
        cfg.merge_from_dict(cfg_options or {})
    logger = MMLogger.get_current_instance()
    level = logger.level
    # mmengine lists how each parameter was initialised, one line a tensor.
    logger.setLevel(logging.WARNING)
    try:
        with DefaultScope.overwrite_default_scope('hvc_mm'):
            model = MODELS.build(cfg.model)
    finally:
        logger.setLevel(level)
    if not isinstance(model, LabelPropagationVOS):
        raise TypeError(
            f'{cfg.filename or "the config"} has a model of type '
            f'{type(model).__name__}; expected LabelPropagationVOS, as in '
            'hvc_davis'
        )
    if checkpoint is None:
        warnings.warn(
            'no checkpoint was given: the weights are random', stacklevel=2
        )
    else:
        checkpoint = find_weights(checkpoint)
        if prefix is not None:
            model.weights_prefix = prefix
        load_checkpoint(model, checkpoint, map_location='cpu')
    model.cfg = cfg
    return model.to(device or get_device()).eval()


def propagate_in_video(
    model: LabelPropagationVOS,
    frames: Any,
    masks: Masks,
    batch_size: int = 1,
    pipeline: Optional[Pipeline] = None,
    binarize: bool = False,
    return_soft_labels: bool = False,
) -> Iterator[Tuple[Any, ...]]:
    """Propagate masks through a video, frame by frame.

    Memory doesn't grow with the video: frames are read as they are needed,
    and the model keeps its context and the frames that brought objects.

    A mask may also show an object again, to correct it: it takes the place
    of what was propagated, and the frame, with the prediction of all that
    the mask does not show, becomes one more reference frame. From there on
    the earlier reference frames, this one and the frames after it count, not
    the frames between, which may have the error as well. No published
    protocol has this, so that scores of such masks compare with no others.

    Several generators of one model may be under way at once: each has the
    state of its own video, and its results are those that it has alone. They
    may be advanced in turn, or each in a thread of its own; one generator is
    for one thread at a time. The model must stay in eval mode, with its
    weights, meanwhile.

    Args:
        model: From :func:`~hvc_mm.apis.init_model`.
        frames: A video file, a folder of images, or an iterable of
            ``(H, W, 3)`` uint8 BGR arrays or image files.
        masks: A mask of frame 0, or masks by frame index; see
            :class:`~hvc_mm.apis.prompt_masks.PromptMasks` for their forms.
            Objects may begin, and be corrected, at any frame. The mapping
            may grow while the generator runs: a mask counts if it is there
            before the batch of its frame is read.
        batch_size: Frames whose features are computed together.
        pipeline: From a frame to the model's input; by default the one of
            the model's config.
        binarize: Each mask shows one object, its edges may be smooth.
        return_soft_labels: Also yield what the masks are the largest of.

    Yields:
        The frame's index, the ids of all objects so far in ascending order,
        and their masks, ``(O, H, W)`` bool. Before the first mask O is 0. On
        request also the soft labels, ``(O + 1, H, W)`` float32 in [0, 1]:
        of the background and of each object, at the frame's size. Where all
        objects begin in one frame, they sum to one in every pixel; a
        protocol that stretches channels (DINO's) stretches these, too.

    Raises:
        FileNotFoundError: A missing video, folder, frame or mask.
        ValueError: One that can't be used; says which and why.

    Example:
        >>> model = init_model('hvc_davis', 'hvc_r18.pth')  # doctest: +SKIP
        >>> masks = {0: 'bear.png', 30: 'cub.png', 60: {1: 'fixed.png'}}
        >>> for index, ids, masks in propagate_in_video(  # doctest: +SKIP
        ...         model, 'bear.mp4', masks):
        ...     print(index, ids, masks.sum((1, 2)))
    """
    source, prompts = open_frames(frames), PromptMasks(masks, binarize)
    stream = stream_video(
        model, source, prompts, batch_size, pipeline, return_soft_labels
    )
    return _object_masks(stream)


def _object_masks(stream: Stream) -> Iterator[Tuple[Any, ...]]:
    object_ids: List[int] = []
    for frame, sample in stream:
        object_ids = sorted({*object_ids, *new_objects(sample)})
        ids = sample.pred_ids.numpy()
        masks = ids == np.array(object_ids, np.uint8)[:, None, None]
        soft = [sample.soft_labels.numpy()] if 'soft_labels' in sample else []
        yield (frame.index, list(object_ids), masks, *soft)


def new_objects(sample: VOSDataSample) -> List[int]:
    """List the ids of the objects that begin at a sample's frame."""
    if 'prompt_ids' not in sample:
        return []
    return [i for i in sample.prompt_ids.unique().tolist() if i]


def corrected_objects(sample: VOSDataSample) -> List[int]:
    """List the ids of the objects whose masks a user gave again for a
    sample's frame: from there on the result is outside of the protocol."""
    return sorted(sample.get('corrections', {}))


def frame_pipeline(
    cfg: Optional[dict] = None, input_size: Optional[Sequence[int]] = None
) -> Pipeline:
    """Build what a config does to a frame between loading and the model.

    Args:
        cfg: A config with a test pipeline, whose loading steps
            (``Load...``) are left out; without one frames are only packed.
        input_size: Height and width that the network sees, instead of what
            the config's ``ResizeFrame`` makes of a frame. Masks keep the
            frame's own size.

    Returns:
        A function from ``img`` and meta keys to ``inputs`` and
        ``data_samples``.
    """
    loader = (cfg or {}).get('test_dataloader') or {}
    steps = loader.get('dataset', {}).get('pipeline', [_PACK])
    steps = [step for step in steps if not _is_step(step, 'Load')]
    if input_size is not None:
        steps = [step for step in steps if not _is_step(step, 'ResizeFrame')]
        steps = [dict(type='ResizeFrame', size=tuple(input_size)), *steps]
    with _building, DefaultScope.overwrite_default_scope('hvc_mm'):
        return Compose([TRANSFORMS.build(dict(step)) for step in steps])


def _is_step(step: dict, name: str) -> bool:
    return str(step['type']).split('.')[-1].startswith(name)


def stream_video(
    model: LabelPropagationVOS,
    source: FrameSource,
    prompts: PromptMasks,
    batch_size: int = 1,
    pipeline: Optional[Pipeline] = None,
    with_soft_labels: bool = False,
) -> Stream:
    """Run a model over a video.

    Args:
        model: In eval mode.
        source: The frames.
        prompts: The masks.
        batch_size: Frames whose features are computed together.
        pipeline: See :func:`frame_pipeline`; by default of the model's
            config.
        with_soft_labels: Let samples have ``soft_labels``, too.

    Returns:
        An iterator of each frame and its sample with ``pred_ids``.

    Raises:
        ValueError: ``batch_size`` is below 1, a mask is given for a frame
            beyond the end, or at the end no mask was used.
    """
    if batch_size < 1:
        raise ValueError(f'batch_size must be at least 1, not {batch_size}')
    prompts.check_frames(source)
    if pipeline is None:
        pipeline = frame_pipeline(getattr(model, 'cfg', None))
    stream = model.new_stream()
    if with_soft_labels:
        stream.codec.with_soft_labels = True
    return _predict(model, stream, source, prompts, batch_size, pipeline)


def _predict(
    model: LabelPropagationVOS,
    stream: VideoStream,
    source: FrameSource,
    prompts: PromptMasks,
    batch_size: int,
    pipeline: Pipeline,
) -> Stream:
    frames, count = iter(source), 0
    while batch := list(islice(frames, batch_size)):
        count += len(batch)
        items = []
        for frame in batch:
            prompt = prompts.prompt_at(frame.index, frame.image.shape[:2])
            items.append(pipeline(_frame_item(frame, source, prompt)))
            if frame.index == 0:
                _warn_of_large_frames(source, items[0]['inputs'])
        data = model.data_preprocessor(pseudo_collate(items))
        for frame, sample in zip(batch, model.predict(**data, stream=stream)):
            _warn_of_lost_objects(sample)
            yield frame, sample
    prompts.check_used(source.name, count)


def _warn_of_large_frames(source: FrameSource, image: Tensor) -> None:
    height, width = image.shape[-2:]
    if height * width > _LARGE:
        warnings.warn(
            f'{source.name}: the network sees frames of {width}x{height} '
            'pixels, and its time grows with the square of their number; '
            'show it smaller ones by input_size=(480, 854), or of '
            'video_demo.py --input-size 480x854',
            stacklevel=3,
        )


def _warn_of_lost_objects(sample: VOSDataSample) -> None:
    given = set(new_objects(sample))
    corrections = sample.get('corrections', {})
    given |= {i for i, mask in corrections.items() if mask.any()}
    lost = sorted(given - set(sample.pred_ids.unique().tolist()))
    if lost:
        warnings.warn(
            f'{sample.video}, frame {sample.frame_name}: objects {lost} are '
            'too small for the feature grid and are lost at once; let the '
            'network see larger frames (ResizeFrame)',
            stacklevel=3,
        )


def _frame_item(
    frame: Frame, source: FrameSource, prompt: Optional[FramePrompt] = None
) -> dict:
    """Bring a frame, and what a user gives for it, to the form that
    transforms take: a video data set's keys."""
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
    if prompt is not None and prompt.ids is not None:
        item['prompt_ids'] = prompt.ids
    if prompt is not None and prompt.corrections:
        item['corrections'] = prompt.corrections
    return item


def video_features(
    model: LabelPropagationVOS,
    source: FrameSource,
    only: Optional[Container[int]] = None,
) -> Iterator[Tuple[Frame, Tensor]]:
    """Compute the features that propagation compares, frame by frame.

    Args:
        model: In eval mode, with its config as ``cfg``.
        source: The frames.
        only: Indices of the frames to compute; None for all.

    Yields:
        The frame, and its features ``(C, h, w)`` fp32, of unit length in
        every cell, on the model's device.
    """
    pipeline = frame_pipeline(getattr(model, 'cfg', None))
    for frame in source:
        if only is not None and frame.index not in only:
            continue
        batch = pseudo_collate([pipeline(_frame_item(frame, source))])
        with torch.no_grad():
            inputs = model.data_preprocessor(batch)['inputs']
            yield frame, model.extract_feat(inputs)[0][0]
