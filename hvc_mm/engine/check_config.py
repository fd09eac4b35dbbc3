"""Check a config's names, and its values against what our classes declare.

``--cfg-options model.propagator.topk=fifteen`` would else end in a TypeError
from the depth of a run, or, worse, ``bgr_to_rgb=maybe`` would count as true.
"""

from __future__ import annotations

import inspect
import math
import typing
from collections import abc
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional, Tuple, Union

from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner

from hvc_mm import registry

# The entries that mmengine's runner and this project read, and how near a
# variable's name may come to them (1: equal).
_ENTRIES = (
    *list(inspect.signature(Runner).parameters),
    *('runner_type', 'model_wrapper_cfg', 'auto_scale_lr', 'compile'),
    *('activation_checkpointing', 'sync_bn', 'find_unused_parameters'),
    *('efficient_conv_bn_eval', 'data_preprocessor', 'vis_backends'),
    *('custom_imports', 'data_root', 'val_model', 'protocol'),
)
_NEAR = 0.8
# What mmengine takes out of a part's config before it is built.
_RESERVED = ('type', '_delete_', '_scope_')
# Of a config itself; of a data loader, which torch builds; of mmengine's
# loops. Nothing may be None, too.
_PLAIN = {
    '': {
        **dict.fromkeys(('model', 'optim_wrapper', 'default_hooks'), dict),
        **dict.fromkeys(('train_dataloader', 'train_cfg'), dict),
        **dict.fromkeys(('val_dataloader', 'val_cfg', 'val_model'), dict),
        **dict.fromkeys(('test_dataloader', 'test_cfg', 'randomness'), dict),
        'val_evaluator': Union[dict, list],
        'test_evaluator': Union[dict, list],
    },
    'dataloader': dict(
        batch_size=int, num_workers=int, dataset=dict, sampler=dict
    ),
    '_cfg': dict(max_epochs=int, max_iters=int, val_interval=int),
}
_WORDS = {
    bool: 'True or False',
    int: 'an integer',
    float: 'a number',
    str: 'a text',
    type(None): 'None',
    dict: 'a dict',
    list: 'a list',
}


def check_config(cfg: Config) -> None:
    """Make sure that all parts which are ours get what they take.

    Only the types and names of arguments are checked; ranges are the
    classes' own business. Parts of other projects are left alone.

    Args:
        cfg: A complete config.

    Raises:
        ValueError: An argument of another type, or one that the class does
            not have; with its dotted key and the config's file.
    """
    where = f'{cfg.filename}: '
    ours = cfg.get('default_scope', 'hvc_mm') == 'hvc_mm'
    for key, part in _parts('', cfg.to_dict()):
        for ending, hints in _PLAIN.items():
            if key == ending or (ending and key.endswith(f'{ending}.')):
                for option in set(hints) & set(part):
                    hint = Optional[hints[option]]
                    _check(f'{where}{key}{option}', part[option], hint)
        cls = _class_of(part.get('type'), ours)
        if cls is not None:
            _check_arguments(f'{where}{key}', part, cls)


def check_names(cfg: Config, options: Mapping[str, Any]) -> None:
    """Refuse entries of a config that nothing would read.

    A config file may have variables of its own: only those that are named
    almost as an entry are refused. An option has to name an entry.

    Args:
        cfg: A config without the options.
        options: Dotted keys to values.

    Raises:
        ValueError: Names the entry, and the one that is nearest.
    """
    if cfg.get('default_scope', 'hvc_mm') != 'hvc_mm':
        return  # the entries of other projects aren't known here
    for key in {option.split('.')[0] for option in options}:
        if key not in cfg and key not in _ENTRIES:
            near = ' or '.join(get_close_matches(key, {*_ENTRIES, *cfg}))
            hint = f'; did you mean {near}?' if near else ''
            raise ValueError(f'--cfg-options: no entry {key}{hint}')
    for key in set(cfg).difference(_ENTRIES):
        near = get_close_matches(key, _ENTRIES, 1, _NEAR)
        # A variable `train_dataloader_2` is meant to be one.
        if near and f'{near[0]}_' not in f'{key}_':
            raise ValueError(
                f'{cfg.filename}: nothing reads {key}; did you mean {near[0]}?'
            )


