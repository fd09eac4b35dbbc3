"""Search the frames of a video for the most similar cells, by what is best.

:class:`Search` is what each search can do, :func:`make_search` chooses one.
There are four, which find the same: torch (`windowed_search`), torch that
compares cheaper numbers first (`screened_search`), the compiled kernel
(`native_search`), and Triton's kernels (`triton_search`).

h w: grid, C: feature channels.
"""

from __future__ import annotations

from typing import Any, List, Optional, Protocol, Sequence, Union

import torch
from torch import Tensor

from .native_search import LEVELS, NativeSearch, find_kernel
from .screened_search import ScreenedSearch
from .screening import make_screen
from .window import Window
from .windowed_search import Candidates, Segment, WindowedSearch

__all__ = [
    'Native',
    'Search',
    'check_native',
    'describe_search',
    'make_search',
]

KERNEL_MISSING = (
    'the compiled kernel is not there; with a C++ compiler `pip install -e .` '
    'or `python setup.py build_ext --inplace` builds it'
)

# None, True, False or 'triton', see `LabelPropagator`.
Native = Union[bool, str, None]
Products = Union[str, torch.dtype, None]


class Search(Protocol):
    """A ring of the latest frames of a video that can be searched.

    Features are prepared once: as a frame that is kept, and as queries. What
    they are then is the search's business.
    """

    def prepare(self, frame: Tensor) -> Any:
        """Prepare features ``(h, w, C)``."""

    def write(self, time: int, frame: Any) -> None:
        """Put a prepared frame in the oldest one's place."""

    def anywhere(
        self, frame: Any, queries: Any, rivals: Sequence[Candidates] = ()
    ) -> Candidates:
        """Search one frame without a window.

        Args:
            frame: A prepared frame.
            queries: Likewise.
            rivals: What was found in other frames of the same context, each
                ``(h * w, topk)``. Cells that these leave no place for may
                be left out.

        Returns:
            ``(h * w, min(topk, h * w))``.
        """

    def in_window(
        self,
        queries: Any,
        segments: Sequence[Segment],
        frame: Optional[Any] = None,
    ) -> List[Candidates]:
        """Search frames within the window, segment by segment.

        Args:
            queries: A prepared frame.
            segments: Ranges of the ring, from the first slot on.
            frame: A prepared frame that is searched in place of the ring,
                as its only slot.

        Returns:
            Per segment ``(h * w, topk)``.
        """


def check_native(native: Native, compute_dtype: Products) -> None:
    """Check that what is demanded is there.

    Args:
        native: As :class:`~hvc_mm.models.vos.LabelPropagator` has it.
        compute_dtype: Likewise.

    Raises:
        ValueError: It is no choice, or the kernel has no such products.
        RuntimeError: The kernel was not built, or Triton is missing.
    """
    if native not in (None, True, False, 'triton'):
        raise ValueError(
            f"native must be None, True, False or 'triton', got {native!r}"
        )
    if native == 'triton':
        _import_triton_search()
    elif native:
        if compute_dtype not in (None, 'auto', torch.float32):
            raise ValueError(
                f'native=True with compute_dtype={compute_dtype}: the '
                'kernel has products in float32 alone'
            )
        if find_kernel() is None:
            raise RuntimeError(f'native=True, but {KERNEL_MISSING}')


def make_search(
    frame: Tensor,
    window: Window,
    topk: int,
    slots: int,
    compute_dtype: Products,
    native: Native,
) -> Search:
    """Make the search of a video.

    Args:
        frame: Features of its first frame, ``(h, w, C)``.
        window: Of the latest frames.
        topk: Candidates kept per query and set of frames.
        slots: Latest frames kept.
        compute_dtype: Of the products.
        native: Whether by the kernel, or by Triton.

    Raises:
        ValueError: The kernel is demanded and does not take such features,
            or torch has no such products.
    """
    settings = frame, window, topk, slots
    dtype = compute_dtype
    if dtype in (None, 'auto'):
        dtype = frame.dtype
    _check_products(dtype, frame.device)
    if native == 'triton':
        return _import_triton_search()(*settings, dtype)
    if _takes_kernel(native, dtype, frame):
        return NativeSearch(*settings)
    screen = make_screen(frame, compute_dtype)
    if screen is None:
        return WindowedSearch(*settings, dtype)
    return ScreenedSearch(*settings, screen)


def _check_products(dtype: torch.dtype, device: torch.device) -> None:
    """Refuse a type that this torch can't multiply, as float16 on a CPU
    before 2.1."""
    one = torch.ones(1, 1, dtype=dtype, device=device)
    try:
        one @ one
    except RuntimeError as error:
        raise ValueError(
            f'compute_dtype={dtype}: torch {torch.__version__} has no such '
            f'products on {device}; bfloat16 and float32 are an alternative '
            f'({error})'
        ) from None


def _takes_kernel(native: Native, dtype: torch.dtype, frame: Tensor) -> bool:
    """Decide whether the kernel searches frames ``(h, w, C)``."""
    fits = dtype == frame.dtype == torch.float32
    fits = fits and frame.device.type == 'cpu'
    if native and not fits:
        raise ValueError(
            f'native=True with features of {frame.dtype} on {frame.device}: '
            'the kernel takes float32 on a CPU'
        )
    # The library isn't looked for where it would not be used.
    if not fits or native is False:
        return False
    kernel = find_kernel()
    # Without vector instructions torch is faster.
    return kernel is not None and bool(native or kernel.windowed_topk_level())


def describe_search(
    device: torch.device, compute_dtype: Products, native: Native
) -> str:
    """Tell what searches float32 features on a device, in a few words."""
    if native is False:
        return 'torch (native=False)'
    if native == 'triton':
        return 'Triton kernels'
    if device.type != 'cpu':
        return f'torch (the kernel does not run on {device.type})'
    if compute_dtype not in (None, 'auto', torch.float32):
        return f'torch (products in {compute_dtype})'
    kernel = find_kernel()
    if kernel is None:
        return f'torch ({KERNEL_MISSING})'
    level = kernel.windowed_topk_level()
    if not level and not native:
        return 'torch (the kernel has no AVX2 here and would be slower)'
    return f'compiled kernel ({LEVELS[level]})'


def _import_triton_search() -> type:
    try:
        from .triton_search import TritonSearch
    except ImportError as error:
        raise RuntimeError(
            f"native='triton' needs Triton 3.2 or newer, `pip install "
            f'triton`: {error}'
        ) from None
    return TritonSearch
