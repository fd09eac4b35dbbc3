"""Objects of a video and their identities.

N, M: masks of two sets, of tracks or detections; H W: frame in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import List, Optional, Tuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

# Slots are ids of an 8-bit map, where 0 is background.
_MOST = 255


@dataclass
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
    """

    id: int
    label: int
    score: float
    mask: Tensor
    slot: int = 0
    absent: int = 0
    unconfirmed: int = 0


class InstanceTracks:
    """Keep the objects of a video, by propagated and by detected masks.

    Between key frames masks are propagated (:meth:`update`). On a key frame
    the detections are matched to the propagated masks by mask IoU, so that
    the sum over pairs is largest (:meth:`confirm`): matched tracks keep
    their identity, other detections begin a track, and tracks that go
    unconfirmed end. No pixel belongs to two tracks. Nothing looks for lost
    objects: one whose mask is gone when it is found again has a new
    identity.

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

    Attributes:
        tracks: Those that have not ended.
        count: Number of tracks that the video has had so far.

    Raises:
        ValueError: For one of the IoUs outside of (0, 1].
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
    ) -> None:
        for name, value in (
            ('iou_thr', iou_thr),
            ('begin_iou_thr', begin_iou_thr),
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
        self.reset()

    def reset(self) -> None:
        """Forget the video; identities begin at 0 again."""
        self.tracks: List[Track] = []
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
        self._count_absent()

    def confirm(
        self, masks: Tensor, labels: Tensor, scores: Tensor
    ) -> Tuple[bool, List[Track]]:
        """Take what a detector found in the current frame.

        Args:
            masks: ``(N, H, W)`` bool.
            labels: ``(N,)`` integers.
            scores: ``(N,)`` in [0, 1].

        Returns:
            Whether a mask was renewed, so that propagation has to start
            anew from :meth:`paint`; and the tracks that began, whose masks
            have to be propagated as well.
        """
        matches = self._match(masks, labels)
        for row, column in matches:
            track = self.tracks[row]
            track.score = float(scores[column])
            track.unconfirmed = 0
            if self.renew:
                track.mask, track.absent = masks[column], 0
        confirmed = {row for row, _ in matches}
        for row, track in enumerate(self.tracks):
            track.unconfirmed += row not in confirmed
        self.tracks = [
            t for t in self.tracks if t.unconfirmed <= self.max_unconfirmed
        ]
        began = self._begin(masks, labels, scores, {c for _, c in matches})
        return self.renew and bool(matches), began

    def _match(self, masks: Tensor, labels: Tensor) -> list:
        if not self.tracks or not len(masks):
            return []
        iou = mask_iou(self._stacked(), masks)
        if self.match_labels:
            own = torch.tensor([track.label for track in self.tracks])
            iou = iou * (own[:, None] == labels[None])
        return match_masks(iou, self.iou_thr)

    def _begin(
        self, masks: Tensor, labels: Tensor, scores: Tensor, taken: set
    ) -> List[Track]:
        """Begin tracks of new objects, the highest score first."""
        began = []
        for index in scores.argsort(descending=True, stable=True).tolist():
            mask = masks[index]
            if (
                index in taken
                or scores[index] < self.init_score_thr
                or not mask.any()
            ):
                continue
            if self.tracks:
                iou = mask_iou(mask[None], self._stacked())
                if iou.max() >= self.begin_iou_thr:
                    continue
            track = Track(
                id=self.count,
                label=int(labels[index]),
                score=float(scores[index]),
                mask=mask,
            )
            self.count += 1
            self.tracks.append(track)
            began.append(track)
        return began

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
            if track.mask.any():
                track.absent = 0
            else:
                track.absent = max(track.absent, 1)
        return slots

    def _stacked(self) -> Tensor:
        return torch.stack([track.mask for track in self.tracks])

    def _count_absent(self) -> None:
        for track in self.tracks:
            track.absent = 0 if track.mask.any() else track.absent + 1
        self.tracks = [t for t in self.tracks if t.absent <= self.max_absent]


def mask_iou(first: Tensor, second: Tensor) -> Tensor:
    """Compute intersection over union of every pair of masks.

    Args:
        first: ``(N, H, W)`` bool.
        second: ``(M, H, W)`` bool.

    Returns:
        ``(N, M)`` fp32 in [0, 1]; 0 where both masks are empty, which say
        nothing about each other.

    Raises:
        ValueError: When the frames differ in size.
    """
    if first.shape[1:] != second.shape[1:]:
        raise ValueError(
            f'masks of {tuple(first.shape)} and {tuple(second.shape)}: '
            'expected (N, H, W) and (M, H, W) of one frame'
        )
    # fp32 counts pixels exactly up to 2^24, a frame of 4096 x 4096.
    first, second = first.flatten(1).float(), second.flatten(1).float()
    intersection = first @ second.T
    union = first.sum(1)[:, None] + second.sum(1) - intersection
    return intersection / union.clamp(min=1)


def match_masks(iou: Tensor, threshold: float) -> List[Tuple[int, int]]:
    """Assign masks to masks so that the sum of IoU is largest.

    Pairs below the threshold are no candidates at all: they can't pull a
    mask away from a pair above it.

    Args:
        iou: ``(N, M)`` in [0, 1]; 0 for pairs that may not be.
        threshold: Least IoU of a pair, in (0, 1].

    Returns:
        Pairs of a row and a column, each at most once, by row.
    """
    allowed = torch.where(iou >= threshold, iou, torch.zeros_like(iou))
    rows, columns = linear_sum_assignment(allowed.cpu().numpy(), maximize=True)
    return [(r, c) for r, c in zip(rows, columns) if allowed[r, c] > 0]
