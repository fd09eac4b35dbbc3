"""What backbones made of patches share: frame sizes, strides, facets.

Shapes: N frames, H W frame, P side of a patch, s stride of the patches, C
channels, h w grid of patches.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import Any, Iterator, List, Sequence, Tuple, Union

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    'FACETS',
    'check_facet',
    'check_multiple',
    'choose_blocks',
    'recorded',
    'refine_patches',
    'tokens_to_map',
]

# What of a block can be compared: its output, or what its attention compares.
FACETS = ('token', 'key', 'query', 'value')


def check_facet(title: str, facet: str, has_patches: bool = True) -> None:
    """Refuse a facet that isn't known, or that a network doesn't have.

    Raises:
        ValueError: With the facets that there are.
    """
    if facet not in FACETS:
        raise ValueError(
            f'{title}: facet {facet!r}, expected one of {", ".join(FACETS)}'
        )
    if facet != 'token' and not has_patches:
        raise ValueError(
            f'{title} has no facet {facet!r}: it is no Vision Transformer '
            "with an attention over all patches; expected 'token'"
        )


def check_multiple(title: str, size: Sequence[int], multiple: int) -> None:
    """Refuse frames that the patches do not divide.

    Args:
        title: What the backbone is, for the message.
        size: ``(H, W)`` of the frames, in pixels.
        multiple: Stride of the patches, in pixels.

    Raises:
        ValueError: With the size and what to set.
    """
    height, width = size
    if height % multiple or width % multiple:
        raise ValueError(
            f'{title}: a frame of {height}x{width} is no multiple of the '
            f"patch's {multiple} pixels; expected ResizeFrame(multiple="
            f"{multiple}, round='up' or 'floor') in the test's pipeline; "
            '--protocol dinov3 has one of 16 pixels, dino one of 64'
        )


def choose_blocks(
    title: str, out_indices: Union[int, Sequence[int]], count: int
) -> Tuple[int, ...]:
    """Count the chosen blocks (or stages) from 0 on.

    Args:
        title: What the backbone is, for the message.
        out_indices: One of them or several; -1 is the last one.
        count: How many there are.

    Raises:
        ValueError: When one isn't there, or none is chosen.
    """
    chosen = [out_indices] if isinstance(out_indices, int) else [*out_indices]
    if not chosen or not all(-count <= index < count for index in chosen):
        raise ValueError(
            f'{title}: out_indices {out_indices}, but it has {count} blocks '
            f'or stages; expected {-count} to {count - 1}'
        )
    return tuple(index % count for index in chosen)


def refine_patches(title: str, projection: nn.Conv2d, stride: int) -> None:
    """Let patches overlap: embed one every ``stride`` pixels.

    The image is continued at its borders by ``P - s`` pixels in all, so that
    the grid is ``H / s`` by ``W / s``, with each patch centred on its cell:
    cells cover the frame evenly, and position embeddings that are resized to
    this grid are those of the right places.

    Args:
        title: What the backbone is, for the message.
        projection: The patch embedding; changed in place, its names stay.
        stride: s, 1 to P.

    Raises:
        ValueError: For another stride.
    """
    side = projection.kernel_size[0]
    if not 1 <= stride <= side:
        raise ValueError(
            f'{title}: patch_stride {stride}, expected 1 to {side}, the '
            "patch's side in pixels"
        )
    before, after = (side - stride) // 2, (side - stride + 1) // 2
    projection.stride = (stride, stride)
    projection.register_forward_pre_hook(
        partial(_continue_borders, pad=[before, after] * 2)
    )


def _continue_borders(
    _: nn.Module, inputs: Tuple[Tensor, ...], pad: List[int]
) -> Tensor:
    return F.pad(inputs[0], pad, mode='replicate')


@contextmanager
def recorded(modules: Sequence[nn.Module]) -> Iterator[List[Tuple[Any, Any]]]:
    """Record what goes into modules, and what comes out of them.

    Yields:
        list: For each module its first input and its output, once it has
        run.
    """
    seen: List[Tuple[Any, Any]] = [(None, None)] * len(modules)

    def record(index: int, _: nn.Module, inputs: tuple, output: Any) -> None:
        seen[index] = (inputs[0], output)

    handles = [
        module.register_forward_hook(partial(record, index))
        for index, module in enumerate(modules)
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def tokens_to_map(tokens: Tensor, grid: Tuple[int, int]) -> Tensor:
    """Arrange the tokens of patches as a map.

    Args:
        tokens: ``(N, T, C)``: those of the ``h * w`` patches, row by row,
            after class and register tokens, which are dropped.
        grid: ``(h, w)``.

    Returns:
        ``(N, C, h, w)``.
    """
    patches = tokens[:, tokens.shape[1] - grid[0] * grid[1] :]
    return patches.transpose(1, 2).unflatten(2, grid)
