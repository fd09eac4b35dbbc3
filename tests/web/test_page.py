"""The page's server side, as gradio's own client talks to it."""

import json
import os
import socket
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import pytest

from hvc_mm.apis import open_frames, propagate_in_video
from hvc_mm.datasets import write_id_mask
from hvc_mm.web.canvas import decode_runs, encode_runs
from hvc_mm.web.server import missing_for_page, serve
from hvc_mm.web.uploads import Limits

pytestmark = pytest.mark.skipif(
    bool(missing_for_page()), reason='the extra `web` is not installed'
)


@pytest.fixture
def page(tiny_model):
    """The address of a page that takes videos of up to 20 frames."""
    with serve(tiny_model, limits=Limits(frames=20, megabytes=1)) as url:
        yield url


@pytest.fixture
def connect(page):
    from gradio_client import Client

    clients = []

    def begin():
        clients.append(Client(page, verbose=False))
        return clients[-1]

    yield begin
    for client in clients:
        client.close()


def load(client, *paths):
    from gradio_client import handle_file

    files = [handle_file(str(path)) for path in paths]
    return client.predict(files, api_name='/load')


def painted(index, ids, name='square'):
    objects = [dict(id=i, name=f'{name} {i}') for i in range(1, ids.max() + 1)]
    value = dict(frame=index, runs=encode_runs(ids), objects=objects)
    return dict(value, size=list(ids.shape), edited=True, locked=False)


def test_load_propagate_look_and_download(
    connect, video, moving_square, tiny_model
):
    client, first = connect(), moving_square[1][0]
    canvas, report, frame, view, status, _ = load(client, video)
    assert frame['maximum'] == 7 and view == 'masks'
    assert status.endswith('Read: 8 of 8 frames')
    assert canvas['props']['picture'].startswith('data:image/jpeg;base64,')
    assert canvas['value']['runs'] == [0, 48 * 64]

    job = client.submit(painted(0, first), 0, 'masks', api_name='/propagate')
    *_, status, _ = job.result()
    assert status.endswith('Propagated: 8 of 8 frames')
    assert len(job.outputs()) > 1  # previews
    source = open_frames(video)
    expected = [
        m[0] for _, _, m in propagate_in_video(tiny_model, source, first)
    ]
    for t in (0, 5):
        canvas, report = client.predict(None, t, 'masks', api_name='/show')
        ids = decode_runs(canvas['value']['runs'], (48, 64))
        np.testing.assert_array_equal(ids == 1, expected[t])
        assert canvas['value']['frame'] == t and not canvas['value']['locked']
    plain = canvas['props']['picture']
    canvas, report = client.predict(None, 5, 'confidence', api_name='/show')
    assert canvas['value']['locked'] and canvas['props']['picture'] != plain
    assert 'confidence: square 1 0.' in report

    *_, status, files = client.predict(None, 5, 'masks', api_name='/make')
    files = [Path(path) for path in files['value']]
    assert [path.name for path in files] == [
        'square_masks.zip',
        'square_coco.json',
        'square_overlay.mp4',
    ]
    assert len(json.loads(files[1].read_text())['images']) == 8


def test_two_visitors_do_not_meet(connect, video, frame_folder, moving_square):
    one, other = connect(), connect()
    load(one, video)
    with pytest.raises(Exception, match='no video here .any more.; load one'):
        other.predict(None, 0, 'masks', api_name='/show')
    load(other, *sorted(frame_folder.iterdir()))
    first = moving_square[1][0]
    one.predict(painted(0, first, 'a'), 0, 'masks', api_name='/show')
    canvas, _ = other.predict(None, 0, 'masks', api_name='/show')
    assert canvas['value']['runs'] == [0, 48 * 64]
    assert canvas['value']['objects'] == [{'id': 1, 'name': 'object 1'}]
    canvas, _ = one.predict(None, 0, 'masks', api_name='/show')
    assert canvas['value']['objects'] == [{'id': 1, 'name': 'a 1'}]
    # Both run at once; one waits.
    jobs = [
        client.submit(painted(0, first), 0, 'masks', api_name='/propagate')
        for client in (one, other)
    ]
    for job in jobs:
        assert job.result()[4].endswith('Propagated: 8 of 8 frames')
    seen = [
        client.predict(None, 6, 'masks', api_name='/show')[0]['value']['runs']
        for client in (one, other)
    ]
    assert len(seen[0]) > 2 and len(seen[1]) > 2


def test_what_is_wrong_is_said_in_one_sentence(
    connect, tmp_path, video, moving_square
):
    client = connect()
    (tmp_path / 'notes.mp4').write_text('of the user')
    with pytest.raises(Exception) as caught:
        load(client, tmp_path / 'notes.mp4')
    assert str(caught.value).startswith('notes.mp4 is no video; expected mp4')
    for t in range(21):
        write_id_mask(tmp_path / f'long/{t}.png', moving_square[1][0])
    with pytest.raises(Exception, match='has more than 20 frames'):
        load(client, *(tmp_path / 'long').iterdir())
    (tmp_path / 'large.mp4').write_bytes(bytes(1_200_000))
    with pytest.raises(Exception, match='(?i)maximum allowed size|large'):
        load(client, tmp_path / 'large.mp4')
    load(client, video)
    with pytest.raises(Exception, match='no object yet; paint one first'):
        client.predict(None, 0, 'masks', api_name='/propagate')
    with pytest.raises(Exception, match='no masks to download'):
        client.predict(None, 0, 'masks', api_name='/make')
    with pytest.raises(Exception, match='cannot be read'):
        client.predict({'runs': [1]}, 0, 'masks', api_name='/show')


def test_files_of_the_machine_cannot_be_had(page, video):
    """A visitor names a file of the server instead of sending one."""
    call = f'{page}gradio_api/call/load'
    file = {'path': str(video), 'meta': {'_type': 'gradio.FileData'}}
    body = json.dumps({'data': [[file]]}).encode()
    header = {'Content-Type': 'application/json'}
    with urlopen(Request(call, body, header)) as reply:
        event = json.loads(reply.read())['event_id']
    with urlopen(f'{call}/{event}') as reply:
        text = reply.read().decode()
    assert 'event: error' in text and 'pictures' not in text
    assert video.is_file()


def test_only_this_machine_is_listened_to(page):
    port = int(page.rstrip('/').rsplit(':', 1)[1])
    assert page.startswith('http://127.0.0.1:')
    socket.create_connection(('127.0.0.1', port)).close()
    # Another loopback address stands for another machine's view.
    with pytest.raises(OSError):
        socket.create_connection(('127.0.0.2', port), timeout=2)


def test_a_port_that_is_taken(page, tiny_model):
    port = int(page.rstrip('/').rsplit(':', 1)[1])
    complaint = f'cannot listen at 127.0.0.1, port {port}: it is taken'
    with pytest.raises(OSError, match=complaint):
        with serve(tiny_model, port=port):
            pass


def test_nothing_is_left_when_the_server_ends(tiny_model, video):
    from gradio_client import Client

    with serve(tiny_model) as url:
        root = Path(os.environ['GRADIO_TEMP_DIR']).parent
        load(Client(url, verbose=False), video)
        assert list(root.glob('session-*/video_1/pictures/*.jpg'))
    assert not root.exists()
