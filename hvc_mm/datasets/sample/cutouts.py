"""Objects cut from the photographs, along outlines drawn by hand.

Outlines rather than a segmentation algorithm: they are the same under every
version of every library.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .photos import load_disparity, load_photo
from .polygons import coverage, polygon_area

# Outlines: x, y, x, y, ... in pixels of the photograph.
_ASTRONAUT = (
    '194 33 210 22 230 16 246 17 262 23 291 45 299 64 301 84 293 112 279 131 '
    '269 138 262 150 255 176 281 197 300 220 305 237 328 253 344 269 356 300 '
    '365 347 398 343 431 349 464 370 485 398 496 445 508 464 511 511 47 511 '
    '26 469 23 431 21 394 33 323 42 281 70 241 115 206 115 187 127 169 145 '
    '155 184 149 180 134 171 120 157 101 154 70 164 52 187 40'
)
_CAT = (
    '40 1 398 1 385 23 368 60 358 80 365 110 363 140 351 177 331 207 315 228 '
    '311 244 294 264 268 281 234 284 187 279 150 264 124 244 100 221 77 201 '
    '57 171 43 140 37 114 31 84 34 50 40 20'
)
_CUP = (
    '180 72 196 48 228 28 260 19 292 18 332 26 368 44 396 72 408 100 409 124 '
    '402 148 400 164 388 196 376 224 362 240 340 258 316 276 284 286 256 282 '
    '248 280 236 298 220 308 198 296 196 276 208 252 218 240 204 228 188 200 '
    '178 164 173 120 174 96'
)
_SPOON = (
    '382 226 392 240 402 256 405 276 402 296 390 312 372 324 352 325 336 316 '
    '328 300 328 276 340 258 362 242 376 228'
)
# The cup with its saucer and spoon.
_COFFEE = (
    '180 72 196 48 228 28 260 19 292 18 332 26 368 44 396 72 414 68 423 78 '
    '416 106 432 120 456 152 472 188 479 224 478 252 464 292 436 328 392 360 '
    '340 381 284 388 232 383 180 365 136 335 104 296 85 252 78 212 85 172 104 '
    '132 140 92'
)
_MOTORCYCLE = (
    '92 204 96 197 128 195 140 165 137 157 145 146 162 144 170 160 190 162 '
    '245 167 262 185 290 195 310 194 345 187 358 192 390 172 400 167 382 155 '
    '362 174 356 169 382 147 395 132 417 120 450 135 470 142 470 125 490 120 '
    '501 124 504 107 520 99 535 110 537 122 550 125 559 140 570 119 581 125 '
    '581 140 562 142 561 160 550 182 552 197 545 205 579 262 600 267 625 280 '
    '644 302 655 317 672 350 684 390 681 425 665 445 640 453 615 449 575 422 '
    '540 390 520 355 514 325 510 331 504 325 510 300 522 287 515 270 495 220 '
    '480 230 465 240 477 252 479 285 477 305 467 335 450 360 425 377 395 380 '
    '342 372 336 380 336 427 340 432 324 435 329 427 327 380 320 366 280 355 '
    '270 370 245 390 215 400 185 399 155 382 132 355 122 320 125 290 137 260 '
    '152 245 147 230 135 230 112 247 101 242 102 230 115 221 92 217'
)
_PAGODA = (
    '197 31 214 31 212 47 218 52 219 64 232 79 248 91 263 97 280 102 296 106 '
    '319 118 320 125 305 135 295 141 295 160 305 164 329 173 328 180 321 185 '
    '321 225 328 227 328 235 325 241 352 250 352 256 342 270 341 302 349 308 '
    '348 316 344 323 371 331 369 339 336 372 323 373 305 379 255 389 215 383 '
    '205 370 175 358 159 345 75 343 74 333 75 318 82 310 82 281 64 273 63 268 '
    '71 254 98 245 94 241 93 234 98 232 98 189 86 185 85 172 121 160 120 141 '
    '96 129 97 108 125 102 155 91 178 77 194 64 193 56 198 48'
)
_DAHLIA = (
    '307 87 340 92 375 99 405 116 425 146 436 180 443 215 439 250 427 280 405 '
    '317 375 339 340 351 305 354 270 349 235 329 206 304 191 279 173 245 171 '
    '205 181 170 196 139 216 116 240 99 275 97'
)


def parse_outline(text: str) -> np.ndarray:
    """``(V, 2)`` float64 polygon from numbers between blanks."""
    return np.array(text.split(), dtype=np.float64).reshape(-1, 2)


def _seen_from_the_right(polygon: np.ndarray) -> np.ndarray:
    """Carry an outline of `motorcycle_left` over to `motorcycle_right`.

    Each vertex moves by the disparity of the object beside it: the median
    over the pixels near it that lie inside the outline.
    """
    disparity = load_disparity()
    height, width = disparity.shape
    usable = np.isfinite(disparity)
    usable &= coverage(polygon, height, width) == 1
    moved = polygon.copy()
    for vertex in moved:
        column, row = vertex.astype(int)
        rows = slice(max(row - 24, 0), row + 25)
        columns = slice(max(column - 24, 0), column + 25)
        beside = disparity[rows, columns][usable[rows, columns]]
        vertex[0] -= np.median(beside)
    return moved


@lru_cache(maxsize=None)
def objects_in_photo(photo: str) -> tuple[tuple[str, np.ndarray], ...]:
    """The things of COCO's categories that a photograph shows.

    Args:
        photo: A name known to :func:`.photos.load_photo`.

    Returns:
        tuple: Pairs of COCO's category name and outline ``(V, 2)``; none
        for a photograph without such things.
    """
    motorcycle = parse_outline(_MOTORCYCLE)
    if photo == 'motorcycle_right':
        return (('motorcycle', _seen_from_the_right(motorcycle)),)
    return {
        'astronaut': (('person', parse_outline(_ASTRONAUT)),),
        'chelsea': (('cat', parse_outline(_CAT)),),
        'coffee': (
            ('cup', parse_outline(_CUP)),
            ('spoon', parse_outline(_SPOON)),
        ),
        'motorcycle_left': (('motorcycle', motorcycle),),
    }.get(photo, ())


@dataclass(frozen=True)
class CutOut:
    """Something cut out, as it is pasted into a scene.

    Attributes:
        name: What it is, in lower case.
        image: ``(H, W, 3)`` uint8, BGR, its box of the photograph; the
            colours around the object are still there, so that blending at
            the edge brings no fringe.
        alpha: ``(H, W)`` float32 in [0, 1], the share of each pixel that
            is object.
        extent: Square root of the object's area in pixels, the measure of
            its size.
    """

    name: str
    image: np.ndarray
    alpha: np.ndarray
    extent: float


# Name -> (photograph, outline, category in YouTube-VOS's manner).
_CUT_OUTS = {
    'astronaut': ('astronaut', _ASTRONAUT, 'person'),
    'cat': ('chelsea', _CAT, 'cat'),
    'coffee': ('coffee', _COFFEE, 'cup'),
    'motorcycle': ('motorcycle_left', _MOTORCYCLE, 'motorbike'),
    'pagoda': ('china', _PAGODA, 'building'),
    'dahlia': ('flower', _DAHLIA, 'plant'),
}


def cut_out_names() -> tuple[str, ...]:
    """Names that :func:`cut_out` takes."""
    return tuple(_CUT_OUTS)


def cut_out_source(name: str) -> str:
    """The photograph that a cut-out is taken from."""
    return _CUT_OUTS[name][0]


def cut_out_category(name: str) -> str:
    """The category of a cut-out; YouTube-VOS's where it has one."""
    return _CUT_OUTS[name][2]


