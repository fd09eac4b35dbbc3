"""Find the most similar cells of earlier frames, exactly.

A frame's cells are compared with the cells of earlier frames within a
window, and with those of a reference frame anywhere. Queries are worked on
in tiles: a few columns of the grid, as tall as the memory for their scores
allows. Of a tile's scores first the maximum over all frames is taken per
key cell, and only the frames of the key cells with the largest maxima are
searched: each of the k best matches is in one of those k cells.

h w: grid, C: feature channels, S: slots, L: frames searched, n: queries,
K: kept candidates; of a tile, H X: query rows and columns, V U: key rows and
columns in reach, J: query rows stored per key row, D: most key cells in a
query's window.
"""

from __future__ import annotations

import math
from typing import List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from .window import Tile, Window, cut_tiles

__all__ = ['Candidates', 'Segment', 'WindowedSearch', 'topk_candidates']

# Scores of a tile, in bytes: they limit its rows. At 60x107 cells and 50
# frames a tile as tall as the grid takes 30 MiB; with half of that the step
# takes 1.3 times as long (EPYC, one thread). On a GPU few large products are
# better.
CPU_BUDGET, GPU_BUDGET = 64 << 20, 512 << 20
# Query columns of a tile. Fewer make fewer products out of reach, more make
# larger ones: there 2 take 1.2 times as long as 4, and 8 take 1.07 times.
CPU_COLUMNS, GPU_COLUMNS = 4, 8
# Cells of a group of the reference frame. A multiple of 16 keeps the rows of
# the scores aligned (matrix kernels are a quarter slower else). Fewer cells
# make more groups to choose from but fewer members to search; 32 is the
# fastest on usual grids. From 64 on the members of k groups are 64 k values,
# where torch's top-k on a CPU turns to a method that is slow if scores rise
# steadily, as they do in real frames.
GROUP = 32
# Queries compared with a reference frame at a time: bounds the memory, and
# keeps the scores in cache (at 60x107, 96 or all of them take 1.15 times as
# long).
CHUNK = 384


class Candidates(NamedTuple):
    """The most similar cells of some frames, for every query.

    Attributes:
        scores: Dot products ``(n, K)``; ``-inf`` where there are fewer.
        cells: ``slot * h * w + cell``, ``(n, K)``; 0 where there are fewer.
    """

    scores: Tensor
    cells: Tensor


class Segment(NamedTuple):
    """Frames next to each other in the ring that are searched as one.

    Attributes:
        first: Time of the oldest one.
        start: First slot.
        stop: One past the last slot.
    """

    first: int
    start: int
    stop: int


def topk_candidates(
    scores: Tensor, k: int, ordered: bool = False
) -> Tuple[Tensor, Tensor]:
    """Take the ``k`` largest over the last dimension, or all if fewer.

    Args:
        scores: ``(..., n)``.
        k: At least 1.
        ordered: Largest first.

    Returns:
        Values and indices, each ``(..., min(k, n))``.
    """
    return scores.topk(min(k, scores.shape[-1]), dim=-1, sorted=ordered)


