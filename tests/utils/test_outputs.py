"""What a run reads stays, and so does what no run wrote."""

import os

import pytest

from hvc_mm.utils.outputs import (
    MANIFEST,
    check_outputs,
    claim_file,
    claim_folder,
    listed_file,
)


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A folder of frames, a mask in another one; a link to the frames."""
    for path in ('data/frames/a', 'data/masks'):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / 'data/frames/a/0.jpg').touch()
    (tmp_path / 'data/masks/0.png').touch()
    (tmp_path / 'link').symlink_to('data/frames')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out/a').symlink_to('../data/frames/a')
    monkeypatch.chdir(tmp_path)
    return ['data/frames', 'data/masks/0.png', 'https://somewhere/w.pth']


@pytest.mark.parametrize(
    'output, relation',
    [
        ('data/frames', 'is data/frames'),
        ('data/masks/../frames/', 'is data/frames'),
        ('link', 'is data/frames'),
        ('data/frames/b/new', 'is in data/frames'),
        ('data/frames/a/0.jpg', 'is in data/frames'),
        ('link/new.mp4', 'is in data/frames'),
        ('out', 'is in data/frames'),
        ('data', 'contains data/frames'),
        ('.', 'contains data/frames'),
        ('data/masks', 'contains data/masks/0.png'),
        ('data/masks/0.png', 'is data/masks/0.png'),
    ],
)
def test_outputs_that_touch_an_input(data, output, relation):
    with pytest.raises(ValueError, match=f'output {output}.* {relation},'):
        check_outputs(['new', output], data)


def test_outputs_next_to_inputs(data):
    places = ('data/new', 'data/frames2', 'data/masks/1.png', 'out/b.mp4')
    check_outputs(places, data)
    check_outputs(['data/masks/frames'], [*data, 'data/gone/masks'])


def test_names_are_compared_as_the_file_system_does(data):
    if not os.path.exists('DATA'):
        check_outputs(['DATA/FRAMES'], data)
        pytest.skip('names of other case are other files here')
    with pytest.raises(ValueError, match='is data/frames'):
        check_outputs(['DATA/FRAMES'], data)


def _write(folder, *names):
    """What a run does."""
    claim_folder(folder)
    for name in names:
        with listed_file(folder / name, folder) as partial:
            partial.write_text(name)


def _names(folder):
    files = (p for p in folder.rglob('*') if p.is_file())
    names = {p.relative_to(folder).as_posix() for p in files}
    return names - {MANIFEST}


def test_an_earlier_run_is_replaced(tmp_path):
    _write(tmp_path, 'a/0.png', 'a/1.png', 'b/0.png')
    _write(tmp_path, 'a/0.png')
    assert _names(tmp_path) == {'a/0.png'}
    assert not (tmp_path / 'b').exists()
    _write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_killed_run_is_replaced(tmp_path):
    _write(tmp_path, '0.png', '1.png')
    (tmp_path / '.2.png.4194305-1.partial').touch()
    with open(tmp_path / MANIFEST, 'a') as file:
        file.write('{"name": "2.p')
    _write(tmp_path, '0.png')
    assert _names(tmp_path) == {'0.png'}


def _changed(folder):
    (folder / 'a/1.png').write_text('of somebody')
    return 'a/1.png'


def _new(folder):
    (folder / 'a/notes.txt').write_text('of somebody')
    return 'a/notes.txt'


def _linked(folder):
    (folder / 'b').symlink_to(folder / 'a')
    return 'b'


@pytest.mark.parametrize('change', [_changed, _new, _linked])
def test_what_no_run_wrote_is_kept(tmp_path, change):
    _write(tmp_path, 'a/0.png', 'a/1.png')
    name = change(tmp_path)
    before = _names(tmp_path)
    with pytest.raises(FileExistsError, match=rf'holds .*{name}.*--force'):
        claim_folder(tmp_path)
    assert _names(tmp_path) == before
    claim_folder(tmp_path, force=True)
    kept = {'a/notes.txt'} if change is _new else set()
    assert _names(tmp_path) == ({'a/1.png'} if change is _changed else kept)
    assert (tmp_path / name).exists() or change is _linked


def test_a_manifest_cannot_name_files_elsewhere(tmp_path):
    victim = tmp_path / 'victim'
    victim.write_text('abc')
    folder = tmp_path / 'out'
    folder.mkdir()
    (folder / 'link').symlink_to(victim)
    lines = [
        f'{{"name": "{name}", "size": 3, "single": false}}'
        for name in ('../victim', victim, 'link')
    ]
    lines += ['[]', '{"name": 1}', 'noise']
    (folder / MANIFEST).write_text('\n'.join(lines))
    claim_folder(folder, force=True)
    assert victim.read_text() == 'abc'


def test_a_file_is_replaced_when_the_next_one_is_complete(tmp_path):
    path = tmp_path / 'new/a.mp4'
    for text in ('first', 'second run'):
        claim_file(path)
        with listed_file(path) as partial:
            partial.write_text(text)
            assert not path.exists() or path.read_text() == 'first'
        assert path.read_text() == text
    # A folder's claim leaves it alone, and the next run knows it still.
    _write(path.parent, '0.png')
    assert _names(path.parent) == {'a.mp4', '0.png'}
    claim_file(path)
    path.write_text('of somebody')
    with pytest.raises(FileExistsError, match=r'a\.mp4 exists.*--force'):
        claim_file(path)
    claim_file(path, force=True)
    assert path.read_text() == 'of somebody'


def test_what_killed_writers_of_a_file_left_is_removed(tmp_path):
    dead = '4194305-1.partial'
    (tmp_path / f'.a.{dead}.json').touch()
    # `write_json` in `listed_file`.
    (tmp_path / f'..a.{dead}.{dead}.json').touch()
    (tmp_path / f'.b.{dead}.json').touch()
    claim_file(tmp_path / 'a.json')
    assert [p.name for p in tmp_path.iterdir()] == [f'.b.{dead}.json']


def test_claims_one_within_the_other(tmp_path):
    """Pictures in a folder, masks in a folder below."""
    for names in (('0.png', '1.png'), ('0.png',)):
        for folder in (tmp_path, tmp_path / 'masks'):
            _write(folder, *names)
        below = {f'masks/{name}' for name in (*names, MANIFEST)}
        assert _names(tmp_path) == {*names, *below}


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(NotADirectoryError, match='file is a file'):
        claim_folder(tmp_path / 'file')
    with pytest.raises(IsADirectoryError, match='is a folder'):
        claim_file(tmp_path)
    for claim in (claim_folder, claim_file):
        with pytest.raises(OSError, match='file'):
            claim(tmp_path / 'file/new')
    if os.getuid():
        (tmp_path / 'closed').mkdir(mode=0o500)
        with pytest.raises(PermissionError, match='closed'):
            claim_folder(tmp_path / 'closed')
