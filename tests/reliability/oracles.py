"""Decoders of their own, by the standards: they accept whole files only.

Libraries fill up what is damaged; these raise ValueError where a file is not
exactly what the standard says. They are slow and know small files alone.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Dict, Iterator, List, Tuple

import numpy as np
from PIL import Image


def decode_jpeg(data: bytes) -> np.ndarray:
    """Decode a baseline JPEG to ``(H, W, 3)`` BGR, if it is whole.

    Every Huffman code of every block must be there (ITU-T T.81, F.2), and
    nothing else; the pixels are Pillow's.
    """
    try:
        _check_jpeg(data)
    except (IndexError, KeyError, struct.error, StopIteration) as error:
        raise ValueError(f'no baseline JPEG: {error!r}') from error
    with Image.open(io.BytesIO(data)) as image:
        return np.array(image.convert('RGB'))[..., ::-1]


def _check_jpeg(data: bytes) -> None:
    tables: Dict[int, Dict[Tuple[int, int], int]] = {}
    at, restarts, frame = 2, 0, None
    if data[:2] != b'\xff\xd8':
        raise ValueError('no JPEG')
    while True:
        if data[at] != 0xFF:
            raise ValueError('a marker is missing')
        marker, size = data[at + 1], struct.unpack_from('>H', data, at + 2)[0]
        body, at = data[at + 4 : at + 2 + size], at + 2 + size
        if marker == 0xC4:
            _read_tables(body, tables)
        elif marker == 0xDD:
            (restarts,) = struct.unpack('>H', body)
        elif marker in (0xC0, 0xC1):
            frame = body
        elif marker == 0xDA:
            break
        elif marker not in (0xDB, 0xFE) and not 0xE0 <= marker <= 0xEF:
            raise ValueError(f'marker {marker:x}')
    if frame is None or restarts or data[-2:] != b'\xff\xd9':
        raise ValueError('not one whole baseline scan')
    height, width, count = struct.unpack_from('>HHB', frame, 1)
    parts = {frame[6 + 3 * i]: frame[7 + 3 * i] for i in range(count)}
    if body[0] != count or 0 in (height, width) or 0 in parts.values():
        raise ValueError('not one scan of all components')
    wide = max(s >> 4 for s in parts.values())
    high = max(s & 15 for s in parts.values())
    units = -(-width // (8 * wide)) * -(-height // (8 * high))
    blocks: List[Tuple[Dict, Dict]] = []
    for i in range(count):
        name, used = body[1 + 2 * i], body[2 + 2 * i]
        pair = tables[used >> 4], tables[16 + (used & 15)]
        times = (parts[name] >> 4) * (parts[name] & 15) if count > 1 else 1
        blocks += [pair] * times
    if count == 1:
        units = -(-width // 8) * -(-height // 8)
    bits = _bits(data[at:-2])
    for _ in range(units):
        for dc, ac in blocks:
            _skip_block(bits, dc, ac)
    rest = list(bits)
    if len(rest) > 7 or not all(rest):
        raise ValueError('data after the last block')


def _read_tables(body: bytes, tables: Dict) -> None:
    """Read Huffman tables: (length, code) to symbol."""
    while body:
        counts, symbols = body[1:17], body[17 : 17 + sum(body[1:17])]
        if len(symbols) != sum(counts):
            raise ValueError('a table is cut off')
        table, code, at = {}, 0, 0
        for length, count in enumerate(counts, 1):
            for _ in range(count):
                table[length, code] = symbols[at]
                code, at = code + 1, at + 1
            code *= 2
        tables[body[0]] = table
        body = body[17 + sum(counts) :]


def _bits(data: bytes) -> Iterator[int]:
    """Yield the bits of a scan, in which FF is written as FF 00."""
    if data.replace(b'\xff\x00', b'').count(b'\xff'):
        raise ValueError('a marker inside the scan')
    for byte in data.replace(b'\xff\x00', b'\xff'):
        yield from (byte >> shift & 1 for shift in range(7, -1, -1))


def _symbol(bits: Iterator[int], table: Dict) -> int:
    code = 0
    for length in range(1, 17):
        code = 2 * code + next(bits)
        if (length, code) in table:
            return table[length, code]
    raise ValueError('no such Huffman code')


def _skip_block(bits: Iterator[int], dc: Dict, ac: Dict) -> None:
    """Pass over one block of 64 coefficients."""
    size = _symbol(bits, dc)
    if size > 11:
        raise ValueError('a coefficient is too large')
    for _ in range(size):
        next(bits)
    index = 1
    while index < 64:
        run, size = divmod(_symbol(bits, ac), 16)
        if size == 0 and run != 15:
            if run:
                raise ValueError('no baseline code')
            return
        index += run + 1
        for _ in range(size):
            next(bits)
    if index != 64:
        raise ValueError('more than 64 coefficients')


def decode_png(data: bytes) -> np.ndarray:
    """Decode a PNG to its raw samples ``(H, W)`` or ``(H, W, C)``.

    Checksums, lengths and the last chunk must be right (ISO 15948).
    """
    if data[:8] != b'\x89PNG\r\n\x1a\n':
        raise ValueError('no PNG')
    at, chunks = 8, []
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], 'big')
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        check = data[at + 8 + size : at + 12 + size]
        if check != zlib.crc32(kind + body).to_bytes(4, 'big'):
            raise ValueError(f'the checksum of {kind!r} is wrong')
        chunks.append((kind, body))
        at += 12 + size
    if not chunks or chunks[0][0] != b'IHDR' or chunks[-1][0] != b'IEND':
        raise ValueError('chunks are missing')
    width, height, depth, colour, *_, interlaced = struct.unpack(
        '>IIBBBBB', chunks[0][1]
    )
    if interlaced or depth == 16:
        raise ValueError('not a form that is known here')
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    raw = zlib.decompress(b''.join(b for k, b in chunks if k == b'IDAT'))
    rows = _unfilter(raw, height, -(-width * depth * channels // 8), channels)
    if depth < 8:
        bits = np.unpackbits(rows, axis=1)[:, : width * depth]
        weights = 1 << np.arange(depth)[::-1]
        return (bits.reshape(height, width, depth) * weights).sum(-1)
    return rows.reshape(height, width, channels).squeeze()


def _unfilter(raw: bytes, height: int, stride: int, step: int) -> np.ndarray:
    if len(raw) != height * (stride + 1):
        raise ValueError('the pixels are not as many as the header says')
    rows = np.zeros((height + 1, stride + step), np.uint8)
    for y in range(height):
        kind = raw[y * (stride + 1)]
        line = raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)]
        above, row = rows[y].tolist(), [0] * step
        for x, value in enumerate(line):
            a, b, c = row[x], above[x + step], above[x]
            guess = _predict(kind, a, b, c)
            row.append((value + guess) % 256)
        rows[y + 1] = row
    return rows[1:, step:]


def _predict(kind: int, a: int, b: int, c: int) -> int:
    if kind == 4:
        distances: List[int] = [abs(b - c), abs(a - c), abs(a + b - 2 * c)]
        return (a, b, c)[distances.index(min(distances))]
    return (0, a, b, (a + b) // 2)[kind]
