"""Streaming label propagation by the dense step: the plain reference."""

from __future__ import annotations

from typing import Tuple

from torch import Tensor, cat

from hvc_mm.registry import MODELS

from .propagation import propagate
from .streaming_propagator import Reference, StreamingPropagator, pad_channels

__all__ = ['DenseLabelPropagator']


@MODELS.register_module()
class DenseLabelPropagator(StreamingPropagator):
    """Keeps frames in a table, gathers each reference's context, and calls
    :func:`propagate` on it.

    The oracle of :class:`LabelPropagator`'s tests and the other side of its
    benchmark; same arguments, same results.

    Args:
        query_chunk: See :func:`propagate`.
        **settings: See :class:`StreamingPropagator`.
    """

    def __init__(self, *args, query_chunk: int = 100, **settings) -> None:
        super().__init__(*args, **settings)
        self.query_chunk = query_chunk

    def context_of(self, reference_time: int) -> list:
        """Times of the context frames of frame ``self.time``, in order."""
        latest = range(self.time - self.context, self.time)
        if not self.repeat_reference:
            latest = [s for s in latest if s > reference_time]
        return [reference_time] + [max(s, reference_time) for s in latest]

    def _forget(self) -> None:
        self._frames = {}

    def gather(self, reference: Reference) -> Tuple[Tensor, Tensor]:
        """Context of frame ``self.time``: ``(T, C, h, w)`` features and
        ``(T, M, h, w)`` labels, ``T = context + 1``."""
        frames = [self._frames[s] for s in self.context_of(reference.time)]
        return (
            cat([features for features, _ in frames]),
            cat([pad_channels(own, self._channels) for _, own in frames]),
        )

    def _predict(self, features: Tensor) -> Tensor:
        result = 0
        for reference in self.references:
            predicted = propagate(
                *self.gather(reference),
                features,
                self.radius,
                self.topk,
                self.temperature,
                self.query_chunk,
            )
            own = reference.mask(self._channels).to(predicted)
            result = result + own * predicted
        return result

    def _remember(self, features: Tensor, labels: Tensor) -> None:
        self._frames[self.time] = (features, labels)
        oldest = self.time + 1 - self.context
        references = {reference.time for reference in self.references}
        for time in list(self._frames):
            if time < oldest and time not in references:
                del self._frames[time]
