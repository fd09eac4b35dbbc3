"""A server on this machine that may cut off, and a cache of its own."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch


class Server(ThreadingHTTPServer):
    """Serves what a test puts into ``files``, by its path."""

    def __init__(self):
        super().__init__(('127.0.0.1', 0), _Handler)
        self.files = {}
        self.asked = []  # pairs: path, range
        self.cuts = []  # after how many bytes the next answers end
        self.has_ranges = True

    def url(self, path):
        return f'http://127.0.0.1:{self.server_port}/{path}'


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, path = self.server, self.path.lstrip('/')
        wanted = self.headers.get('Range')
        server.asked.append((path, wanted))
        if path not in server.files:
            return self.send_error(404)
        content, start = server.files[path], 0
        if wanted and server.has_ranges:
            start = int(re.fullmatch(r'bytes=(\d+)-', wanted)[1])
            if start >= len(content):
                return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header('Content-Length', str(len(content) - start))
        self.end_headers()
        cut = server.cuts.pop(0) if server.cuts else None
        self.wfile.write(content[start:][:cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Torch's hub cache, empty."""
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    return tmp_path / 'hub/checkpoints'
