"""HVC's propagation as a tracker of MMTracking 1.x.

Importing this module needs MMTracking; a config names it in
``custom_imports``. Shapes: N detections, H W frame, in pixels.
"""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple

import torch
from mmdet.structures.mask import mask2bbox
from mmengine.structures import InstanceData
from mmtrack.models.mot import BaseMultiObjectTracker
from mmtrack.registry import MODELS
from mmtrack.structures import TrackDataSample
from torch import Tensor, nn

from hvc_mm.models import LabelPropagationVOS
from hvc_mm.structures import VOSDataSample

from .instance_tracks import InstanceTracks


@MODELS.register_module()
class HVCInstanceTracker(BaseMultiObjectTracker):
    """Detect now and then, propagate masks and identities in between.

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
        data_preprocessor: MMTracking's ``TrackDataPreprocessor``.
        init_cfg: mmengine's.

    Raises:
        ValueError: For a ``detect_every`` below 1, or a detector without
            masks.
    """

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
        self.detector = MODELS.build(detector)
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

    def loss(
        self, inputs: Dict[str, Tensor], data_samples: List[Any], **kwargs
    ) -> dict:
        """Refuse: there is nothing to train here."""
        raise NotImplementedError(
            'HVCInstanceTracker is not trained: train its detector with '
            'MMDetection and its backbone with HVC'
        )

    @torch.no_grad()
    def predict(
        self,
        inputs: Dict[str, Tensor],
        data_samples: List[TrackDataSample],
        rescale: bool = True,
        **kwargs,
    ) -> List[TrackDataSample]:
        """Find the objects of a video's next frame.

        Args:
            inputs: ``img``: ``(1, 1, 3, h, w)``, normalised and padded.
            data_samples: One, with ``frame_id`` (0 begins a video),
                ``img_shape`` and ``ori_shape``.
            rescale: Results at the frame's own size, or at ``img_shape``.

        Returns:
            The sample with ``pred_track_instances``: ``masks`` ``(N, H, W)``
            bool, ``bboxes`` ``(N, 4)``, ``labels``, ``scores`` and
            ``instances_id`` ``(N,)``; on key frames ``pred_det_instances``
            too.

        Raises:
            ValueError: For more than one frame at a time, or a sample that
                doesn't say which frame it is.
        """
        image, sample = _only_frame(inputs, data_samples)
        self._ensure_weights()
        frame = sample.metainfo['frame_id']
        if frame == 0:
            self.reset()
        size = tuple(sample.ori_shape if rescale else sample.img_shape)[:2]
        features = self._features(image, sample.img_shape)
        if self.references:
            self.tracks.update(self._propagate(features, size))
        if self._is_key(frame):
            found = self._detect(image, sample, rescale)
            sample.pred_det_instances = found
            self._take(found, features)
        if not len(self.tracks):
            self._forget_references()
        sample.pred_track_instances = self._instances(size, image.device)
        return [sample]

    def reset(self) -> None:
        """Forget the video."""
        self.tracks.reset()
        self._forget_references()

    def _forget_references(self) -> None:
        self.references = 0
        self.carrier.reset()

    def _take(self, found: InstanceData, features: Tensor) -> None:
        """Match detections to the tracks; propagate new masks from here."""
        renewed, began = self.tracks.confirm(
            found.masks.cpu(), found.labels.cpu(), found.scores.cpu()
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
        self, image: Tensor, sample: TrackDataSample, rescale: bool
    ) -> InstanceData:
        """Detect objects; keep those that count, in the results' classes."""
        self.detector.predict(image, [sample], rescale=rescale)
        found = sample.pred_instances
        # The detector's field; MMTracking's samples have pred_det_instances.
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
        if getattr(preprocessor, 'channel_conversion', False):
            image = image.flip(0)
        return image

    def _instances(
        self, size: Tuple[int, int], device: torch.device
    ) -> InstanceData:
        tracks = self.tracks.visible
        masks = torch.zeros((0, *size), dtype=torch.bool)
        if tracks:
            masks = torch.stack([track.mask for track in tracks])
        return InstanceData(
            instances_id=torch.tensor(
                [t.id for t in tracks], dtype=torch.long
            ),
            labels=torch.tensor([t.label for t in tracks], dtype=torch.long),
            scores=torch.tensor([t.score for t in tracks]),
            bboxes=mask2bbox(masks),
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


def _only_frame(
    inputs: Dict[str, Tensor], data_samples: List[TrackDataSample]
) -> Tuple[Tensor, TrackDataSample]:
    image = inputs['img']
    if image.dim() != 5 or image.shape[:2] != (1, 1) or len(data_samples) != 1:
        raise ValueError(
            f'expected one frame, (1, 1, 3, h, w), and its sample, got '
            f'{tuple(image.shape)} and {len(data_samples)} samples: set '
            'batch_size=1 and ref_img_sampler=None'
        )
    if 'frame_id' not in data_samples[0].metainfo:
        raise ValueError(
            'the sample has no frame_id: a tracker needs videos, in order '
            '(load_as_video=True and VideoSampler)'
        )
    return image[:, 0], data_samples[0]
