"""Masks for a user's own video, in the manner of OpenMMLab's inferencers."""

from __future__ import annotations

import re
from contextlib import nullcontext
from pathlib import Path
from typing import (
    Any,
    Callable,
    Iterator,
    List,
    Optional,
    Sequence,
    Tuple,
    Union,
)

import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.infer import BaseInferencer
from mmengine.registry import DefaultScope

from hvc_mm.datasets import mask_to_rle, save_id_mask
from hvc_mm.engine.config_file import find_config, list_configs, load_config
from hvc_mm.engine.trained_runs import newest_checkpoint
from hvc_mm.models import LabelPropagationVOS
from hvc_mm.registry import INFERENCERS, VISUALIZERS
from hvc_mm.structures import VOSDataSample
from hvc_mm.utils.outputs import check_outputs, listed_file
from hvc_mm.visualization import VOSLocalVisualizer

from .inference import (
    ConfigLike,
    corrected_objects,
    frame_pipeline,
    init_model,
    new_objects,
    propagate_in_video,
    stream_video,
)
from .picture_writer import PictureWriter
from .prompt_masks import Masks, PromptMasks
from .several_videos import check_names, naming, open_videos
from .video_io import Frame, open_frames, track_frames
from .video_job import VideoJob


@INFERENCERS.register_module()
class VOSInferencer(BaseInferencer):
    """Propagate masks, those of the first frame as a rule, through a video.

    Frames are read, predicted, drawn and written one after the other, so
    memory doesn't grow with the video, but for what is asked to be returned.

    Args:
        model: A config file, the name of one (``'hvc_davis'``), or a config
            in memory.
        weights: A file, a URL or the name of published weights
            (``'hvc-coco'``) for the config's backbone; None takes those of
            the newest run in ``work_dirs`` that trained HVC with this
            backbone, and says which. Without one, and for ``'none'``, they
            are random, with a warning.
        device: As torch names it; None takes the best that is there.
        scope: Where types without a scope are looked up.
        show_progress: Show a bar with frames per second and the time left.
        prefix: Which network of the weights, where a file has several that
            fit: what the names of its tensors begin with.
        input_size: Height and width that the network sees; masks keep the
            frames' size. None: as the config says.

    Example:
        >>> inferencer = VOSInferencer(  # doctest: +SKIP
        ...     'hvc_davis', weights='hvc-coco')
        >>> inferencer(  # doctest: +SKIP
        ...     'bear.mp4', 'first.png', out_dir='out')
    """

    visualize_kwargs = {'show', 'wait_time', 'return_vis', 'no_save_vis'}
    postprocess_kwargs = {'no_save_pred'}

    def __init__(
        self,
        model: ConfigLike = 'hvc_davis',
        weights: Optional[Union[str, Path]] = None,
        device: Optional[str] = None,
        scope: str = 'hvc_mm',
        show_progress: bool = True,
        prefix: Optional[str] = None,
        input_size: Optional[Sequence[int]] = None,
    ) -> None:
        self._prefix, self._input_size = prefix, input_size
        if isinstance(model, (str, Path)):
            model = load_config(find_config(model))
        super().__init__(
            model=model,
            weights=None if weights is None else str(weights),
            device=device,
            scope=scope,
            show_progress=show_progress,
        )

    def __call__(
        self,
        inputs: Any,
        first_mask: Masks,
        return_datasamples: bool = False,
        batch_size: int = 1,
        out_dir: Optional[Union[str, Path]] = None,
        binarize: bool = False,
        force: bool = False,
        return_soft_labels: bool = False,
        **kwargs,
    ) -> Union[dict, List[dict]]:
        """Segment a video, or several one after the other.

        Args:
            inputs: A video file, a folder of images, or an iterable of
                frames: ``(H, W, 3)`` uint8 BGR arrays, image files, pictures
                of Pillow or RGB tensors. Or several videos: a list of these,
                or a folder of video files; see
                :func:`~hvc_mm.apis.several_videos.open_videos`.
            first_mask: A mask of frame 0 (a palette PNG or an array of ids),
                or masks by frame index where objects begin later or are
                corrected; see
                :class:`~hvc_mm.apis.prompt_masks.PromptMasks` for their
                forms, and :func:`~hvc_mm.apis.propagate_in_video` for what
                a correction does. For several videos a list of such masks in
                their order, or a dict by the videos' names.
            return_datasamples: Predictions as :class:`VOSDataSample`, which
                hold whole masks, instead of small dicts.
            batch_size: Frames whose features are computed together.
            binarize: Each mask shows one object, its edges may be smooth.
            out_dir: Write ``vis/`` (a video, or pictures of frames) and
                ``preds/`` (palette PNGs) here. What an earlier call wrote of
                a video of this name is replaced. Several videos must have
                different names.
            force: Write over other files there, too.
            return_soft_labels: Predictions have ``soft_labels``, too,
                ``(O + 1, H, W)`` float32, see
                :func:`~hvc_mm.apis.propagate_in_video`. All are kept: 1.6 MB
                a frame of 480x854 for the background and each object.
            **kwargs: ``show`` (open a window), ``wait_time`` (seconds that
                it shows a frame), ``return_vis`` (return the pictures),
                ``no_save_vis``, ``no_save_pred`` (leave out one part of
                ``out_dir``).

        Returns:
            ``predictions``, one per frame: ``frame_index``, ``frame_name``,
            ``object_ids`` (those that begin by then), ``corrected_ids``
            (those whose masks were given again for this frame: what comes
            from there on is outside of the protocol), and ``mask_path``
            where PNGs are written, else ``masks``, COCO's run lengths of
            each object. ``visualization``: RGB pictures, or None. With
            ``out_dir`` also ``vis_path`` and ``preds_dir``. For several
            videos a list of these.

        Raises:
            FileNotFoundError: A missing video, folder, frame or mask; of
                several videos with the video's name, as all errors.
            ValueError: One that can't be used, or a folder to write that is
                among what is read; says which and why.
            FileExistsError: A file that no earlier call wrote is there.
        """
        _, _, visualize, postprocess = self._dispatch_kwargs(**kwargs)
        vis_dir = preds_dir = None
        if not visualize.pop('no_save_vis', False) and out_dir:
            vis_dir = Path(out_dir) / 'vis'
        if not postprocess.pop('no_save_pred', False) and out_dir:
            preds_dir = Path(out_dir) / 'preds'
        several = open_videos(inputs, first_mask)
        videos = several or [(open_frames(inputs), first_mask)]
        if several and out_dir:
            check_names([source for source, _ in several])
        jobs = []
        for source, masks in videos:
            with naming(source.name if several else None):
                prompts = PromptMasks(masks, binarize)
                stream = stream_video(
                    *(self.model, source, prompts, batch_size, self.pipeline),
                    with_soft_labels=return_soft_labels,
                )
                files = [*source.inputs, *prompts.files]
                jobs.append(VideoJob(source, stream, files))
        for job in jobs:
            job.place(vis_dir, preds_dir, force)
        check_outputs(
            [place for job in jobs for place in job.outputs],
            [path for job in jobs for path in job.inputs],
        )
        for job in jobs:
            job.claim(force)
        results = []
        for job in jobs:
            with naming(job.source.name if several else None):
                results.append(self._run(job, return_datasamples, visualize))
        return results if several else results[0]

    def _run(
        self, job: VideoJob, return_datasamples: bool, visualize: dict
    ) -> dict:
        """Segment a video whose places to write are claimed."""
        predictions: List[Any] = []
        shown: List[np.ndarray] = []
        object_ids: List[int] = []
        source, pictures = job.source, job.pictures
        with pictures or nullcontext():
            for frame, sample in track_frames(
                job.stream, source.length, source.name, self.show_progress
            ):
                picture = self.visualize(frame, sample, pictures, **visualize)
                if visualize.get('return_vis'):
                    shown.append(picture)
                object_ids = sorted({*object_ids, *new_objects(sample)})
                result = _result(sample, object_ids, job.preds_dir)
                predictions.append(sample if return_datasamples else result)
        results = self.postprocess(predictions, shown or None)
        if pictures is not None:
            results['vis_path'] = str(pictures.out)
        if job.preds_dir is not None:
            results['preds_dir'] = str(job.preds_dir)
        return results

    def propagate_in_video(
        self,
        frames: Any,
        masks: Masks,
        batch_size: int = 1,
        binarize: bool = False,
        return_soft_labels: bool = False,
    ) -> Iterator[Tuple[Any, ...]]:
        """Propagate masks through a video and yield them as they come.

        See :func:`hvc_mm.apis.propagate_in_video`; ``frames`` and ``masks``
        are ``inputs`` and ``first_mask`` of a call for one video.
        """
        return propagate_in_video(
            *(self.model, frames, masks, batch_size, self.pipeline),
            binarize=binarize,
            return_soft_labels=return_soft_labels,
        )

    def visualize(
        self,
        inputs: Frame,
        preds: VOSDataSample,
        writer: Optional[PictureWriter] = None,
        show: bool = False,
        wait_time: float = 0.01,
        return_vis: bool = False,
    ) -> Optional[np.ndarray]:
        """Draw one frame where its picture is needed.

        Args:
            inputs: The frame.
            preds: Its sample.
            writer: Takes the picture; None where none is written.
            show: Open a window, for ``wait_time`` seconds.
            wait_time: See ``show``.
            return_vis: Whether the caller needs the picture.

        Returns:
            RGB, uint8 ``(H, W, 3)``; None where it isn't needed.
        """
        if not show and not return_vis and writer is None:
            return None
        picture = self.visualizer.draw(mmcv.bgr2rgb(inputs.image), preds)
        if writer is not None:
            writer.write(picture, inputs.name)
        if show:
            self.visualizer.show(
                picture, win_name=preds.video, wait_time=wait_time
            )
        return picture

    def postprocess(
        self,
        preds: List[Any],
        visualization: Optional[List[np.ndarray]],
        return_datasample: bool = False,
    ) -> dict:
        """Pack the results as ``predictions`` and ``visualization``."""
        return dict(predictions=preds, visualization=visualization)

    def _init_model(
        self, cfg: Config, weights: Optional[str], device: str = 'cpu'
    ) -> LabelPropagationVOS:
        backbone = cfg.model.get('backbone') or {}
        if weights is None and not backbone.get('init_cfg'):
            found = newest_checkpoint(backbone)
            weights = found and str(found)
        elif weights == 'none':
            weights = None
        return init_model(cfg, weights, device, prefix=self._prefix)

    def _init_pipeline(self, cfg: Config) -> Callable[[dict], dict]:
        return frame_pipeline(cfg, self._input_size)

    def _init_collate(self, cfg: Config) -> Callable:
        return pseudo_collate

    def _init_visualizer(self, cfg: Config) -> VOSLocalVisualizer:
        visualizer = dict(cfg.get('visualizer') or {})
        if visualizer.get('type') != 'VOSLocalVisualizer':
            visualizer = dict(type='VOSLocalVisualizer')
        # Pictures go where the caller says, not to a run's backends.
        visualizer.update(vis_backends=[], name=f'vos-inferencer-{id(self)}')
        with DefaultScope.overwrite_default_scope('hvc_mm'):
            return VISUALIZERS.build(visualizer)

    @staticmethod
    def list_models(
        scope: Optional[str] = None, patterns: str = r'.*'
    ) -> List[str]:
        """List the sorted names of hvc_mm's configs that match a pattern."""
        return [name for name in list_configs() if re.match(patterns, name)]


def _result(
    sample: VOSDataSample, object_ids: List[int], preds_dir: Optional[Path]
) -> dict:
    """Write a sample's mask, or encode it; return values fit for JSON, but
    for soft labels."""
    ids = sample.pred_ids.numpy()
    result = dict(
        frame_index=sample.frame_index,
        frame_name=sample.frame_name,
        object_ids=object_ids,
        corrected_ids=corrected_objects(sample),
    )
    if 'soft_labels' in sample:
        result['soft_labels'] = sample.soft_labels.numpy()
    if preds_dir is None:
        masks = [mask_to_rle(ids == i) for i in object_ids]
        return dict(result, masks=masks)
    path = preds_dir / f'{sample.frame_name}.png'
    with listed_file(path, preds_dir) as partial:
        save_id_mask(partial, ids)
    return dict(result, mask_path=str(path))
