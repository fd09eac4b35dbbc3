"""Read weights safely, find the backbone in them, give it its tensors.

Every door through which weights come in uses this module: ``tools/test.py``
and mmengine's runner (by the pre-hook :func:`adopt_backbone_weights`),
``init_model``, ``init_cfg`` (by :class:`PretrainedBackbone`), the converters
and the scoreboard. It matches a file to a given state dict and knows no model.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import re
import warnings
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple, Union

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, print_log
from mmengine.model import update_init_info
from mmengine.optim.scheduler.param_scheduler import OneCycleParamScheduler
from mmengine.utils import digit_version
from torch import Tensor, nn

from hvc_mm.registry import WEIGHT_INITIALIZERS

_HAS_ALLOW_LIST = digit_version(torch.__version__) >= digit_version('2.6')
# Methods that checkpoints of mmengine refer to, by their class.
_METHODS = {
    HistoryBuffer: ('min', 'max', 'current', 'mean'),
    OneCycleParamScheduler: ('_annealing_cos', '_annealing_linear'),
}
# Both torch's and our own message name the class as "GLOBAL x.y", "class
# x.y" or "asks for x.y".
_WANTED = re.compile(r'(?:GLOBAL|class|asks for) ([A-Za-z_][\w.]*)')
_ALLOWED = (
    'A checkpoint may hold tensors, plain containers and numbers, '
    "argparse.Namespace and mmengine's HistoryBuffer; anything else could run "
    'code. If you trust the file, save its tensors alone where it was made, '
    'with torch.save(model.state_dict(), ...), and use that file'
)


class CheckpointError(ValueError):
    """A checkpoint can't be used; the message says which and why."""


def sha256_of(path: Union[str, Path]) -> str:
    """Hash a file's content.

    Args:
        path: The file.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def read_checkpoint(path: Union[str, Path]) -> Dict[str, Any]:
    """Load a checkpoint onto the CPU, tensors and known metadata only.

    What training scripts save next to the weights and is known to be
    harmless (``argparse.Namespace``, ``collections.Counter``, mmengine's
    ``HistoryBuffer`` with its numpy arrays, its schedulers) is allowed by
    name: on torch's allow-list from 2.6 on; before that by an unpickler that
    only reads past it.

    Args:
        path: A file that ``torch.save`` wrote.

    Returns:
        What it holds. Before torch 2.6, metadata that ``weights_only`` alone
        would refuse comes back as inert objects.

    Raises:
        CheckpointError: When there is no such file, when it is not a
            checkpoint or a damaged one, when it holds other classes than
            those named above, or is no dict.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f'{path}: there is no such file')
    try:
        with warnings.catch_warnings():
            # torch 2.0 warns of its own way to read tensors.
            warnings.filterwarnings('ignore', 'TypedStorage is deprecated')
            content = _load(path)
    except pickle.UnpicklingError as error:
        wanted = _WANTED.search(str(error))
        if wanted is None:
            raise _unreadable(path, error) from None
        raise CheckpointError(
            f'{path}: refused, because unpickling it would use '
            f'{wanted.group(1)}. {_ALLOWED}'
        ) from None
    except Exception as error:  # a damaged file makes torch raise any kind
        raise _unreadable(path, error) from None
    if not isinstance(content, dict):
        raise CheckpointError(
            f'{path}: holds a {type(content).__name__}, expected a dict of '
            'tensors or a training checkpoint'
        )
    return content


def allow_checkpoint_classes() -> None:
    """Put the harmless classes of checkpoints on torch's allow-list.

    torch >= 2.6 loads with ``weights_only=True`` by default, also when
    mmengine resumes a run whose checkpoint holds its logged scalars. Does
    nothing before torch 2.6.
    """
    if not _HAS_ALLOW_LIST:
        return
    numpy_types = {type(np.dtype(t)) for t in ('f8', 'f4', 'i8', 'i4', '?')}
    torch.serialization.add_safe_globals(
        [
            argparse.Namespace,
            *_METHODS,
            # Methods are pickled as a call of getattr; the real one would
            # open every attribute of every allowed class.
            (_method, 'builtins.getattr'),
            # The functions by which a pickle rebuilds arrays and scalars.
            np.zeros(1).__reduce__()[0],
            np.float64(0).__reduce__()[0],
            np.ndarray,
            np.dtype,
            *numpy_types,
        ]
    )


