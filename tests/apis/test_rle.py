"""Run lengths are COCO's."""

import json

import numpy as np
import pytest

from hvc_mm.apis.rle import mask_to_rle, rle_to_mask


@pytest.mark.parametrize('kind', ['noise', 'empty', 'full', 'starts inside'])
def test_pycocotools_reads_them(kind):
    coco = pytest.importorskip('pycocotools.mask')
    mask = np.random.default_rng(0).random((7, 5)) > 0.5
    if kind in ('empty', 'full'):
        mask[:] = kind == 'full'
    elif kind == 'starts inside':
        mask[0, 0] = True
    rle = json.loads(json.dumps(mask_to_rle(mask)))
    decoded = coco.decode(coco.frPyObjects(rle, *rle['size']))
    np.testing.assert_array_equal(decoded.astype(bool), mask)
    np.testing.assert_array_equal(rle_to_mask(rle), mask)


def test_counts_by_hand():
    mask = np.array([[0, 1], [0, 1], [1, 0]], bool)
    # Down the columns: 0 0 1 1 1 0.
    assert mask_to_rle(mask) == {'size': [3, 2], 'counts': [2, 3, 1]}
