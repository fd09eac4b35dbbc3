"""The propagator that models and tools use: exact, on windows of the grid.

h w: grid, C: feature channels, M: label channels.
"""

from __future__ import annotations

from typing import List, NamedTuple, Optional, Union

import torch
from torch import Tensor

from hvc_mm.registry import MODELS

from .streaming_propagator import Reference, StreamingPropagator
from .windowed import (
    Candidates,
    FeatureBank,
    LabelBank,
    Segment,
    Tiling,
    WindowStep,
    blend,
    join,
    reference_step,
    rescore,
    segments_of,
)

__all__ = ['LabelPropagator']

# Cells that are scored again in full precision after products in half.
SPARE = 17
# Scores of a tile, in bytes: on a CPU they should not leave the cache by
# far, on a GPU few large products are better.
CPU_BUDGET, GPU_BUDGET = 64 << 20, 512 << 20
# Frames brought to the computing device at a time, where the bank lies
# elsewhere or is of another type.
FRAMES_PER_LOAD = 10


class _Kept(NamedTuple):
    """What stays of a reference frame: keys ``(h, w, C)`` and labels."""

    keys: Tensor
    exact: Tensor
    labels: LabelBank


@MODELS.register_module()
class LabelPropagator(StreamingPropagator):
    """Streaming label propagation, equal to the dense form, several times
    faster and without its memory.

    Frames lie in a ring that is written once per frame. Products are made
    only where the disc reaches; the copies of a reference in its context
    are counted, not made; references share the products with the frames
    they have in common.

    Memory: ``context`` feature maps, one per reference, and about
    ``64 MiB`` (CPU) to work in, whatever the video's length.

    Args:
        radius: In grid cells, > 0; frames other than the reference match
            only cells nearer than this. None: no limit.
        topk: Context cells kept per query cell, >= 1.
        temperature: Divides the dot products, > 0.
        context: Number of latest frames kept, >= 0.
        compute_dtype: Type of the products; None: the features' own. With
            a half type the best ``topk + 17`` cells of each kind of frame
            are scored again in full precision before the selection; that
            keeps a second bank, unless ``bank_dtype`` is this type too.
        bank_dtype: Type that features are kept in; None: their own.
        bank_device: Where they are kept; None: where they come from.
            ``'cpu'`` lets small GPUs hold long contexts: each frame's step
            then moves the bank over once, ten frames at a time.
        repeat_reference: Let the reference stand in for the frames before
            it, as CRW and HVC do. False: it is in the context once, as in
            DINO's evaluation.

    Raises:
        ValueError: When a number is out of its range or a type is not
            floating point.
    """

    def __init__(
        self,
        radius: Optional[float] = 12,
        topk: int = 15,
        temperature: float = 0.1,
        context: int = 50,
        compute_dtype: Union[str, torch.dtype, None] = None,
        bank_dtype: Union[str, torch.dtype, None] = None,
        bank_device: Union[str, torch.device, None] = None,
        repeat_reference: bool = True,
    ) -> None:
        self.compute_dtype = _as_dtype('compute_dtype', compute_dtype)
        self.bank_dtype = _as_dtype('bank_dtype', bank_dtype)
        self.bank_device = bank_device
        super().__init__(radius, topk, temperature, context, repeat_reference)

    def _forget(self) -> None:
        self._bank: Optional[FeatureBank] = None
        self._exact: Optional[FeatureBank] = None
        self._step: Optional[WindowStep] = None
        self._kept: List[_Kept] = []

    def _start(self, features: Tensor) -> None:
        """Make room for a video of such features."""
        _, channels, height, width = features.shape
        exact = self.bank_dtype or features.dtype
        product = self.compute_dtype or features.dtype
        self._product = product
        # Candidates are scored again where products lose precision.
        self._rescores = (
            torch.finfo(product).bits < torch.finfo(features.dtype).bits
        )
        device = torch.device(self.bank_device or features.device)
        size = (self.context, height, width, channels)
        self._exact = FeatureBank(*size, exact, device)
        if self._rescores and exact != product:
            self._bank = FeatureBank(*size, product, device)
        else:
            self._bank = self._exact
        on_cpu = features.device.type == 'cpu'
        budget = CPU_BUDGET if on_cpu else GPU_BUDGET
        frames = self._frames_per_load(features.device)
        tiling = Tiling(
            height,
            width,
            self.radius,
            columns=4 if on_cpu else 8,
            budget=8 * budget // max(1, frames) // torch.finfo(product).bits,
            device=features.device,
        )
        self._wanted = self.topk + SPARE * self._rescores
        self._step = WindowStep(tiling, self._wanted, row_by_row=on_cpu)

    def _frames_per_load(self, device: torch.device) -> int:
        store = self._bank.store
        if (store.dtype, store.device) == (self._product, device):
            return self.context
        return min(self.context, FRAMES_PER_LOAD)

    def _predict(self, features: Tensor) -> Tensor:
        height, width = features.shape[2:]
        exact = features[0].permute(1, 2, 0).contiguous()
        queries = exact.to(self._product)
        segments, found = self._match_window(queries, exact)
        result = features.new_zeros(
            height * width, self._channels, dtype=self._label_dtype
        )
        for reference, kept in zip(self.references, self._kept):
            parts = [self._match_reference(kept, queries, exact)]
            counts = [1]
            for segment, candidates in zip(segments, found):
                copies = self._copies(reference, segment, candidates)
                if copies is not None:
                    parts.append(candidates)
                    counts.append(copies)
            weights, cells = join(parts, counts, self.topk, self.temperature)
            result[:, kept.labels.channels] = blend(
                kept.labels.table, weights, cells
            )
        return result.t().reshape(1, -1, height, width)

    def _copies(
        self, reference: Reference, segment: Segment, found: Candidates
    ) -> Union[int, Tensor, None]:
        """How often the frames of a segment stand in the context of a
        reference: one number, or one per candidate; None: not at all."""
        since = self.time - reference.time
        if since > self.context:
            return 1  # The reference itself has left the ring.
        if segment.first < reference.time:
            return None
        own = segment.first == reference.time
        if not self.repeat_reference:
            # It would be in the ring a second time, and stands apart there.
            return None if own else 1
        copies = self.context - since + 1
        if not own or copies == 1:
            return 1
        # The frames after it are in the same segment, once each.
        height, width = self._shape[2:]
        frames = torch.div(found.cells, height * width, rounding_mode='floor')
        own = frames == reference.time % self.context
        return 1 + (copies - 1) * own

    def _match_window(self, queries: Tensor, exact: Tensor):
        """Segments of the live frames and the best cells in each."""
        frames = self._frames_per_load(queries.device)
        cuts = [reference.time for reference in self.references]
        if not self.repeat_reference:
            cuts += [time + 1 for time in cuts]
        segments = segments_of(self.time, self.context, cuts, max(1, frames))
        live = min(self.time, self.context)
        area = queries.shape[0] * queries.shape[1]
        found = {}
        for start in range(0, live, max(1, frames)):
            stop = min(start + frames, live)
            keys = self._bank.read(start, stop, self._product, queries.device)
            inside = [s for s in segments if start <= s.start < stop]
            local = [
                s._replace(start=s.start - start, stop=s.stop - start)
                for s in inside
            ]
            for segment, part in zip(inside, self._step(keys, queries, local)):
                part = part._replace(cells=part.cells + start * area)
                if self._rescores:
                    part = rescore(part, self._exact.rows, exact, self.topk)
                found[segment] = part
        return segments, [found[segment] for segment in segments]

    def _match_reference(
        self, kept: _Kept, queries: Tensor, exact: Tensor
    ) -> Candidates:
        area = queries.shape[0] * queries.shape[1]
        part = reference_step(
            kept.keys.to(queries), queries.flatten(0, 1), self._wanted
        )
        if self._rescores:
            flat = kept.exact.flatten(0, 1)
            part = rescore(part, lambda cells: flat[cells], exact, self.topk)
        # The reference's own labels stand behind those of the ring.
        return part._replace(cells=part.cells + self.context * area)

    def _remember(self, features: Tensor, labels: Tensor) -> None:
        if self._step is None:
            self._start(features)
            self._label_dtype = labels.dtype
        frame = features[0].permute(1, 2, 0)
        labels = labels[0]
        self._exact.write(self.time, frame)
        if self._bank is not self._exact:
            self._bank.write(self.time, frame)
        for kept in self._kept:
            kept.labels.write(self.time, labels)
        newest = self.references[-1]
        if newest.time == self.time:
            channels = newest.present.nonzero()[:, 0].to(features.device)
            bank = LabelBank(channels, labels, self.context)
            bank.write(self.time, labels)
            exact = frame.to(self._exact.store.dtype).contiguous()
            self._kept.append(_Kept(exact.to(self._product), exact, bank))


def _as_dtype(
    name: str, value: Union[str, torch.dtype, None]
) -> Optional[torch.dtype]:
    found = getattr(torch, value, None) if isinstance(value, str) else value
    if found is None and value is None:
        return None
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(
            f'{name} must be a floating-point type of torch or None, got '
            f'{value!r}'
        )
    return found
