"""Heads of pre-training."""

from .pseudo_flow_head import PseudoFlowHead

__all__ = ['PseudoFlowHead']
