"""Find the most similar cells of earlier frames by a compiled kernel.

The kernel (`hvc_mm/csrc`) is built with the package where there is a C++
compiler, and used for float32 on a CPU. It finds what `windowed_search`
finds. Where the features of a video vary in few directions, it screens them
first: products of some numbers per cell bound the products of all channels
from above, and only cells whose bound is above a query's k-th best score
are scored.

h w: grid, C: feature channels, P: numbers that are screened (0 for none),
S: slots of the ring, n: queries, K: candidates, G: seeds.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import math
import sysconfig
import zlib
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from .screening import Screen, larger, leading_directions
from .window import Window, half_widths
from .windowed_search import Candidates, Segment

__all__ = ['LEVELS', 'NativeSearch', 'find_kernel', 'windowed_topk']

_LOG = logging.getLogger(__name__)

# Vector instructions that the kernel is compiled for.
LEVELS = ('portable', 'AVX2', 'AVX-512')
# Screened numbers: one for so many channels, which bounds their memory, and
# so many at most.
SHARE, MOST = 4, 256


class _Search(ctypes.Structure):
    """`Search` of windowed_topk.cpp, field by field."""

    _fields_ = [
        *(
            (name, ctypes.c_void_p)
            for name in (
                'keys',
                'queries',
                'half_widths',
                'seeds',
                'floors',
                'scores',
                'cells',
            )
        ),
        *(
            (name, ctypes.c_int64)
            for name in (
                'height',
                'width',
                'slots',
                'row',
                'channels',
                'screen',
                'start',
                'stop',
                'newest',
                'reach',
                'topk',
                'seed_count',
                'threads',
                'level',
            )
        ),
        ('slack', ctypes.c_double),
    ]


_INTERFACE = 1000 + ctypes.sizeof(_Search)
# As setup.py compiles them.
_SOURCES = 'windowed_topk.cpp', 'windowed_topk_simd.h'


@functools.lru_cache(maxsize=None)
def find_kernel() -> Optional[ctypes.CDLL]:
    """Load the compiled kernel.

    Returns:
        The library; None where it was not built, or from other sources than
        those that are next to it.
    """
    suffix = sysconfig.get_config_var('EXT_SUFFIX') or '.so'
    folder = Path(__file__).parents[2] / 'csrc'
    path = folder / f'_windowed_topk{suffix}'
    if not path.is_file():
        return None
    try:
        library = ctypes.CDLL(str(path))
        for name in ('', '_interface', '_level', '_sources'):
            getattr(library, f'windowed_topk{name}').restype = ctypes.c_int64
        library.windowed_topk.argtypes = [ctypes.POINTER(_Search)]
        sources = [folder / name for name in _SOURCES]
        # An installed package has none.
        there = all(source.is_file() for source in sources)
        built_from = library.windowed_topk_sources()
        if library.windowed_topk_interface() != _INTERFACE:
            why = 'it is of another version'
        elif there and built_from != _checksum(sources):
            why = 'its sources have changed since'
        else:
            return library
    except (OSError, AttributeError) as error:
        why = str(error)
    _LOG.warning('%s is not used, build it again: %s', path, why)
    return None


def _checksum(sources: Sequence[Path]) -> int:
    """Compute what setup.py gave to the compiler."""
    return zlib.crc32(b''.join(source.read_bytes() for source in sources))


def windowed_topk(
    keys: Tensor,
    queries: Tensor,
    half_widths: Tensor,
    topk: int,
    channels: int,
    frames: Segment,
    seeds: Optional[Tensor] = None,
    floors: Optional[Tensor] = None,
    newest: int = -1,
    slack: float = 0.0,
    level: Optional[int] = None,
) -> Candidates:
    """Find the ``topk`` largest products of features within a window.

    Args:
        keys: ``(h, w, S, C + P)`` float32: of each cell its features, then
            numbers for screening.
        queries: ``(h, w, C + P)`` float32.
        half_widths: Columns to either side of a query that are in the
            window, for each distance in rows, ``(reach + 1,)`` int64.
        topk: Cells kept per query, >= 1.
        channels: C.
        frames: Slots that are searched.
        seeds: Guesses at the matches, ``(h * w, G)`` int64, as ``cells`` of
            :class:`Candidates`; those of a query differ from each other.
            Others than cells of the frames and the window are ignored.
        floors: Per query, what a score must be above to count, ``(h * w,)``.
        newest: Slot whose cells near a query are further guesses; -1: none.
        slack: Most that a product of screened numbers (without them, a
            product in another order) is below that of the features; inf
            where that is unknown, and the numbers are not used.
        level: Index into ``LEVELS``; None: the best one here.

    Returns:
        ``(h * w, topk)``, in no order; where there are fewer, the score is
        ``-inf`` and the cell -1.

    Raises:
        ValueError: On anything that the kernel could not work on safely.
        MemoryError: Out of memory.
        RuntimeError: The kernel was not built.
    """
    kernel = find_kernel()
    if kernel is None:
        raise RuntimeError('the compiled kernel is not there')
    height, width, slots, row = _check_shape(keys)
    area = height * width
    if seeds is None:
        seeds = keys.new_empty(area, 0, dtype=torch.int64)
    if floors is None:
        floors = keys.new_full((area,), -math.inf)
    best = kernel.windowed_topk_level()
    level = best if level is None else level
    _check_array('keys', keys, keys.shape, torch.float32)
    _check_array('queries', queries, (height, width, row), torch.float32)
    _check_array('half_widths', half_widths, (len(half_widths),), torch.int64)
    _check_array('seeds', seeds, (area, seeds.shape[-1]), torch.int64)
    _check_array('floors', floors, (area,), torch.float32)
    in_range = {
        'topk': topk >= 1,
        'channels': 1 <= channels <= row,
        'frames': 0 <= frames.start <= frames.stop <= slots,
        'newest': -1 <= newest < slots,
        'half_widths': _are_widths(half_widths),
        'level': 0 <= level <= best,
    }
    for name, is_good in in_range.items():
        if not is_good:
            raise ValueError(
                f'{name} is out of range for keys {tuple(keys.shape)} and '
                f'levels 0 to {best}'
            )
    scores = keys.new_full((area, topk), -math.inf)
    cells = torch.full((area, topk), -1)
    arrays = keys, queries, half_widths, seeds, floors, scores, cells
    pointers = [array.data_ptr() for array in arrays]
    screened = row - channels if slack < math.inf else 0
    grid = height, width, slots, row, channels, screened
    slot = frames.start, frames.stop, newest
    limits = len(half_widths) - 1, topk, seeds.shape[1]
    how = torch.get_num_threads(), level, slack
    search = _Search(*pointers, *grid, *slot, *limits, *how)
    if frames.start < frames.stop and kernel.windowed_topk(search):
        raise MemoryError('no memory for the search of matches')
    return Candidates(scores.masked_fill_(cells < 0, -math.inf), cells)


def _check_shape(keys: Tensor) -> Tuple[int, ...]:
    if keys.dim() != 4 or 0 in keys.shape:
        raise ValueError(
            f'keys has shape {tuple(keys.shape)}, expected (h, w, S, C + P)'
        )
    return tuple(keys.shape)


def _check_array(
    name: str, values: Tensor, shape: Sequence[int], dtype: torch.dtype
) -> None:
    """Refuse an array that is not what the kernel reads."""
    if tuple(values.shape) != tuple(shape) or values.dtype != dtype:
        raise ValueError(
            f'{name} is {values.dtype} of shape {tuple(values.shape)}, '
            f'expected {dtype} of shape {tuple(shape)}'
        )
    if values.device.type != 'cpu' or not values.is_contiguous():
        raise ValueError(f'{name} must be contiguous, on the CPU')


def _are_widths(half_widths: Tensor) -> bool:
    """Tell whether there is one, and none is negative or huge."""
    if not len(half_widths):
        return False
    return 0 <= int(half_widths.min()) <= int(half_widths.max()) < 2**31


class NativeSearch:
    """A ring of the latest frames that the kernel searches.

    The same as :class:`~hvc_mm.models.vos.windowed_search.WindowedSearch`
    for float32 on a CPU. Keys are ``(h, w, S, C + P)``: next to its features
    each cell has the numbers that it is screened by.

    Args:
        frame: Features of the video's first frame, ``(h, w, C)``: shape of
            those to come, and what the directions are taken from.
        window: Of the latest frames.
        topk: Candidates kept per query and set of frames.
        slots: S, latest frames kept.
        level: Index into ``LEVELS``; None: the best one here.
    """

    def __init__(
        self,
        frame: Tensor,
        window: Window,
        topk: int,
        slots: int,
        level: Optional[int] = None,
    ) -> None:
        height, width, self.channels = frame.shape
        self.topk, self.slots, self.level = topk, slots, level
        self.half_widths = half_widths(height, width, window)
        kept = min(self.channels // SHARE, MOST) - 1
        directions = leading_directions(frame, kept)
        self.screen: Optional[Screen] = None
        if directions is not None:
            self.screen = Screen(frame, directions, frame.dtype)
        row = self.channels + (self.screen.width if self.screen else 0)
        self.keys = frame.new_empty(height, width, slots, row)
        self.newest = -1
        self._longest = 0.0
        # Matches of the frame before, by the frames that were searched.
        self._matches: Dict[int, Tensor] = {}

    def prepare(self, frame: Tensor) -> Tensor:
        """Append the numbers of the screen, if any, to features
        ``(h, w, C)``.

        Returns:
            ``(h, w, C + P)``.
        """
        if self.screen is not None:
            return torch.cat([frame, self.screen.prepare(frame)], dim=2)
        longest = float(frame.norm(dim=2).max())
        self._longest = larger(self._longest, longest)
        return frame

    def write(self, time: int, frame: Tensor) -> None:
        """Put a prepared frame ``(h, w, C + P)`` in the oldest one's place."""
        if self.slots:
            self.newest = time % self.slots
            self.keys[:, :, self.newest] = frame

    def anywhere(
        self,
        keys: Tensor,
        queries: Tensor,
        rivals: Sequence[Candidates] = (),
    ) -> Candidates:
        """Search one frame ``(h, w, C + P)`` without a window, see
        :meth:`.search_choice.Search.anywhere`."""
        # As a grid of one row, all of it within reach.
        area = len(keys) * keys.shape[1]
        keys = keys.reshape(1, area, 1, -1)
        queries = queries.reshape(1, area, -1)
        only = [Segment(0, 0, 1)]
        half_widths = torch.tensor([area])
        topk = min(self.topk, area)
        floors = None
        if rivals:
            smallest = [one.scores.amin(dim=1) for one in rivals]
            floors = torch.stack(smallest).amax(dim=0)
        (found,) = self._find(keys, queries, only, half_widths, topk, floors)
        return found

    def in_window(
        self,
        queries: Tensor,
        segments: Sequence[Segment],
        frame: Optional[Tensor] = None,
    ) -> List[Candidates]:
        """Search frames ``(h, w, C + P)`` within the window, see
        :meth:`.search_choice.Search.in_window`."""
        keys = self.keys if frame is None else frame[:, :, None]
        return self._find(keys, queries, segments, self.half_widths, self.topk)

    def _find(
        self,
        keys: Tensor,
        queries: Tensor,
        segments: Sequence[Segment],
        half_widths: Tensor,
        topk: int,
        floors: Optional[Tensor] = None,
    ) -> List[Candidates]:
        """Search keys ``(h, w, S, C + P)`` segment by segment, led by
        the matches of before."""
        settings = dict(
            topk=topk,
            channels=self.channels,
            seeds=self._matches.get(keys.data_ptr()),
            floors=floors,
            newest=self.newest if keys is self.keys else -1,
            slack=self._slack(),
            level=self.level,
        )
        found = [
            windowed_topk(
                keys, queries, half_widths, frames=segment, **settings
            )
            for segment in segments
        ]
        if found:
            matches = torch.cat([one.cells for one in found], dim=1)
            self._matches[keys.data_ptr()] = matches
        return [one._replace(cells=one.cells.clamp(min=0)) for one in found]

    def _slack(self) -> float:
        """Bound how far a product is below a score, see
        :func:`windowed_topk`."""
        if self.screen is not None:
            return self.screen.slack
        # Of two products of C numbers in float32 at most 2 C roundings.
        slack = (2 * self.channels + 16) * 2.0**-24 * self._longest**2
        return slack if math.isfinite(slack) else math.inf
