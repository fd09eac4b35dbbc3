"""Find the most similar cells by numbers that are cheap to compare.

The search of `windowed_search` is done with the numbers of a `Screen`,
whose products, with a slack for rounding, bound the scores from above. A
few candidates more than needed, the best by that bound, are scored by their
features. The k-th best of these scores less the slack is a limit: a cell
below it is no match. Where the limit is above the last candidate's bound,
the k best are certain. Else the query is open, and all its cells above the
limit are scored by their features, too. So what is found is exact.

h w: grid, C: feature channels, P: numbers, S: slots, n: queries, K:
candidates; of a tile, H X: query rows and columns, D: most key cells in a
query's window.
"""

from __future__ import annotations

import logging
import math
from threading import Lock
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
from mmengine.logging import print_log
from torch import Tensor

from .pair_scores import best_pairs, score_pairs
from .screening import Screen
from .window import Tile, Window
from .windowed_search import (
    CHUNK,
    Candidates,
    Segment,
    WindowedSearch,
    near_maxima,
    topk_candidates,
)

__all__ = ['Prepared', 'ScreenedSearch']

# Candidates by bound that are scored first, besides the ones needed.
SPARE = 9
# Where more than this share of the pairs is above the limits, all pairs are
# compared by their features, which is faster then.
MOST_OPEN = 0.1


class Prepared(NamedTuple):
    """A frame as it is searched, or a ring of frames.

    Attributes:
        features: ``(h, w, C)``; of a ring ``(h, w, S, C)``.
        numbers: ``(h, w, P)``, see :class:`Screen`; likewise.
    """

    features: Tensor
    numbers: Tensor

    def clone(self) -> Prepared:
        """Copy both."""
        return Prepared(*(one.clone() for one in self))


class _Bounds(NamedTuple):
    """Products of the numbers of a tile, for one segment.

    Attributes:
        tile: One of the search's.
        segment: One of those that were compared.
        values: Of all segments, ``(V, U, L, J * X)``.
        groups: Their maxima over the segment, ``(H * X, D)``.
    """

    tile: Tile
    segment: Segment
    values: Tensor
    groups: Tensor


