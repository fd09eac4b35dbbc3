"""Earlier results that are damaged, odd, or of another run."""

import json

import pytest

from hvc_mm.scoreboard.results import read_entries, read_result

SAME = dict(backbone='small', benchmark='davis', key='abc')
WHOLE = dict(
    **SAME,
    unit='percent',
    scores={'J&F': 51.5, 'J': 50},
    sequences=dict(one=51.5),
    curves=dict(one=[50.0, 51.0]),
    seconds_per_frame=None,
    protocol='text',
    input_size=[240, 432],
    counts=dict(videos=1),
    whole=dict(name='DAVIS-2017 val', videos=30),
    weights={},
    seed=0,
    ran_with='torch',
)


def test_a_whole_result_is_read(tmp_path):
    path = tmp_path / 'result.json'
    path.write_text(json.dumps(WHOLE))
    assert read_result(path, SAME) == WHOLE


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(key='other'), "key is 'other'; expected 'abc'"),
        (dict(unit='fraction'), "unit is 'fraction'; expected 'percent'"),
        (dict(scores=[51.5]), r'scores is \[51.5\]; expected a dict'),
        (dict(scores={}), 'no percentages of anything'),
        (dict(scores={'J&F': 5150.0}), "no percentages of .'J&F'"),
        (dict(scores={'J&F': float('nan')}), 'scores is .*nan'),
        (dict(curves=dict(one='50')), 'curves is'),
        (dict(seed=None, counts=None), 'counts is None; expected a dict'),
    ],
)
def test_an_odd_result_is_refused(tmp_path, change, message):
    path = tmp_path / 'result.json'
    path.write_text(json.dumps({**WHOLE, **change}))
    with pytest.raises(ValueError, match=f'{path}: {message}'):
        read_result(path, SAME)


@pytest.mark.parametrize('text', ['', '{"unit": ', '[1]', '[' * 10**5])
def test_damaged_files_are_named(tmp_path, text, capsys):
    path = tmp_path / 'one.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=f'^{path} (is damaged|holds)'):
        read_result(path, SAME)
    (tmp_path / 'two.json').write_text('{"a": 1}')
    found = read_entries(tmp_path, ['one', 'two', 'three'])
    assert found == {'two': {'a': 1}}
    assert f'{path}' in capsys.readouterr().out
