"""Plain folders: the names and counts, masks of MSRA10k."""

import cv2
import numpy as np
import pytest

from hvc_mm.datasets.sample.folders import images_per_folder, saliency_mask
from hvc_mm.datasets.sample.stills import Still

PHOTOGRAPHS = {
    'images': 'photo_0001.jpg',
    'Static/JPEGImages/COCO': '000000000001.jpg',
    'Static/JPEGImages/MSRA10K': '1.jpg',
    'Static/JPEGImages/PASCAL': '2008_000001.jpg',
    'VOCdevkit/VOC2012/JPEGImages': '2008_000001.jpg',
}


@pytest.mark.parametrize('folder', PHOTOGRAPHS)
def test_photographs(sample, spec, folder):
    paths = sorted((sample / folder).iterdir())
    assert len(paths) == images_per_folder(spec)
    assert paths[0].name == PHOTOGRAPHS[folder]
    assert all(cv2.imread(str(path)) is not None for path in paths)


def test_msra_has_masks_beside_its_photographs(sample, spec):
    folder = sample / 'MSRA10K_Imgs_GT/Imgs'
    photographs = sorted(folder.glob('*.jpg'))
    masks = sorted(folder.glob('*.png'))
    assert len(photographs) == images_per_folder(spec)
    assert [p.stem for p in masks] == [p.stem for p in photographs]
    for photograph, mask in zip(photographs, masks):
        values = cv2.imread(str(mask))
        assert values.shape == cv2.imread(str(photograph)).shape
        assert set(np.unique(values).tolist()) <= {0, 255}


def test_saliency_mask_is_the_union():
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], float)
    image = np.zeros((8, 10, 3), np.uint8)
    still = Still(image, (('cat', square), ('dog', square + (2, 2))))
    mask = saliency_mask(still)
    expected = np.zeros((8, 10), np.uint8)
    expected[:4, :4] = expected[2:6, 2:6] = 255
    assert np.array_equal(mask, expected)


def test_our_data_set_reads_it(sample, spec):
    from hvc_mm.datasets.pretrain_images import ImageFolderDataset

    for folder in PHOTOGRAPHS:
        dataset = ImageFolderDataset(data_root=str(sample / folder))
        assert len(dataset) == images_per_folder(spec)
