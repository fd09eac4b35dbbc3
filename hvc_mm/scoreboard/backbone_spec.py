"""Naming a backbone on the command line or in a small file.

    [NAME=]FILE[:KEY=VALUE,...]         weights of a ResNet of any known layout
    [NAME=][SCOPE.]TYPE[:KEY=VALUE,...] a class of any OpenMMLab registry
    SPECS.yaml (.yml, .json, .py)       a file of these, under ``backbones``

Keys: ``stage``, ``map``, ``weights`` (see :class:`BackboneSpec`); any other
one is an argument of the backbone.
"""

from __future__ import annotations

import ast
import os.path as osp
import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from mmengine.config import Config

_SPEC_FILES = ('.yaml', '.yml', '.json', '.py')
_NAMED = re.compile(r'(?P<name>[\w.+-]+)=(?P<rest>.+)', re.DOTALL)
# The options begin at the first colon that is followed by `key=`.
_OPTIONS = re.compile(r'(?P<source>.+?):(?P<options>[A-Za-z_][\w.]*=.*)')
_TYPE = re.compile(r'(\w+\.)*[A-Za-z_]\w*')
_FILE_ENDINGS = ('.pth', '.pt', '.tar', '.ckpt', '.bin')


class BackboneError(ValueError):
    """A backbone can't be used; the message says which one and why."""


@dataclass(frozen=True)
class BackboneSpec:
    """What is to be scored.

    Attributes:
        name: How the report calls it; also a folder's name.
        arguments: ``type`` and arguments of the backbone. Without ``type``
            it is the ResNet that the file of weights holds.
        weights: A checkpoint; None leaves the backbone as it builds itself.
        layout: How the file looks, a key of
            :data:`hvc_mm.checkpoint.LAYOUTS`, or ``'auto'``; for a ResNet's
            file alone.
        stage: Take the output of this stage, from 1 on (layer1).
        map: Which of the maps that the backbone returns, from 0 on; several
            are joined.
        data_preprocessor: Changes to how frames are normalised.
    """

    name: str
    arguments: Dict[str, Any] = field(default_factory=dict)
    weights: Optional[str] = None
    layout: str = 'auto'
    stage: Optional[int] = None
    map: Union[int, Tuple[int, ...], None] = None
    data_preprocessor: Dict[str, Any] = field(default_factory=dict)

    def fail(self, reason: str) -> BackboneError:
        """Make the error that says what is wrong with this backbone."""
        return BackboneError(f'backbone {self.name}: {reason}')


