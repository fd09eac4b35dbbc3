"""Find the most similar cells of earlier frames by Triton kernels.

The same search as `windowed_search`, for a GPU. One kernel compares a tile
of queries with the key cells in its reach and writes, instead of scores, the
largest one of every group of frames; each of the k best matches is in one of
the k groups whose largest is best. A second kernel scores the members of
those groups. No value is read on the host unless products are rounded.

It ran in Triton's interpreter only (`TRITON_INTERPRET=1`), never on a GPU.
So it is not taken unless it is asked for.

h w: grid, C: feature channels, S: slots, L: frames searched, n: queries,
V U: rows and columns of key cells that a query may reach, G: groups of
frames, K: kept groups.
"""

from __future__ import annotations

import math
from typing import List, Optional, Sequence, Tuple

import torch
import torch.nn.functional as F
import triton
import triton.language as tl
from packaging.version import Version
from torch import Tensor

from .window import Window, half_widths
from .windowed_search import (
    GPU_BUDGET,
    Candidates,
    Segment,
    WindowedSearch,
    topk_candidates,
)

__all__ = ['TritonSearch']

# The oldest one that it was tried with.
if Version(triton.__version__) < Version('3.2'):
    raise ImportError(f'Triton is {triton.__version__}, not 3.2 or newer')

# Query rows and columns of a program, and frames of a group.
ROWS, COLUMNS, GROUP = 8, 8, 8
# Key cells and channels that a program works on at a time.
CELLS, CHANNELS = 8, 32
# More groups than needed where products are rounded.
SPARE = 17


