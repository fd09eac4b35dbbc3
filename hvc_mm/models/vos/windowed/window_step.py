"""Matches of a frame in the latest frames, within the radius.

h w: grid, L: frames, C: feature channels, K: kept cells; H X V U J W as in
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
    best, so only those cells' frames are searched. Which keys lie outside
    the disc does not depend on the frame: only the maxima are masked.

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
        band = tile.band
        rows, columns = band.bottom - band.top, tile.right - tile.left
        _, across, frames, stored = scores.shape
        # (H, W, U, X) -> (H * X, W * U)
        groups = peak.view(len(peak), across, band.stored, columns)
        groups = groups[band.window, :, band.slot].permute(0, 3, 1, 2)
        groups = groups.reshape(rows * columns, -1)
        if tile.outside is not None:
            groups.masked_fill_(tile.outside, float('-inf'))
        top, group = best(groups, self.topk)
        # The groups' places: key row v, key column u, and where the query
        # stands among the stored ones of that key row.
        query = torch.arange(rows * columns, device=group.device)[:, None]
        row, u = group // across, group % across
        v = band.window[query // columns, row]
        place = band.slot[query // columns, row] * columns + query % columns
        first = ((v * across + u) * frames + segment.start) * stored + place
        count = segment.stop - segment.start
        members = torch.arange(count, device=group.device) * stored
        kept = scores.view(-1)[first[..., None] + members]
        # Groups outside the disc come up where fewer than k are inside.
        kept.masked_fill_(top[..., None] == float('-inf'), float('-inf'))
        score, index = best(widen(kept).flatten(1), self.topk)
        row = index // count
        v, u = v.gather(1, row) + band.first_key, u.gather(1, row)
        frame = index % count + segment.start
        area = self.tiling.height * self.tiling.width
        cell = v * self.tiling.width + u + tile.first_key
        return Candidates(score, frame * area + cell)
