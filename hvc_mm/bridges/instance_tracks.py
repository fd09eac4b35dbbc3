"""Objects of a video and their identities.

N, M: masks of two sets, of tracks or detections; H W: frame in pixels.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Deque, Dict, List, Optional, Tuple

import torch
from torch import Tensor

from .matching import best_cosine, mask_iou, match_masks

# Slots are ids of an 8-bit map, where 0 is background.
_MOST = 255
# Views of an object that are kept, and lost objects that are looked for: the
# latest ones.
_VIEWS = 5
_LOST = 100


@dataclass(eq=False)
class Track:
    """One object.

    Attributes:
        id: Its identity in the video, from 0.
        label: Its class.
        score: Of its last detection, in [0, 1].
        mask: ``(H, W)`` bool, where it is in the current frame.
        slot: Its id in the map that is propagated, from 1.
        absent: Frames in a row without a pixel of it.
        unconfirmed: Key frames in a row without a detection of it.
        views: Features of its latest detections, each ``(C,)``.
    """

    id: int
    label: int
    score: float = 0.0
    mask: Tensor = field(default_factory=lambda: torch.zeros(0).bool())
    slot: int = 0
    absent: int = 0
    unconfirmed: int = 0
    views: Deque[Tensor] = field(default_factory=lambda: deque(maxlen=_VIEWS))

    def detect(self, score: float, view: Optional[Tensor]) -> None:
        """Note that it was detected, and what it looks like, ``(C,)``."""
        self.score = score
        self.unconfirmed = 0
        if view is not None:
            self.views.append(view)


class InstanceTracks:
    """Keep the objects of a video, by propagated and by detected masks.

    Between key frames masks are propagated (:meth:`update`). On a key frame
    the detections are matched to the propagated masks by mask IoU, so that
    the sum over pairs is largest (:meth:`confirm`), and matched tracks keep
    their identity. Then objects that no detection was matched to, lost ones
    included, are looked for among the other detections by what they look
    like: the best cosine of a detection with the latest views of an object
    counts, and again the sum is largest. What is left begins a track. Tracks
    that go unconfirmed end, and are lost. No pixel belongs to two tracks.

    Args:
        iou_thr: Least IoU of a detection with a propagated mask to be the
            same object. Low, since propagated masks lose parts quickly; the
            assignment decides which pair is the right one.
        begin_iou_thr: A detection without a match that has at least this
            IoU with a track begins none: it is an object that is there
            already, found twice or as another class.
        match_labels: Only match detections of the track's class.
        init_score_thr: Least score of a detection that begins a track.
        max_unconfirmed: Key frames in a row that a track may go without a
            detection.
        max_absent: Frames in a row that a track may have no pixel.
        renew: Whether a matched detection's mask replaces the propagated
            one, and propagation starts anew from it. That fixes what has
            drifted, but forgets all frames before.
        reid_thr: Least cosine of a detection with a view of an object to be
            this object again, in (0, 1]. Low, as other objects are nearly
            as similar as the same one ten frames later (a ResNet-50 of
            ImageNet: medians of 0.4 and 0.65): the assignment decides. None:
            what is lost begins as a new object.

    Attributes:
        tracks: Those that have not ended.
        lost: The latest ones that have.
        count: Number of tracks that the video has had so far.

    Raises:
        ValueError: For a threshold outside of (0, 1].
    """

    def __init__(
        self,
        iou_thr: float = 0.1,
        begin_iou_thr: float = 0.3,
        match_labels: bool = True,
        init_score_thr: float = 0.5,
        max_unconfirmed: int = 1,
        max_absent: int = 10,
        renew: bool = True,
        reid_thr: Optional[float] = 0.4,
    ) -> None:
        for name, value in (
            ('iou_thr', iou_thr),
            ('begin_iou_thr', begin_iou_thr),
            ('reid_thr', 1 if reid_thr is None else reid_thr),
        ):
            if not 0 < value <= 1:
                raise ValueError(f'{name} is {value}, expected (0, 1]')
        self.iou_thr = iou_thr
        self.begin_iou_thr = begin_iou_thr
        self.match_labels = match_labels
        self.init_score_thr = init_score_thr
        self.max_unconfirmed = max_unconfirmed
        self.max_absent = max_absent
        self.renew = renew
        self.reid_thr = reid_thr
        self.reset()

    def reset(self) -> None:
        """Forget the video; identities begin at 0 again."""
        self.tracks: List[Track] = []
        self.lost: List[Track] = []
        self.count = 0
        # Of ended tracks too, as long as theirs is propagated.
        self._slots = 0

    def __len__(self) -> int:
        return len(self.tracks)

    @property
    def visible(self) -> List[Track]:
        """Give the tracks that have a pixel in the current frame."""
        return [track for track in self.tracks if not track.absent]

    def update(self, slots: Tensor) -> None:
        """Take the masks that propagation gave for the current frame.

        Args:
            slots: ``(H, W)`` uint8, the slot of each pixel's object.
        """
        for track in self.tracks:
            track.mask = slots == track.slot
            track.absent = 0 if track.mask.any() else track.absent + 1
        self._end_tracks()

    def confirm(
        self,
        masks: Tensor,
        labels: Tensor,
        scores: Tensor,
        views: Optional[Tensor] = None,
    ) -> Tuple[bool, List[Track]]:
        """Take what a detector found in the current frame.

        Args:
            masks: ``(N, H, W)`` bool.
            labels: ``(N,)`` integers.
            scores: ``(N,)`` in [0, 1].
            views: ``(N, C)``, what each looks like
                (:func:`~hvc_mm.bridges.matching.pool_features`); without
                them no lost object is found again.

        Returns:
            Whether a mask was renewed, so that propagation has to start
            anew from :meth:`paint`; and the tracks that began or were found
            again, whose masks have to be propagated as well.
        """
        matches = self._match(masks, labels)
        looks = [None] * len(masks) if views is None else views
        for row, column in matches:
            track = self.tracks[row]
            track.detect(float(scores[column]), looks[column])
            if self.renew:
                track.mask, track.absent = masks[column], 0
        confirmed = {row for row, _ in matches}
        for row, track in enumerate(self.tracks):
            track.unconfirmed += row not in confirmed
        self._end_tracks()
        new = self._new_objects(masks, scores, {c for _, c in matches})
        found = self._find(new, labels, views)
        began = []
        for index in new:
            track = found.get(index) or self._begin(int(labels[index]))
            track.detect(float(scores[index]), looks[index])
            track.mask, track.absent = masks[index], 0
            began.append(track)
        return self.renew and bool(matches), began

    def _match(self, masks: Tensor, labels: Tensor) -> list:
        if not self.tracks or not len(masks):
            return []
        iou = mask_iou(torch.stack([t.mask for t in self.tracks]), masks)
        iou = iou * self._may_be(self.tracks, labels)
        return match_masks(iou, self.iou_thr)

    def _may_be(self, tracks: List[Track], labels: Tensor) -> Tensor:
        """Tell which detections may be which tracks by class, ``(N, M)``."""
        own = torch.tensor([track.label for track in tracks])
        return (own[:, None] == labels) | (not self.match_labels)

    def _new_objects(
        self, masks: Tensor, scores: Tensor, taken: set
    ) -> List[int]:
        """List the detections that no track has, the highest score first."""
        new: List[int] = []
        for index in scores.argsort(descending=True, stable=True).tolist():
            mask = masks[index]
            if (
                index in taken
                or scores[index] < self.init_score_thr
                or not mask.any()
            ):
                continue
            others = [*(t.mask for t in self.tracks), *masks[new]]
            if others:
                iou = mask_iou(mask[None], torch.stack(others))
                if iou.max() >= self.begin_iou_thr:
                    continue
            new.append(index)
        return new

    def _find(
        self, new: List[int], labels: Tensor, views: Optional[Tensor]
    ) -> Dict[int, Track]:
        """Find lost objects among detections by what they look like."""
        missing = [t for t in self.tracks if t.unconfirmed] + self.lost
        missing = [t for t in missing if t.views]
        if not new or not missing or views is None or self.reid_thr is None:
            return {}
        known = [torch.stack([*track.views]) for track in missing]
        cosine = best_cosine(known, views[new])
        cosine = cosine * self._may_be(missing, labels[new])
        found = {}
        for row, column in match_masks(cosine, self.reid_thr):
            track = found[new[column]] = missing[row]
            if track in self.lost:
                self.lost.remove(track)
                self.tracks.append(track)
        return found

    def _begin(self, label: int) -> Track:
        track = Track(id=self.count, label=label)
        self.count += 1
        self.tracks.append(track)
        return track

    def has_room(self, began: List[Track]) -> bool:
        """Tell if others are propagated, and slots are left for these."""
        others = len(self.tracks) > len(began)
        return others and self._slots + len(began) <= _MOST

    def paint(self, began: Optional[List[Track]] = None) -> Tensor:
        """Give tracks a slot, and every pixel to one track at most.

        Args:
            began: Paint these alone, over what was propagated; the others
                keep their slots. None: all tracks, with new slots.

        Returns:
            ``(H, W)`` uint8, the slot of each pixel's object, 0 for none.

        Raises:
            ValueError: For more tracks than an 8-bit map can hold.
        """
        tracks = self.tracks if began is None else began
        used = 0 if began is None else self._slots
        if used + len(tracks) > _MOST:
            raise ValueError(
                f'{len(tracks)} objects at once, expected at most {_MOST}: '
                'raise score_thr or init_score_thr'
            )
        slots = torch.zeros(self.tracks[0].mask.shape, dtype=torch.uint8)
        # The last one painted is on top.
        order = sorted(
            tracks, key=lambda t: (t.unconfirmed == 0, t.score, -t.id)
        )
        self._slots = used + len(tracks)
        for slot, track in enumerate(order, start=used + 1):
            track.slot = slot
            slots[track.mask] = slot
        for track in self.tracks:
            track.mask = torch.where(
                slots > 0, slots == track.slot, track.mask
            )
            absent = max(track.absent, 1)
            track.absent = 0 if track.mask.any() else absent
        return slots

    def _end_tracks(self) -> None:
        """Take tracks that have gone for too long as lost."""
        over = [
            track
            for track in self.tracks
            if track.unconfirmed > self.max_unconfirmed
            or track.absent > self.max_absent
        ]
        self.tracks = [track for track in self.tracks if track not in over]
        for track in over:
            track.mask = track.mask[:0]
        self.lost = [*self.lost, *over][-_LOST:]
