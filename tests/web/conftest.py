"""A video that is being worked on."""

import pytest

from hvc_mm.web.uploads import Limits, save_pictures, take_upload
from hvc_mm.web.video_work import VideoWork


@pytest.fixture
def open_work(tmp_path, tiny_model):
    """Begin to work on a copy of a file."""

    def begin(path, folder='work'):
        folder = tmp_path / folder
        upload = tmp_path / f'sent/{path.name}'
        upload.parent.mkdir(exist_ok=True)
        upload.write_bytes(path.read_bytes())
        source = take_upload([upload], folder, Limits())
        for _ in save_pictures(source, folder, Limits()):
            pass
        return VideoWork(folder, source, tiny_model)

    return begin


@pytest.fixture
def work(open_work, video):
    """The moving square's video."""
    return open_work(video)