def _parts(key: str, value: Any) -> Iterator[Tuple[str, dict]]:
    """Yield every dict of a config, with its dotted key and a dot."""
    if isinstance(value, dict):
        yield key, value
        for name, each in value.items():
            yield from _parts(f'{key}{name}.', each)
    elif isinstance(value, (list, tuple)):
        for index, each in enumerate(value):
            yield from _parts(f'{key}{index}.', each)


def _class_of(kind: Any, ours: bool) -> Optional[type]:
    """Find a class of this project by its name in a config."""
    if not isinstance(kind, str):
        return None
    scope, _, name = kind.rpartition('.')
    if scope != 'hvc_mm' and (scope or not ours):
        return None
    for each in vars(registry).values():
        if isinstance(each, Registry) and each is not registry.INFERENCERS:
            each.import_from_location()
            found = each.module_dict.get(name)
            if inspect.isclass(found):
                return found
    return None


def _check_arguments(key: str, part: Mapping, cls: type) -> None:
    hints, is_open = _arguments(cls)
    for option, value in part.items():
        if option in hints:
            _check(f'{key}{option}', value, hints[option])
        elif option not in _RESERVED and not is_open:
            raise ValueError(
                f'{key}{option}: {cls.__name__} has no such argument; '
                f'expected one of {", ".join(sorted(hints))}'
            )


def _arguments(cls: type) -> Tuple[Dict[str, Any], bool]:
    """List a constructor's arguments, those that it passes on too.

    The second value tells whether it takes others that are not known here.
    """
    found: Dict[str, Any] = {}
    for base in cls.__mro__:
        if '__init__' not in vars(base):
            continue
        init = base.__init__
        hints = typing.get_type_hints(init)
        rest = None
        for parameter in list(inspect.signature(init).parameters.values())[1:]:
            if parameter.kind is parameter.VAR_KEYWORD:
                rest = parameter.name
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                name = parameter.name
                found.setdefault(name, hints.get(name, Any))
        if rest != 'kwargs':
            # Arguments that were removed have messages of their own.
            return found, rest is not None
    return found, True


def _check(key: str, value: Any, hint: Any) -> None:
    if not fits(value, hint):
        kind = type(value).__name__
        raise ValueError(
            f'{key} is {value!r} ({kind}); expected {in_words(hint)}'
        )


def fits(value: Any, hint: Any) -> bool:
    """Tell whether a value is what an annotation says.

    Objects are taken for whatever is said, as configs describe them by
    dicts; NaN and infinity are no numbers.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Union:
        return any(fits(value, each) for each in args)
    if hint is float:
        number = isinstance(value, (int, float)) and type(value) is not bool
        return number and math.isfinite(value)
    if hint is int:
        return isinstance(value, int) and type(value) is not bool
    if hint is str:
        return isinstance(value, (str, Path))
    if origin is tuple and args and args[-1] is not Ellipsis:
        is_list = isinstance(value, (list, tuple)) and len(value) == len(args)
        return is_list and all(map(fits, value, args))
    if hint is list or origin in (list, tuple, abc.Sequence):
        each = args[0] if args else Any
        is_list = isinstance(value, (list, tuple))
        return is_list and all(fits(item, each) for item in value)
    if hint is dict or origin in (dict, abc.Mapping):
        each = args[1] if args else Any
        is_dict = isinstance(value, Mapping)
        return is_dict and all(fits(item, each) for item in value.values())
    if hint in (bool, type(None)):
        return isinstance(value, hint)
    return True


def in_words(hint: Any) -> str:
    """Say what an annotation expects, for an error."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Union:
        return ' or '.join(in_words(each) for each in args)
    if origin is tuple and args and args[-1] is not Ellipsis:
        return f'a list of {len(args)}: {", ".join(map(in_words, args))}'
    if origin in (list, tuple, abc.Sequence):
        return f'a list of: {in_words(args[0])}' if args else 'a list'
    if origin in (dict, abc.Mapping):
        return 'a dict'
    return _WORDS.get(hint, getattr(hint, '__name__', str(hint)))
