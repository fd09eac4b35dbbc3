"""Masks for a user's own video, in the manner of OpenMMLab's inferencers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Callable, Iterator, List, Optional, Tuple, Union

import mmcv
import numpy as np
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.infer import BaseInferencer
from mmengine.registry import DefaultScope

from hvc_mm.engine.run_config import find_config, list_configs
from hvc_mm.models import LabelPropagationVOS
from hvc_mm.registry import INFERENCERS, VISUALIZERS
from hvc_mm.structures import VOSDataSample
from hvc_mm.visualization import VOSLocalVisualizer

from .frame_source import Frame, FrameSource, open_frames
from .init_model import ConfigLike, init_model
from .progress import track_frames
from .prompt_masks import Masks, PromptMasks
from .propagate_in_video import (
    frame_pipeline,
    object_masks,
    stream_video,
    video_batches,
)
from .result_writer import ResultWriter
from .rle import mask_to_rle


@INFERENCERS.register_module()
class VOSInferencer(BaseInferencer):
    """Carry the first frame's masks through a video.

    Frames are read, predicted, drawn and written one after the other, so
    memory doesn't grow with the video, but for what is asked to be returned.

    Args:
        model: A config file, the name of one (``'hvc_davis'``), or a config
            in memory.
        weights: A file or URL that holds weights of the config's backbone;
            None leaves random weights and warns.
        device: As torch names it; None takes the best that is there.
        scope: Where types without a scope are looked up.
        show_progress: Show a bar with frames per second and the time left.

    Example:
        >>> inferencer = VOSInferencer(  # doctest: +SKIP
        ...     'hvc_davis', weights='hvc_r18.pth')
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
    ) -> None:
        super().__init__(
            model=str(model) if isinstance(model, Path) else model,
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
        **kwargs,
    ) -> dict:
        """Segment a video.

        Args:
            inputs: A video file, a folder of images, or an iterable of
                ``(H, W, 3)`` uint8 BGR arrays or image files.
            first_mask: A mask of frame 0 (a palette PNG or an array of ids),
                or masks by frame index where objects begin later; see
                :class:`~hvc_mm.apis.prompt_masks.PromptMasks`.
            return_datasamples: Predictions as :class:`VOSDataSample`, which
                hold whole masks, instead of small dicts.
            batch_size: Frames whose features are computed together.
            out_dir: Write ``vis/`` (a video, or pictures of frames) and
                ``preds/`` (palette PNGs) here.
            **kwargs: ``show`` (open a window), ``wait_time`` (seconds that
                it shows a frame), ``return_vis`` (return the pictures),
                ``no_save_vis``, ``no_save_pred`` (leave out one part of
                ``out_dir``).

        Returns:
            ``predictions``, one per frame: ``frame_index``, ``frame_name``,
            ``object_ids`` (those that begin by then), and ``mask_path``
            where PNGs are written, else ``masks``, COCO's run lengths of
            each object. ``visualization``: RGB pictures, or None. With
            ``out_dir`` also ``vis_path`` and ``preds_dir``.

        Raises:
            FileNotFoundError: A missing video, folder, frame or mask.
            ValueError: One that can't be used; says which and why.
        """
        _, _, visualize, postprocess = self._dispatch_kwargs(**kwargs)
        no_save_vis = visualize.pop('no_save_vis', False)
        no_save_pred = postprocess.pop('no_save_pred', False)
        source, prompts = open_frames(inputs), PromptMasks(first_mask)
        predictions: List[Any] = []
        pictures: List[np.ndarray] = []
        object_ids = {0}
        with ResultWriter(
            out_dir, source, not no_save_vis, not no_save_pred
        ) as writer:
            batches = self.preprocess(source, batch_size, prompts)
            stream = stream_video(self.model, batches, self.forward)
            for frame, sample in track_frames(
                stream, source.length, source.name, self.show_progress
            ):
                picture = self.visualize(frame, sample, writer, **visualize)
                if visualize.get('return_vis'):
                    pictures.append(picture)
                path = writer.write_mask(frame, sample.pred_ids.numpy())
                if 'prompt_ids' in sample:
                    object_ids.update(sample.prompt_ids.unique().tolist())
                if not return_datasamples:
                    sample = self.pred2dict(
                        sample, sorted(object_ids - {0}), path
                    )
                predictions.append(sample)
        results = self.postprocess(predictions, pictures or None)
        if writer.vis_path is not None:
            results['vis_path'] = str(writer.vis_path)
        if writer.preds_dir is not None:
            results['preds_dir'] = str(writer.preds_dir)
        return results

    def propagate_in_video(
        self, frames: Any, masks: Masks, batch_size: int = 1
    ) -> Iterator[Tuple[int, List[int], np.ndarray]]:
        """Carry masks through a video and hand them out as they come.

        See :func:`hvc_mm.apis.propagate_in_video`.

        Args:
            frames: As ``inputs`` of a call.
            masks: As ``first_mask`` of a call; the mapping may grow while
                the generator runs.
            batch_size: Frames whose features are computed together.

        Returns:
            A generator of the frame's index, the ids of all objects so far,
            and their ``(O, H, W)`` bool masks.
        """
        source, prompts = open_frames(frames), PromptMasks(masks)
        batches = self.preprocess(source, batch_size, prompts)
        return object_masks(stream_video(self.model, batches, self.forward))

    def preprocess(
        self, inputs: FrameSource, batch_size: int, prompts: PromptMasks
    ) -> Iterator[Tuple[List[Frame], dict]]:
        """Read a video in batches for the model.

        Args:
            inputs: The frames.
            batch_size: Frames per batch.
            prompts: The masks.

        Returns:
            An iterator of frames and what ``test_step`` takes.
        """
        return video_batches(inputs, prompts, self.pipeline, batch_size)

    def visualize(
        self,
        inputs: Frame,
        preds: VOSDataSample,
        writer: ResultWriter,
        show: bool = False,
        wait_time: float = 0.01,
        return_vis: bool = False,
    ) -> Optional[np.ndarray]:
        """Draw one frame, if anybody wants to see it.

        Args:
            inputs: The frame.
            preds: Its sample.
            writer: Takes the picture.
            show: Open a window.
            wait_time: Seconds that the window shows the frame.
            return_vis: The picture is wanted.

        Returns:
            RGB, uint8 ``(H, W, 3)``; None where nobody wants it.
        """
        if not show and not return_vis and writer.vis_path is None:
            return None
        picture = self.visualizer.draw(mmcv.bgr2rgb(inputs.image), preds)
        writer.write_picture(inputs, picture)
        if show:
            self.visualizer.show(
                picture, win_name=preds.video, wait_time=wait_time
            )
        return picture

    def pred2dict(
        self,
        sample: VOSDataSample,
        object_ids: List[int],
        mask_path: Optional[str],
    ) -> dict:
        """Turn a sample into plain values, fit for JSON.

        Args:
            sample: With ``pred_ids``.
            object_ids: Objects so far.
            mask_path: Where its mask was written, if it was.

        Returns:
            See :meth:`__call__`.
        """
        result = dict(
            frame_index=sample.frame_index,
            frame_name=sample.frame_name,
            object_ids=object_ids,
        )
        if mask_path is not None:
            return dict(result, mask_path=mask_path)
        ids = sample.pred_ids.numpy()
        return dict(result, masks=[mask_to_rle(ids == i) for i in object_ids])

    def postprocess(
        self,
        preds: List[Any],
        visualization: Optional[List[np.ndarray]],
        return_datasample: bool = False,
    ) -> dict:
        """Pack the results.

        Args:
            preds: One per frame.
            visualization: Pictures, or None.
            return_datasample: Makes no difference here.

        Returns:
            ``predictions`` and ``visualization``.
        """
        return dict(predictions=preds, visualization=visualization)

    def _load_model_from_metafile(self, model: str) -> Tuple[Config, None]:
        return Config.fromfile(find_config(model)), None

    def _init_model(
        self, cfg: Config, weights: Optional[str], device: str = 'cpu'
    ) -> LabelPropagationVOS:
        return init_model(cfg, weights, device)

    def _init_pipeline(self, cfg: Config) -> Callable[[dict], dict]:
        return frame_pipeline(cfg)

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
        """Names of configs.

        Args:
            scope: Makes no difference: they are hvc_mm's.
            patterns: A regular expression that names must match.

        Returns:
            The names, sorted.
        """
        return [name for name in list_configs() if re.match(patterns, name)]
