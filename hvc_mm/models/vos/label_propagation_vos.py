"""Segment a video's objects without training: features, propagated labels.

A frame is normalised, the backbone computes its features, the codec encodes
what the frame's annotation brings, the propagator takes one step, and the
codec decodes its soft labels at the frame's size.

Shapes: N frames, C channels, H W frame, h w feature grid, M label channels.
"""

from __future__ import annotations

from itertools import groupby
from threading import Lock
from typing import Any, Dict, List, Optional, Sequence, Union

import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hvc_mm.checkpoint import adopt_backbone_weights
from hvc_mm.registry import MODELS, TASK_UTILS
from hvc_mm.structures import VOSDataSample

from ..backbones import unit_features
from .video_stream import VideoStream

# Threads may share a model, and none may compute features meanwhile.
_warming_up = Lock()


@MODELS.register_module()
class LabelPropagationVOS(BaseModel, VideoStream):
    """Propagate the first frame's labels through a video.

    The features of a backbone are compared from frame to frame
    (:class:`~hvc_mm.models.vos.LabelPropagator`); a codec turns what the
    benchmark annotates (masks, parts, joints) into label channels and back.
    The model is a :class:`~hvc_mm.models.vos.VideoStream`: frames must come
    in video order, and a sample with ``starts_video`` begins anew. For other
    videos meanwhile it makes further streams.

    Checkpoints load as they are: those of pre-training (``backbone.``), of
    other OpenMMLab models, and plain state dicts of a backbone.

    Args:
        backbone: Config of any OpenMMLab backbone (or
            :class:`~hvc_mm.models.backbones.FeatureEnsemble`).
        propagator: Config of the propagator.
        codec: Config of the label codec.
        feature_index: Which of the backbone's maps to compare, several to
            concatenate them; None where it returns only one.
        data_preprocessor: Config of the preprocessor.
        weights_prefix: Which network of a checkpoint is loaded where it has
            several that fit, as ``--prefix`` of the tools.
        init_cfg: mmengine's.
        warmup_zero_image: Height and width of an all-zero image that the
            backbone sees once before the first frame, see :meth:`warm_up`;
            None for no such image. HVC's release has one of 256x256.
        feature_stride: Bring the backbone's map to cells of so many pixels
            (bilinear) before it is normalised, as SMTC's evaluation does;
            None keeps the backbone's own stride.
        **removed: Options of 0.1, refused with what to use instead.

    Raises:
        ValueError: For an option that is gone or out of its range.
    """

    def __init__(
        self,
        backbone: dict,
        propagator: Optional[dict] = None,
        codec: Optional[dict] = None,
        feature_index: Optional[Union[int, Sequence[int]]] = None,
        data_preprocessor: Optional[dict] = None,
        weights_prefix: Optional[str] = None,
        init_cfg: Optional[dict] = None,
        warmup_zero_image: Optional[Sequence[int]] = None,
        feature_stride: Optional[int] = None,
        **removed: Any,
    ) -> None:
        _refuse(removed)
        size = warmup_zero_image
        if size is not None and (len(size) != 2 or min(size) < 1):
            raise ValueError(
                f'warmup_zero_image is {size}; expected height and width in '
                'pixels, or None'
            )
        if feature_stride is not None and feature_stride < 1:
            raise ValueError(
                f'feature_stride is {feature_stride}; expected pixels >= 1'
            )
        # Built here, where names without a scope are hvc_mm's: BaseModel
        # would look in mmengine's own registry. Default parts name their
        # scope: a config's own may be another project's.
        preprocessor = MODELS.build(
            {
                'type': 'hvc_mm.VOSDataPreprocessor',
                **(data_preprocessor or {}),
            }
        )
        super().__init__(preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone)
        # mmengine calls init_weights before training only. Weights that a
        # config names (`init_cfg`) have to be there for a test as well.
        if hasattr(self.backbone, 'init_weights'):
            self.backbone.init_weights()
        VideoStream.__init__(
            self,
            MODELS.build(
                {'type': 'hvc_mm.LabelPropagator', **(propagator or {})}
            ),
            TASK_UTILS.build({'type': 'hvc_mm.MaskCodec', **(codec or {})}),
        )
        several = isinstance(feature_index, Sequence)
        for index in feature_index if several else [feature_index or 0]:
            if index < 0:
                raise ValueError(
                    f'feature_index is {feature_index}; expected maps '
                    'counted from 0'
                )
        self.feature_index = feature_index
        self.feature_stride = feature_stride
        self.weights_prefix = weights_prefix
        self.warmup_zero_image = size
        self._as_loaded: Optional[Dict[str, Tensor]] = None
        self._register_load_state_dict_pre_hook(
            adopt_backbone_weights, with_module=True
        )
        self._register_load_state_dict_pre_hook(
            _undo_warm_up, with_module=True
        )
        self._register_state_dict_hook(_save_as_loaded)

    def warm_up(self) -> None:
        """Run the all-zero image through the backbone, unless that was done.

        Its batch norms (of an ensemble, all members') are in train mode for
        it: each running statistic moves towards the image's by the batch
        norm's momentum, a tenth as a rule. Features are computed with the
        moved statistics. The weights themselves stay as they were loaded:
        that is what :meth:`state_dict` gives, and what :meth:`train` and
        newly loaded weights begin with. :meth:`extract_feat` calls this in
        eval mode; whoever copies or fuses the backbone calls it before.
        """
        with _warming_up:
            if self.warmup_zero_image is not None and self._as_loaded is None:
                self._run_zero_image()

    def _run_zero_image(self) -> None:
        statistics = _statistics(self.backbone)
        self._as_loaded = {k: v.clone() for k, v in statistics.items()}
        if not statistics:
            return
        norms = [m for m in self.backbone.modules() if _is_norm(m)]
        modes = [norm.training for norm in norms]
        # Members without batch norms, as Vision Transformers, may not take
        # this size.
        members = getattr(self.backbone, 'members', [self.backbone])
        members = [m for m in members if _statistics(m)]
        image = next(self.backbone.parameters()).new_zeros(
            1, 3, *self.warmup_zero_image
        )
        try:
            # Not the whole network: nothing random shall take part.
            for norm in norms:
                norm.training = True
            with torch.no_grad():
                for member in members:
                    member(image)
        finally:
            for norm, mode in zip(norms, modes):
                norm.training = mode

    def train(self, mode: bool = True) -> LabelPropagationVOS:
        """Set the mode; training begins with the statistics as loaded."""
        if mode:
            _undo_warm_up(self)
        return super().train(mode)

    def forward(
        self,
        inputs: Sequence[Tensor],
        data_samples: Optional[List[VOSDataSample]] = None,
        mode: str = 'tensor',
    ) -> Union[List[Tensor], List[VOSDataSample]]:
        """Run one of mmengine's modes.

        Args:
            inputs: Normalised frames, each ``(3, H, W)``.
            data_samples: One per frame (mode ``'predict'``).
            mode: ``'predict'``, or ``'tensor'`` for features.

        Returns:
            Samples with predictions, or features ``(1, C, h, w)`` per frame.

        Raises:
            ValueError: For any other mode: there is nothing to train.
        """
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self.extract_feat(inputs)
        raise ValueError(
            f'LabelPropagationVOS has no mode {mode!r}: it is not trained '
            "(expected 'predict' or 'tensor'); train its backbone with HVC"
        )

    def extract_feat(self, inputs: Sequence[Tensor]) -> List[Tensor]:
        """Compute unit features; frames of one size go in one batch.

        Args:
            inputs: Normalised frames, each ``(3, H, W)``.

        Returns:
            ``(1, C, h, w)`` fp32 per frame.

        Raises:
            ValueError: When a map's grid does not fit the frames.
        """
        if not self.training:
            self.warm_up()
        features: List[Tensor] = []
        for size, frames in groupby(inputs, key=lambda f: tuple(f.shape[1:])):
            maps = self.backbone(_stack(list(frames)))
            batch = unit_features(
                maps, self.feature_index, size, self.feature_stride
            )
            features += batch.split(1)
        return features

    @torch.no_grad()
    def predict(
        self,
        inputs: Sequence[Tensor],
        data_samples: List[VOSDataSample],
        stream: Optional[VideoStream] = None,
    ) -> List[VOSDataSample]:
        """Propagate the labels through the next frames of a stream.

        Args:
            inputs: Normalised frames ``(3, H, W)``, in video order.
            data_samples: One per frame. ``starts_video`` begins anew,
                ``prompt_ids`` brings new objects, ``corrections`` masks of
                known ones.
            stream: The video's; None for the model's own.

        Returns:
            The same samples with the codec's prediction (``pred_ids``).

        Raises:
            ValueError: When a video's frames differ in size.
        """
        stream = self if stream is None else stream
        for features, sample in zip(self.extract_feat(inputs), data_samples):
            if sample.get('starts_video', False):
                stream.reset()
            stream.propagate(features, sample)
        return data_samples


