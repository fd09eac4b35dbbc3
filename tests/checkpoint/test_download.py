"""Downloads from a server on this machine: whole, cut off, refused."""

import hashlib
import threading

import numpy as np
import pytest

from hvc_mm.checkpoint import download as module
from hvc_mm.checkpoint.download import download

CONTENT = np.random.default_rng(0).bytes(3_000_000)


@pytest.fixture
def file(server, tmp_path):
    server.files['a.bin'] = CONTENT
    return tmp_path / 'kept/a.bin'


def test_once_and_only_once(server, file):
    for _ in range(2):
        download(server.url('a.bin'), file)
        assert file.read_bytes() == CONTENT
    assert server.asked == [('a.bin', None)]
    assert not list(file.parent.glob('*.partial'))


def test_it_goes_on_after_cuts_in_one_call(server, file):
    server.cuts = [1_000_000, 500_000]
    download(server.url('a.bin'), file)
    assert file.read_bytes() == CONTENT
    ranges = [wanted for _, wanted in server.asked]
    assert ranges == [None, 'bytes=1000000-', 'bytes=1500000-']


def test_a_later_call_goes_on_where_an_earlier_one_ended(server, file):
    server.cuts = [1000, 1000, 1000]
    with pytest.raises(OSError, match='cut off after 3000 of 3000000 bytes'):
        download(server.url('a.bin'), file)
    assert not file.exists()
    download(server.url('a.bin'), file)
    assert server.asked[-1] == ('a.bin', 'bytes=3000-')
    assert file.read_bytes() == CONTENT


def test_a_server_without_ranges_begins_again(server, file):
    server.has_ranges = False
    server.cuts = [1_000_000]
    download(server.url('a.bin'), file)
    assert file.read_bytes() == CONTENT


def test_what_is_longer_than_the_file_is_thrown_away(server, file):
    """The server has another file under this name by now."""
    file.parent.mkdir()
    (file.parent / 'a.bin.partial').write_bytes(CONTENT + b'more')
    download(server.url('a.bin'), file)
    assert file.read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == ['bytes=3000004-', None]


def test_a_checksum_is_believed_or_the_file_is_not(server, file):
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(ValueError, match=f'md5 {"." * 8}, expected 00000000'):
        download(server.url('a.bin'), file, 'md5', '00000000')
    assert not list(file.parent.glob('a.bin*'))
    download(server.url('a.bin'), file, 'sha256', sha256[:8])
    assert file.read_bytes() == CONTENT


def test_what_is_not_there_is_asked_for_once(server, file):
    with pytest.raises(OSError, match='404'):
        download(server.url('b.bin'), file.with_name('b.bin'))
    assert server.asked == [('b.bin', None)]


def test_a_server_that_says_nothing(monkeypatch, tmp_path):
    import socket

    monkeypatch.setattr(module, 'TIMEOUT', 0.1)
    with socket.create_server(('127.0.0.1', 0)) as silent:
        url = f'http://127.0.0.1:{silent.getsockname()[1]}/a.bin'
        with pytest.raises(OSError, match='timed out'):
            download(url, tmp_path / 'a.bin')


def test_many_at_once_download_once(server, file):
    url = server.url('a.bin')
    threads = [
        threading.Thread(target=download, args=(url, file)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.read_bytes() == CONTENT and len(server.asked) == 1
