"""Reports of several machines: runs once, and nothing that contradicts."""

import copy
import json

import pytest

from hvc_mm.scoreboard.merging import (
    merge_runs,
    read_report,
    tell_differences,
)
from hvc_mm.scoreboard.report import Scoreboard


@pytest.fixture
def run(whole):
    """Make a run, with changes by dotted key."""

    def made_of(name='small', **changes):
        made = copy.deepcopy(whole)
        made['backbone']['name'] = name
        for key, value in changes.items():
            *parents, last = key.split('__')
            inner = made
            for parent in parents:
                inner = inner[parent]
            inner[last] = value
        return made

    return made_of


@pytest.fixture
def write(tmp_path):
    def write(folder, *runs):
        path = tmp_path / folder
        path.mkdir(parents=True)
        text = json.dumps({'format': 2, 'runs': list(runs)})
        (path / 'scoreboard.json').write_text(text)
        return path

    return write


def merged(*texts):
    return merge_runs([read_report(str(text)) for text in texts])


def test_reports_are_joined_and_equal_runs_taken_once(run, write, tmp_path):
    other = run('other', strips='strips')
    one, two = write('one', run(), other), write('two', run('new'), run())
    (tmp_path / 'result.json').write_text(json.dumps(run('single')))
    runs = merged(one, two / 'scoreboard.json', tmp_path)
    names = [each['backbone']['name'] for each in runs]
    assert names == ['small', 'other', 'new', 'single']
    assert runs[0] == run()
    # Its pictures stay where they are.
    assert runs[1] == {**other, 'strips': None}
    # A time of its own, and a path of its own, are no other run.
    again = run(seconds_per_frame=3.0, backbone__weights={'b.pth': '0123'})
    assert merged(one, write('three', again))[0]['seconds_per_frame'] is None


@pytest.mark.parametrize(
    'change, reason',
    [
        (
            dict(scores={'J&F': 51.6, 'J': 50}),
            'the same setting and different',
        ),
        (
            dict(backbone__weights={'a.pth': '9'}),
            'different weights; name one',
        ),
        (dict(backbone__parameters=7), 'different networks'),
        (dict(benchmark__fingerprint='9'), 'different data'),
        (dict(protocol__text='radius=18'), 'different settings of the prot'),
        (dict(seed=1), 'different seeds'),
    ],
)
def test_runs_that_contradict_are_refused_by_name_and_file(
    run, write, change, reason
):
    one, two = write('one', run()), write('two', run(**change))
    files = f'{one}/scoreboard.json and {two}/scoreboard.json'
    with pytest.raises(ValueError) as error:
        merged(one, two)
    lines = str(error.value).splitlines()
    assert lines[0].startswith(
        f'small on davis by dino: {files} have {reason}'
    )
    # Under another name they are two.
    assert [r['backbone']['name'] for r in merged(one, f'mine={two}')] == [
        'small',
        'mine',
    ]


def test_one_name_for_two_files_of_weights_is_refused(run, write):
    """Though they were scored by different protocols."""
    change = dict(protocol__name='hvc', backbone__weights={'a.pth': '9'})
    one, two = write('one', run()), write('two', run(**change))
    with pytest.raises(ValueError, match='small: .* different weights under'):
        merged(one, two)


def test_a_name_for_a_report_of_several_backbones(run, write):
    one = write('one', run(), run('other'))
    names = [r['backbone']['name'] for r in merged(f'lab={one}')]
    assert names == ['lab-small', 'lab-other']


def test_what_cannot_be_compared_is_told(run, write):
    data = dict(benchmark__fingerprint='9', benchmark__counts=dict(videos=4))
    runs = [run(), run('b', **data), run('c', protocol__text='radius=18')]
    runs += [run('d'), run('e', protocol__name='hvc', **data)]
    told = tell_differences(runs)
    assert told == {
        ('b', 'davis', 'dino'): 'other data (4 of 30 videos) than small '
        '(1 of 30 videos): do not compare them',
        ('c', 'davis', 'dino'): 'other settings of the protocol than small '
        '(1 of 30 videos): do not compare them',
    }


@pytest.mark.parametrize(
    'text, message',
    [
        ('{"format": 2, "runs": [1]}', 'run 0 is no run but 1'),
        ('{"format": 2, "runs": [{"format": 2}]}', 'run 0: backbone is mis'),
        ('{"format": 2, "runs": {}}', 'format is 2; expected 2'),
        ('{"results": []}', 'format is None; expected 2'),
        ('[1]', 'expected a JSON object'),
        ('{', 'is damaged'),
    ],
)
def test_odd_reports_are_named(tmp_path, text, message):
    path = tmp_path / 'scoreboard.json'
    path.write_text(text)
    with pytest.raises(ValueError, match=f'{path}.*{message}'):
        read_report(str(path))


def test_a_report_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=f'no report {tmp_path}'):
        read_report(str(tmp_path))


def test_a_scoreboard_of_runs_that_were_read(run):
    runs = [run(), run('b', protocol__name=None), run('b')]
    board = Scoreboard.from_runs(runs)
    assert board.backbones[0].as_dict() == run()['backbone']
    assert board.as_dict()['runs'] == [runs[0], runs[2], runs[1]]
    rows = board.overview().splitlines()[2:]
    # No rows of what was not scored.
    assert [row.split(' | ')[:3] for row in rows] == [
        ['| small', 'dino', '51.5'],
        ['| b', 'dino', '51.5'],
        ['| b', 'own', '51.5'],
    ]
