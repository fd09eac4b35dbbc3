"""Know how projects name a backbone's tensors in their files."""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from torch import Tensor

# Tensors by name; arrays are kept here to be refused by their names.
Tensors = Dict[str, Tensor]

# Of each naming style: the name of the first block's first convolution (what
# precedes it in a key is the backbone's prefix), and patterns with their
# replacements that lead to torchvision's names.
STYLES: Dict[str, Tuple[str, Tuple[Tuple[str, str], ...]]] = {
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
OPTIONAL = 'num_batches_tracked'


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
        tuple(
            (holder, prefix)
            for prefix in (
                'backbone.',
                'detector.backbone.',
                'model.backbone.',
            )
            for holder in ('state_dict', '')
        ),
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
        if name not in matching and not name.endswith(OPTIONAL)
    ]
    return matching, missing
