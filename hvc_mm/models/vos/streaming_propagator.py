"""The rules of propagating labels through a video, frame by frame.

M: label channels (0 is background), C: feature channels, h w: grid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import List, NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from .propagation import check_settings
from .windowed.selection import widen

__all__ = ['Reference', 'StreamingPropagator', 'pad_channels']


class Reference(NamedTuple):
    """A frame that brought labels, and which channels they were.

    Attributes:
        time: Index of the frame since the last reset.
        present: ``(M,)`` bool as of that frame, on the CPU; channels that
            came later are not present.
    """

    time: int
    present: Tensor

    def mask(self, channels: int) -> Tensor:
        """``(channels, 1, 1)`` of ones where present, else zeros."""
        mask = torch.zeros(channels, 1, 1)
        mask[: len(self.present)][self.present] = 1
        return mask


def pad_channels(labels: Tensor, channels: int) -> Tensor:
    """``(N, M, h, w)`` with zero planes appended up to ``channels``."""
    missing = channels - labels.shape[1]
    return F.pad(labels, (0, 0, 0, 0, 0, missing)) if missing > 0 else labels


class StreamingPropagator(ABC):
    """Takes a video's features frame by frame, returns its soft labels.

    The context of frame ``t`` for a reference ``t0`` is the list
    ``[t0] + [max(s, t0) for s in t - context .. t - 1]``: early on, the
    reference stands in it several times, and every copy competes in the
    top-k. With several references each predicts, and the result takes from
    each the channels that came with it.

    Subclasses say how frames are kept and how one is predicted.

    Args:
        radius: In grid cells, > 0; frames other than the reference match
            only cells nearer than this. None: no limit.
        topk: Context cells kept per query cell, >= 1.
        temperature: Divides the dot products, > 0.
        context: Number of latest frames kept, >= 0.
        repeat_reference: Let the reference stand in for the frames before
            it, as CRW and HVC do. False: it is in the context once, as in
            DINO's evaluation.

    Raises:
        ValueError: When a number is out of its range.
    """

    def __init__(
        self,
        radius: Optional[float] = 12,
        topk: int = 15,
        temperature: float = 0.1,
        context: int = 50,
        repeat_reference: bool = True,
    ) -> None:
        check_settings(radius, topk, temperature)
        if int(context) != context or context < 0:
            raise ValueError(f'context must be an integer >= 0, got {context}')
        self.radius = radius
        self.topk = int(topk)
        self.temperature = float(temperature)
        self.context = int(context)
        self.repeat_reference = repeat_reference
        self.reset()

    def reset(self) -> None:
        """Forget the video; the next frame starts a new one."""
        self.time = 0
        self.references: List[Reference] = []
        self._shape = None
        self._channels = 0
        self._forget()

    @torch.no_grad()
    def step(
        self, features: Tensor, new_labels: Optional[Tensor] = None
    ) -> Tensor:
        """Soft labels of the next frame.

        Args:
            features: ``(1, C, h, w)``, L2-normalised over ``C`` (not done
                again here). Half types are taken as float32.
            new_labels: ``(1, M, h, w)`` in [0, 1]. The first frame must
                bring it. Later it holds the planes of newcomers and zeros
                elsewhere; there the result is ``(1 - s) * predicted +
                s * new_labels``, ``s`` the sum of the planes, and the frame
                becomes a further reference. ``M`` may grow: older frames
                count as zero in the new channels. It may also be smaller
                than before: the missing planes count as zero.

        Returns:
            ``(1, M, h, w)``, ``M`` the largest seen since the reset. The
            first frame's labels come back unchanged.

        Raises:
            ValueError: On the first frame without labels; on features or
                labels of a wrong or changed shape; on planes of an object
                that is already known.
        """
        predicted = self.predict(features) if self.time else None
        return self.observe(features, predicted, new_labels)

    @torch.no_grad()
    def predict(self, features: Tensor) -> Tensor:
        """Soft labels of the next frame, which is not kept.

        Args:
            features: As in :meth:`step`.

        Returns:
            ``(1, M, h, w)``.

        Raises:
            ValueError: Before the first frame; as :meth:`step` does.
        """
        if self.time == 0:
            raise ValueError('no frame has brought labels since reset()')
        self._check_features(features)
        return self._predict(widen(features))

    @torch.no_grad()
    def observe(
        self,
        features: Tensor,
        predicted: Optional[Tensor],
        new_labels: Optional[Tensor] = None,
    ) -> Tensor:
        """Keep a frame whose prediction is known: :meth:`step` without it.

        Args:
            features: As in :meth:`step`.
            predicted: ``(1, M, h, w)``; not looked at on the first frame.
            new_labels: As in :meth:`step`.

        Returns:
            The labels that the frame is kept with, ``(1, M, h, w)``.

        Raises:
            ValueError: As :meth:`step` does.
        """
        self._check_features(features)
        if new_labels is not None:
            self._check_labels(new_labels, features)
            new_labels = widen(new_labels).to(features.device)
        if self.time == 0:
            labels = self._first(new_labels)
        else:
            labels = pad_channels(widen(predicted), self._channels)
            if new_labels is not None:
                labels = self._merge(labels, new_labels)
        self._shape = tuple(features.shape)
        self._remember(widen(features), labels)
        self.time += 1
        return labels

    def _first(self, new_labels: Optional[Tensor]) -> Tensor:
        if new_labels is None:
            raise ValueError(
                'the first frame after reset() must bring new_labels '
                '(1, M, h, w), got None'
            )
        present = new_labels[0].flatten(1).ne(0).any(dim=1).cpu()
        # Background is the first reference's even where an object covers
        # the whole frame.
        present[0] = True
        self._channels = new_labels.shape[1]
        self.references.append(Reference(0, present))
        return new_labels

    def _merge(self, predicted: Tensor, new_labels: Tensor) -> Tensor:
        present = new_labels[0].flatten(1).ne(0).any(dim=1).cpu()
        known = self.known_channels()
        again = [c for c in present.nonzero()[:, 0].tolist() if c in known]
        if again:
            raise ValueError(
                f'frame {self.time} brings planes of channels {again}, '
                f'already known are {sorted(known)}: only newcomers may '
                'bring labels (0 is background)'
            )
        self._channels = max(self._channels, new_labels.shape[1])
        predicted = pad_channels(predicted, self._channels)
        if not present.any():
            return predicted
        new_labels = pad_channels(new_labels.to(predicted), self._channels)
        self.references.append(Reference(self.time, present))
        share = new_labels.sum(dim=1, keepdim=True)
        return (1 - share) * predicted + share * new_labels

    def known_channels(self) -> set:
        """Channels that some reference has brought, background included."""
        return {
            channel
            for reference in self.references
            for channel in reference.present.nonzero()[:, 0].tolist()
        }

    def _check_features(self, features: Tensor) -> None:
        shape = tuple(features.shape)
        if len(shape) != 4 or shape[0] != 1 or 0 in shape:
            raise ValueError(f'features must be (1, C, h, w), got {shape}')
        if self.time and shape != self._shape:
            raise ValueError(
                f'features of frame {self.time} have shape {shape}, those '
                f'before had {self._shape}: call reset() between videos'
            )

    def _check_labels(self, labels: Tensor, features: Tensor) -> None:
        shape = tuple(labels.shape)
        grid = tuple(features.shape[2:])
        if len(shape) != 4 or shape[0] != 1 or shape[2:] != grid:
            raise ValueError(
                f'new_labels of frame {self.time} have shape {shape}, '
                f'expected (1, M, h, w) = (1, M, {grid[0]}, {grid[1]}) to '
                'fit the features'
            )
        if shape[1] < 1 or not labels.is_floating_point():
            raise ValueError(
                f'new_labels must be floating point with M >= 1 channels, '
                f'got {labels.dtype} of shape {shape}'
            )

    @abstractmethod
    def _forget(self) -> None:
        """Drop every kept frame."""

    @abstractmethod
    def _predict(self, features: Tensor) -> Tensor:
        """Labels ``(1, M, h, w)`` of frame ``self.time`` from kept ones."""

    @abstractmethod
    def _remember(self, features: Tensor, labels: Tensor) -> None:
        """Keep frame ``self.time``, drop what the next one can't use."""
