"""Necks, between a backbone and a loss."""

from .conv_projector import ConvProjector

__all__ = ['ConvProjector']
