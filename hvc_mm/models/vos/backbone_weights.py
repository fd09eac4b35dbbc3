"""Load a backbone's weights from whatever checkpoint holds them."""

from __future__ import annotations

from typing import Dict, Iterable, List, Optional, Tuple

from mmengine.logging import print_log
from torch import Tensor, nn


def find_prefix(
    state_dict: Dict[str, Tensor], backbone: Dict[str, Tensor]
) -> Tuple[Optional[str], List[str]]:
    """Find under which prefix a checkpoint keeps a backbone.

    Args:
        state_dict: The checkpoint's tensors by name.
        backbone: The backbone's own tensors by name.

    Returns:
        The prefix (``''`` for a plain state dict) with the most tensors of
        the right name and shape, the shortest among equals, so that the
        online network comes before the target; and the names that match
        under it. ``(None, [])`` when nothing does.
    """
    anchors = [name for name in backbone if name.endswith('weight')]
    prefixes = {
        key[: -len(anchor)]
        for anchor in anchors[:1] + anchors[-1:]
        for key in state_dict
        if key.endswith(anchor)
    }
    best: Tuple[Optional[str], List[str]] = (None, [])
    for prefix in sorted(prefixes, key=lambda p: (len(p), p)):
        matched = [
            name
            for name, tensor in backbone.items()
            if prefix + name in state_dict
            and state_dict[prefix + name].shape == tensor.shape
        ]
        if len(matched) > len(best[1]):
            best = (prefix, matched)
    return best


def adopt_backbone_weights(
    module: nn.Module, state_dict: Dict[str, Tensor], prefix: str, *_
) -> None:
    """Rename a checkpoint's tensors to where a model keeps its backbone.

    A pre-hook of ``load_state_dict``. It reports how many tensors matched;
    a state dict that already has the model's own names passes through. What
    else the model has (an ensemble's other members) stays as it is.

    Args:
        module: A model with a ``backbone``; a backbone with a ``primary``
            member (an ensemble) takes the weights there.
        state_dict: Changed in place: only what the backbone needs stays.
        prefix: The model's own prefix in ``state_dict``.

    Raises:
        ValueError: When no tensor matches, or one that the backbone needs is
            missing: random ones in its place would give some score, too.
    """
    own = {f'{prefix}{name}' for name in module.state_dict()}
    if own and own <= set(state_dict):
        _keep(state_dict, own, prefix)
        print_log(f'all {len(own)} tensors of the model found', 'current')
        return
    target = getattr(module.backbone, 'primary', module.backbone)
    where = next(n for n, m in module.named_modules() if m is target)
    wanted = target.state_dict()
    found, matched = find_prefix(state_dict, wanted)
    if found is None:
        raise ValueError(_mismatch(state_dict, wanted))
    missing = [
        name
        for name in wanted
        if name not in matched and not name.endswith('num_batches_tracked')
    ]
    if missing:
        raise ValueError(
            f'the checkpoint lacks {len(missing)} of the {len(wanted)} '
            f'tensors of {where} ({type(target).__name__}), or has them in '
            f'another shape, under {found!r}: {_some(missing)}. Is it '
            'another architecture, or does the backbone build more stages '
            'than the file has?'
        )
    for name in matched:
        state_dict[f'{prefix}{where}.{name}'] = state_dict[found + name]
    _keep(state_dict, {f'{prefix}{where}.{name}' for name in matched}, prefix)
    for name, tensor in module.state_dict().items():
        if not name.startswith(f'{where}.'):
            state_dict[prefix + name] = tensor
    print_log(
        f'{len(matched)} of {len(wanted)} tensors of {where} found in the '
        f'checkpoint under {found!r}',
        logger='current',
    )


def _keep(
    state_dict: Dict[str, Tensor], names: Iterable[str], prefix: str
) -> None:
    # What lies outside of the prefix belongs to a parent's other modules.
    for key in set(state_dict) - set(names):
        if key.startswith(prefix):
            del state_dict[key]


def _some(names: List[str], most: int = 4) -> str:
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(names[:most]) + more


def _mismatch(state_dict: Dict[str, Tensor], wanted: Dict[str, Tensor]) -> str:
    same_name = [
        f'{key} is {tuple(state_dict[key].shape)}, expected '
        f'{tuple(wanted[name].shape)}'
        for name in wanted
        for key in state_dict
        if key.endswith(name)
        and name.endswith('conv1.weight')
        and state_dict[key].shape != wanted[name].shape
    ]
    return (
        f'none of the {len(state_dict)} tensors in the checkpoint matches '
        f'the {len(wanted)} of the backbone. Found: '
        f'{_some(list(state_dict)) or "nothing"}. Expected: '
        f'{_some(list(wanted))}, with any prefix. '
        + (f'Shapes differ: {_some(same_name)}. ' if same_name else '')
        + 'Is it another architecture, or does it need '
        'tools/model_converters/convert.py?'
    )