def parse_backbones(texts: Sequence[str]) -> List[BackboneSpec]:
    """Read what the command line names.

    Args:
        texts: See the head of this file.

    Returns:
        One entry a backbone, in order.

    Raises:
        BackboneError: A text that is none of the three forms, or a name that
            is used twice.
    """
    specs: List[BackboneSpec] = []
    for text in texts:
        if text.lower().endswith(_SPEC_FILES):
            specs += read_specs(text)
        else:
            specs.append(parse_backbone(text))
    names = [spec.name for spec in specs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BackboneError(
            f'several backbones are called {", ".join(twice)}; give each a '
            'name of its own, NAME=...'
        )
    return specs


def parse_backbone(text: str, name: Optional[str] = None) -> BackboneSpec:
    """Read one backbone's text.

    Args:
        text: See the head of this file.
        name: Its name, where that is known already.

    Returns:
        The backbone.

    Raises:
        BackboneError: The text names neither a file nor a class, or an
            option isn't ``KEY=VALUE``.
    """
    given, rest = name, text
    named = _NAMED.fullmatch(text)
    # A path may well hold a `=` itself.
    if name is None and named and not osp.exists(text):
        given, rest = named['name'], named['rest']
    source, options = rest, {}
    split = _OPTIONS.fullmatch(rest)
    if split and not osp.exists(rest):
        source = split['source']
        options = parse_options(split['options'])
    if osp.isfile(source):
        entry = dict(weights=source, **options)
        given = given or _name_of(source)
    elif _is_type(source):
        entry = dict(type=source, **options)
        given = given or source
    else:
        raise BackboneError(
            f'backbone {given or text}: there is no file {source}; expected '
            'a file of weights, or a class such as mmdet.ResNet:depth=50'
        )
    return spec_of(given, entry)


def read_specs(path: str) -> List[BackboneSpec]:
    """Read a file of backbones.

    Args:
        path: A YAML, JSON or Python file whose ``backbones`` maps names to
            texts or to dicts of options (``type``, ``weights``, ...).

    Returns:
        One entry a backbone, in the file's order.

    Raises:
        BackboneError: The file is missing or has another form.
    """
    if not osp.isfile(path):
        raise BackboneError(f'there is no file of backbones {path}')
    try:
        content = Config.fromfile(path).to_dict().get('backbones')
    except Exception as error:  # each format has errors of its own
        raise BackboneError(f'cannot read {path}: {error}') from error
    if not isinstance(content, Mapping) or not content:
        raise BackboneError(
            f'{path}: expected `backbones`, a mapping of names to specs, '
            f'found {type(content).__name__}'
        )
    return [
        parse_backbone(value, str(name))
        if isinstance(value, str)
        else spec_of(str(name), value)
        for name, value in content.items()
    ]


def parse_options(text: str) -> Dict[str, Any]:
    """Read ``key=value,key=value``; values are Python's, or plain text.

    Args:
        text: E.g. ``'depth=50,out_indices=(1, 2),style=caffe'``; dots in a
            key mean nested dicts.

    Returns:
        dict: Values by key.

    Raises:
        BackboneError: A part without ``=``.
    """
    options: Dict[str, Any] = {}
    for part in _split_outside_brackets(text):
        key, equals, value = part.partition('=')
        if not equals or not key.strip():
            raise BackboneError(f'option {part!r}: expected KEY=VALUE')
        *parents, last = key.strip().split('.')
        inside = options
        for parent in parents:
            inside = inside.setdefault(parent, {})
        inside[last] = _value(value.strip())
    return options


def spec_of(name: str, entry: Mapping[str, Any]) -> BackboneSpec:
    """Sort options into what is the spec's and what the backbone's.

    Args:
        name: The backbone's name.
        entry: Options.

    Returns:
        The backbone.

    Raises:
        BackboneError: The name can't be a folder's, there is neither a type
            nor weights, or a number is none.
    """
    if not isinstance(entry, Mapping):
        raise BackboneError(
            f'backbone {name}: expected a text or a mapping, found {entry!r}'
        )
    if not re.fullmatch(r'[\w.+-]+', name) or name.startswith('.'):
        raise BackboneError(
            f'backbone {name!r}: expected a name of letters, digits and any '
            'of ._+-'
        )
    arguments = dict(entry)
    options = {
        key: arguments.pop(key)
        for key in ('weights', 'layout', 'stage', 'map', 'data_preprocessor')
        if key in arguments
    }
    spec = BackboneSpec(name, arguments, **options)
    if 'type' not in arguments and spec.weights is None:
        raise spec.fail('has neither a type nor weights')
    if spec.stage is not None and not isinstance(spec.stage, int):
        raise spec.fail(f'stage is {spec.stage!r}, expected a number from 1')
    maps = spec.map if isinstance(spec.map, (list, tuple)) else (spec.map,)
    if not all(i is None or isinstance(i, int) for i in maps):
        raise spec.fail(f'map is {spec.map!r}, expected numbers from 0 on')
    return spec


def _name_of(path: str) -> str:
    """A file's name as that of a backbone."""
    stem = osp.splitext(osp.basename(path))[0]
    return re.sub(r'[^\w+-]+', '-', stem)


def _is_type(text: str) -> bool:
    return bool(_TYPE.fullmatch(text)) and not text.endswith(_FILE_ENDINGS)


def _split_outside_brackets(text: str) -> List[str]:
    parts, depth = [''], 0
    for character in text:
        depth += (character in '([{') - (character in ')]}')
        if character == ',' and depth == 0:
            parts.append('')
        else:
            parts[-1] += character
    return parts


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