class ScreenedSearch:
    """A ring of the latest frames that is searched by numbers first.

    It finds what :class:`~hvc_mm.models.vos.windowed_search.WindowedSearch`
    finds by the features in their own type, and has two rings: of numbers,
    and of the features for what the numbers leave open.

    Args:
        frame: Features of a frame, ``(h, w, C)``.
        window: Of the latest frames.
        topk: Candidates kept per query and set of frames.
        slots: S, latest frames kept.
        screen: What makes the numbers.

    Attributes:
        asked: Queries so far, of each set of frames within the window.
        open: How many of them the first candidates left open.
    """

    def __init__(
        self,
        frame: Tensor,
        window: Window,
        topk: int,
        slots: int,
        screen: Screen,
    ) -> None:
        self.topk, self.screen = topk, screen
        settings = window, topk, slots
        self.full = WindowedSearch(frame, *settings, frame.dtype)
        numbers = frame.new_empty(*frame.shape[:2], screen.width)
        self.rough = WindowedSearch(numbers, *settings, screen.dtype)
        self.rough.topk += SPARE
        self.rough.tiles = self.full.tiles
        self.asked = self.open = 0

    def prepare(self, frame: Tensor) -> Prepared:
        """Compute the numbers of features ``(h, w, C)``."""
        return Prepared(frame, self.screen.prepare(frame))

    def write(self, time: int, frame: Prepared) -> None:
        """Put a prepared frame in the oldest one's place."""
        self.full.write(time, frame.features)
        self.rough.write(time, frame.numbers)

    def in_window(
        self,
        queries: Prepared,
        segments: Sequence[Segment],
        frame: Optional[Prepared] = None,
    ) -> List[Candidates]:
        """Search frames within the window, see
        :meth:`.search_choice.Search.in_window`."""
        if self.screen.slack == math.inf:
            only = None if frame is None else frame.features
            return self.full.in_window(queries.features, segments, only)
        ring = Prepared(self.full.keys, self.rough.keys)
        if frame is not None:
            ring = Prepared(*(one[:, :, None] for one in frame))
        tiles = []
        for tile in self.rough.tiles:
            with _sums_in_float32:
                values, maxima = self.rough.score_tile(
                    tile, ring.numbers, queries.numbers, segments
                )
            found = []
            for segment, peak in zip(segments, maxima):
                groups = near_maxima(tile, peak)
                bounds = _Bounds(tile, segment, values, groups)
                found.append(self._choose(bounds, ring, queries))
            tiles.append(found)
        # That of tiles which the numbers decided nothing of.
        self.full.free_scratch()
        return [self.full.join_tiles(found) for found in zip(*tiles)]

    def _choose(
        self, bounds: _Bounds, ring: Prepared, queries: Prepared
    ) -> Candidates:
        """Select the candidates ``(H * X, K)`` of a tile and a segment.

        Args:
            bounds: Of its pairs.
            ring: Frames.
            queries: A frame.
        """
        tile, segment, values, groups = bounds
        rough = self.rough.select(tile, values, groups, segment)
        rows = queries.features[tile.rows, tile.columns].flatten(0, 1)
        found = self._score_first(rough, rows, ring.features)
        worst, last = found.scores.amin(dim=1), rough.scores.amin(dim=1)
        limits = worst - self.screen.slack
        opened = ((last >= limits) & (last > -math.inf)).nonzero()[:, 0]
        self.asked += len(rows)
        self.open += len(opened)
        # Where there are no more cells than candidates, all were scored.
        if not len(opened) or rough.cells.shape[1] < self.rough.topk:
            return found
        pairs = self._list_pairs(bounds, opened, limits[opened])
        if pairs is None:
            values, (peak,) = self.full.score_tile(
                tile, ring.features, queries.features, [segment]
            )
            groups = near_maxima(tile, peak)
            return self.full.select(tile, values, groups, segment)
        better = best_pairs(
            rows[opened], ring.features, *pairs, worst[opened], self.topk
        )
        for whole, part in zip(found, better):
            whole[opened] = part
        return found

    def _score_first(
        self, rough: Candidates, rows: Tensor, keys: Tensor
    ) -> Candidates:
        """Score candidates ``(n, K)`` by features and keep the best.

        Args:
            rough: With bounds as scores; ``-inf`` remains so.
            rows: Features of their queries, ``(n, C)``.
            keys: ``(h, w, S, C)``.
        """
        queries, count = rough.cells.shape
        counts = rough.cells.new_full((queries,), count)
        scores = score_pairs(rows, keys, counts, rough.cells.flatten())
        scores = scores.view(queries, count)
        scores.masked_fill_(rough.scores == -math.inf, -math.inf)
        scores, order = topk_candidates(scores, self.topk)
        return Candidates(scores, rough.cells.gather(1, order))

    def _list_pairs(
        self, bounds: _Bounds, opened: Tensor, limits: Tensor
    ) -> Optional[Tuple[Tensor, Tensor]]:
        """List the pairs of some of a tile's queries that reach a limit.

        Args:
            bounds: Of the tile's pairs.
            opened: Which queries, ``(n,)``.
            limits: Of theirs, ``(n,)``.

        Returns:
            How many cells each query has and which, query by query; None
            where they are too many.
        """
        tile, segment, values, groups = bounds
        most = MOST_OPEN * tile.near.numel()
        row, column = (groups[opened] >= limits[:, None]).nonzero().unbind(1)
        # A key cell that reaches it does so in some of its frames.
        if len(row) > 4 * most:
            return None
        near = tile.near[opened[row], column]
        values, cells = self.rough.members(tile, values, near, segment)
        reaches = values >= limits[row, None]
        row = row.repeat_interleave(reaches.sum(dim=1))
        if len(row) > most * (segment.stop - segment.start):
            return None
        return torch.bincount(row, minlength=len(limits)), cells[reaches]

    def anywhere(
        self,
        frame: Prepared,
        queries: Prepared,
        rivals: Sequence[Candidates] = (),
    ) -> Candidates:
        """Search one frame without a window, see
        :meth:`.search_choice.Search.anywhere`; without rivals nothing is
        saved by the numbers."""
        if not rivals or self.screen.slack == math.inf:
            return self.full.anywhere(frame.features, queries.features)
        found = []
        worst = torch.stack([one.scores.amin(dim=1) for one in rivals])
        keys, numbers = frame.features[:, :, None], frame.numbers.flatten(0, 1)
        topk = min(self.topk, len(numbers))
        for rows, short, limits in zip(
            queries.features.flatten(0, 1).split(CHUNK),
            queries.numbers.flatten(0, 1).split(CHUNK),
            worst.amax(dim=0).split(CHUNK),
        ):
            with _sums_in_float32:
                bounds = short @ numbers.t()
            reaches = bounds >= (limits - self.screen.slack)[:, None]
            row, cells = reaches.nonzero(as_tuple=True)
            if len(row) > MOST_OPEN * reaches.numel():
                found.append(self.full.anywhere(frame.features, rows[None]))
                continue
            counts = torch.bincount(row, minlength=len(rows))
            found.append(best_pairs(rows, keys, counts, cells, limits, topk))
        return Candidates(*map(torch.cat, zip(*found)))

    def log_open(self) -> None:
        """Log the share of the video's queries that were left open."""
        if self.asked:
            print_log(
                f'label propagation: the best by {self.screen.width} numbers '
                f'in {self.screen.dtype}, {self.open / self.asked:.1%} of the '
                'queries were not certain and were searched again in '
                f'{self.full.keys.dtype}',
                'current',
                logging.INFO,
            )


class _SumsInFloat32:
    """Let a GPU round nothing but the result of a product of half types.

    The switches are the process's. They are off as long as any thread is
    within, then they are the user's again.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._within = 0
        self._before: Dict[str, bool] = {}

    def __enter__(self) -> None:
        switches = torch.backends.cuda.matmul
        with self._lock:
            if not self._within:
                for dtype in ('bf16', 'fp16'):
                    name = f'allow_{dtype}_reduced_precision_reduction'
                    self._before[name] = getattr(switches, name)
                    setattr(switches, name, False)
            self._within += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= 1
            if not self._within:
                for name, value in self._before.items():
                    setattr(torch.backends.cuda.matmul, name, value)


_sums_in_float32 = _SumsInFloat32()