def cut_polygon(
    name: str, image: np.ndarray, polygon: np.ndarray, margin: int = 3
) -> CutOut:
    """Cut the inside of a polygon from an image.

    Args:
        name: What to call it.
        image: ``(H, W, 3)`` uint8.
        polygon: ``(V, 2)`` in the image's pixels.
        margin: Pixels kept around the polygon's box.

    Raises:
        ValueError: The polygon leaves the image or has no area.
    """
    height, width = image.shape[:2]
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    if (low < 0).any() or (high > (width, height)).any():
        raise ValueError(
            f'the outline of {name} spans {low} to {high}; expected it '
            f'inside the image of {width}x{height}'
        )
    area = polygon_area(polygon)
    if area < 1:
        raise ValueError(f'the outline of {name} encloses no pixel')
    x1, y1 = np.maximum(np.floor(low).astype(int) - margin, 0)
    x2 = min(int(np.ceil(high[0])) + margin, width)
    y2 = min(int(np.ceil(high[1])) + margin, height)
    patch = np.ascontiguousarray(image[y1:y2, x1:x2])
    alpha = coverage(polygon - (x1, y1), y2 - y1, x2 - x1)
    return CutOut(name, patch, alpha, float(np.sqrt(area)))


@lru_cache(maxsize=None)
def cut_out(name: str) -> CutOut:
    """One of the ready cut-outs.

    Raises:
        KeyError: An unknown name.
    """
    if name not in _CUT_OUTS:
        raise KeyError(f'no cut-out {name!r}; there are {list(_CUT_OUTS)}')
    photo, outline, _ = _CUT_OUTS[name]
    return cut_polygon(name, load_photo(photo), parse_outline(outline))
