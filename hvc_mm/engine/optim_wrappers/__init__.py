"""Optimizer wrappers."""

from .bf16_optim_wrapper import (
    BF16OptimWrapper,
    cpu_bf16_times,
    use_bf16_on_cpu,
)

__all__ = ['BF16OptimWrapper', 'cpu_bf16_times', 'use_bf16_on_cpu']
