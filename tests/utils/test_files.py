import json
import os
import subprocess
import sys

import pytest

from hvc_mm.utils.files import remove_abandoned, whole_file, write_json


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / 'new' / 'a.txt'
    with whole_file(path) as partial:
        partial.write_text('one')
        assert not path.exists()
    assert path.read_text() == 'one'
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_older_file(tmp_path):
    path = tmp_path / 'a.json'
    write_json(path, {'a': 1})
    with pytest.raises(KeyError), whole_file(path) as partial:
        partial.write_text('half')
        raise KeyError
    with pytest.raises(TypeError):
        write_json(path, {'a': object()})
    assert json.loads(path.read_text()) == {'a': 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_names_the_file_and_leaves_the_older_one(
    tmp_path, file_limit
):
    path = tmp_path / 'a.json'
    write_json(path, {'a': 1})
    with file_limit(1000), pytest.raises(OSError, match=r"'.*/a\.json'$"):
        write_json(path, {'a': 'long' * 1000})
    assert json.loads(path.read_text()) == {'a': 1}
    assert list(tmp_path.iterdir()) == [path]


_KILLED = """
import os, signal
from hvc_mm.utils.files import whole_file

with whole_file('new/a.png') as partial:
    partial.write_text('half')
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_is_removed(tmp_path, root_dir):
    env = {**os.environ, 'PYTHONPATH': str(root_dir)}
    subprocess.run([sys.executable, '-c', _KILLED], cwd=tmp_path, env=env)
    (left,) = (tmp_path / 'new').iterdir()
    assert left.suffix == '.png' and left.name != 'a.png'
    other = tmp_path / 'new/.a.partial'
    other.touch()
    running = left.with_name('.b.1-2.partial')  # process 1 is always there
    running.touch()
    remove_abandoned(tmp_path)
    assert {*(tmp_path / 'new').iterdir()} == {other, running}
