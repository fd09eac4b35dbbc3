"""Segment a video's objects without training: features, propagated labels.

A frame is normalised, the backbone computes its features, the codec encodes
what the frame's annotation brings, the propagator takes one step, and the
codec decodes its soft labels at the frame's size.

Shapes: N frames, C channels, H W frame, h w feature grid, M label channels.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any, List, Optional, Sequence, Union

import torch
from mmengine.model import BaseModel
from torch import Tensor

from hvc_mm.checkpoint import adopt_backbone_weights
from hvc_mm.registry import MODELS, TASK_UTILS
from hvc_mm.structures import VOSDataSample

from ..backbones import unit_features


@MODELS.register_module()
class LabelPropagationVOS(BaseModel):
    """Propagate the first frame's labels through a video.

    The features of a backbone are compared from frame to frame
    (:class:`~hvc_mm.models.vos.LabelPropagator`); a codec turns what the
    benchmark annotates (masks, parts, joints) into label channels and back.
    The model is a stream: frames must come in video order, and a sample with
    ``starts_video`` begins anew.

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
        **removed: Options of 0.1, refused with what to use instead.

    Raises:
        ValueError: For an option that is gone.
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
        **removed: Any,
    ) -> None:
        _refuse(removed)
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
        self.propagator = MODELS.build(
            {'type': 'hvc_mm.LabelPropagator', **(propagator or {})}
        )
        self.codec = TASK_UTILS.build(
            {'type': 'hvc_mm.MaskCodec', **(codec or {})}
        )
        several = isinstance(feature_index, Sequence)
        for index in feature_index if several else [feature_index or 0]:
            if index < 0:
                raise ValueError(
                    f'feature_index is {feature_index}; expected maps '
                    'counted from 0'
                )
        self.feature_index = feature_index
        self.weights_prefix = weights_prefix
        self._started = False
        self._register_load_state_dict_pre_hook(
            adopt_backbone_weights, with_module=True
        )

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
        features: List[Tensor] = []
        for size, frames in groupby(inputs, key=lambda f: tuple(f.shape[1:])):
            maps = self.backbone(_stack(list(frames)))
            batch = unit_features(maps, self.feature_index, size)
            features += batch.split(1)
        return features

    @torch.no_grad()
    def predict(
        self, inputs: Sequence[Tensor], data_samples: List[VOSDataSample]
    ) -> List[VOSDataSample]:
        """Propagate the labels through the next frames of the stream.

        Args:
            inputs: Normalised frames ``(3, H, W)``, in video order.
            data_samples: One per frame. ``starts_video`` begins anew,
                ``prompt_ids`` brings new objects.

        Returns:
            The same samples with the codec's prediction (``pred_ids``).

        Raises:
            ValueError: When a video's frames differ in size.
        """
        for features, sample in zip(self.extract_feat(inputs), data_samples):
            if sample.get('starts_video', False):
                self.reset()
            self.propagate(features, sample)
        return data_samples

    @torch.no_grad()
    def propagate(
        self, features: Tensor, sample: VOSDataSample
    ) -> VOSDataSample:
        """Propagate the labels to one frame, the next of the stream.

        Before the first prompt nothing is propagated.

        Args:
            features: Of the frame, ``(1, C, h, w)``, as
                :meth:`extract_feat` returns them.
            sample: The frame's, with ``ori_shape``; it may bring new
                objects (``prompt_ids`` or ``prompt_joints``).

        Returns:
            The same sample with the codec's prediction (``pred_ids`` or
            ``pred_joints``).

        Raises:
            ValueError: When a prompt holds an object that is known, or the
                features' grid changes within a video.
        """
        labels = self.codec.encode(sample, tuple(features.shape[-2:]))
        if labels is not None:
            labels = labels.to(features)
        soft_labels = None
        if self._started or labels is not None:
            soft_labels = self.propagator.step(features, labels)
            self._started = True
        self.codec.decode(soft_labels, sample)
        return sample

    def reset(self) -> None:
        """Forget the video: the next frame must bring labels."""
        self._started = False
        self.propagator.reset()
        self.codec.reset()


def _refuse(removed: dict) -> None:
    if 'fold_batch_norm' in removed:
        raise ValueError(
            'LabelPropagationVOS: fold_batch_norm is gone: test with '
            '`tools/test.py --fuse-conv-bn`'
        )
    if removed:
        raise TypeError(f'LabelPropagationVOS has no arguments {[*removed]}')


def _stack(frames: List[Tensor]) -> Tensor:
    """Stack frames ``(3, H, W)`` to ``(N, 3, H, W)``, in their own memory
    format, which ``torch.stack`` alone would lose."""
    if frames[0].stride(0) != 1:
        return torch.stack(frames)
    return torch.stack([f.movedim(0, -1) for f in frames]).movedim(-1, 1)
