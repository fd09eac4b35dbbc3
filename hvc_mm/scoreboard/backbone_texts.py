"""Read what names backbones: texts of a command line, and files of them.

    [NAME=]FILE[:KEY=VALUE,...]         weights of a ResNet of any known layout
    [NAME=][SCOPE.]TYPE[:KEY=VALUE,...] a class of any OpenMMLab registry
    [NAME=]timm:MODEL[,KEY=VALUE,...]   a model of timm
    [NAME=]transformers:MODEL[,KEY=...] a folder, or a name on the hub
    BACKBONES.yaml (.yml, .json, .py)   a file of these, under ``backbones``

Keys: ``stage``, ``map``, ``weights``, ``layout``, ``prefix`` (which network of
the weights) and ``data_preprocessor``; any other one is an argument of the
backbone. They may follow a colon or a comma. Classes of modules that a file
names in ``custom_imports`` are known.
"""

from __future__ import annotations

import argparse
import os.path as osp
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from mmengine.config import Config, DictAction
from mmengine.utils import import_modules_from_strings

from hvc_mm.engine.config_file import (
    ConfigError,
    load_config,
    load_values,
)

__all__ = ['LIBRARIES', 'BackboneError', 'parse_backbones']

# Classes for models of other libraries, and their argument for its name.
LIBRARIES = {
    'timm': ('TimmBackbone', 'model_name'),
    'transformers': ('TransformersBackbone', 'model'),
}

_NAME = r'[\w+-][\w.+-]*'
_LISTS = ('.yaml', '.yml', '.json', '.py')
_WEIGHTS = ('.pth', '.pt', '.tar', '.ckpt', '.bin', '.safetensors')
_TYPE = re.compile(r'(\w+\.)*[A-Za-z_]\w*')
# Options begin at the first colon or comma, and at each comma, that `key=`
# follows.
_OPTIONS = re.compile(r'(?P<source>.+?)[:,](?P<options>[A-Za-z_][\w.]*=.*)')
_NEXT_OPTION = re.compile(r',(?=[A-Za-z_][\w.]*=)')


class BackboneError(ValueError):
    """A backbone can't be used; the message says which one and why."""


def parse_backbones(texts: Sequence[str]) -> Dict[str, Dict[str, Any]]:
    """Read texts of the forms above into keys and values by name, in order.

    Raises:
        BackboneError: A text that is none of the three forms, or a name that
            is used twice.
    """
    found: Dict[str, Dict[str, Any]] = {}
    for text in texts:
        is_list = text.lower().endswith(_LISTS)
        for name, entry in _read_list(text) if is_list else [_parse(text)]:
            if name in found:
                raise BackboneError(
                    f'several backbones are called {name}; give each a name '
                    'of its own, NAME=...'
                )
            _check_entry(name, entry, f'{text}: ' if is_list else '')
            found[name] = entry
    return found


def _read_list(path: str) -> List[Tuple[str, Any]]:
    """Read names and entries of a file's ``backbones``."""
    if not osp.isfile(path):
        raise BackboneError(f'there is no file of backbones {path}')
    is_code = path.lower().endswith('.py')
    try:
        content = load_config(path) if is_code else load_values(path)
    except ConfigError as error:
        raise BackboneError(str(error)) from error
    _import_modules(path, content.get('custom_imports'))
    named = content.get('backbones')
    if not isinstance(named, Mapping) or not named:
        raise BackboneError(
            f'{path}: expected `backbones`, a mapping of names to backbones, '
            f'found {type(named).__name__}'
        )
    return [
        _parse(entry, str(name))
        if isinstance(entry, str)
        else (str(name), entry)
        for name, entry in named.items()
    ]


def _import_modules(path: str, imports: Any) -> None:
    """Import the modules that register a file's classes."""
    if imports is None:
        return
    try:
        import_modules_from_strings(**imports)
    except Exception as error:  # whatever a module raises, too
        raise BackboneError(
            f'{path}: custom_imports {imports}: {type(error).__name__}: '
            f"{error}; expected dict(imports=['a.module', ...])"
        ) from error


def _parse(
    text: str, name: Optional[str] = None
) -> Tuple[str, Dict[str, Any]]:
    """Read one backbone's text: its name and entry."""
    rest = text
    named = re.fullmatch(f'({_NAME})=(.+)', text, re.DOTALL)
    # A path may well hold a `=` or `:key=` itself.
    if name is None and named and not osp.exists(text):
        name, rest = named.groups()
    split = None if osp.exists(rest) else _OPTIONS.fullmatch(rest)
    source = split['source'] if split else rest
    entry = _parse_options(split['options']) if split else {}
    if osp.isfile(source):
        stem = osp.splitext(osp.basename(source))[0]
        return name or _as_name(stem), dict(entry, weights=source)
    library, _, model = source.partition(':')
    if library in LIBRARIES and model:
        kind, key = LIBRARIES[library]
        stem = osp.basename(osp.normpath(model))
        return name or _as_name(stem), {'type': kind, key: model, **entry}
    if _TYPE.fullmatch(source) and not source.endswith(_WEIGHTS):
        return name or source, dict(entry, type=source)
    raise BackboneError(
        f'backbone {name or text}: there is no file {source}; expected a '
        'file of weights, or a class such as mmdet.ResNet:depth=50'
    )


def _as_name(text: str) -> str:
    return re.sub(r'[^\w+-]+', '-', text).strip('-')


def _parse_options(text: str) -> Dict[str, Any]:
    """Read ``key=value,key=value`` as ``--cfg-options`` would."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--options', nargs='+', action=DictAction)
    parts = _NEXT_OPTION.split(text)
    options = parser.parse_args(['--options', *parts]).options
    for key, _, value in (part.partition('=') for part in parts):
        if ',' in value and value[0] not in '([':
            raise BackboneError(f'option {key}={value}: expected KEY=VALUE')
        if isinstance(options[key], str):
            # DictAction drops blanks, which a path may have.
            options[key] = value.strip(' \'"')
    nested = Config()
    nested.merge_from_dict(options)
    return nested.to_dict()


def _check_entry(name: str, entry: Any, where: str) -> None:
    reason = ''
    if not re.fullmatch(_NAME, name):
        raise BackboneError(
            f'{where}backbone {name!r:.80}: expected a name of letters, '
            'digits and any of ._+-'
        )
    if not isinstance(entry, Mapping):
        reason = f'expected a text or a mapping, found {entry!r}'
    elif not entry.get('type') and not entry.get('weights'):
        reason = 'has neither a type nor weights'
    elif not isinstance(entry.get('stage', 1), int):
        reason = f'stage is {entry["stage"]!r}, expected a number from 1'
    else:
        maps = entry.get('map', 0)
        several = maps if isinstance(maps, (list, tuple)) else [maps]
        if not all(type(index) is int and index >= 0 for index in several):
            reason = f'map is {maps!r}, expected numbers from 0 on'
    if reason:
        raise BackboneError(f'{where}backbone {name}: {reason}')