def _method(owner: type, name: str) -> Any:
    """Look up one of the expected methods, nothing else."""
    if name not in _METHODS.get(owner, ()):
        raise ValueError(
            f'the checkpoint asks for attribute {name!r} of {owner!r}; '
            f'expected one of {_METHODS}'
        )
    return getattr(owner, name)


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError:
        if _HAS_ALLOW_LIST:
            raise
        # Our unpickler is the check here: it knows even fewer classes.
        return torch.load(
            path, map_location='cpu', pickle_module=_RestrictedPickle
        )


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    reason = str(error).strip().split('\n')[0] or type(error).__name__
    return CheckpointError(
        f"{path}: can't be read as a checkpoint of torch ({reason}); is it "
        'complete, and is it the file itself rather than a web page or an '
        'archive of it?'
    )


# Immutable types, so that a pickle can't leave attributes on them.
_TYPES = {
    'collections.OrderedDict': OrderedDict,
    'torch.Size': torch.Size,
    'torch.device': torch.device,
    **{str(t): t for t in vars(torch).values() if isinstance(t, torch.dtype)},
}
_REBUILD = {
    '_rebuild_tensor',
    '_rebuild_tensor_v2',
    '_rebuild_parameter',
    '_rebuild_parameter_with_state',
}
# Metadata that is known in checkpoints of the layouts that we read.
_INERT = {
    'argparse.Namespace',
    'collections.Counter',  # the milestones of a MultiStepLR
    'mmengine.logging.history_buffer.HistoryBuffer',
    'mmengine.optim.scheduler.param_scheduler.OneCycleParamScheduler',
    # Methods of these two are pickled as a call of getattr.
    '__builtin__.getattr',
    'builtins.getattr',
    '_codecs.encode',
    'numpy.dtype',
    'numpy.ndarray',
    'numpy.core.multiarray._reconstruct',
    'numpy.core.multiarray.scalar',
    'numpy._core.multiarray._reconstruct',
    'numpy._core.multiarray.scalar',
}


