"""Bound the products of features by products of other numbers.

What a video shows varies in few directions. A feature is turned into its
parts along the directions in which the first frame varies most, and the
length of what is left:

    x = U p + e,  U'U = 1,  U'e = 0
    x . y = p . p' + e . e' <= p . p' + |e| |e'|  (Cauchy-Schwarz)

So the numbers ``(p, |e|)`` have products that are never below those of the
features, and there are few of them. Rounded to a half type, numbers are
compared faster where the device has units for it. A cell whose product,
with room for all rounding, is below a query's k-th best score is none of
its matches; only the others have to be scored by their features.

h w: grid, C: feature channels, P: numbers.
"""

from __future__ import annotations

import functools
import math
import time
from typing import Optional, Tuple, Union

import torch
from torch import Tensor

__all__ = [
    'Screen',
    'has_fast_bfloat16',
    'larger',
    'leading_directions',
    'make_screen',
]

# Fewest channels and cells of a frame for which turning is worth it.
LEAST_CHANNELS, LEAST_CELLS = 128, 1024
# Least share of the first frame's energy in the leading directions.
LEAST_ENERGY = 0.8
# Numbers per channel where torch searches: fewer make cheaper products, more
# leave fewer cells to score.
SHARE = 0.3
# bfloat16 is taken where it needs at most this share of float32's time.
LEAST_GAIN = 0.6
# Cells turned in float64 at a time: bounds the memory.
CHUNK = 1024


def leading_directions(frame: Tensor, count: int) -> Optional[Tensor]:
    """Find the directions that hold most of the energy of features.

    Args:
        frame: ``(h, w, C)``.
        count: How many, less than C.

    Returns:
        Orthonormal, ``(C, count)`` float64; None where screening by them
        would not pay: for noise, small grids and few channels.
    """
    rows = frame.flatten(0, 1)
    if rows.shape[1] < LEAST_CHANNELS or len(rows) < LEAST_CELLS:
        return None
    rows = rows.double()
    moments = rows.t() @ rows
    if not moments.isfinite().all():
        return None
    energy, directions = torch.linalg.eigh(moments)
    if not energy[-count:].sum() >= LEAST_ENERGY * energy.sum():
        return None
    return directions[:, -count:].contiguous()