class WindowedSearch:
    """A ring of the latest frames that is searched for similar cells.

    Keys are ``(h, w, S, C)``: those of a run of cells of one grid row, over
    all frames, are one matrix, so a window's products read them in place. A
    frame is written once and never moved.

    Args:
        frame: Features of a frame, ``(h, w, C)``: shape and device of those
            to come.
        window: Of the latest frames.
        topk: Candidates kept per query and set of frames.
        slots: S, latest frames kept.
        dtype: Of the products.
    """

    def __init__(
        self,
        frame: Tensor,
        window: Window,
        topk: int,
        slots: int,
        dtype: torch.dtype,
    ) -> None:
        height, width, channels = frame.shape
        self.grid, self.topk, self.slots = (height, width), topk, slots
        self.keys = frame.new_empty(
            height, width, slots, channels, dtype=dtype
        )
        self.score_dtype = torch.promote_types(dtype, torch.float32)
        # One key row at a time keeps the maxima in a CPU's cache.
        self.row_by_row = frame.device.type == 'cpu'
        budget = CPU_BUDGET if self.row_by_row else GPU_BUDGET
        self.tiles = cut_tiles(
            self.grid,
            window,
            CPU_COLUMNS if self.row_by_row else GPU_COLUMNS,
            8 * budget // max(1, slots) // torch.finfo(dtype).bits,
            frame.device,
        )
        self._scratch: Optional[Tensor] = None

    def prepare(self, frame: Tensor) -> Tensor:
        """Convert features ``(h, w, C)`` to the type of the products."""
        return frame.to(self.keys.dtype)

    def write(self, time: int, frame: Tensor) -> None:
        """Put a prepared frame ``(h, w, C)`` in the oldest one's place."""
        if self.slots:
            self.keys[:, :, time % self.slots] = frame

    def anywhere(
        self,
        keys: Tensor,
        queries: Tensor,
        rivals: Sequence[Candidates] = (),
    ) -> Candidates:
        """Search one frame ``(h, w, C)`` without a window, see
        :meth:`.search_choice.Search.anywhere`.

        Each of the k best cells is in one of the k groups of cells whose
        best cell is best, so only those groups are searched. Nothing is
        saved by rivals.
        """
        keys, queries = keys.flatten(0, 1), queries.flatten(0, 1)
        groups = -(-len(keys) // GROUP)
        scratch = queries.new_full(
            (min(CHUNK, len(queries)), groups * GROUP), -math.inf
        )
        found = []
        for part in queries.split(CHUNK):
            scores = scratch[: len(part)]
            torch.mm(part, keys.t(), out=scores[:, : len(keys)])
            scores = scores.view(len(part), groups, GROUP)
            _, group = topk_candidates(scores.amax(dim=2), self.topk)
            row = torch.arange(len(part), device=group.device)[:, None]
            members = scores.view(-1, GROUP).index_select(
                0, (row * groups + group).flatten()
            )
            score, index = topk_candidates(
                members.view(len(part), -1).to(self.score_dtype),
                min(self.topk, len(keys)),
            )
            cell = group.gather(1, index // GROUP) * GROUP + index % GROUP
            # The last group's places without a cell score so, too.
            cell.masked_fill_(score == -math.inf, 0)
            found.append((score, cell))
        return Candidates(*(torch.cat(parts) for parts in zip(*found)))

    def in_window(
        self,
        queries: Tensor,
        segments: Sequence[Segment],
        frame: Optional[Tensor] = None,
    ) -> List[Candidates]:
        """Search frames ``(h, w, C)`` within the window, see
        :meth:`.search_choice.Search.in_window`."""
        keys = self.keys if frame is None else frame[:, :, None]
        tiles = []
        for tile in self.tiles:
            scores, maxima = self.score_tile(tile, keys, queries, segments)
            tiles.append(
                [
                    self.select(tile, scores, near_maxima(tile, peak), segment)
                    for segment, peak in zip(segments, maxima)
                ]
            )
        return [self.join_tiles(found) for found in zip(*tiles)]

    def join_tiles(self, found: Sequence[Candidates]) -> Candidates:
        """Put the candidates ``(H * X, K)`` of all tiles in place.

        Returns:
            ``(h * w, topk)``.
        """
        joined = []
        for parts, blank in zip(zip(*found), (-math.inf, 0)):
            whole = parts[0].new_full((*self.grid, self.topk), blank)
            for tile, part in zip(self.tiles, parts):
                place = whole[tile.rows, tile.columns, : part.shape[1]]
                place[:] = part.view(place.shape)
            joined.append(whole.flatten(0, 1))
        return Candidates(*joined)

    def score_tile(
        self,
        tile: Tile,
        keys: Tensor,
        queries: Tensor,
        segments: Sequence[Segment],
    ) -> Tuple[Tensor, List[Tensor]]:
        """Compare a tile's queries with the keys in its reach.

        Args:
            tile: One of this search's.
            keys: ``(h, w, S, C)``.
            queries: ``(h, w, C)``.
            segments: Ranges of the slots, from the first one on.

        Returns:
            Scores ``(V, U, L, J * X)``, valid until the next tile's, and per
            segment their maxima over its frames ``(V, U, J * X)``.
        """
        live = max((segment.stop for segment in segments), default=0)
        keys = keys[tile.key_rows, tile.key_columns, :live]
        queries = queries[tile.rows, tile.columns]
        columns = queries.shape[1]
        shape = (*keys.shape[:3], tile.stored * columns)
        if self._scratch is None or self._scratch.numel() < math.prod(shape):
            self._scratch = queries.new_empty(math.prod(shape))
        scores = self._scratch[: math.prod(shape)].view(shape)
        maxima = [scores.new_empty(*shape[:2], shape[3]) for _ in segments]
        if self.row_by_row:
            _multiply_rows(tile, keys, queries, segments, scores, maxima)
            return scores, maxima
        windows = queries.unfold(0, tile.stored, 1)[tile.first]  # (V, X, C, J)
        torch.bmm(
            keys.reshape(len(keys), -1, keys.shape[-1]),
            windows.permute(0, 2, 3, 1).flatten(2),
            out=scores.flatten(1, 2),
        )
        for segment, peak in zip(segments, maxima):
            frames = scores[:, :, segment.start : segment.stop]
            torch.amax(frames, dim=2, out=peak)
        return scores, maxima

    def free_scratch(self) -> None:
        """Free the memory of scores, which the next search takes anew."""
        self._scratch = None

    def select(
        self, tile: Tile, scores: Tensor, groups: Tensor, segment: Segment
    ) -> Candidates:
        """Select the candidates ``(H * X, K)`` of one segment.

        Args:
            tile: One of this search's.
            scores: ``(V, U, L, J * X)``.
            groups: The segment's maxima, see :func:`near_maxima`.
            segment: One of those that were scored.
        """
        top, group = topk_candidates(groups, self.topk)
        kept, cells = self.members(
            tile, scores, tile.near.gather(1, group), segment
        )
        # Where fewer than k cells are near, others come up.
        kept.masked_fill_(top[..., None] == -math.inf, -math.inf)
        score, index = topk_candidates(
            kept.to(self.score_dtype).flatten(1), self.topk
        )
        return Candidates(score, cells.flatten(1).gather(1, index))

    def members(
        self, tile: Tile, scores: Tensor, near: Tensor, segment: Segment
    ) -> Tuple[Tensor, Tensor]:
        """Read the scores of some key cells in all frames of a segment.

        Args:
            tile: Whose scores were computed.
            scores: ``(V, U, L, J * X)``.
            near: Some of the tile's table ``near``, of any shape.
            segment: One of those that were scored.

        Returns:
            Their scores and their cells as in :class:`Candidates`, each with
            the frames as a further dimension.
        """
        _, across, frames, stored = scores.shape
        height, width = self.grid
        key = near // stored
        # A key cell's frames are ``stored`` apart.
        first = near + key * ((frames - 1) * stored)
        slots = torch.arange(segment.start, segment.stop, device=near.device)
        found = scores.view(-1)[first[..., None] + slots * stored]
        row = key // across + tile.key_rows.start
        column = key % across + tile.key_columns.start
        cells = row * width + column
        return found, cells[..., None] + slots * (height * width)


def near_maxima(tile: Tile, peak: Tensor) -> Tensor:
    """Read maxima ``(V, U, J * X)`` by the window: ``(H * X, D)``, ``-inf``
    where a query has fewer than D key cells near."""
    groups = peak.view(-1).index_select(0, tile.near.flatten())
    groups = groups.view(tile.near.shape)
    if tile.missing is not None:
        groups.masked_fill_(tile.missing, -math.inf)
    return groups


def _multiply_rows(
    tile: Tile,
    keys: Tensor,
    queries: Tensor,
    segments: Sequence[Segment],
    scores: Tensor,
    maxima: Sequence[Tensor],
) -> None:
    """Fill ``scores`` and ``maxima`` one key row at a time.

    Keys are ``(h, w, S, C)``, queries the tile's ``(rows, columns, C)``.
    Key row ``v`` meets query rows within reach only: no product is made for
    others.
    """
    rows, columns, channels = queries.shape
    queries = queries.reshape(rows * columns, channels)
    products = scores.flatten(1, 2).unbind()
    peaks = [peak.unbind() for peak in maxima]
    for v, (first, span) in enumerate(zip(tile.first.tolist(), tile.spans)):
        low, high = span.start * columns, span.stop * columns
        start = first * columns
        torch.mm(
            keys[v].reshape(-1, channels),
            queries[start + low : start + high].t(),
            out=products[v][:, low:high],
        )
        for segment, peak in zip(segments, peaks):
            torch.amax(
                scores[v, :, segment.start : segment.stop, low:high],
                dim=1,
                out=peak[v][:, low:high],
            )
