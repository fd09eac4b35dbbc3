"""Files appear when they are complete, or not at all."""

import json

import pytest

from hvc_mm.utils.whole_files import whole_file, write_json


def test_json_files_are_whole_or_absent(tmp_path):
    path = tmp_path / 'new' / 'x.json'
    write_json(path, {'a': 1})
    with pytest.raises(TypeError):
        write_json(path, {'a': object()})
    with pytest.raises(KeyError), whole_file(path) as partial:
        partial.write_text('half')
        raise KeyError
    assert json.loads(path.read_text()) == {'a': 1}
    assert [p.name for p in path.parent.iterdir()] == ['x.json']