class _Inert:
    """Replace metadata: take any arguments and state, keep none."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class _RestrictedPickle:
    """Offer what ``torch.load(..., pickle_module=...)`` asks of a module.

    It builds tensors and plain containers, nothing else. Before torch 2.6
    the check ``weights_only=True`` can't be told that a script's options or
    logged scalars are harmless; here an inert object replaces them, so that
    no code but that of tensors and containers runs.
    """

    class Unpickler(pickle.Unpickler):
        """Find the classes and functions on the lists above only."""

        def find_class(self, module: str, name: str) -> Any:
            """Return what a pickle may use under this name."""
            full_name = f'{module}.{name}'
            if full_name in _TYPES:
                return _TYPES[full_name]
            # What a pickle gets it can also set attributes on. So it gets a
            # new object each time, never one that lives on.
            if module == 'torch._utils' and name in _REBUILD:
                return partial(getattr(torch._utils, name))
            if full_name in _INERT:
                return type('Inert', (_Inert,), {})
            raise pickle.UnpicklingError(f'the pickle asks for {full_name}')

    @staticmethod
    def load(file: Any, **kwargs: Any) -> Any:
        """Unpickle one object from a file, as ``pickle.load`` does."""
        return _RestrictedPickle.Unpickler(file, **kwargs).load()


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
# Keys under which files of any project keep their tensors.
_HOLDERS = ('', 'state_dict', 'model', 'teacher')
# Old checkpoints don't count a batch norm's batches; nothing reads it here.
_OPTIONAL = 'num_batches_tracked'


class Found(NamedTuple):
    """A backbone in a checkpoint.

    Attributes:
        layout: Key of :data:`LAYOUTS`; empty where none of them fits.
        place: Where it was, e.g. ``'state_dict / module.encoder_q.'``.
        tensors: The backbone's tensors and whatever else has the same
            prefix, a ResNet's by torchvision's names.
        left_over: Names, as in the file, of the other tensors there.
    """

    layout: str
    place: str
    tensors: Dict[str, Tensor]
    left_over: List[str]

    @property
    def note(self) -> str:
        """What a user of the weights must set; empty when nothing."""
        return LAYOUTS[self.layout].note if self.layout else ''


def compare(
    tensors: Dict[str, Tensor], wanted: Dict[str, Tensor]
) -> Tuple[Dict[str, Tensor], List[str]]:
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
        if name in tensors and tensors[name].shape == tensor.shape
    }
    missing = [
        name
        for name in wanted
        if name not in matching and not name.endswith(_OPTIONAL)
    ]
    return matching, missing


def find_backbone(checkpoint: Dict[str, Any], layout: str = 'auto') -> Found:
    """Find a ResNet in a checkpoint and give its tensors their usual names.

    Args:
        checkpoint: What a file holds.
        layout: A key of :data:`LAYOUTS`, or ``'auto'``.

    Returns:
        The backbone and the names of what else is there.

    Raises:
        CheckpointError: When the layout isn't known, or the checkpoint
            doesn't have it (``'auto'``: has none of them).
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
            tensors = _tensors(checkpoint, holder)
            roots = _prefixes(tensors, _STYLES[LAYOUTS[name].style][0])
            # A wrapper may add a name of its own ('online_encoder.net.');
            # where nothing should precede the names, nothing may.
            roots = [
                root
                for root in roots
                if _bare(root).startswith(prefix)
                and (prefix or not _bare(root))
            ]
            if roots:
                return _take(tensors, name, holder, roots[0])
    raise CheckpointError(
        f'no ResNet in {_expected(layout)}. {_seen(checkpoint)}'
    )


def _expected(layout: str) -> str:
    if layout == 'auto':
        return 'any known layout'
    places = (
        f'{prefix}{_STYLES[LAYOUTS[layout].style][0]}'
        + (f' under {holder!r}' if holder else '')
        for holder, prefix in LAYOUTS[layout].places
    )
    return f'the layout of {LAYOUTS[layout].title}: {" or ".join(places)}'


def _prefixes(tensors: Dict[str, Tensor], *anchors: str) -> List[str]:
    """Find what precedes some names, the shortest first."""
    found = {
        key[: -len(anchor)]
        for anchor in anchors
        for key in tensors
        if key.endswith(anchor)
    }
    return sorted(found, key=lambda prefix: (len(prefix), prefix))


def _take(
    tensors: Dict[str, Tensor], layout: str, holder: str, root: str
) -> Found:
    """Separate what is under one prefix, and rename it."""
    taken = {}
    style = LAYOUTS[layout].style if layout else 'plain'
    for key, tensor in tensors.items():
        if key.startswith(root):
            name = key[len(root) :]
            for pattern, replacement in _STYLES[style][1]:
                name = re.sub(pattern, replacement, name)
            # A count is a scalar; some files have it with one dimension.
            if name.endswith(_OPTIONAL) and tensor.numel() == 1:
                tensor = tensor.reshape(()).long()
            taken[name] = tensor
    return Found(
        layout=layout,
        place=' / '.join(part for part in (holder, root) if part) or 'plain',
        tensors=taken,
        left_over=[key for key in tensors if not key.startswith(root)],
    )


def _tensors(checkpoint: Dict[str, Any], holder: str) -> Dict[str, Tensor]:
    held = checkpoint.get(holder) if holder else checkpoint
    if not isinstance(held, dict):
        return {}
    return {
        key: value
        for key, value in held.items()
        if isinstance(key, str) and isinstance(value, Tensor)
    }


