"""What a scoreboard compares: backbones, on benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping

__all__ = ['BENCHMARKS', 'Backbone', 'Benchmark']


@dataclass
class Backbone:
    """A backbone that has been built and tried.

    Attributes:
        name: How the report calls it; also a folder's name.
        overrides: What it changes in a benchmark's config, by dotted key.
        title: What it is, for the report.
        weights: sha256 by file.
        channels: Of its features.
        stride: Pixels per cell, along the height of the trial frame.
        parameters: Number of weights that are built.
        has_batch_norm: Whether the zero image of HVC's protocol changes it.
    """

    name: str
    overrides: Dict[str, Any]
    title: str = ''
    weights: Dict[str, str] = field(default_factory=dict)
    channels: int = 0
    stride: float = 0.0
    parameters: int = 0
    has_batch_norm: bool = True

    @property
    def config(self) -> Dict[str, Any]:
        """Its ``type`` and arguments, with the files of weights it names."""
        config = dict(self.overrides['model.backbone'])
        config.pop('_delete_', None)
        return config

    def as_dict(self) -> Dict[str, Any]:
        """Give what a result says of it."""
        return {
            'name': self.name,
            'title': self.title,
            'config': self.config,
            'weights': self.weights,
            'channels': self.channels,
            'stride': self.stride,
            'parameters': self.parameters,
        }


@dataclass(frozen=True)
class Benchmark:
    """How one benchmark's results are read.

    Attributes:
        name: How the command line calls it.
        config: Name of its config.
        title: How the report calls it.
        scores: The metric's figures by the heads of their columns; the first
            one is what backbones are ranked by. All are in percent.
        annotates: What is propagated: masks, parts or joints.
    """

    name: str
    config: str
    title: str
    scores: Mapping[str, str]
    annotates: str = 'masks'

    @property
    def headline(self) -> str:
        """Head of the column that backbones are ranked by."""
        return next(iter(self.scores))


_DAVIS = {'J&F': 'J&F', 'J': 'J_mean', 'F': 'F_mean'}
_PCK = {f'PCK@0.{i}': f'PCK@0.{i}' for i in range(1, 6)}
BENCHMARKS = {
    benchmark.name: benchmark
    for benchmark in (
        Benchmark('davis', 'hvc_davis', 'DAVIS-2017 val', _DAVIS),
        Benchmark('davis16', 'hvc_davis16', 'DAVIS-2016 val', _DAVIS),
        Benchmark(
            'vost',
            'hvc_vost',
            'VOST val',
            {'J': 'J_mean', 'J_last': 'J_last'},
        ),
        Benchmark('vip', 'hvc_vip', 'VIP val', {'mIoU': 'mIoU'}, 'parts'),
        Benchmark('jhmdb', 'hvc_jhmdb', 'JHMDB split 1', _PCK, 'joints'),
    )
}
