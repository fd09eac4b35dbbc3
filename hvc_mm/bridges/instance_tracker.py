"""HVC's propagation as a tracker, for any project that has detectors.

The projects' own modules next to this one add their base class and unpack
their samples. Shapes: N detections, H W frame, in pixels.
"""

from __future__ import annotations

from typing import Any, Dict, Optional, Tuple

import torch
from mmengine.registry import MODELS, Registry
from mmengine.structures import BaseDataElement, InstanceData
from torch import Tensor, nn
from torchvision.ops import masks_to_boxes

from hvc_mm.models import LabelPropagationVOS
from hvc_mm.structures import VOSDataSample

from .instance_tracks import InstanceTracks
from .matching import pool_features


class InstanceTracker:
    """Detect now and then, propagate masks and identities in between.

    The part of ``HVCInstanceTracker`` that is the same in every project; to
    be derived from next to the project's own base class.

    On key frames an instance segmentor of MMDetection finds objects;
    detections are matched to the propagated masks
    (:class:`~hvc_mm.bridges.instance_tracks.InstanceTracks`). On every other
    frame HVC's propagation alone says where the objects are, so that the
    detector runs once in ``detect_every`` frames. Nothing is trained: the
    detector and the backbone come with their weights.

    Args:
        detector: Config of an instance segmentor of MMDetection.
        carrier: Arguments of
            :class:`~hvc_mm.models.vos.LabelPropagationVOS`;
            ``preprocessor`` is its ``data_preprocessor``.
        tracks: Arguments of
            :class:`~hvc_mm.bridges.instance_tracks.InstanceTracks`.
        detect_every: k: every k-th frame is a key frame. None: only the
            first frame in which something is found.
        score_thr: Least score of a detection that counts at all.
        max_references: Most reference frames at a time, since each key
            frame with new objects adds one: it bounds memory and time. With
            one more, propagation starts anew from all masks as they are.
        label_map: Classes of the detector to those of the results; other
            detections are dropped. None leaves the classes as they are.
        data_preprocessor: The project's ``TrackDataPreprocessor``.
        init_cfg: mmengine's.

    Attributes:
        registry: Where the detector is registered.
        detections: The field of a sample for what the detector found.

    Raises:
        ValueError: For a ``detect_every`` below 1, or a detector without
            masks.
    """

    registry: Registry = MODELS
    detections = 'pred_instances'

    def __init__(
        self,
        detector: dict,
        carrier: dict,
        tracks: Optional[dict] = None,
        detect_every: Optional[int] = 10,
        score_thr: float = 0.3,
        max_references: int = 8,
        label_map: Optional[Dict[int, int]] = None,
        data_preprocessor: Optional[dict] = None,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        if detect_every is not None and detect_every < 1:
            raise ValueError(
                f'detect_every is {detect_every}, expected a number of '
                'frames >= 1, or None for the first frame alone'
            )
        self.detector = self.registry.build(detector)
        if not getattr(self.detector, 'with_mask', True):
            raise ValueError(
                f'{type(self.detector).__name__} finds no masks, expected '
                'an instance segmentor such as MaskRCNN'
            )
        carrier = dict(carrier)
        if 'preprocessor' in carrier:
            carrier['data_preprocessor'] = carrier.pop('preprocessor')
        # Its file is read when it is needed: weights of the whole tracker
        # may be loaded before.
        carrier['backbone'] = dict(carrier['backbone'])
        self._carrier_init = carrier['backbone'].pop('init_cfg', None)
        self.carrier = LabelPropagationVOS(**carrier)
        self.references = 0
        self.tracks = InstanceTracks(**(tracks or {}))
        self.detect_every = detect_every
        self.score_thr = score_thr
        self.max_references = max_references
        self.label_map = label_map
        for part in (self.detector, self.carrier):
            part.register_load_state_dict_post_hook(_note_loaded)

    def loss(self, inputs: Any, data_samples: list, **kwargs: Any) -> dict:
        """Refuse: there is nothing to train here."""
        raise NotImplementedError(
            'HVCInstanceTracker is not trained: train its detector with '
            'MMDetection and its backbone with HVC'
        )

    @torch.no_grad()
    def track(
        self, image: Tensor, sample: BaseDataElement, rescale: bool = True
    ) -> None:
        """Find the objects of a video's next frame.

        The sample gets ``pred_track_instances``: ``masks`` ``(N, H, W)``
        bool, ``bboxes`` ``(N, 4)``, ``labels``, ``scores`` and
        ``instances_id`` ``(N,)``; on key frames what was detected, too.

        Args:
            image: ``(1, 3, h, w)``, normalised and padded.
            sample: The frame's, with ``frame_id`` (0 begins a video),
                ``img_shape`` and ``ori_shape``.
            rescale: Results at the frame's own size, or at ``img_shape``.

        Raises:
            ValueError: For a sample that doesn't say which frame it is.
        """
        if 'frame_id' not in sample.metainfo:
            raise ValueError(
                'the sample has no frame_id: a tracker needs the frames of '
                "videos, in order; use the project's data set of videos"
            )
        self._ensure_weights()
        frame = sample.metainfo['frame_id']
        if frame == 0:
            self.reset()
        size = tuple(sample.ori_shape if rescale else sample.img_shape)[:2]
        features = self._features(image, sample.img_shape)
        if self.references:
            self.tracks.update(self._propagate(features, size))
        if self._is_key(frame):
            self._take(self._detect(image, sample, rescale), features)
        if not len(self.tracks):
            self._forget_references()
        sample.pred_track_instances = self._instances(size, image.device)

    def reset(self) -> None:
        """Forget the video."""
        self.tracks.reset()
        self._forget_references()

    def _forget_references(self) -> None:
        self.references = 0
        self.carrier.reset()

    def _take(self, found: InstanceData, features: Tensor) -> None:
        """Match detections to the tracks; propagate new masks from here."""
        views = pool_features(features, found.masks)
        renewed, began = self.tracks.confirm(
            *(found.masks.cpu(), found.labels.cpu()),
            *(found.scores.cpu(), views.cpu()),
        )
        if not (renewed or began):
            return
        adds = (
            not renewed
            and 0 < self.references < self.max_references
            and self.tracks.has_room(began)
        )
        if not adds:
            self._forget_references()
        slots = self.tracks.paint(began if adds else None)
        self._propagate(features, tuple(slots.shape), slots)
        self.references += 1

    def _propagate(
        self,
        features: Tensor,
        size: Tuple[int, int],
        slots: Optional[Tensor] = None,
    ) -> Tensor:
        """Propagate the tracks' slots to a frame.

        Args:
            features: The frame's, ``(1, C, h, w)``.
            size: ``(H, W)`` of the result.
            slots: ``(H, W)`` uint8, those that begin in this frame, which
                becomes one more reference frame.

        Returns:
            ``(H, W)`` uint8 on the CPU.
        """
        sample = VOSDataSample(metainfo=dict(ori_shape=size))
        if slots is not None:
            sample.prompt_ids = slots
        return self.carrier.propagate(features, sample).pred_ids

    def _is_key(self, frame: int) -> bool:
        if self.detect_every is None:
            return self.tracks.count == 0
        return frame % self.detect_every == 0

    def _detect(
        self, image: Tensor, sample: BaseDataElement, rescale: bool
    ) -> InstanceData:
        """Detect objects; keep those that count, in the results' classes."""
        self.detector.predict(image, [sample], rescale=rescale)
        found = sample.pred_instances
        del sample.pred_instances
        if 'masks' not in found:
            raise ValueError(
                f'{type(self.detector).__name__} found no masks, expected '
                'an instance segmentor such as MaskRCNN'
            )
        found = found[found.scores >= self.score_thr]
        if self.label_map is not None:
            labels = [self.label_map.get(i, -1) for i in found.labels.tolist()]
            found.labels = found.labels.new_tensor(labels)
            found = found[found.labels >= 0]
        setattr(sample, self.detections, found)
        return found

    def _features(self, image: Tensor, shape: Tuple[int, ...]) -> Tensor:
        """Compute what the propagation compares, ``(1, C, h, w)``."""
        raw = self._raw(image, shape)
        frames = self.carrier.data_preprocessor.normalise(raw[None])
        return self.carrier.extract_feat(frames)[0]

    def _raw(self, image: Tensor, shape: Tuple[int, ...]) -> Tensor:
        """Undo padding and normalisation: the propagation has its own.

        Args:
            image: ``(1, 3, h, w)`` as the detector takes it.
            shape: Height and width without padding.

        Returns:
            ``(3, h, w)``, BGR on the scale 0..255.
        """
        image = image[0, :, : shape[0], : shape[1]]
        preprocessor = self.data_preprocessor
        if getattr(preprocessor, '_enable_normalize', False):
            image = image * preprocessor.std[0] + preprocessor.mean[0]
        # The name differs between the projects.
        for name in ('channel_conversion', '_channel_conversion'):
            if getattr(preprocessor, name, False):
                image = image.flip(0)
        return image

    def _instances(
        self, size: Tuple[int, int], device: torch.device
    ) -> InstanceData:
        tracks = self.tracks.visible
        masks = torch.zeros((0, *size), dtype=torch.bool)
        if tracks:
            masks = torch.stack([track.mask for track in tracks])
        boxes = masks_to_boxes(masks)
        # From the first pixel to behind the last one, as detectors do.
        boxes[:, 2:] += 1
        return InstanceData(
            instances_id=torch.tensor(
                [t.id for t in tracks], dtype=torch.long
            ),
            labels=torch.tensor([t.label for t in tracks], dtype=torch.long),
            scores=torch.tensor([t.score for t in tracks]),
            bboxes=boxes,
            masks=masks,
        ).to(device)

    def _ensure_weights(self) -> None:
        # They may come by init_cfg, and mmengine's test loop, unlike its
        # training, doesn't initialise.
        detector, carrier = self.detector, self.carrier
        if not (detector.is_init or getattr(detector, 'is_loaded', False)):
            detector.init_weights()
        if self._carrier_init and not getattr(carrier, 'is_loaded', False):
            carrier.backbone.init_cfg = self._carrier_init
            carrier.backbone.is_init = False
            carrier.backbone.init_weights()
            carrier.is_loaded = True


def _note_loaded(part: nn.Module, _) -> None:
    part.is_loaded = True
