"""Parts: ids of VIP, cloth with a texture, boxes centred on joints."""

import numpy as np
import pytest

from hvc_mm.datasets.sample.polygons import polygon_area
from hvc_mm.datasets.sample.puppet import JOINTS
from hvc_mm.datasets.sample.wardrobe import (
    DETAIL,
    body_parts,
    head_piece,
    tailor,
)


def test_ids_are_those_of_vip():
    from hvc_mm.datasets.vip import PARTS

    named = {part.name: PARTS[part.label] for part in body_parts()}
    assert named['left forearm'] == 'left arm'
    assert named['right forearm'] == 'right arm'
    assert named['left shin'] == 'left leg'
    assert named['right shin'] == 'right leg'
    assert named['left foot'] == 'left shoe'
    assert named['right foot'] == 'right shoe'
    assert named['left hand'] == named['right hand'] == 'gloves'
    assert named['left thigh'] == named['right thigh'] == 'pants'
    assert named['trunk'] == named['left sleeve'] == 'upper clothes'


@pytest.mark.parametrize('index', range(len(body_parts())))
def test_part(index, photos):
    part = body_parts()[index]
    assert all(joint in JOINTS for joint in part.joints)
    piece = tailor(index)
    expected = polygon_area(part.outline) * DETAIL**2
    assert piece.extent**2 == pytest.approx(expected)
    assert piece.alpha.sum() == pytest.approx(expected, rel=0.02)
    # The outline lies about the box's centre as it lies about the joints.
    rows, columns = np.nonzero(piece.alpha >= 0.5)
    height, width = piece.alpha.shape
    low, high = part.outline.min(axis=0), part.outline.max(axis=0)
    seen = (
        (columns.min() - width / 2) / DETAIL,
        (rows.min() - height / 2) / DETAIL,
        (columns.max() + 1 - width / 2) / DETAIL,
        (rows.max() + 1 - height / 2) / DETAIL,
    )
    assert np.allclose(seen, (*low, *high), atol=1.5 / DETAIL)
    assert piece.image[piece.alpha == 1].std() > 8


def test_head(photos):
    """The nose, the box's centre, is face; above it comes hair."""
    face, hair = head_piece('face'), head_piece('hair')
    middle = face.alpha.shape[0] // 2
    assert face.alpha.shape == hair.alpha.shape
    assert face.alpha[middle, middle] == 1
    rows_of_hair = np.nonzero(hair.alpha[:, middle])[0]
    rows_of_face = np.nonzero(face.alpha[:, middle])[0]
    assert rows_of_hair.min() < rows_of_face.min()
    assert rows_of_hair.max() < rows_of_face.max()
