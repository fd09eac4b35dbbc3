"""How the files look in which others keep a ResNet.

A layout says under which key of the file the tensors lie, what precedes a
backbone's names there, and how its names become torchvision's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from torch import Tensor

from .checkpoint_file import CheckpointError

# Each naming style keeps the first block's first convolution under one of
# these: what precedes it in a key is the backbone's prefix.
_FIRST_CONVOLUTION = {
    'plain': 'layer1.0.conv1.weight',
    'padded': 'layer1.0.conv1.1.weight',
    'conv_module': 'layer1.0.conv1.conv.weight',
}


def _keep(name: str) -> str:
    return name


def _from_padded(name: str) -> str:
    """A padding layer and its convolution in one ``nn.Sequential``."""
    return re.sub(r'(conv\d)\.1\.(weight|bias)$', r'\1.\2', name)


def _from_conv_module(name: str) -> str:
    """mmcv's ``ConvModule``: convolution and norm under one name."""
    name = re.sub(r'(^|\.)conv(\d)\.conv\.', r'\1conv\2.', name)
    name = re.sub(r'(^|\.)conv(\d)\.bn\.', r'\1bn\2.', name)
    name = name.replace('downsample.conv.', 'downsample.0.')
    return name.replace('downsample.bn.', 'downsample.1.')


_RENAME: Dict[str, Callable[[str], str]] = {
    'plain': _keep,
    'padded': _from_padded,
    'conv_module': _from_conv_module,
}


@dataclass(frozen=True)
class Layout:
    """One project's way to keep a backbone in a file.

    Attributes:
        title: What it is, for people.
        places: Pairs of a key of the file (``''``: the file itself) and the
            prefix of the backbone's tensors there, without ``module.``.
        style: Naming style: ``'plain'`` is torchvision's.
        note: What a user of these weights must set, if anything.
    """

    title: str
    places: Tuple[Tuple[str, str], ...]
    style: str = 'plain'
    note: str = ''


_PLAIN = (('', ''), ('state_dict', ''), ('model', ''))

# In the order in which `auto` tries them.
LAYOUTS: Dict[str, Layout] = {
    'crw': Layout(
        'CRW',
        (('model', 'encoder.model.'), ('', 'encoder.model.')),
        style='padded',
        note="trained with reflect padding: set padding_mode='reflect' of "
        'HVCResNet',
    ),
    'vfs': Layout(
        'VFS (ConvModule names of mmcv)',
        (('state_dict', 'backbone.'), ('', 'backbone.')),
        style='conv_module',
    ),
    'hvc': Layout(
        'HVC, the public release',
        (('model', 'online_encoder.'), ('', 'online_encoder.'), *_PLAIN),
    ),
    'moco': Layout(
        'MoCo',
        (('state_dict', 'encoder_q.'), ('', 'encoder_q.')),
    ),
    'simsiam': Layout('SimSiam', (('state_dict', 'encoder.'),)),
    'pixpro': Layout('PixPro', (('model', 'encoder.'),)),
    'dino': Layout('DINO', (('teacher', 'backbone.'), *_PLAIN)),
    'mm': Layout(
        'an OpenMMLab project',
        tuple(
            (holder, prefix)
            for holder in ('state_dict', '')
            # As the part of a tracker, or inside a wrapper, too.
            for prefix in (
                'backbone.',
                'detector.backbone.',
                'model.backbone.',
            )
        ),
    ),
    'torchvision': Layout("torchvision's names", _PLAIN),
}
# Released weights of HVC, DINO and torchvision alike are plain state dicts:
# `auto` calls these torchvision's.
_PLAIN_IS = 'torchvision'


class HoldsNoBackboneError(CheckpointError):
    """A checkpoint has no ResNet in the layout that was looked for."""


class Found(NamedTuple):
    """A backbone in a checkpoint.

    Attributes:
        layout: Key of :data:`LAYOUTS`.
        place: Where it lies, e.g. ``'state_dict / module.encoder_q.'``.
        tensors: The backbone's tensors and whatever lies under the same
            prefix, by torchvision's names.
        left_over: Names, as in the file, of tensors beside it.
    """

    layout: str
    place: str
    tensors: Dict[str, Tensor]
    left_over: List[str]


def find_backbone(checkpoint: Dict[str, Any], layout: str = 'auto') -> Found:
    """Find a ResNet in a checkpoint and give its tensors their usual names.

    Args:
        checkpoint: What a file holds.
        layout: A key of :data:`LAYOUTS`, or ``'auto'``.

    Returns:
        The backbone and what is beside it.

    Raises:
        CheckpointError: When the layout isn't known.
        HoldsNoBackboneError: When the checkpoint doesn't have it
            (``'auto'``: has none of them).
    """
    if layout != 'auto' and layout not in LAYOUTS:
        raise CheckpointError(
            f'layout {layout!r} is not known, expected auto or one of '
            f'{", ".join(LAYOUTS)}'
        )
    for name in LAYOUTS if layout == 'auto' else [layout]:
        for holder, prefix in LAYOUTS[name].places:
            if layout == 'auto' and not prefix and name != _PLAIN_IS:
                continue
            found = _look(checkpoint, name, holder, prefix)
            if found is not None:
                return found
    raise HoldsNoBackboneError(_not_found(checkpoint, layout))


def _look(
    checkpoint: Dict[str, Any], layout: str, holder: str, prefix: str
) -> Optional[Found]:
    held = checkpoint.get(holder) if holder else checkpoint
    if not isinstance(held, dict):
        return None
    tensors = _tensors(held)
    style = LAYOUTS[layout].style
    anchor = _FIRST_CONVOLUTION[style]
    roots = [
        key[: -len(anchor)]
        for key in tensors
        if key.endswith(anchor)
        and _without_module(key[: -len(anchor)]).startswith(prefix)
    ]
    # A wrapper may add a name of its own ('online_encoder.net.'); where
    # nothing should precede the names, nothing may.
    roots = [r for r in roots if prefix or not _without_module(r)]
    if not roots:
        return None
    root = min(roots, key=len)
    rename = _RENAME[style]
    return Found(
        layout=layout,
        place=' / '.join(part for part in (holder, root) if part) or 'plain',
        tensors={
            rename(key[len(root) :]): tensor
            for key, tensor in tensors.items()
            if key.startswith(root)
        },
        left_over=[key for key in tensors if not key.startswith(root)],
    )


def _tensors(held: Dict[str, Any]) -> Dict[str, Tensor]:
    return {
        key: value
        for key, value in held.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }


def _without_module(key: str) -> str:
    """``DistributedDataParallel`` puts ``module.`` before every name."""
    return key[len('module.') :] if key.startswith('module.') else key


def _not_found(checkpoint: Dict[str, Any], layout: str) -> str:
    expected = (
        'any known layout'
        if layout == 'auto'
        else f'the layout of {LAYOUTS[layout].title}: '
        + ' or '.join(
            f'{prefix}{_FIRST_CONVOLUTION[LAYOUTS[layout].style]}'
            + (f' under {holder!r}' if holder else '')
            for holder, prefix in LAYOUTS[layout].places
        )
    )
    seen = []
    for holder, part in {'': checkpoint, **checkpoint}.items():
        names = list(_tensors(part)) if isinstance(part, dict) else []
        if names:
            where = f' under {holder!r}' if holder else ''
            examples = ', '.join(names[:3])
            seen.append(f'{len(names)} tensors{where} ({examples}, ...)')
    return (
        f'no ResNet in {expected}. Found '
        f'{"; ".join(seen) or "no tensors"}'
        + ('' if seen else f', keys {list(checkpoint)[:8]}')
    )
