"""tools/analysis_tools/merge_reports.py, as a user runs it."""

import copy
import json

import pytest

TOOL = 'analysis_tools/merge_reports.py'


@pytest.fixture
def reports(call_tool, sample_dir, tmp_path):
    """Two reports of one benchmark, each of a backbone of its own."""
    folders = []
    for name, stage in (('a', 1), ('b', 2)):
        folders.append(tmp_path / name)
        status = call_tool(
            *('benchmark_backbones.py', '--benchmarks', 'davis'),
            *('--backbones', f'{name}=HVCResNet:depth=18,stage={stage}'),
            *('--out', folders[-1], '--input-size', '48x80'),
            *('--cfg-options', f'data_root={sample_dir}'),
            'test_dataloader.num_workers=0',
            'test_evaluator.num_workers=0',
        )
        assert status == 0
    return folders


def test_two_reports_become_one(call_tool, reports, tmp_path, capsys):
    out = tmp_path / 'merged'
    for _ in range(2):  # its own files are replaced
        call_tool(TOOL, *reports, reports[0], '--out', out)
    assert '| a | own |' in capsys.readouterr().out
    runs = json.loads((out / 'scoreboard.json').read_text())['runs']
    for folder, run in zip(reports, runs):
        (own,) = json.loads((folder / 'scoreboard.json').read_text())['runs']
        assert {**run, 'strips': None} == {**own, 'strips': None}
    text = (out / 'scoreboard.md').read_text()
    assert '95% interval' in text and 'to the best' in text
    assert '67.6' in text and 'arXiv:2006.14613' in text  # published
    assert (out / 'differences.csv').read_text().count('\n') == 2
    assert (out / 'scores.csv').is_file() and (out / 'scores.tex').is_file()

    # Another score under the same name: nothing is written.
    changed = copy.deepcopy(runs[0])
    changed['scores']['J&F'] /= 2
    (tmp_path / 'result.json').write_text(json.dumps(changed))
    with pytest.raises(SystemExit, match='a on davis by own: .*different sco'):
        call_tool(TOOL, reports[0], tmp_path, '--out', tmp_path / 'no')
    assert not (tmp_path / 'no').exists()
    # Nor over a report that is read, or somebody's file.
    with pytest.raises(SystemExit, match='which this run reads'):
        call_tool(TOOL, *reports, '--out', reports[0])
    (tmp_path / 'no').mkdir()
    (tmp_path / 'no/scores.csv').write_text('mine')
    with pytest.raises(SystemExit, match='scores.csv exists already'):
        call_tool(TOOL, *reports, '--out', tmp_path / 'no')
    assert (tmp_path / 'no/scores.csv').read_text() == 'mine'
