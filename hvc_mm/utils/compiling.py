"""What torch.compile should leave alone."""

from __future__ import annotations

from typing import Callable, TypeVar

import torch

Function = TypeVar('Function', bound=Callable)


def not_compiled(function: Function) -> Function:
    """Mark a function that runs as it is, also within compiled code.

    For work whose shapes come from the data, or that reads what changes with
    every step: torch.compile would trace it anew each time, and gives up in
    the end. Everything that the function calls is left alone, too.

    Args:
        function: A function or a method.

    Returns:
        It, marked; unchanged where torch (before 2.1) has no such mark.

    Example:
        >>> @not_compiled
        ... def count(mask):
        ...     return len(mask.nonzero())
    """
    compiler = getattr(torch, 'compiler', None)
    disable = getattr(compiler, 'disable', None)
    return function if disable is None else disable(function)
