"""Sessions: files apart, one job at a time, nothing left at the end."""

import shutil

import pytest

from hvc_mm.web.sessions import Sessions


@pytest.fixture
def sessions(tmp_path, tiny_model):
    (tmp_path / 'root').mkdir()
    return Sessions(tmp_path / 'root', tiny_model)


@pytest.fixture
def load(video, tmp_path):
    """Load a copy of the video into a session."""

    def run(session, path=video):
        upload = tmp_path / f'sent/{path.name}'
        upload.parent.mkdir(exist_ok=True)
        shutil.copy(path, upload)
        return list(session.run(session.load([upload])))

    return run


def test_each_has_its_own_video_and_files(sessions, load, moving_square):
    one, other = sessions.get('a'), sessions.get('b')
    assert sessions.get('a') is one and one is not other
    load(one)
    with pytest.raises(ValueError, match='no video here'):
        _ = other.work
    load(other)
    one.work.edit(0, moving_square[1][0])
    assert other.work.prompts() == {}
    assert one.folder != other.folder
    sessions.end('a')
    assert not one.folder.exists() and other.folder.exists()
    sessions.end('a')  # once more does no harm
    sessions.end('b')
    assert list(sessions.root.iterdir()) == []
    assert sessions.get('a') is not one


def test_a_new_video_takes_the_place_of_the_old_one(sessions, load):
    session = sessions.get('a')
    steps = load(session)
    assert (steps[-1].count, steps[-1].total) == (8, 8)
    old = session.work
    session.point = (0, 1, 1)
    load(session)
    assert session.work is not old and not old.folder.exists()
    assert session.point is None


@pytest.mark.parametrize(
    'name, content, complaint',
    [
        (
            'cut.mp4',
            b'\0\0\0\x18ftypmp42' + bytes(99),
            'cannot read the video cut.mp4: ',
        ),
        ('a.png', b'\x89PNG', 'cannot read the image frames/a.png: '),
        ('a.mp4', b'text', 'a.mp4 is no video; '),
    ],
)
def test_what_cannot_be_used_leaves_the_old_one(
    sessions, load, tmp_path, name, content, complaint
):
    session = sessions.get('a')
    load(session)
    old = session.work
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError) as caught:
        load(session, tmp_path / name)
    assert str(caught.value).startswith(complaint)
    assert session.work is old
    assert list(session.folder.iterdir()) == [old.folder]


def test_one_job_at_a_time_until_it_is_stopped(sessions, load, moving_square):
    session = sessions.get('a')
    load(session)
    session.work.edit(0, moving_square[1][0])
    job = session.run(session.work.propagate())
    assert next(job).count == 1 and session.is_busy
    with pytest.raises(ValueError, match='under way: wait for it, or stop'):
        next(session.run(session.work.propagate()))
    session.stop()
    assert list(job) == [] and not session.is_busy
    assert session.work.done == 1
    assert len(list(session.run(session.work.propagate()))) == 8


def test_a_session_that_ends_in_the_middle_of_a_job(
    sessions, load, moving_square
):
    session = sessions.get('a')
    load(session)
    session.work.edit(0, moving_square[1][0])
    job = session.run(session.work.propagate())
    next(job)
    sessions.end('a')
    assert list(job) == []
    assert not session.folder.exists()


def test_a_job_that_nobody_goes_on_with(sessions, load, video):
    session = sessions.get('a')
    load(session)
    old = session.work
    job = session.run(session.load([video]))
    next(job)
    job.close()
    assert not session.is_busy and session.work is old
    assert list(session.folder.iterdir()) == [old.folder]