def _bare(prefix: str) -> str:
    """Drop the ``module.`` that ``DistributedDataParallel`` adds."""
    return prefix[len('module.') :] if prefix[:7] == 'module.' else prefix


def match_backbone(
    checkpoint: Dict[str, Any], wanted: Dict[str, Tensor], layout: str = 'auto'
) -> Found:
    """Find the tensors of a given backbone in a checkpoint.

    The known layouts come first: they tell an online network from its
    target, and rename. Any other architecture is looked for by its own
    names under any prefix; the one with the most tensors counts, the
    shortest among equals.

    Args:
        checkpoint: What a file holds, or its state dict.
        wanted: The backbone's own state dict.
        layout: A key of :data:`LAYOUTS`, or ``'auto'``.

    Returns:
        The backbone; its ``tensors`` are only those that are wanted.

    Raises:
        CheckpointError: When the layout isn't known, when nothing matches,
            or when a tensor isn't there in its shape: a random one in its
            place would give some score, too.
    """
    found = _candidates(checkpoint, wanted, layout)
    if not found:
        raise CheckpointError(
            'none of the tensors in the checkpoint matches the '
            f'{len(wanted)} of the backbone. {_seen(checkpoint)}. Expected '
            f'{_some(list(wanted))}, with any prefix'
        )
    # Of several with as many tensors the first counts.
    chosen = min(found, key=lambda f: len(compare(f.tensors, wanted)[1]))
    matching, missing = compare(chosen.tensors, wanted)
    if missing:
        for index, name in enumerate(missing):
            if name in chosen.tensors:
                shapes = chosen.tensors[name].shape, wanted[name].shape
                is_a, expected = map(tuple, shapes)
                missing[index] += f' is {is_a}, expected {expected}'
        raise CheckpointError(
            f'the checkpoint lacks {len(missing)} of the {len(wanted)} '
            f'tensors of the backbone under {chosen.place!r}, or has them in '
            f'another shape: {_some(missing)}. Is it another architecture, or '
            'does the backbone build more stages than the file has?'
        )
    return chosen._replace(tensors=matching)


def _candidates(
    checkpoint: Dict[str, Any], wanted: Dict[str, Tensor], layout: str
) -> List[Found]:
    """List where a backbone may be: known layouts, then any prefix."""
    if layout != 'auto':
        return [find_backbone(checkpoint, layout)]
    found: List[Found] = []
    try:
        found.append(find_backbone(checkpoint))
    except CheckpointError:
        pass  # not a ResNet, or in a layout of its own
    weights = [name for name in wanted if name.endswith('weight')]
    for holder in _HOLDERS:
        tensors = _tensors(checkpoint, holder)
        for prefix in _prefixes(tensors, *weights[:1], *weights[-1:]):
            found.append(_take(tensors, '', holder, prefix))
    return found


def load_backbone(
    module: nn.Module, path: Union[str, Path], layout: str = 'auto'
) -> Found:
    """Load a file's backbone into a module, and log what was loaded.

    Args:
        module: A backbone; of an ensemble or a wrapper the ``primary``
            member. What it builds has to be in the file; further stages of
            the file are left out.
        path: A checkpoint.
        layout: A key of :data:`LAYOUTS`, or ``'auto'``.

    Returns:
        What was loaded, and from where in the file.

    Raises:
        CheckpointError: When the file can't be read safely, or a tensor of
            the module isn't there in its shape; the message names the file.
    """
    checkpoint = read_checkpoint(path)
    target = getattr(module, 'primary', module)
    kind = type(module).__name__
    try:
        found = match_backbone(checkpoint, target.state_dict(), layout)
    except CheckpointError as error:
        raise CheckpointError(f'{path} for {kind}: {error}') from None
    target.load_state_dict(found.tensors, strict=False)
    message = (
        f'{kind}: {len(found.tensors)} tensors from {path} ({found.place}, '
        f'sha256 {sha256_of(path)[:8]})'
        + (f'; {found.note}' if found.note else '')
    )
    print_log(message, logger='current')
    if hasattr(module, '_params_init_info'):
        update_init_info(module, init_info=message)
    return found


