"""Find a network in a checkpoint, whatever project wrote it.

Projects differ in the key under which a file has its tensors and in the prefix
of their names. One network that fits is taken from wherever it is. Of several
the table :data:`LAYOUTS` decides (the query of MoCo, not its key), or a prefix
that the user gives; never the order in the file.
"""

from __future__ import annotations

import logging
import re
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from .layouts import LAYOUTS, OPTIONAL, STYLES, Network, Tensors, compare
from .reading import CheckpointError

# Keys of a file, and those whose network is taken instead: the teacher, as in
# the evaluations of DINO and iBOT; what mmengine itself tests (its EMAHook has
# put the averaged weights there).
_TAKEN_INSTEAD = {'student': 'teacher', 'ema_state_dict': 'state_dict'}


def find_network(
    checkpoint: Mapping[str, Any],
    wanted: Optional[Tensors] = None,
    layout: str = 'auto',
    prefix: Optional[str] = None,
) -> Network:
    """Find a backbone in a checkpoint.

    Args:
        checkpoint: What a file holds, or its state dict.
        wanted: The backbone's own state dict; None finds any ResNet.
        layout: A key of :data:`LAYOUTS`, or ``'auto'``.
        prefix: Of which network, where there are several: what its names
            begin with (``'encoder_k'``), after the key of the file that
            holds them if need be (``'model_ema'``,
            ``'state_dict.module.encoder_k'``).

    Returns:
        The network; with ``wanted``, of its tensors only those, all of them.

    Raises:
        CheckpointError: When the layout isn't known, when no network is
            there, or several that nothing tells apart; when a tensor isn't
            there in its shape, as a random one in its place would give some
            score, too; when one is no tensor or isn't finite.
    """
    if layout != 'auto' and layout not in LAYOUTS:
        raise CheckpointError(
            f'layout {layout!r} is not known, expected auto or one of '
            f'{", ".join(LAYOUTS)}'
        )
    found = _networks(checkpoint, wanted or {})
    if layout != 'auto':
        found = [n for n in found if n.rank(layout) is not None]
        found = [n._replace(layout=layout) for n in found]
    if not found:
        raise CheckpointError(_nothing(checkpoint, wanted, layout))
    whole = [n for n in found if not compare(n.tensors, wanted or {})[1]]
    if prefix is not None:
        places = ', '.join(repr(n.place) for n in whole or found)
        found = [n for n in found if n.is_at(prefix)]
        whole = [n for n in whole if n.is_at(prefix)]
        if not found:
            raise CheckpointError(
                f'no network has the prefix {prefix!r}; found {places}'
            )
    network = _only(whole) if whole else _nearest(found, wanted)
    if wanted is not None:
        check_complete(network, wanted)
        matching, _ = compare(network.tensors, wanted)
        network = network._replace(tensors=matching)
    check_weights(network.tensors)
    return network


def check_complete(
    network: Network, wanted: Tensors, what: str = 'the backbone'
) -> None:
    """Refuse a network that would leave tensors at random, by their names.

    Raises:
        CheckpointError: When a tensor isn't there, or in another shape.
    """
    _, missing = compare(network.tensors, wanted)
    if not missing:
        return
    for index, name in enumerate(missing):
        if name in network.tensors:
            found, expected = network.tensors[name].shape, wanted[name].shape
            missing[index] += f' is {tuple(found)}, expected {tuple(expected)}'
    raise CheckpointError(
        f'the checkpoint lacks {len(missing)} of the {len(wanted)} '
        f'tensors of {what} under {network.place!r}, or has them in '
        f'another shape: {_some(missing)}. Is it another architecture, or '
        'does the backbone build more stages than the file has?'
    )


def _networks(checkpoint: Mapping[str, Any], wanted: Tensors) -> List[Network]:
    """List where a network may be: by names of ResNets, then by its own."""
    anchors = [(style, anchor) for style, (anchor, _) in STYLES.items()]
    weights = [name for name in wanted if name.endswith('weight')]
    anchors += [('plain', name) for name in (*weights[:1], *weights[-1:])]
    found: Dict[Tuple[str, str, str], Network] = {}
    for holder in ('', *checkpoint):
        tensors = _tensors(checkpoint, holder)
        for style, anchor in anchors:
            for key in tensors:
                place = holder, key[: -len(anchor)], style
                if key.endswith(anchor) and place not in found:
                    found[place] = _take(tensors, *place)
    # The shortest prefix first: others are parts of the same network.
    return sorted(found.values(), key=lambda n: len(n.prefix))


