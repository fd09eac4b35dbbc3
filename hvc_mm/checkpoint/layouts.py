"""Find a network in a checkpoint, whatever project wrote it.

Projects differ in the key under which a file has its tensors and in the prefix
of their names. One network that fits is taken from wherever it is. Of several
the table :data:`LAYOUTS` decides (the query of MoCo, not its key), or a prefix
that the user gives; never the order in the file.
"""

from __future__ import annotations

import logging
import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Tensor

from .reading import CheckpointError

# Tensors by name; arrays are kept here to be refused by their names.
Tensors = Dict[str, Tensor]

# Of each naming style: the name of the first block's first convolution (what
# precedes it in a key is the backbone's prefix), and patterns with their
# replacements that lead to torchvision's names.
_STYLES: Dict[str, Tuple[str, Tuple[Tuple[str, str], ...]]] = {
    'plain': ('layer1.0.conv1.weight', ()),
    # A padding layer and its convolution in one ``nn.Sequential``.
    'padded': (
        'layer1.0.conv1.1.weight',
        ((r'(conv\d)\.1\.(weight|bias)$', r'\1.\2'),),
    ),
    # mmcv's ``ConvModule``: convolution and norm under one name.
    'conv_module': (
        'layer1.0.conv1.conv.weight',
        (
            (r'(^|\.)conv(\d)\.conv\.', r'\1conv\2.'),
            (r'(^|\.)conv(\d)\.bn\.', r'\1bn\2.'),
            (r'downsample\.conv\.', 'downsample.0.'),
            (r'downsample\.bn\.', 'downsample.1.'),
        ),
    ),
}
# What wrappers put before the names: DistributedDataParallel, torch.compile.
_WRAPPERS = re.compile(r'^(module\.|_orig_mod\.)+')
# Old checkpoints don't count a batch norm's batches; nothing reads it here.
_OPTIONAL = 'num_batches_tracked'


