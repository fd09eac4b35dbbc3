"""Which protocols a benchmark takes, and what a run's protocol is in full."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from mmengine.config import Config
from mmengine.registry import DefaultScope

from hvc_mm.datasets.transforms import ResizeFrame
from hvc_mm.engine.hooks.protocol_log_hook import (
    arguments_of,
    describe,
)
from hvc_mm.registry import METRICS, MODELS, TASK_UTILS, TRANSFORMS
from hvc_mm.utils.protocols import list_protocols

from .entries import BENCHMARKS, Benchmark

__all__ = [
    'OWN',
    'check_protocols',
    'describe_protocol',
    'protocol_of',
    'resize_frames',
    'why_unfit',
]

# The name of a benchmark's protocol as its config has it.
OWN = 'own'
# Where a metric may write to, which the report needn't tell.
_OUTPUTS = ('out_dir', 'format_only', 'zip_path', 'zip_root')
# What of a `ResizeFrame` sets a size.
_SIZES = ('size', 'short_side', 'long_side', 'multiple')


def check_protocols(names: Sequence[str]) -> None:
    """Make sure that there is a protocol of each name.

    Raises:
        ValueError: There is none; the nearest names are told.
    """
    known = [OWN, *list_protocols()]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, cutoff=0.5) or known
            raise ValueError(
                f'no protocol {name!r}; did you mean {", ".join(near)}? '
                f"({OWN} is the benchmark's config as it is)"
            )


def protocol_of(run: Mapping[str, Any]) -> str:
    """Name a result's protocol; one without a name is the benchmark's own."""
    return run['protocol']['name'] or OWN


def why_unfit(protocol: Optional[str], benchmark: Benchmark) -> Optional[str]:
    """Tell why a benchmark can't be scored by a protocol.

    Protocols of a benchmark that has other annotations than masks have its
    name in theirs: ``crw_vip``, ``crw_jhmdb12``.

    Args:
        protocol: Its name, or None for the config's own, which fits.
        benchmark: The benchmark.

    Returns:
        str: The reason; None where the protocol fits.
    """
    if protocol is None:
        return None
    wanted = 'masks'
    for other in BENCHMARKS.values():
        if other.annotates != 'masks' and f'_{other.name}' in protocol:
            wanted = other.annotates
    if wanted == benchmark.annotates:
        return None
    return (
        f'protocol {protocol} propagates {wanted}, {benchmark.title} '
        f'annotates {benchmark.annotates}'
    )


def resize_frames(
    cfg: Config, size: Optional[Tuple[int, int]], protocol: Optional[str]
) -> Optional[Tuple[int, int]]:
    """Let the network see frames at another size; scores keep their own.

    A named protocol gives its size up, and only rounds as before: a side
    that it gives is kept, the others become multiples. A config's own
    protocol is changed where it takes frames as they are; one that has a
    size, as those of VIP and JHMDB, is left alone.

    Args:
        cfg: The benchmark's config; changed in place.
        size: Height and width, or None for no change.
        protocol: Name of the protocol that the config was read with.

    Returns:
        tuple: Height and width of all frames, or None where nothing changed.
    """
    if size is None:
        return None
    for step in cfg.test_dataloader.dataset.pipeline:
        has_size = any(map(step.get, _SIZES))
        if step['type'] != 'ResizeFrame' or (has_size and protocol is None):
            continue
        rounding = {k: step.get(k) for k in ('multiple', 'round') if k in step}
        for side, pick in (('short_side', min), ('long_side', max)):
            if step.get(side):
                rounding[side] = pick(size)
        size = ResizeFrame(**rounding).target_size(*size)
        step.clear()
        # Most frames shrink: average, so that nothing is skipped.
        step.update(type='ResizeFrame', size=size, interpolation='area')
        if cfg.model.codec.get('size'):
            # A codec that works at the input's size follows it.
            cfg.model.codec.size = None
        return size
    return None


def describe_protocol(
    cfg: Config,
    name: Optional[str],
    input_size: Optional[Tuple[int, int]],
) -> Dict[str, Any]:
    """Tell what all backbones share on a benchmark, each number of it.

    Args:
        cfg: The complete config of a run.
        name: Of the protocol, or None for the config's own.
        input_size: What :func:`resize_frames` returned.
    """
    model = cfg.model
    pipeline = cfg.test_dataloader.dataset.pipeline
    resizes = [step for step in pipeline if step['type'] == 'ResizeFrame']
    frames = resizes[0] if resizes else {}
    zero_image = model.get('warmup_zero_image')
    stride = model.get('feature_stride')
    with DefaultScope.overwrite_default_scope('hvc_mm'):
        texts = [
            describe(model.propagator, MODELS),
            describe(model.codec, TASK_UTILS),
            *(describe(step, TRANSFORMS) for step in resizes),
            describe(cfg.test_evaluator, METRICS, leave_out=_OUTPUTS),
        ]
        parts = {
            'propagator': _in_full(model.propagator, MODELS),
            'codec': _in_full(model.codec, TASK_UTILS),
            'data_preprocessor': _in_full(model.data_preprocessor, MODELS),
        }
        frames = _in_full(frames, TRANSFORMS) if frames else {}
    texts.append(f'warmup_zero_image={zero_image}')
    if stride is not None:
        texts.append(f'feature_stride={stride}')
    return {
        'name': name,
        'text': '; '.join(texts),
        'model': {
            **parts,
            'warmup_zero_image': zero_image,
            'feature_stride': stride,
        },
        'frames': frames,
        'input_size': input_size,
    }


def _in_full(cfg: Mapping, registry: Any) -> Dict[str, Any]:
    return {'type': cfg['type'], **arguments_of(cfg, registry)}
