"""Labels are readable and stay in the picture."""

import numpy as np
import pytest

from hvc_mm.visualization.text import draw_label, text_scale


@pytest.mark.parametrize('centre', [(50, 40), (-20, -20), (500, 500)])
def test_label_is_light_on_dark_wherever_it_is_asked_for(centre):
    image = np.full((80, 100, 3), 128, np.uint8)
    draw_label(image, 'bear', centre)
    assert (image > 200).all(-1).sum() > 20
    assert (image < 50).all(-1).sum() > 20


def test_label_lies_about_its_centre():
    image = np.full((100, 200, 3), 128, np.uint8)
    draw_label(image, '12', (120, 60))
    y, x = np.nonzero((image != 128).any(-1))
    assert abs(x.mean() - 120) < 3 and abs(y.mean() - 60) < 3


def test_scale_grows_with_the_picture():
    sizes = [(100, 100), (480, 854), (1080, 1920), (4000, 4000)]
    scales = [text_scale(np.empty((*size, 3))) for size in sizes]
    assert scales == sorted(scales) and len(set(scales)) == 4