def adopt_backbone_weights(
    module: nn.Module, state_dict: Dict[str, Tensor], prefix: str, *_: Any
) -> None:
    """Rename a checkpoint's tensors to where a model keeps its backbone.

    A pre-hook of ``load_state_dict``. It reports how many tensors matched;
    a state dict that already has the model's own names passes through. What
    else the model has (an ensemble's other members) stays as it is.

    Args:
        module: A model with a ``backbone``; a backbone with a ``primary``
            member (an ensemble) takes the weights there.
        state_dict: Changed in place: only what the backbone needs stays.
            Of a file without ``'state_dict'`` it may be all that it holds.
        prefix: The model's own prefix in ``state_dict``.

    Raises:
        CheckpointError: When no tensor matches, or one that the backbone
            needs is missing.
    """
    own = module.state_dict()
    if own and all(prefix + name in state_dict for name in own):
        taken = {name: state_dict[prefix + name] for name in own}
        message = f'all {len(own)} tensors of the model found'
    else:
        target = getattr(module.backbone, 'primary', module.backbone)
        where = next(n for n, m in module.named_modules() if m is target)
        wanted = target.state_dict()
        found = match_backbone(state_dict, wanted)
        taken = {k: v for k, v in own.items() if not k.startswith(f'{where}.')}
        taken.update({f'{where}.{k}': v for k, v in found.tensors.items()})
        message = (
            f'{len(found.tensors)} of {len(wanted)} tensors of {where} found '
            f'in the checkpoint under {found.place!r}'
            + (f'; {found.note}' if found.note else '')
        )
    # What has another prefix belongs to a parent's other modules.
    for key in [key for key in state_dict if key.startswith(prefix)]:
        del state_dict[key]
    state_dict.update({prefix + name: t for name, t in taken.items()})
    print_log(message, logger='current')


@WEIGHT_INITIALIZERS.register_module()
class PretrainedBackbone:
    """mmengine's ``Pretrained`` for whatever file holds the backbone.

    It takes what every other tool takes: checkpoints of HVC pre-training,
    the released weights, MoCo and so on, and refuses a file that would leave
    tensors of the backbone at random.

    Args:
        checkpoint: The file.
        layout: A key of :data:`~hvc_mm.checkpoint.LAYOUTS`, or ``'auto'``.

    Example:
        >>> init_cfg = dict(
        ...     type='hvc_mm.PretrainedBackbone',
        ...     checkpoint='work_dirs/hvc_coco/epoch_20.pth')
    """

    def __init__(self, checkpoint: str, layout: str = 'auto') -> None:
        self.checkpoint = checkpoint
        self.layout = layout

    def __call__(self, module: nn.Module) -> None:
        """Load the file's backbone; see :func:`load_backbone`.

        Args:
            module: :class:`~hvc_mm.models.backbones.HVCResNet`, mmdet's
                ``ResNet`` or any other backbone.

        Raises:
            CheckpointError: As :func:`load_backbone` does.
        """
        load_backbone(module, self.checkpoint, self.layout)


def _some(names: List[str], most: int = 4) -> str:
    more = f' and {len(names) - most} more' if len(names) > most else ''
    return ', '.join(names[:most]) + more


def _seen(checkpoint: Dict[str, Any]) -> str:
    """List which tensors a checkpoint holds where."""
    seen = []
    for holder in ('', *(key for key in checkpoint if key)):
        names = list(_tensors(checkpoint, holder))
        if names:
            where = f' under {holder!r}' if holder else ''
            seen.append(f'{len(names)} tensors{where} ({_some(names, 3)})')
    return f'Found {"; ".join(seen) or f"no tensors: {list(checkpoint)[:8]}"}'


# Where a run is built from a config alone, the import of this module by the
# models or hooks is the first moment at which hvc_mm takes part; it comes
# before mmengine reads any checkpoint.
allow_checkpoint_classes()
