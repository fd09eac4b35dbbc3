"""Damage files in six ways, by seeded random numbers.

Bytes are mutated where a file has no fields (images, videos), trees of
dicts, lists and values where it has some.
"""

from __future__ import annotations

import copy
from typing import Any, Callable, Dict, List, Tuple

import numpy as np

KINDS = ('truncation', 'bit flips', 'hole', 'swap', 'wrong type', 'depth')
Rng = np.random.Generator

# What may be in a file by mistake instead of what its name says.
OTHER_CONTENT = (
    b'',
    b'\n',
    b'<html><body>404 Not Found</body></html>',
    b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n',
    b'PK\x03\x04' + bytes(60),
    bytes(500),
    bytes(range(256)) * 4,
    '\ufeffname\r\n'.encode('utf-16'),
    b'\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x07builtins\x94.',
)
# What may be in a field by mistake.
OTHER_VALUES = (
    *(None, True, -1, 0, 1.5, 10**30, float('nan'), float('inf')),
    *('', 'maybe', '../../x', [], [[1, 2], 'a'], {}, {'a': [1]}),
)


def truncate(data: bytes, rng: Rng) -> bytes:
    """Keep the beginning."""
    return data[: int(rng.integers(0, max(len(data), 1)))]


def flip_bits(data: bytes, rng: Rng) -> bytes:
    """Flip 1 to 8 bits."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    at = rng.integers(0, len(bits), rng.integers(1, 9))
    bits[at] ^= 1
    return np.packbits(bits).tobytes()


def cut_hole(data: bytes, rng: Rng) -> bytes:
    """Cut out a part, or overwrite it with zeros as a lost block would be."""
    first, last = sorted(rng.integers(0, len(data) + 1, 2).tolist())
    filling = bytes(last - first) if rng.integers(2) else b''
    return data[:first] + filling + data[last:]


def swap_parts(data: bytes, rng: Rng) -> bytes:
    """Exchange two parts of equal length."""
    length = int(rng.integers(1, max(len(data) // 4, 2)))
    first, second = sorted(rng.integers(0, max(len(data) - length, 1), 2))
    second = max(second, first + length)
    return (
        data[:first]
        + data[second : second + length]
        + data[first + length : second]
        + data[first : first + length]
        + data[second + length :]
    )


def replace_content(data: bytes, rng: Rng) -> bytes:
    """Put something else in the file's place, or before its content."""
    other = OTHER_CONTENT[rng.integers(len(OTHER_CONTENT))]
    return other + data if rng.integers(4) == 0 else other


BYTES: Dict[str, Callable[[bytes, Rng], bytes]] = {
    'truncation': truncate,
    'bit flips': flip_bits,
    'hole': cut_hole,
    'swap': swap_parts,
    'wrong type': replace_content,
}


def _places(tree: Any) -> List[Tuple[Any, Any]]:
    """List container and key of every value in a tree."""
    found = []
    keys = ()
    if isinstance(tree, dict):
        keys = list(tree)
    elif isinstance(tree, list):
        keys = range(len(tree))
    for key in keys:
        found += [(tree, key), *_places(tree[key])]
    return found


def swap_fields(tree: Any, rng: Rng) -> Any:
    """Exchange two values."""
    tree = copy.deepcopy(tree)
    places = _places(tree)
    picked = rng.integers(0, len(places), 2)
    (one, first), (other, second) = (places[i] for i in picked)
    a, b = copy.deepcopy(one[first]), copy.deepcopy(other[second])
    one[first], other[second] = b, a
    return tree


def change_type(tree: Any, rng: Rng) -> Any:
    """Put a value of another type in a field's place, or the whole's."""
    value = copy.deepcopy(OTHER_VALUES[rng.integers(len(OTHER_VALUES))])
    tree = copy.deepcopy(tree)
    places = _places(tree)
    index = rng.integers(0, len(places) + 1)
    if index == len(places):
        return value
    container, key = places[index]
    container[key] = value
    return tree


def nest(tree: Any, rng: Rng) -> Any:
    """Wrap a value into lists or dicts, up to 90 of them."""
    tree = copy.deepcopy(tree)
    places = _places(tree)
    container, key = places[rng.integers(len(places))]
    inner, as_dict = container[key], rng.integers(2)
    for _ in range(int(rng.choice([1, 2, 90]))):
        inner = {'a': inner} if as_dict else [inner]
    container[key] = inner
    return tree


def nest_text(text: str, rng: Rng) -> str:
    """Put brackets into a text, balanced or not, up to 50,000 of them."""
    at = int(rng.integers(0, len(text) + 1))
    count = int(rng.choice([1, 3, 300, 50_000]))
    opening, closing = (('[', ']'), ('{"a":', '}'), ('(', ')'))[
        rng.integers(3)
    ]
    end = closing * count if rng.integers(2) else ''
    return f'{text[:at]}{opening * count}{end}{text[at:]}'


TREES: Dict[str, Callable[[Any, Rng], Any]] = {
    'swap': swap_fields,
    'wrong type': change_type,
    'depth': nest,
}