class Layout(NamedTuple):
    """How one project keeps a backbone in a file.

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


_HOLDERS = ('state_dict', 'model', '')


def _under(*prefixes: str) -> Tuple[Tuple[str, str], ...]:
    return tuple((h, prefix) for prefix in prefixes for h in _HOLDERS)


# Where a file has several networks, the first layout here decides.
LAYOUTS: Dict[str, Layout] = {
    'crw': Layout(
        'CRW',
        _under('encoder.model.'),
        style='padded',
        note="trained with reflect padding: set padding_mode='reflect' of "
        'HVCResNet',
    ),
    'vfs': Layout(
        'VFS (ConvModule names of mmcv)',
        _under('backbone.'),
        style='conv_module',
    ),
    # The online network, not target_encoder.
    'hvc': Layout('HVC, the public release', _under('online_encoder.', '')),
    # The query, not encoder_k or, in version 3, momentum_encoder.
    'moco': Layout('MoCo', _under('encoder_q.', 'base_encoder.')),
    'byol': Layout('BYOL', _under('online_network.', 'online_net.')),
    'simsiam': Layout('SimSiam', (('state_dict', 'encoder.'),)),
    'pixpro': Layout('PixPro', (('model', 'encoder.'),)),
    # The teacher, as in their evaluations.
    'dino': Layout(
        'DINO or iBOT',
        (('teacher', 'backbone.'), ('teacher', ''), *_under('')),
    ),
    # As the part of a tracker, or inside a wrapper, too.
    'mm': Layout(
        'an OpenMMLab project',
        _under('backbone.', 'detector.backbone.', 'model.backbone.'),
    ),
    'torchvision': Layout("torchvision's names", _under('')),
}


class Network(NamedTuple):
    """A network in a checkpoint.

    Attributes:
        holder: Key of the file that has its tensors; ``''``: the file itself.
        prefix: What their names begin with.
        style: Naming style.
        tensors: Its tensors and whatever else has the same prefix, a ResNet's
            by torchvision's names.
        left_over: Names, as in the file, of the other tensors there.
        layout: Key of :data:`LAYOUTS`; empty where none of them fits.
    """

    holder: str
    prefix: str
    style: str
    tensors: Tensors
    left_over: List[str]
    layout: str = ''

    @property
    def place(self) -> str:
        """Holder and prefix, as ``--prefix`` takes them."""
        parts = self.holder, self.prefix.rstrip('.')
        return '.'.join(part for part in parts if part) or 'plain'

    @property
    def bare_prefix(self) -> str:
        """The prefix without those of wrappers."""
        return _WRAPPERS.sub('', self.prefix)

    @property
    def note(self) -> str:
        """What a user of the weights must set; empty when nothing."""
        return LAYOUTS[self.layout].note if self.layout else ''

    def rank(self, layout: str) -> Optional[int]:
        """Tell at which place of a layout it is; None where at none."""
        if self.style != LAYOUTS[layout].style:
            return None
        bare = self.bare_prefix
        for rank, (holder, prefix) in enumerate(LAYOUTS[layout].places):
            # A wrapper may add a name of its own ('online_encoder.net.');
            # where nothing should precede the names, nothing may.
            if bare.startswith(prefix) and (prefix or not bare):
                if holder == self.holder:
                    return rank
        return None

    def is_at(self, prefix: str) -> bool:
        """Tell whether a user means this network by a prefix."""
        names = self.place, self.prefix, self.bare_prefix
        return prefix.rstrip('.') in [name.rstrip('.') for name in names]


def compare(tensors: Tensors, wanted: Tensors) -> Tuple[Tensors, List[str]]:
    """Separate what two state dicts have in common from what one lacks.

    Args:
        tensors: What there is, by name.
        wanted: What there should be; only the shapes are looked at.

    Returns:
        The tensors whose name and shape are wanted, and the names that are
        not there or in another shape (a count of batches is never missing).
    """
    matching = {
        name: tensors[name]
        for name, tensor in wanted.items()
        if name in tensors and tuple(tensors[name].shape) == tensor.shape
    }
    missing = [
        name
        for name in wanted
        if name not in matching and not name.endswith(_OPTIONAL)
    ]
    return matching, missing


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
        places = ', '.join(repr(n.place) for n in whole) or 'none that fits'
        found = [n for n in found if n.is_at(prefix)]
        whole = [n for n in whole if n.is_at(prefix)]
        if not found:
            raise CheckpointError(
                f'no network has the prefix {prefix!r}; found {places}'
            )
    if not whole:
        check_complete(_nearest(found, wanted), wanted)
    network = _only(whole)
    if wanted is not None:
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
    anchors = [(style, anchor) for style, (anchor, _) in _STYLES.items()]
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
            for pattern, replacement in _STYLES[style][1]:
                name = re.sub(pattern, replacement, name)
            # A count is a scalar; some files have it with one dimension.
            if name.endswith(_OPTIONAL) and tensor.shape == (1,):
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
    distinct: List[Network] = []
    for network in networks:
        if not any(_are_equal(network, other) for other in distinct):
            distinct.append(network)
    if len(distinct) == 1:
        return distinct[0]
    names = list(LAYOUTS)
    known = sorted(
        ((names.index(n.layout), n.rank(n.layout)), n.place, n)
        for n in distinct
        # A plain name says nothing of which network it is.
        if n.layout and (n.bare_prefix or n.holder == 'teacher')
    )
    if not known or [place for place, *_ in known].count(known[0][0]) > 1:
        raise CheckpointError(
            f'has {len(distinct)} networks that fit, and nothing known tells '
            'which one is meant: choose by --prefix (prefix= in Python) '
            f'{" or ".join(repr(n.place) for n in distinct)}'
        )
    return known[0][-1]


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
            f'{len(arrays)} of its weights are numpy arrays, expected tensors '
            f'(torch.from_numpy): {_some(arrays)}'
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
            f'{len(odd)} of its tensors hold NaN or infinity: {_some(odd)}'
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
        anchor, _ = _STYLES[LAYOUTS[layout].style]
        places = (
            f'{prefix}{anchor}' + (f' under {holder!r}' if holder else '')
            for holder, prefix in LAYOUTS[layout].places
        )
        return (
            f'no ResNet in the layout of {LAYOUTS[layout].title}: '
            f'{" or ".join(places)}. Found {found}'
        )
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
