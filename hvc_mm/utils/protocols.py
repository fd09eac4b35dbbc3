"""Find the published protocols, and let a config test by one.

A protocol is a file ``configs/_base_/protocols/NAME.py``: the parts of a
model that it sets (``model``), and how frames are resized (``frames``).
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, List, Mapping

from mmengine.config import Config

from .config_root import config_root

__all__ = ['apply_protocol', 'list_protocols', 'read_protocol']


def list_protocols() -> List[str]:
    """List the names of all protocols."""
    folder = config_root() / '_base_/protocols'
    return sorted(path.stem for path in folder.glob('*.py'))


def read_protocol(name: str) -> Config:
    """Read a protocol: ``model``, parts of a model's config, and ``frames``,
    the config of a :class:`~hvc_mm.datasets.ResizeFrame`.

    Args:
        name: One of :func:`list_protocols`.

    Raises:
        ValueError: There is no such protocol; the nearest names are told.
    """
    known = list_protocols()
    if name not in known:
        near = get_close_matches(str(name), known, cutoff=0.5) or known
        raise ValueError(
            f'no protocol {name!r}; did you mean {", ".join(near)}? '
            f'(configs/_base_/protocols has {len(known)})'
        )
    return Config.fromfile(config_root() / f'_base_/protocols/{name}.py')


def apply_protocol(cfg: Config, name: str) -> None:
    """Let a config test by a published protocol.

    Its propagator, codec and way to resize frames are replaced whole; the
    backbone, the data and the metric stay.

    Args:
        cfg: Of a test of :class:`~hvc_mm.models.LabelPropagationVOS`;
            changed in place.
        name: One of :func:`list_protocols`.

    Raises:
        ValueError: There is no such protocol, or it does not fit the config.
    """
    protocol = read_protocol(name)
    model = cfg.get('model') or {}
    if _name_of(model) != 'LabelPropagationVOS':
        raise ValueError(
            f'--protocol {name} is for LabelPropagationVOS, but the model is '
            f'a {_name_of(model)}'
        )
    codec, wanted = _name_of(model.get('codec', {})), protocol.model.codec.type
    if (codec == 'JointCodec') != (wanted == 'JointCodec'):
        raise ValueError(
            f'--protocol {name} has a {wanted}, which does not fit the '
            f"config's annotations: it has a {codec}"
        )
    loader = cfg.get('test_dataloader') or {}
    pipeline = loader.get('dataset', {}).get('pipeline', [])
    resizes = [s for s in pipeline if _name_of(s) == 'ResizeFrame']
    if len(resizes) != 1:
        raise ValueError(
            f'--protocol {name} resizes frames; expected one step ResizeFrame '
            f'in test_dataloader.dataset.pipeline, found {len(resizes)}'
        )
    resizes[0].clear()
    resizes[0].update(protocol.frames)
    for key in ('warmup_zero_image', 'feature_stride'):
        model[key] = protocol.model.get(key)
    model.propagator = protocol.model.propagator
    model.codec = protocol.model.codec
    preprocessor = model.setdefault('data_preprocessor', {})
    preprocessor.update(protocol.model.get('data_preprocessor', {}))
    cfg.protocol = name


def _name_of(part: Mapping[str, Any]) -> str:
    return str(part.get('type', 'MaskCodec')).split('.')[-1]
