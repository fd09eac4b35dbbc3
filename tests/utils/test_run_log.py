import json

import numpy as np
import pytest

from hvc_mm.utils.run_log import find_log, read_log, series


@pytest.fixture
def work_dir(tmp_path):
    for year, loss in ((2025, 9.0), (2026, 1.0)):
        log = tmp_path / f'{year}0101_000000/vis_data/scalars.json'
        log.parent.mkdir(parents=True)
        lines = [dict(loss=loss / (t + 1), step=10 * t) for t in range(3)]
        lines.append({'davis/J&F': 0.5})
        log.write_text('\n'.join(map(json.dumps, lines)) + '\n{"loss": 0.')
    return tmp_path


def test_the_newest_log_of_a_work_dir(work_dir):
    path = find_log(work_dir)
    assert path == find_log(str(path))
    steps, values = series(read_log(path), 'loss')
    assert steps.tolist() == [0, 10, 20]
    np.testing.assert_allclose(values, [1, 1 / 2, 1 / 3])


def test_names_by_their_last_part(work_dir):
    steps, values = series(read_log(find_log(work_dir)), 'J&F')
    assert (steps.tolist(), values.tolist()) == ([3], [0.5])


def test_what_is_missing_is_said(work_dir, tmp_path):
    with pytest.raises(FileNotFoundError, match='nowhere: expected a scalars'):
        find_log(tmp_path / 'nowhere')
    with pytest.raises(KeyError, match="no 'F'; the log has J_mean, loss"):
        series([{'loss': 1, 'J_mean': 2}], 'F')


def test_a_broken_line_is_named_but_for_the_last(tmp_path):
    log = tmp_path / 'scalars.json'
    log.write_text('{"loss": 1}\n\n{"loss"\n{"loss": 2}')
    with pytest.raises(ValueError, match='line 3 is not JSON'):
        read_log(log)