def _refuse(removed: dict) -> None:
    if 'fold_batch_norm' in removed:
        raise ValueError(
            'LabelPropagationVOS: fold_batch_norm is gone: test with '
            '`tools/test.py --fuse-conv-bn`'
        )
    if removed:
        raise TypeError(f'LabelPropagationVOS has no arguments {[*removed]}')


def _is_norm(module: nn.Module) -> bool:
    return isinstance(module, _BatchNorm) and module.track_running_stats


def _statistics(backbone: nn.Module) -> Dict[str, Tensor]:
    """Collect the running statistics of a network, by name."""
    return {
        f'{name}.{key}': buffer
        for name, module in backbone.named_modules()
        if _is_norm(module)
        for key, buffer in module.named_buffers(recurse=False)
    }


def _undo_warm_up(model: LabelPropagationVOS, *_: Any) -> None:
    """Give a backbone its statistics as they were loaded."""
    if model._as_loaded is not None:
        for name, buffer in _statistics(model.backbone).items():
            buffer.copy_(model._as_loaded[name])
        model._as_loaded = None


def _save_as_loaded(
    model: LabelPropagationVOS, state: Dict[str, Tensor], prefix: str, _: Any
) -> None:
    """Save the statistics as loaded: to load them is to warm up again."""
    for name, value in (model._as_loaded or {}).items():
        key = f'{prefix}backbone.{name}'
        if key in state:
            state[key] = value.to(state[key].device)


def _stack(frames: List[Tensor]) -> Tensor:
    """Stack frames ``(3, H, W)`` to ``(N, 3, H, W)``, in their own memory
    format, which ``torch.stack`` alone would lose."""
    if frames[0].stride(0) != 1:
        return torch.stack(frames)
    return torch.stack([f.movedim(0, -1) for f in frames]).movedim(-1, 1)