class Screen:
    """Turn the features of a video into numbers that bound their products.

    Args:
        frame: Features of a frame, ``(h, w, C)``: type and channels of those
            to come.
        directions: Leading directions ``(C, P - 1)``; None: the numbers are
            the features themselves, rounded.
        dtype: Of the numbers.

    Attributes:
        width: P.
        slack: Most that a product of numbers is below the score computed
            from the features, of all that were prepared; inf where that is
            unknown.
    """

    def __init__(
        self, frame: Tensor, directions: Optional[Tensor], dtype: torch.dtype
    ) -> None:
        self.directions, self.dtype = directions, dtype
        self.channels, self.feature_dtype = frame.shape[2], frame.dtype
        self.width = self.channels
        if directions is not None:
            self.width = directions.shape[1] + 1
        # Of all numbers so far: the greatest length of a cell's, and of what
        # was rounded off.
        self._longest = self._error = 0.0
        self.slack = 0.0
        self._last: Optional[Tuple[Tensor, Tensor]] = None

    def prepare(self, frame: Tensor) -> Tensor:
        """Compute the numbers ``(h, w, P)`` of features ``(h, w, C)``.

        Turning is in float64, and rounded once.
        """
        if self._last is not None and torch.equal(frame, self._last[0]):
            return self._last[1]  # of `predict`, when the same frame is kept
        numbers = frame.new_empty(
            *frame.shape[:2], self.width, dtype=self.dtype
        )
        lengths, errors = [], []
        for features, out in zip(
            frame.flatten(0, 1).split(CHUNK),
            numbers.flatten(0, 1).split(CHUNK),
        ):
            exact = self._turn(features)
            out.copy_(exact)
            lengths.append(exact.norm(dim=1).max())
            errors.append((exact - out.to(exact.dtype)).norm(dim=1).max())
        largest = torch.stack([torch.stack(lengths), torch.stack(errors)])
        length, error = largest.amax(dim=1).tolist()
        self._longest = larger(self._longest, length)
        self._error = larger(self._error, error)
        self.slack = self._bound_slack()
        if self.directions is not None:
            # A copy: the frame's memory may be used again.
            self._last = frame.clone(), numbers
        return numbers

    def _turn(self, features: Tensor) -> Tensor:
        """Turn features ``(n, C)`` to ``(n, P)``, not rounded."""
        if self.directions is None:
            return features
        exact = features.double()
        lead = exact @ self.directions
        squares = exact.square().sum(dim=1, keepdim=True)
        rest = squares - lead.square().sum(dim=1, keepdim=True)
        # Never below the true one, whatever was rounded here.
        rest = (rest.clamp_(min=0) + 1e-11 * squares).sqrt_()
        return torch.cat([lead, rest], dim=1)

    def _bound_slack(self) -> float:
        """Bound how far a product of numbers is below a computed score.

        Numbers ``a, b`` of a length up to N are used as ``a^, b^``, which
        differ from them by vectors of a length up to E:

            a . b <= a^ . b^ + |a - a^| |b| + |a^| |b - b^|
                  <= a^ . b^ + E N + (N + E) E

        A product of n numbers in a type of unit roundoff u is within
        ``n u |a^| |b^|`` of the true one, in whatever order it is summed. A
        half type's products are summed in float32 (tensor cores cut off
        instead of rounding) and then rounded to it.
        """
        limits = torch.finfo(self.dtype)
        summed = torch.promote_types(self.dtype, torch.float32)
        longest, error = self._longest, self._error
        largest = (longest + error) ** 2
        rounding = (self.width + 8) * torch.finfo(summed).eps / 2
        if self.dtype != summed:
            rounding = 4 * rounding + limits.eps / 2
        bound = error * (2 * longest + error) + rounding * largest
        # Of the score itself.
        unit = torch.finfo(self.feature_dtype).eps / 2
        bound += (self.channels + 8) * unit * longest**2
        bound = 1.001 * bound + limits.tiny
        return bound if largest < limits.max else math.inf


def larger(one: float, other: float) -> float:
    """Take the larger number; not a number as soon as one is none."""
    return other if math.isnan(other) or other > one else one


def make_screen(
    frame: Tensor, dtype: Union[str, torch.dtype, None]
) -> Optional[Screen]:
    """Decide how the search of a video by torch is screened.

    Args:
        frame: Features of its first frame, ``(h, w, C)``.
        dtype: Of the products; None: the features' own. ``'auto'``: also
            bfloat16 where directions don't pay and the device has units for
            it.

    Returns:
        None where all products are to be of the features themselves.
    """
    # On a GPU products are cheaper than what would spare them.
    if dtype in (None, 'auto', frame.dtype) and frame.device.type == 'cpu':
        count = int(SHARE * frame.shape[2]) - 1
        directions = leading_directions(frame, count)
        if directions is not None:
            return Screen(frame, directions, frame.dtype)
    if dtype == 'auto':
        wide = torch.finfo(frame.dtype).bits > 32
        fast = not wide and has_fast_bfloat16(frame.device)
        dtype = torch.bfloat16 if fast else None
    if dtype is None:
        return None
    if torch.finfo(dtype).bits >= torch.finfo(frame.dtype).bits:
        return None
    return Screen(frame, None, dtype)


@functools.lru_cache(maxsize=None)
def has_fast_bfloat16(device: torch.device) -> bool:
    """Tell whether a device multiplies bfloat16 faster than float32.

    A CPU is asked by a product of each type, once per process.
    """
    if device.type == 'cuda':
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != 'cpu':
        return False
    seconds = []
    for dtype in (torch.float32, torch.bfloat16):
        values = torch.ones(512, 512, dtype=dtype)
        times = []
        for _ in range(4):
            start = time.perf_counter()
            torch.mm(values, values)
            times.append(time.perf_counter() - start)
        seconds.append(min(times[1:]))
    return seconds[1] < LEAST_GAIN * seconds[0]
