"""Know where projects have a backbone's tensors in their files."""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from torch import Tensor

from .naming import STYLES

# Tensors by name; arrays are kept here to be refused by their names.
Tensors = Dict[str, Tensor]

# What wrappers put before the names: DistributedDataParallel, torch.compile.
_WRAPPERS = re.compile(r'^(module\.|_orig_mod\.)+')
# Old checkpoints don't count a batch norm's batches; nothing reads it here.
COUNT = 'num_batches_tracked'
# Nor what pre-training masks patches with, nor the class token's projection.
# Periods are set where a network is built.
OPTIONAL = (
    COUNT,
    'mask_token',
    'masked_embed',
    'rope_embed.periods',
    'pooler.dense.weight',
    'pooler.dense.bias',
)


class Layout(NamedTuple):
    """How one project keeps a backbone in a file.

    Attributes:
        title: What it is, for people.
        places: Pairs of a key of the file (``''``: the file itself) and the
            prefix of the backbone's tensors there, without ``module.``.
        styles: Keys of :data:`STYLES`; ``'plain'`` is torchvision's.
        note: What a user of these weights must set, if anything.
    """

    title: str
    places: Tuple[Tuple[str, str], ...]
    styles: Tuple[str, ...] = ('plain',)
    note: str = ''


_VIT_STYLES = tuple(name for name, style in STYLES.items() if style.is_vit)
_HOLDERS = ('state_dict', 'model', '')


def _under(*prefixes: str) -> Tuple[Tuple[str, str], ...]:
    return tuple((h, prefix) for prefix in prefixes for h in _HOLDERS)


# Where a file has several networks, the first layout here decides.
LAYOUTS: Dict[str, Layout] = {
    'crw': Layout(
        'CRW',
        _under('encoder.model.'),
        styles=('padded',),
        note="trained with reflect padding: set padding_mode='reflect' of "
        'HVCResNet',
    ),
    'vfs': Layout(
        'VFS (ConvModule names of mmcv)',
        _under('backbone.'),
        styles=('conv_module',),
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
        styles=('plain', 'vit'),
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
        styles=('plain', *_VIT_STYLES),
    ),
    'torchvision': Layout("torchvision's names", _under('')),
    'vit': Layout(
        'the names of timm, MAE, DINOv2 or DINOv3', _under(''), styles=('vit',)
    ),
    'hugging_face': Layout(
        "Hugging Face's names",
        _under('', 'vit.', 'dinov2.', 'dinov2_with_registers.'),
        styles=('vit_hugging_face',),
    ),
    'mmpretrain': Layout(
        "MMPretrain's names, without a prefix",
        _under(''),
        styles=('vit_openmmlab',),
    ),
}


class Network(NamedTuple):
    """A network in a checkpoint.

    Attributes:
        holder: Key of the file that has its tensors; ``''``: the file itself.
        prefix: What their names begin with.
        style: Naming style.
        tensors: Name -> tensor of any shape: its own and whatever else has
            the same prefix, a ResNet's by torchvision's names, a Vision
            Transformer's by those of the network that was asked for.
        left_over: Names, as in the file, of the other tensors there.
        layout: Key of :data:`LAYOUTS`; empty where none of them fits.
        obstacle: Why it can't fit, whatever its names; empty where it may.
        changes: What was done to its values to make them fit; may be empty.
    """

    holder: str
    prefix: str
    style: str
    tensors: Tensors
    left_over: List[str]
    layout: str = ''
    obstacle: str = ''
    changes: str = ''

    @property
    def is_vit(self) -> bool:
        """Whether it was recognised as a Vision Transformer."""
        return STYLES[self.style].is_vit

    @property
    def title(self) -> str:
        """What it was read as, for people."""
        known = LAYOUTS.get(self.layout)
        return known.title if known else f'{self.style} names'

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
        """What a user must set or know; empty when nothing."""
        note = LAYOUTS[self.layout].note if self.layout else ''
        return '; '.join(filter(None, (note, self.changes)))

    def rank(self, layout: str) -> Optional[int]:
        """Tell at which place of a layout it is; None where at none."""
        if self.style not in LAYOUTS[layout].styles:
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
        tensors: What there is, name -> tensor of any shape.
        wanted: What there should be, name -> tensor; only the shapes are
            looked at.

    Returns:
        The tensors whose name and shape are wanted, and the names that are
        not there or in another shape (those of :data:`OPTIONAL` are never
        missing).
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
