"""Masks written in the background: all of them, and errors come back."""

import threading

import numpy as np
import pytest

from hvc_mm.datasets.image_io import read_id_mask
from hvc_mm.evaluation.metrics import mask_writer
from hvc_mm.evaluation.metrics.mask_writer import MaskWriter


def _mask(i):
    return np.full((5, 7), i, np.uint8)


def test_every_mask_is_on_the_disk_after_flush(tmp_path):
    writer = MaskWriter(tmp_path / 'out')
    for i in range(30):
        writer.write(f'video{i % 2}', f'{i:05d}', _mask(i))
    writer.flush()
    assert sum(1 for _ in (tmp_path / 'out').rglob('*')) == 32
    for i in range(30):
        path = tmp_path / f'out/video{i % 2}/{i:05d}.png'
        np.testing.assert_array_equal(read_id_mask(path), _mask(i))
    writer.write('more', '0', _mask(1))  # it can be used again
    writer.flush()
    assert (tmp_path / 'out/more/0.png').is_file()


def test_few_masks_wait(tmp_path, monkeypatch):
    """A disk that stalls holds `write` up instead of filling memory."""
    go = threading.Event()
    monkeypatch.setattr(mask_writer, 'write_id_mask', lambda *_: go.wait(10))
    writer = MaskWriter(tmp_path)
    for i in range(8):
        writer.write('v', str(i), _mask(i))
    ninth = threading.Thread(target=writer.write, args=('v', '8', _mask(8)))
    ninth.start()
    ninth.join(0.1)
    assert ninth.is_alive() and len(writer._pending) <= 8
    go.set()
    ninth.join(10)
    assert not ninth.is_alive()
    writer.flush()


def test_errors_come_back(tmp_path):
    (tmp_path / 'video').write_text('a file where a folder should be')
    writer = MaskWriter(tmp_path)
    writer.write('video', '0', _mask(0))
    with pytest.raises(OSError, match='video'):
        writer.flush()
    writer.write('video', '0', _mask(0))
    with pytest.raises(OSError, match='video'):
        for _ in range(20):
            writer.write('other', '0', _mask(0))
    writer.flush()


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(NotADirectoryError, match='file'):
        MaskWriter(tmp_path / 'file')
