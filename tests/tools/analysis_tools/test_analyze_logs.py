"""Curves and times from logs."""

import json
from functools import partial

import mmcv
import numpy as np
import pytest


@pytest.fixture
def tool(load_tool):
    return load_tool('analysis_tools/analyze_logs.py')


@pytest.fixture
def work_dir(tmp_path):
    """A run of ten log lines, one score, and a line that a kill cut off."""
    lines = [
        dict(loss=1.0 - t / 10, time=5.0 if t == 0 else 0.2, step=10 * t + 10)
        for t in range(10)
    ]
    for line in lines:
        line['data_time'] = line['time'] / 4
    lines.append({'davis/J&F': 0.5, 'step': 1})
    log = tmp_path / 'run/20260101_000000/vis_data/scalars.json'
    log.parent.mkdir(parents=True)
    text = '\n'.join(json.dumps(line) for line in lines)
    log.write_text(text + '\n{"loss": 0.')
    older = tmp_path / 'run/20250101_000000/vis_data/scalars.json'
    older.parent.mkdir(parents=True)
    older.write_text('{"loss": 9}')
    return tmp_path / 'run'


@pytest.fixture
def call(call_tool):
    return partial(call_tool, 'analysis_tools/analyze_logs.py')


def test_smoothing_is_the_mean_of_the_last(tool):
    values = np.array([1.0, 3, 5, 7])
    np.testing.assert_allclose(tool.smoothed(values, 1), values)
    np.testing.assert_allclose(tool.smoothed(values, 3), [1, 2, 3, 5])


def test_plot_draws_a_falling_line(call, work_dir, tmp_path):
    out = tmp_path / 'new/curves.png'
    call('plot', work_dir, '--out', out)
    picture = mmcv.imread(str(out)).astype(int)
    # matplotlib's first colour is blue, BGR 180 119 31.
    blue = np.abs(picture - (180, 119, 31)).sum(-1) < 40
    # The legend has a piece of line too, in the upper right.
    left = np.nonzero(blue[:, : picture.shape[1] // 3])[0].mean()
    rows, columns = np.nonzero(blue)
    right = rows[columns > 0.9 * columns.max()].max()
    assert blue.sum() > 200 and left < right


def test_plot_of_several_logs(call, work_dir, tmp_path):
    out = tmp_path / 'two.png'
    logs = [work_dir, next(work_dir.glob('2026*/vis_data/*'))]
    call(
        *('plot', *logs, '--out', out, '--smooth', 3),
        *('--keys', 'loss', 'time', '--legend', 'a', 'b'),
    )
    assert out.stat().st_size > 5000


def test_time_leaves_the_first_line_out(call, work_dir, capsys):
    call('time', work_dir)
    text = capsys.readouterr().out
    assert 'mean 0.2000 s' in text and 'slowest 0.2000' in text
    assert 'data: mean 0.0500 s (25.0%)' in text
    call('time', work_dir, '--skip', 0)
    assert 'slowest 5.0000' in capsys.readouterr().out


def test_errors(call, work_dir, tmp_path):
    with pytest.raises(SystemExit, match='no log .*gone'):
        call('time', tmp_path / 'gone')
    with pytest.raises(SystemExit, match="no 'lss'.*loss, step"):
        call('plot', work_dir, '--keys', 'lss')


def test_pictures_are_written_over_no_file_of_others(call, work_dir, tmp_path):
    out = tmp_path / 'curves.png'
    for _ in range(2):
        call('plot', work_dir, '--out', out)
    out.write_text('mine')
    with pytest.raises(SystemExit, match=f'error: {out} exists already'):
        call('plot', work_dir, '--out', out)
    assert out.read_text() == 'mine'
    log = max(work_dir.rglob('scalars.json'))
    before = log.read_bytes()
    with pytest.raises(SystemExit, match='which this run reads'):
        call('plot', log, '--out', log, '--force')
    assert log.read_bytes() == before
    call('plot', work_dir, '--out', out, '--force')
    assert out.stat().st_size > 5000
