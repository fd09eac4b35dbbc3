"""heads of hvc_mm."""

from .pseudo_flow_head import PseudoFlowHead

__all__ = ['PseudoFlowHead']