def _take(tensors: Tensors, holder: str, prefix: str, style: str) -> Network:
    """Separate what is under one prefix, and rename it."""
    taken = {}
    for key, tensor in tensors.items():
        if key.startswith(prefix):
            name = key[len(prefix) :]
            for pattern, replacement in STYLES[style][1]:
                name = re.sub(pattern, replacement, name)
            # A count is a scalar; some files have it with one dimension.
            if name.endswith(OPTIONAL) and tensor.shape == (1,):
                tensor = tensor.reshape(())
            taken[name] = tensor
    left_over = [key for key in tensors if not key.startswith(prefix)]
    network = Network(holder, prefix, style, taken, left_over)
    known = [name for name in LAYOUTS if network.rank(name) is not None]
    if 'torchvision' in known:
        # Released weights of HVC, DINO and torchvision are alike.
        known = ['torchvision']
    return network._replace(layout=known[0] if known else '')


def _tensors(checkpoint: Mapping[str, Any], holder: str) -> Tensors:
    held = checkpoint.get(holder) if holder else checkpoint
    if not isinstance(held, dict if holder else Mapping):
        return {}
    return {
        key: value
        for key, value in held.items()
        if isinstance(key, str) and isinstance(value, (Tensor, np.ndarray))
    }


def _only(networks: List[Network]) -> Network:
    """Choose one of the networks that fit, by a known layout alone."""
    holders = {n.holder for n in networks}
    left: List[Network] = []
    for network in networks:
        is_lesser = _TAKEN_INSTEAD.get(network.holder) in holders
        if not is_lesser and not any(_are_equal(network, n) for n in left):
            left.append(network)
    # A plain name says nothing of which network it is.
    known = [n for n in left if n.layout and n.bare_prefix]
    ranks = [(list(LAYOUTS).index(n.layout), n.rank(n.layout)) for n in known]
    if len(left) == 1:
        return left[0]
    if ranks and ranks.count(min(ranks)) == 1:
        if len({n.holder for n in left}) == 1:
            return known[ranks.index(min(ranks))]
    raise CheckpointError(
        f'has {len(left)} networks that fit, and nothing known tells which '
        'one is meant: choose by --prefix (prefix= in Python) '
        f'{" or ".join(repr(n.place) for n in left)}'
    )


def _are_equal(one: Network, other: Network) -> bool:
    """Tell whether two networks are one, saved under two names."""
    return one.tensors.keys() == other.tensors.keys() and all(
        isinstance(t, Tensor) and torch.equal(t, other.tensors[name])
        for name, t in one.tensors.items()
    )


def _nearest(networks: List[Network], wanted: Tensors) -> Network:
    """Choose the network that lacks the fewest tensors."""
    return min(networks, key=lambda n: len(compare(n.tensors, wanted)[1]))


def check_weights(tensors: Tensors) -> None:
    """Refuse values that are no weights, by their names.

    An infinite running variance, which float16 has above 65504, is no more
    than logged: its channel is well defined, the batch norm's bias.

    Raises:
        CheckpointError: For numpy arrays, and where a value isn't finite.
    """
    arrays = [n for n, t in tensors.items() if not isinstance(t, Tensor)]
    if arrays:
        raise CheckpointError(
            f'numpy arrays in the place of {len(arrays)} tensors (use '
            f'torch.from_numpy): {_some(arrays)}'
        )
    odd = [n for n, t in tensors.items() if not t.isfinite().all()]
    off = [
        n for n in odd if n.endswith('running_var') and _is_over(tensors[n])
    ]
    if off:
        print_log(
            f'{_some(off)}: infinite, so that these channels are constant',
            'current',
            logging.WARNING,
        )
    odd = [name for name in odd if name not in off]
    if odd:
        raise CheckpointError(
            f'NaN or infinity in {len(odd)} of its tensors: {_some(odd)}'
        )


def _is_over(variance: Tensor) -> bool:
    return bool((variance >= 0).all())  # False for NaN, too


def _nothing(
    checkpoint: Mapping[str, Any], wanted: Optional[Tensors], layout: str
) -> str:
    """Say what was found where no network was, and what was expected."""
    seen = []
    for holder in ('', *checkpoint):
        names = list(_tensors(checkpoint, holder))
        if names:
            where = f' under {holder!r}' if holder else ''
            seen.append(f'{len(names)} tensors{where} ({_some(names, 3)})')
    found = '; '.join(seen) or f'no tensors: {list(checkpoint)[:8]}'
    if layout != 'auto':
        anchor, _ = STYLES[LAYOUTS[layout].style]
        prefixes = dict.fromkeys(p for _, p in LAYOUTS[layout].places)
        names = ' or '.join(f'{prefix}{anchor}' for prefix in prefixes)
        title = LAYOUTS[layout].title
        return f'no ResNet in the layout of {title}: {names}. Found {found}'
    if wanted is None:
        return f'no ResNet in any known layout. Found {found}'
    return (
        f'none of the tensors in the checkpoint matches the {len(wanted)} of '
        f'the backbone. Found {found}. Expected {_some(list(wanted))}, with '
        'any prefix'
    )


def _some(names: List[str], most: int = 4) -> str:
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(names[:most]) + more