@triton.jit
def _group_maxima(
    keys,
    queries,
    half_widths,
    maxima,
    height,
    width,
    slots,
    channels,
    first_row,
    end_row,
    start,
    stop,
    reach_y,
    reach_x,
    tall,
    wide,
    groups,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    CELLS: tl.constexpr,
    GROUP: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Write the largest score of each group of frames.

    A program has a tile of queries and one key row. ``keys`` is ``(h, w, S,
    C)``, ``queries`` ``(h, w, C)``, ``maxima`` ``(rows, w, V, U, G)`` of the
    query rows from ``first_row`` to ``end_row``, ``-inf`` at first. A
    query's key cells are V by U, moved in from the border of the grid.
    """
    tiles = tl.cdiv(width, COLUMNS)
    query = tl.arange(0, ROWS * COLUMNS)
    top = first_row + tl.program_id(0) // tiles * ROWS
    left = tl.program_id(0) % tiles * COLUMNS
    y = top + query // COLUMNS
    x = left + query % COLUMNS
    is_query = (y < end_row) & (x < width)
    first_v = tl.minimum(tl.maximum(y - reach_y, 0), height - tall)
    first_u = tl.minimum(tl.maximum(x - reach_x, 0), width - wide)
    v = tl.minimum(tl.maximum(top - reach_y, 0), height - tall)
    v += tl.program_id(1)
    # Rows of other queries of the tile, or below the grid.
    is_query = is_query & (v >= first_v) & (v < first_v + tall)
    is_query = is_query & (v < height)
    dy = tl.abs(v - y)
    half = tl.load(half_widths + dy, mask=is_query & (dy <= reach_y), other=-1)
    query_row = queries + (y * width + x).to(tl.int64) * channels
    out = maxima + (
        ((y - first_row) * width + x).to(tl.int64) * tall + v - first_v
    ) * (wide * groups)
    member = tl.arange(0, CELLS * GROUP)
    channel = tl.arange(0, CHANNELS)
    begin = tl.minimum(tl.maximum(left - reach_x, 0), width - wide)
    end = tl.minimum(begin + wide + COLUMNS - 1, width)
    for first_cell in range(begin, end, CELLS):
        u = first_cell + member // GROUP
        cell = (v * width + u).to(tl.int64) * slots
        for group in range(0, groups):
            frame = start + group * GROUP + member % GROUP
            is_key = (u < end) & (frame < stop) & (v < height)
            key_row = keys + (cell + frame) * channels
            score = tl.zeros((ROWS * COLUMNS, CELLS * GROUP), tl.float32)
            for c in range(0, channels, CHANNELS):
                left_over = c + channel < channels
                q = tl.load(
                    query_row[:, None] + c + channel[None, :],
                    mask=is_query[:, None] & left_over[None, :],
                    other=0.0,
                )
                k = tl.load(
                    key_row[None, :] + c + channel[:, None],
                    mask=is_key[None, :] & left_over[:, None],
                    other=0.0,
                )
                score = tl.dot(q, k, score, input_precision='ieee')
            score = tl.where(is_key[None, :], score, float('-inf'))
            largest = tl.max(
                tl.reshape(score, (ROWS * COLUMNS, CELLS, GROUP)), axis=2
            )
            column = first_cell + tl.arange(0, CELLS)
            dx = tl.abs(column[None, :] - x[:, None])
            place = column[None, :] - first_u[:, None]
            tl.store(
                out[:, None] + place * groups + group,
                largest,
                mask=(dx <= half[:, None]) & (column < end)[None, :],
            )


@triton.jit
def _score_members(
    keys,
    queries,
    cells,
    first_frames,
    scores,
    slots,
    channels,
    stop,
    count,
    MEMBERS: tl.constexpr,
    GROUP: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Score the frames of a query's groups, ``(n, count * GROUP)``.

    A program has one query. A group is a key cell and its first frame, both
    ``(n, count)``; frames from ``stop`` on are ``-inf``.
    """
    query = tl.program_id(0)
    member = tl.arange(0, MEMBERS)
    which = query * count + member // GROUP
    is_member = member < count * GROUP
    cell = tl.load(cells + which, mask=is_member, other=0)
    frame = tl.load(first_frames + which, mask=is_member, other=0)
    frame += member % GROUP
    is_key = is_member & (frame < stop)
    key_row = keys + (cell * slots + frame) * channels
    channel = tl.arange(0, CHANNELS)
    score = tl.zeros((MEMBERS,), tl.float32)
    for c in range(0, channels, CHANNELS):
        left_over = c + channel < channels
        q = tl.load(
            queries + query.to(tl.int64) * channels + c + channel,
            mask=left_over,
            other=0.0,
        )
        k = tl.load(
            key_row[:, None] + c + channel[None, :],
            mask=is_key[:, None] & left_over[None, :],
            other=0.0,
        )
        score += tl.sum(k * q[None, :], axis=1)
    tl.store(
        scores + query.to(tl.int64) * (count * GROUP) + member,
        tl.where(is_key, score, float('-inf')),
        mask=is_member,
    )


class TritonSearch:
    """A ring of the latest frames that Triton kernels search.

    The same as :class:`~hvc_mm.models.vos.windowed_search.WindowedSearch`
    for float32 features. With products of a half type groups are chosen by
    rounded features and their members scored by the features themselves. A
    bound on the rounding tells whether a group that was left out could hold
    a match; if so for any query, the groups are chosen by unrounded products.

    Args:
        frame: Features of a frame, ``(h, w, C)`` float32: shape and device
            of those to come.
        window: Of the latest frames.
        topk: Candidates kept per query and set of frames.
        slots: S, latest frames kept.
        dtype: Of the products: float32, or a half type.

    Raises:
        ValueError: For features or products of another type, and on a CPU
            without Triton's interpreter.
    """

    def __init__(
        self,
        frame: Tensor,
        window: Window,
        topk: int,
        slots: int,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        halves = torch.float16, torch.bfloat16
        if frame.dtype != torch.float32 or dtype not in (*halves, frame.dtype):
            raise ValueError(
                f'the Triton kernels take features in float32 and products '
                f'in float32 or a half type, not {frame.dtype} and {dtype}'
            )
        if frame.device.type == 'cpu' and isinstance(
            _group_maxima, triton.JITFunction
        ):
            raise ValueError(
                'the Triton kernels need features on a GPU, found cpu (or '
                'TRITON_INTERPRET=1 before they are loaded, for tests)'
            )
        height, width, channels = frame.shape
        self.grid, self.topk, self.slots = (height, width), topk, slots
        self.dtype = dtype
        widths = half_widths(height, width, window)
        # In rows and columns, of a query of the grid's middle.
        self.reach = len(widths) - 1, int(widths[0])
        self.reached = tuple(
            min(2 * reach + 1, side)
            for reach, side in zip(self.reach, self.grid)
        )
        self.half_widths = widths.to(frame.device, torch.int32)
        self.keys = frame.new_empty(height, width, slots, channels)
        self.rounded = self.keys
        if dtype != frame.dtype:
            self.rounded = self.keys.new_empty(self.keys.shape, dtype=dtype)
        # Of any key so far: its length, and that of what rounding took.
        self._longest, self._lost = frame.new_zeros(2)
        # For frames without a window, which takes no tiles: one of a single
        # cell makes the smallest.
        self._torch = WindowedSearch(frame, Window(1), topk, 0, frame.dtype)

    def prepare(self, frame: Tensor) -> Tensor:
        """Give features ``(h, w, C)`` in the type that they are kept in."""
        return frame.to(self.keys.dtype)

    def write(self, time: int, frame: Tensor) -> None:
        """Put a prepared frame ``(h, w, C)`` in the oldest one's place."""
        if not self.slots:
            return
        self.keys[:, :, time % self.slots] = frame
        if self.rounded is not self.keys:
            self.rounded[:, :, time % self.slots] = frame
            self._measure(frame)

    def anywhere(
        self,
        keys: Tensor,
        queries: Tensor,
        rivals: Sequence[Candidates] = (),
    ) -> Candidates:
        """Search one frame ``(h, w, C)`` without a window; torch does
        that."""
        return self._torch.anywhere(keys, queries, rivals)

    def in_window(
        self,
        queries: Tensor,
        segments: Sequence[Segment],
        frame: Optional[Tensor] = None,
    ) -> List[Candidates]:
        """Search frames ``(h, w, C)`` within the window, see
        :meth:`.search_choice.Search.in_window`."""
        keys, rounded = self.keys, self.rounded
        if frame is not None:
            keys = frame[:, :, None].contiguous()
            rounded = keys.to(self.dtype)
            self._measure(keys)
        return [
            self._search(queries.contiguous(), keys, rounded, segment)
            for segment in segments
        ]

    def _search(
        self, queries: Tensor, keys: Tensor, rounded: Tensor, segment: Segment
    ) -> Candidates:
        """Search one segment by products of rounded features first."""
        if self.dtype == keys.dtype:
            return self._select(queries, keys, queries, keys, segment, 0)[0]
        short = queries.to(self.dtype)
        found, left_out = self._select(
            queries, keys, short, rounded, segment, SPARE
        )
        # |<k, q> - <k', q'>| <= |k - k'| |q| + |k'| |q - q'|. Of a sum of C
        # products each may lose one rounding, and two in tensor cores, which
        # cut off.
        length = queries.norm(dim=2).flatten()
        lost = (queries - short.to(queries)).norm(dim=2).flatten()
        sums = 3 * (queries.shape[2] + 1) * 2.0**-24 * self._longest * length
        longest = self._longest + self._lost
        slack = 1.001 * (self._lost * length + longest * lost + sums)
        worst = found.scores.amin(dim=1)
        # Also where a bound is no number.
        is_open = ~(left_out + slack < worst) & (left_out > -math.inf)
        # The one value that is waited for.
        if is_open.any():
            return self._select(queries, keys, queries, keys, segment, 0)[0]
        return found

    def _measure(self, keys: Tensor) -> None:
        """Keep the bounds of keys ``(..., C)`` up to date."""
        lost = keys - keys.to(self.dtype).to(keys.dtype)
        self._longest = self._longest.maximum(keys.norm(dim=-1).max())
        self._lost = self._lost.maximum(lost.norm(dim=-1).max())

    def _select(
        self,
        queries: Tensor,
        keys: Tensor,
        short: Tensor,
        rounded: Tensor,
        segment: Segment,
        spare: int,
    ) -> Tuple[Candidates, Tensor]:
        """Select candidates, band by band of query rows.

        Args:
            queries: ``(h, w, C)``, for the members' scores.
            keys: ``(h, w, S, C)``, likewise.
            short: ``(h, w, C)``, for the groups' maxima.
            rounded: ``(h, w, S, C)``, likewise.
            segment: Slots that are searched.
            spare: More groups than ``topk``.

        Returns:
            ``(h * w, topk)``, and the largest score that a group may have
            which was left out, ``(h * w,)``.
        """
        height, width = self.grid
        groups = -(-(segment.stop - segment.start) // GROUP)
        row_bytes = 4 * width * math.prod(self.reached) * groups
        band = min(height, max(1, GPU_BUDGET // max(1, row_bytes)))
        found = []
        for top in range(0, height, band):
            rows = range(top, min(top + band, height))
            maxima = self._maxima(short, rounded, segment, rows)
            found.append(
                self._members(queries, keys, segment, rows, maxima, spare)
            )
        scores, cells, left_out = map(torch.cat, zip(*found))
        return Candidates(scores, cells), left_out

    def _maxima(
        self, queries: Tensor, keys: Tensor, segment: Segment, rows: range
    ) -> Tensor:
        """Compute the groups' maxima ``(rows, w, V, U, G)`` of a band."""
        height, width = self.grid
        groups = -(-(segment.stop - segment.start) // GROUP)
        maxima = torch.full(
            (len(rows), width, *self.reached, groups),
            -math.inf,
            device=keys.device,
        )
        tiles = -(-len(rows) // ROWS) * -(-width // COLUMNS)
        _group_maxima[tiles, min(height, self.reached[0] + ROWS - 1)](
            keys,
            queries,
            self.half_widths,
            maxima,
            height,
            width,
            keys.shape[2],
            keys.shape[3],
            rows.start,
            rows.stop,
            segment.start,
            segment.stop,
            *self.reach,
            *self.reached,
            groups,
            ROWS,
            COLUMNS,
            CELLS,
            GROUP,
            CHANNELS,
        )
        return maxima

    def _members(
        self,
        queries: Tensor,
        keys: Tensor,
        segment: Segment,
        rows: range,
        maxima: Tensor,
        spare: int,
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Score the members of a band's best groups and take the best."""
        height, width = self.grid
        _, _, tall, wide, groups = maxima.shape
        maxima = maxima.flatten(0, 1).flatten(1)
        top, chosen = topk_candidates(maxima, self.topk + spare)
        left_out = top.amin(dim=1)
        if top.shape[1] == maxima.shape[1]:
            left_out = torch.full_like(left_out, -math.inf)
        query = torch.arange(len(top), device=keys.device)[:, None]
        # Moved in from the border, as in the kernel.
        v = query // width + rows.start - self.reach[0]
        u = query % width - self.reach[1]
        v, u = v.clamp(0, height - tall), u.clamp(0, width - wide)
        place = chosen // groups
        cell = (v + place // wide) * width + u + place % wide
        frame = segment.start + chosen % groups * GROUP
        count = top.shape[1]
        scores = maxima.new_empty(len(top), count * GROUP)
        _score_members[(len(top),)](
            keys,
            queries[rows.start : rows.stop],
            cell,
            frame,
            scores,
            keys.shape[2],
            keys.shape[3],
            segment.stop,
            count,
            triton.next_power_of_2(count * GROUP),
            GROUP,
            CHANNELS,
        )
        # Groups of which no member is in the window.
        scores = scores.view(len(top), count, GROUP)
        scores.masked_fill_(top[..., None] == -math.inf, -math.inf)
        score, member = topk_candidates(scores.flatten(1), self.topk)
        group = member // GROUP
        slot = frame.gather(1, group) + member % GROUP
        cells = slot * (height * width) + cell.gather(1, group)
        cells.masked_fill_(score == -math.inf, 0)
        fewer = (0, self.topk - score.shape[1])
        score = F.pad(score, fewer, value=-math.inf)
        return score, F.pad(cells, fewer), left_out
