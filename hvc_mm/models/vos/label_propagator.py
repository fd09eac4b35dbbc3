"""Propagate labels through a video, frame by frame.

Each frame's cells look for similar cells in the frames before it: in a
reference frame (one that brought labels) anywhere, in the latest frames
within a window. The most similar ones are weighted by their similarity, and
their labels, summed with these weights, are the frame's. With several
references each predicts the channels that came with it.

This file has the rules: which frames count, how often, and what new objects
do. `feature_bank` keeps the features, `windowed_search` searches them within
the `window`, `candidates` weighs what is found, `reference` keeps and sums
the labels; `propagation` has the same formula for one dense step.

h w: grid, C: feature channels, M: label channels (0 is background).
"""

from __future__ import annotations

from typing import Any, List, Optional, Set, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor

from hvc_mm.registry import MODELS

from .checks import (
    check_features,
    check_labels,
    check_settings,
    floating_type,
    refuse_removed,
)
from .feature_bank import FeatureBank
from .reference import Reference

__all__ = ['LabelPropagator']


@MODELS.register_module()
class LabelPropagator:
    """Propagate a video's labels, given its features frame by frame.

    The context of frame ``t`` for a reference ``t0`` is the list
    ``[t0] + [max(s, t0) for s in t - context .. t - 1]``: early on the
    reference is in it several times, and every copy competes in the top-k.
    Of the list the first frame may match anywhere, the others within the
    window; :func:`~hvc_mm.models.vos.propagation.propagate` has the formula.
    It is computed exactly: products are made only where the window reaches,
    copies are counted, and references share the search.

    Memory: ``context`` feature maps, one per reference, and about ``64 MiB``
    (CPU) to work in, whatever the video's length.

    Args:
        radius: In grid cells, > 0; frames other than the reference match
            only cells nearer than this. None: no limit.
        topk: Context cells kept per query cell, >= 1.
        temperature: Divides the dot products, > 0.
        context: Number of latest frames kept, >= 0.
        compute_dtype: Type of the products; None: the features' own. With
            a half type the ``topk + 17`` most similar cells of each kind of
            frame are scored again in full precision before the selection;
            that keeps the features a second time.
        repeat_reference: Let the reference take the place of the frames
            before it, as CRW and HVC do. False: it is in the context once,
            as in DINO's evaluation.
        **removed: Refused, with what to use instead.

    Raises:
        ValueError: When a number is out of its range, a type is not floating
            point, or an option is gone.
    """

    def __init__(
        self,
        radius: Optional[float] = 12,
        topk: int = 15,
        temperature: float = 0.1,
        context: int = 50,
        compute_dtype: Union[str, torch.dtype, None] = None,
        repeat_reference: bool = True,
        **removed: Any,
    ) -> None:
        refuse_removed(removed)
        check_settings(radius, topk, temperature, context)
        self.radius = radius
        self.topk = int(topk)
        self.temperature = float(temperature)
        self.context = int(context)
        self.compute_dtype = floating_type('compute_dtype', compute_dtype)
        self.repeat_reference = repeat_reference
        self.reset()

    def reset(self) -> None:
        """Forget the video; the next frame starts a new one."""
        self.time = 0
        self.references: List[Reference] = []
        self._shape: Optional[Tuple[int, ...]] = None
        self._channels = 0
        self._bank: Optional[FeatureBank] = None

    def known_channels(self) -> Set[int]:
        """Collect the channels that came with some reference."""
        return {
            channel
            for reference in self.references
            for channel in reference.channels.tolist()
        }

    @torch.no_grad()
    def step(
        self, features: Tensor, new_labels: Optional[Tensor] = None
    ) -> Tensor:
        """Predict the next frame's soft labels and keep the frame.

        Args:
            features: ``(1, C, h, w)``, L2-normalised over ``C`` (not done
                again here). Half types are taken as float32.
            new_labels: ``(1, M, h, w)`` in [0, 1]. The first frame must
                bring it. Later it holds the channels of new objects and
                zeros elsewhere; there the result is ``(1 - s) * predicted +
                s * new_labels``, ``s`` the sum of the channels, and the
                frame becomes a further reference. ``M`` may grow: older
                frames count as zero in the new channels. It may also be
                smaller than before: the missing channels count as zero.

        Returns:
            ``(1, M, h, w)``, ``M`` the largest seen since the reset. The
            first frame's labels come back unchanged.

        Raises:
            ValueError: On the first frame without labels; on features or
                labels of a wrong or changed shape; on channels of an object
                that is already known.
        """
        predicted = self.predict(features) if self.time else None
        return self.observe(features, predicted, new_labels)

    @torch.no_grad()
    def predict(self, features: Tensor) -> Tensor:
        """Predict the next frame's soft labels; the frame is not kept.

        Args:
            features: As in :meth:`step`.

        Returns:
            ``(1, M, h, w)``.

        Raises:
            ValueError: Before the first frame; as :meth:`step` does.
        """
        if self._bank is None:
            raise ValueError('no frame has brought labels since reset()')
        check_features(features, self.time, self._shape)
        frame = _to_cells(features)
        labels = frame.new_zeros(
            frame[..., 0].numel(), self._channels, dtype=self._label_dtype
        )
        starts, copies = zip(*map(self._context_of, self.references))
        found = self._bank.find(self.time, frame, starts)
        for reference, parts, count in zip(self.references, found, copies):
            labels[:, reference.channels] = reference.sum_labels(
                parts, self.time, count, self.topk, self.temperature
            )
        return labels.t().reshape(1, -1, *features.shape[2:])

    def _context_of(self, reference: Reference) -> Tuple[int, int]:
        """Tell what a reference's context has of the latest frames.

        This is the protocol's rule. Frames after the reference are there
        once, within the window. The reference itself is there once without
        a window, and as often as said here within it.

        Returns:
            Time of the first frame that counts, and how often the reference
            itself is in the window: it takes the place of the frames before
            it.
        """
        if not self.repeat_reference:
            return reference.time + 1, 0
        since = self.time - reference.time
        return reference.time, self.context - since + 1

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
        check_features(features, self.time, self._shape)
        brought: List[int] = []
        if new_labels is not None:
            check_labels(new_labels, self.time, tuple(features.shape[2:]))
            new_labels = _full(new_labels).to(features.device)
            present = new_labels[0].flatten(1).any(dim=1)
            brought = present.nonzero()[:, 0].tolist()
        if self.time == 0:
            if new_labels is None:
                raise ValueError(
                    'the first frame after reset() must bring new_labels '
                    '(1, M, h, w), got None'
                )
            labels = new_labels
            # Background is the first reference's even where an object
            # covers the whole frame.
            brought = sorted({0, *brought})
        else:
            labels = _pad_channels(_full(predicted), self._channels)
            if new_labels is not None:
                labels = self._merge(labels, new_labels, brought)
        self._keep(features, labels, brought)
        return labels

    def _merge(
        self, predicted: Tensor, new_labels: Tensor, brought: List[int]
    ) -> Tensor:
        """Lay new objects over a prediction, both ``(1, M, h, w)``."""
        known = self.known_channels()
        if known & set(brought):
            raise ValueError(
                f'frame {self.time} brings channels '
                f'{sorted(known & set(brought))}, already known are '
                f'{sorted(known)}: only new objects may bring labels (0 is '
                'background)'
            )
        channels = max(self._channels, new_labels.shape[1])
        predicted = _pad_channels(predicted, channels)
        if not brought:
            return predicted
        new_labels = _pad_channels(new_labels.to(predicted), channels)
        share = new_labels.sum(dim=1, keepdim=True)
        return (1 - share) * predicted + share * new_labels

    def _keep(
        self, features: Tensor, labels: Tensor, brought: List[int]
    ) -> None:
        """Keep a frame, as a reference if it brought labels."""
        frame, rows = _to_cells(features), labels[0].flatten(1).t()
        if self._bank is None:
            self._bank = FeatureBank(
                frame, self.radius, self.topk, self.context, self.compute_dtype
            )
        self._bank.write(self.time, frame)
        if brought:
            self._bank.add_reference(frame)
            self.references.append(
                Reference(self.time, rows, brought, self.context)
            )
        for reference in self.references:
            reference.write(self.time, rows)
        self._shape, self._channels = tuple(features.shape), labels.shape[1]
        self._label_dtype = labels.dtype
        self.time += 1


def _full(values: Tensor) -> Tensor:
    """Turn half types to float32; wider types stay as they are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _to_cells(features: Tensor) -> Tensor:
    """``(1, C, h, w)`` to contiguous ``(h, w, C)``."""
    return _full(features[0].permute(1, 2, 0)).contiguous()


def _pad_channels(labels: Tensor, channels: int) -> Tensor:
    """Append zero channels to ``(N, M, h, w)`` up to ``channels``."""
    missing = channels - labels.shape[1]
    return F.pad(labels, (0, 0, 0, 0, 0, missing)) if missing > 0 else labels
