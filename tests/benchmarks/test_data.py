"""The data benchmark times the recipe's own pipeline."""

import argparse

import numpy as np
import pytest
from PIL import Image

from hvc_mm.benchmarks import data


def run(images, number):
    parser = argparse.ArgumentParser()
    data.add_arguments(parser)
    args = parser.parse_args(
        ['--images', str(images), '--number', str(number)]
    )
    vars(args).update(device='cpu', quick=True, repeats=1)
    return data.run(args)


def test_every_step_is_timed(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    for name in 'ab':
        Image.fromarray(noise).save(tmp_path / f'{name}.jpg')
    report = run(tmp_path, number=5)
    each = {row['what']: row['ms an image'] for row in report.rows}
    assert list(each)[:3] == [
        'LoadPretrainImage',
        'PairedRandomResizedCrop',
        'PackPairedViews',
    ]
    assert each['PairedRandomResizedCrop'] > 0
    steps = [*list(each)[:3], 'collate']
    assert each['a worker, all of it'] == pytest.approx(
        sum(each[name] for name in steps)
    )
    whole = each['a worker, all of it']
    assert report.verdict() == f'images a second and core {1e3 / whole:.0f}'


def test_broken_images_alone_are_an_error(tmp_path):
    (tmp_path / 'broken.jpg').write_bytes(b'no image')
    with pytest.raises(ValueError, match='none of 3 images'):
        run(tmp_path, number=3)
