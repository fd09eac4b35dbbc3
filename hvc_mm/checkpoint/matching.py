"""Find a network in a checkpoint, whatever project wrote it.

Projects differ in the key under which a file has its tensors and in the prefix
of their names. One network that fits is taken from wherever it is. Of several
the table :data:`LAYOUTS` decides (the query of MoCo, not its key), or a prefix
that the user gives; never the order in the file.
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional, Tuple

import numpy as np
import torch
from torch import Tensor

from .checks import (
    check_complete,
    check_weights,
    is_array,
    of_arrays,
    some_of,
)
from .layouts import COUNT, LAYOUTS, Network, Tensors, compare
from .naming import STYLES
from .reading import CheckpointError
from .vision_transformers import (
    common_tensors,
    fit,
    size_of,
    vit_places,
    without_prefix,
)

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
        checkpoint: What a file holds: state dicts (name -> tensor of any
            shape) by key, or one of them.
        wanted: The backbone's own state dict, name -> tensor of any shape;
            None finds any ResNet or Vision Transformer.
        layout: A key of :data:`LAYOUTS`, or ``'auto'``.
        prefix: Of which network, where there are several: what its names
            begin with (``'encoder_k'``), after the key of the file that
            holds them if need be (``'model_ema'``,
            ``'state_dict.module.encoder_k'``).

    Returns:
        The network; with ``wanted``, of its tensors only those, all of them,
        by the same names and in the same shapes.

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
    if not any(n.obstacle or _has_any(n, wanted) for n in found):
        raise CheckpointError(_nothing(checkpoint, wanted, layout))
    whole = [
        n
        for n in found
        if not n.obstacle and not compare(n.tensors, wanted or {})[1]
    ]
    if prefix is not None:
        places = ', '.join(repr(n.place) for n in whole or found)
        found = [n for n in found if n.is_at(prefix)]
        whole = [n for n in whole if n.is_at(prefix)]
        if not found:
            raise CheckpointError(
                f'no network has the prefix {prefix!r}; found {places}'
            )
    network = _only(whole) if whole else _nearest(found, wanted or {})
    if network.obstacle:
        raise CheckpointError(
            f'holds {network.obstacle} (found under {network.place!r}, read '
            f'as {network.title})'
        )
    if wanted is not None:
        check_complete(network, wanted)
        matching, _ = compare(network.tensors, wanted)
        network = network._replace(tensors=matching)
    check_weights(network.tensors)
    return network


def _networks(checkpoint: Mapping[str, Any], wanted: Tensors) -> List[Network]:
    """List where a network may be: by names of ResNets, then by its own."""
    may_be_vit = not wanted or bool(vit_places(wanted))
    anchors = [(name, a) for name, s in STYLES.items() for a in s.anchors]
    anchors = [(name, a) for name, a in anchors if not STYLES[name].is_vit]
    weights = [name for name in wanted if name.endswith('weight')]
    anchors += [('plain', name) for name in (*weights[:1], *weights[-1:])]
    found: Dict[Tuple[str, str, str], Network] = {}
    for holder in ('', *checkpoint):
        tensors = _tensors(checkpoint, holder)
        vits = vit_places(tensors) if may_be_vit else []
        for style, prefix in vits:
            place = holder, prefix, style
            found[place] = _take_vit(tensors, *place, wanted)
        for style, anchor in anchors:
            for key in tensors:
                place = holder, key[: -len(anchor)], style
                is_vit = place[1] in [prefix for _, prefix in vits]
                if key.endswith(anchor) and place not in found and not is_vit:
                    found[place] = _take(tensors, *place)
    # The shortest prefix first: others are parts of the same network.
    return sorted(found.values(), key=lambda n: len(n.prefix))


def _take(tensors: Tensors, holder: str, prefix: str, style: str) -> Network:
    """Separate what is under one prefix, and rename it."""
    taken = {}
    for key, tensor in tensors.items():
        if key.startswith(prefix):
            name = key[len(prefix) :]
            for pattern, replacement in STYLES[style].patterns:
                name = re.sub(pattern, replacement, name)
            # A count is a scalar; some files have it with one dimension.
            if name.endswith(COUNT) and tensor.shape == (1,):
                tensor = tensor.reshape(())
            taken[name] = tensor
    left_over = [key for key in tensors if not key.startswith(prefix)]
    return _recognised(Network(holder, prefix, style, taken, left_over))


def _take_vit(
    tensors: Tensors, holder: str, prefix: str, style: str, wanted: Tensors
) -> Network:
    """Take a Vision Transformer, by the names of the wanted one if any."""
    network = _take(tensors, holder, prefix, style)
    arrays = [name for name, t in network.tensors.items() if is_array(t)]
    if arrays:
        return network._replace(obstacle=of_arrays(arrays))
    common = common_tensors(without_prefix(tensors, prefix), style)
    if not wanted:
        return network._replace(tensors=common)
    try:
        fitted, changes = fit(common, wanted)
    except ValueError as error:
        return network._replace(tensors={}, obstacle=str(error))
    return network._replace(tensors=fitted, changes=changes)


def _recognised(network: Network) -> Network:
    """Note in which known layout a network is."""
    known = [name for name in LAYOUTS if network.rank(name) is not None]
    # Released weights of HVC, DINO and torchvision are alike, and Vision
    # Transformers of many projects.
    known = [n for n in known if n in ('torchvision', 'vit')] or known
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


def _has_any(network: Network, wanted: Optional[Tensors]) -> bool:
    """Tell whether a network has any of the wanted names."""
    return wanted is None or not network.tensors.keys().isdisjoint(wanted)


def _nearest(networks: List[Network], wanted: Tensors) -> Network:
    """Choose the network that lacks the fewest tensors."""

    def distance(network: Network) -> float:
        # One of another size is nearer than one that has hardly a tensor.
        lacks = compare(network.tensors, wanted)[1]
        return len(wanted) / 2 if network.obstacle else len(lacks)

    return min(networks, key=distance)


def _nothing(
    checkpoint: Mapping[str, Any], wanted: Optional[Tensors], layout: str
) -> str:
    """Say what was found where no network was, and what was expected."""
    seen = []
    for holder in ('', *checkpoint):
        names = list(_tensors(checkpoint, holder))
        if names:
            where = f' under {holder!r}' if holder else ''
            seen.append(f'{len(names)} tensors{where} ({some_of(names, 3)})')
    found = '; '.join(seen) or f'no tensors: {list(checkpoint)[:8]}'
    if layout != 'auto':
        known = LAYOUTS[layout]
        anchors = [STYLES[style].anchors[0] for style in known.styles]
        prefixes = dict.fromkeys(prefix for _, prefix in known.places)
        names = ' or '.join(f'{p}{anchors[0]}' for p in prefixes)
        what = (
            'Vision Transformer'
            if STYLES[known.styles[0]].is_vit
            else 'ResNet'
        )
        return (
            f'no {what} in the layout of {known.title}: {names}. Found {found}'
        )
    if wanted is None:
        return (
            'no ResNet or Vision Transformer in any known layout. Found '
            f'{found}'
        )
    return (
        f'none of the tensors in the checkpoint matches the {len(wanted)} of '
        f'the backbone{_holds(checkpoint)}. Found {found}. Expected '
        f'{some_of(list(wanted))}, with any prefix'
    )


def _holds(checkpoint: Mapping[str, Any]) -> str:
    """Say which networks of known kinds are in a file, if any."""
    kinds = {
        f'a Vision Transformer of {size_of(network.tensors)}'
        if network.is_vit
        else 'a ResNet'
        for network in _networks(checkpoint, {})
        if not network.obstacle
    }
    return f'; it holds {" and ".join(sorted(kinds))}' if kinds else ''
