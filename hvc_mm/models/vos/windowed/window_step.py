"""Matches of a frame in the latest frames, within the radius.

h w: grid, L: frames, C: feature channels, K: kept cells; H X V U J D as in
``tiling``.
"""

from __future__ import annotations

from typing import List, Sequence

import torch
from torch import Tensor

from .bank import Segment
from .selection import Candidates, best, widen
from .tiling import Tile, Tiling

__all__ = ['WindowStep']


class WindowStep:
    """Scores tile by tile, and the best cells per segment of the frames.

    The scores of a tile are ``(V, U, L, J * X)``. Their maximum over the
    frames of a segment is one number per key cell; each of the ``topk``
    best matches lies in one of the ``topk`` key cells whose maximum is
    best, so only those cells' frames are searched. Which cells are near
    does not depend on the frame: only the maxima are picked by it.

    Args:
        tiling: The grid's tiles.
        topk: Cells kept per query and segment.
        row_by_row: Multiply one key row at a time, which keeps the maxima
            in cache (CPU), or all rows of a tile at once (GPU).
    """

    def __init__(self, tiling: Tiling, topk: int, row_by_row: bool) -> None:
        self.tiling = tiling
        self.topk = topk
        self.row_by_row = row_by_row
        self._scratch = None

    def __call__(
        self, keys: Tensor, queries: Tensor, segments: Sequence[Segment]
    ) -> List[Candidates]:
        """The best cells of every query, per segment.

        Args:
            keys: ``(h, w, L, C)``.
            queries: ``(h, w, C)``.
            segments: Ranges within ``L`` (``start`` and ``stop`` count
                from the first of the keys).

        Returns:
            Per segment scores and cells ``frame * h * w + cell``, each
            ``(h * w, K)``, the frame counted from the first of the keys.
        """
        height, width = queries.shape[:2]
        results = [
            Candidates(
                widen(queries.new_empty(0)).new_full(
                    (height, width, self.topk), float('-inf')
                ),
                torch.zeros(
                    height,
                    width,
                    self.topk,
                    dtype=torch.int64,
                    device=queries.device,
                ),
            )
            for _ in segments
        ]
        for tile in self.tiling:
            band = tile.band
            scores, maxima = self._score(tile, keys, queries, segments)
            rows = slice(band.top, band.bottom)
            columns = slice(tile.left, tile.right)
            for segment, peak, result in zip(segments, maxima, results):
                found = self._select(tile, scores, peak, segment)
                k = found.scores.shape[-1]
                for whole, part, blank in zip(
                    result, found, (float('-inf'), 0)
                ):
                    place = whole[rows, columns]
                    place[..., :k] = part.view(*place.shape[:2], k)
                    # Tiles overlap: the one before may have found more.
                    place[..., k:] = blank
        return [
            Candidates(*(whole.flatten(0, 1) for whole in result))
            for result in results
        ]

    def _score(self, tile, keys, queries, segments):
        """Scores ``(V, U, L, J * X)``, maxima ``(V, U, J * X)`` each."""
        band = tile.band
        rows, columns = band.bottom - band.top, tile.right - tile.left
        across, frames = tile.last_key - tile.first_key, keys.shape[2]
        stored = band.stored * columns
        keys = keys[
            band.first_key : band.last_key, tile.first_key : tile.last_key
        ]
        queries = queries[
            band.top : band.bottom, tile.left : tile.right
        ].reshape(rows * columns, -1)
        shape = (len(keys), across, frames, stored)
        scores = self._reuse(shape, queries)
        maxima = [scores.new_empty(*shape[:2], stored) for _ in segments]
        if self.row_by_row:
            products = scores.flatten(1, 2).unbind()
            peaks = [peak.unbind() for peak in maxima]
            for v, (base, span) in enumerate(zip(band.base, band.spans)):
                low, high = span.start * columns, span.stop * columns
                start = base * columns
                torch.mm(
                    keys[v].reshape(across * frames, -1),
                    queries[start + low : start + high].t(),
                    out=products[v][:, low:high],
                )
                for segment, peak in zip(segments, peaks):
                    torch.amax(
                        scores[v, :, segment.start : segment.stop, low:high],
                        dim=1,
                        out=peak[v][:, low:high],
                    )
        else:
            windows = queries.view(rows, columns, -1).unfold(
                0, band.stored, 1
            )[band.bases]  # (V, X, C, J)
            torch.bmm(
                keys.reshape(len(keys), across * frames, -1),
                windows.permute(0, 2, 3, 1).flatten(2),
                out=scores.view(len(keys), -1, stored),
            )
            for segment, peak in zip(segments, maxima):
                torch.amax(
                    scores[:, :, segment.start : segment.stop],
                    dim=2,
                    out=peak,
                )
        return scores, maxima

    def _reuse(self, shape, like: Tensor) -> Tensor:
        size = 1
        for length in shape:
            size *= length
        if self._scratch is None or self._scratch.numel() < size:
            self._scratch = like.new_empty(size)
        return self._scratch[:size].view(shape)

    def _select(
        self, tile: Tile, scores: Tensor, peak: Tensor, segment: Segment
    ) -> Candidates:
        """Candidates ``(H * X, K)`` of one segment."""
        _, across, frames, stored = scores.shape
        # Maxima (V, U, J * X) -> (H * X, D).
        near = tile.near
        groups = peak.view(-1).index_select(0, near.flatten())
        groups = groups.view(near.shape)
        if tile.missing is not None:
            groups.masked_fill_(tile.missing, float('-inf'))
        top, group = best(groups, self.topk)
        place = near.gather(1, group)
        # A key cell's frames are ``stored`` apart.
        key = torch.div(place, stored, rounding_mode='floor')
        first = place + (key * (frames - 1) + segment.start) * stored
        count = segment.stop - segment.start
        members = torch.arange(count, device=group.device) * stored
        kept = scores.view(-1)[first[..., None] + members]
        # Where fewer than k cells are near, others come up.
        kept.masked_fill_(top[..., None] == float('-inf'), float('-inf'))
        score, index = best(widen(kept).flatten(1), self.topk)
        frame = index % count + segment.start
        key = key.gather(1, torch.div(index, count, rounding_mode='floor'))
        v = torch.div(key, across, rounding_mode='floor')
        u = key - v * across
        width, area = self.tiling.width, self.tiling.height * self.tiling.width
        cell = (v + tile.band.first_key) * width + u + tile.first_key
        return Candidates(score, frame * area + cell)
