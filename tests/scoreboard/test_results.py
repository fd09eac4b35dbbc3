"""Earlier results that are damaged, odd, or of another run."""

import copy
import json

import pytest

from hvc_mm.scoreboard.results import (
    read_entries,
    read_result,
    refuse_older,
)

SAME = {
    'backbone.name': 'small',
    'benchmark.name': 'davis',
    'protocol.name': 'dino',
    'key': 'abc',
}


def test_a_whole_result_is_read(whole, tmp_path):
    path = tmp_path / 'result.json'
    path.write_text(json.dumps(whole))
    assert read_result(path, SAME) == whole


@pytest.mark.parametrize(
    'change, message',
    [
        (dict(key='other'), "key is 'other'; expected 'abc'"),
        (dict(unit='fraction'), "unit is 'fraction'; expected 'percent'"),
        (dict(scores=[51.5]), r'scores is \[51.5\]; expected a dict'),
        (dict(scores={}), 'scores has no J&F'),
        (dict(scores={'J&F': 5150.0}), '.*5150.* no percentages'),
        (dict(sequences=dict(one={'J': -1.0})), '.*-1.0.* no percentages'),
        (dict(sequences=dict(one=51.5)), 'sequences is'),
        (dict(format=None), 'format is None; expected 2'),
        (dict(protocol='text'), 'protocol is .text.; expected a dict'),
        (dict(scores={'J&F': float('nan')}), 'scores is .*nan'),
        (dict(curves=dict(one='50')), 'curves is'),
        (dict(versions=dict(torch=30)), 'versions.torch is 30; expected'),
        (dict(versions=dict(threads='2')), "versions.threads is '2'; expect"),
    ],
)
def test_an_odd_result_is_refused(whole, tmp_path, change, message):
    path = tmp_path / 'result.json'
    path.write_text(json.dumps({**whole, **change}))
    with pytest.raises(ValueError, match=f'{path}: {message}'):
        read_result(path, SAME)


@pytest.mark.parametrize(
    'path, message',
    [
        ('pooled', None),
        ('pooled.videos', 'pooled.videos is None; expected a dict'),
        ('pooled.videos.one.denominators', 'denominators is None'),
        ('benchmark.counts', 'counts is None; expected a dict'),
        ('protocol.model.codec', 'protocol.model.codec is None'),
        ('protocol.input_size', None),
        ('protocol.name', "protocol.name is None; expected 'dino'"),
        ('backbone.stride', 'backbone.stride is None; expected a number'),
    ],
)
def test_nested_fields_are_checked(whole, tmp_path, path, message):
    *parents, last = path.split('.')
    changed = inner = copy.deepcopy(whole)
    for key in parents:
        inner = inner[key]
    inner[last] = None
    (tmp_path / 'result.json').write_text(json.dumps(changed))
    if message is None:  # this one may be missing
        assert read_result(tmp_path / 'result.json', SAME) == changed
        return
    with pytest.raises(ValueError, match=message):
        read_result(tmp_path / 'result.json', SAME)


def test_counts_of_the_whole_benchmark_are_numbers(whole, tmp_path):
    whole = copy.deepcopy(whole)
    whole['benchmark']['whole'] = dict(name='DAVIS', videos='2.6.0')
    (tmp_path / 'result.json').write_text(json.dumps(whole))
    with pytest.raises(ValueError, match="whole.videos is '2.6.0'; expected"):
        read_result(tmp_path / 'result.json', SAME)


@pytest.mark.parametrize(
    'share, message',
    [
        (dict(numerators={'J': [1.0]}), r"one has \['J'\]; expected"),
        (dict(denominators=[2, 3]), r'lists of \[1, 2\] numbers'),
    ],
)
def test_what_scores_are_made_of_is_checked(whole, tmp_path, share, message):
    changed = copy.deepcopy(whole)
    changed['pooled']['videos']['one'].update(share)
    (tmp_path / 'result.json').write_text(json.dumps(changed))
    with pytest.raises(ValueError, match=message):
        read_result(tmp_path / 'result.json', SAME)


def test_a_field_that_is_missing_is_named(whole, tmp_path):
    path = tmp_path / 'result.json'
    for name in set(whole) - {'format'}:
        left = {key: value for key, value in whole.items() if key != name}
        path.write_text(json.dumps(left))
        with pytest.raises(ValueError, match=f'{path}: {name} is missing'):
            read_result(path, SAME)


def test_the_report_of_an_earlier_version_is_refused(tmp_path):
    path = tmp_path / 'scoreboard.json'
    refuse_older(path)  # nothing is there
    path.write_text('{"results": []}')
    with pytest.raises(ValueError, match=f'{path} is of an earlier version'):
        refuse_older(path)
    path.write_text('{"format": 2, "runs": []}')
    refuse_older(path)


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
