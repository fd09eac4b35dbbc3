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

from hvc_mm.datasets import save_id_mask
from hvc_mm.engine.config_file import find_config, list_configs, load_config
from hvc_mm.engine.trained_runs import newest_checkpoint
from hvc_mm.models import LabelPropagationVOS
from hvc_mm.registry import INFERENCERS, VISUALIZERS
from hvc_mm.structures import VOSDataSample
from hvc_mm.utils.outputs import check_outputs, claim_folder, listed_file
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
from .video_io import Frame, FrameSource, open_frames, track_frames


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
        **kwargs,
    ) -> dict:
        """Segment a video.

        Args:
            inputs: A video file, a folder of images, or an iterable of
                ``(H, W, 3)`` uint8 BGR arrays or image files.
            first_mask: A mask of frame 0 (a palette PNG or an array of ids),
                or masks by frame index where objects begin later or are
                corrected; see
                :class:`~hvc_mm.apis.prompt_masks.PromptMasks` for their
                forms, and :func:`~hvc_mm.apis.propagate_in_video` for what
                a correction does.
            return_datasamples: Predictions as :class:`VOSDataSample`, which
                hold whole masks, instead of small dicts.
            batch_size: Frames whose features are computed together.
            binarize: Each mask shows one object, its edges may be smooth.
            out_dir: Write ``vis/`` (a video, or pictures of frames) and
                ``preds/`` (palette PNGs) here. What an earlier call wrote of
                a video of this name is replaced.
            force: Write over other files there, too.
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
            ``out_dir`` also ``vis_path`` and ``preds_dir``.

        Raises:
            FileNotFoundError: A missing video, folder, frame or mask.
            ValueError: One that can't be used, or a folder to write that is
                among what is read; says which and why.
            FileExistsError: A file that no earlier call wrote is there.
        """
        _, _, visualize, postprocess = self._dispatch_kwargs(**kwargs)
        source, prompts = (
            open_frames(inputs),
            PromptMasks(first_mask, binarize),
        )
        save_vis = not visualize.pop('no_save_vis', False)
        pictures = preds_dir = None
        if out_dir and save_vis:
            pictures = _picture_writer(Path(out_dir) / 'vis', source, force)
        if out_dir and not postprocess.pop('no_save_pred', False):
            preds_dir = Path(out_dir) / 'preds' / source.name
        outputs = [pictures and pictures.out, preds_dir]
        inputs = [*source.inputs, *prompts.files]
        check_outputs(filter(None, outputs), inputs)
        predictions: List[Any] = []
        shown: List[np.ndarray] = []
        object_ids: List[int] = []
        stream = stream_video(
            self.model, source, prompts, batch_size, self.pipeline
        )
        if preds_dir:
            claim_folder(preds_dir, force)
        with pictures or nullcontext():
            for frame, sample in track_frames(
                stream, source.length, source.name, self.show_progress
            ):
                picture = self.visualize(frame, sample, pictures, **visualize)
                if visualize.get('return_vis'):
                    shown.append(picture)
                object_ids = sorted({*object_ids, *new_objects(sample)})
                result = _result(sample, object_ids, preds_dir)
                predictions.append(sample if return_datasamples else result)
        results = self.postprocess(predictions, shown or None)
        if pictures is not None:
            results['vis_path'] = str(pictures.out)
        if preds_dir is not None:
            results['preds_dir'] = str(preds_dir)
        return results

    def propagate_in_video(
        self, frames: Any, masks: Masks, batch_size: int = 1
    ) -> Iterator[Tuple[int, List[int], np.ndarray]]:
        """Propagate masks through a video and yield them as they come.

        See :func:`hvc_mm.apis.propagate_in_video`; ``frames`` and ``masks``
        are ``inputs`` and ``first_mask`` of a call.
        """
        return propagate_in_video(
            self.model, frames, masks, batch_size, self.pipeline
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


def _picture_writer(
    folder: Path, source: FrameSource, force: bool
) -> PictureWriter:
    """Open a video for a video's pictures, else a folder for frames'."""
    name = f'{source.name}.mp4' if source.fps else source.name
    return PictureWriter(folder / name, source.fps or 25, force)


def _result(
    sample: VOSDataSample, object_ids: List[int], preds_dir: Optional[Path]
) -> dict:
    """Write a sample's mask, or encode it; return values fit for JSON."""
    ids = sample.pred_ids.numpy()
    result = dict(
        frame_index=sample.frame_index,
        frame_name=sample.frame_name,
        object_ids=object_ids,
        corrected_ids=corrected_objects(sample),
    )
    if preds_dir is None:
        masks = [mask_to_rle(ids == i) for i in object_ids]
        return dict(result, masks=masks)
    path = preds_dir / f'{sample.frame_name}.png'
    with listed_file(path, preds_dir) as partial:
        save_id_mask(partial, ids)
    return dict(result, mask_path=str(path))


def mask_to_rle(mask: np.ndarray) -> dict:
    """Encode a mask as COCO's uncompressed run lengths.

    Runs go down the columns and alternate, beginning with zeros. pycocotools
    reads it: ``mask.frPyObjects(rle, *rle['size'])``.

    Args:
        mask: ``(H, W)`` bool.

    Returns:
        ``size`` ``[H, W]`` and ``counts``, plain integers, fit for JSON.
    """
    flat = np.asarray(mask, bool).ravel(order='F')
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff([0, *changes, flat.size]).tolist()
    if flat.size and flat[0]:
        counts = [0, *counts]
    return {'size': list(mask.shape), 'counts': counts}
