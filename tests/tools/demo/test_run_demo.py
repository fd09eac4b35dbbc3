"""The demo, shortened: every step of it, to its last line."""

import pytest


@pytest.mark.slow
def test_it_runs_to_its_end(run_tool, tmp_path):
    pytest.importorskip('skimage')
    run = run_tool(
        'demo/run_demo.py',
        f'--out={tmp_path / "out"}',
        '--epochs=1',
        '--minutes=0.01',
        '--seed=1',
    )
    assert run.returncode == 0, run.stdout
    # One step, since a batch takes longer than half a second.
    assert 'the first iteration took' in run.stdout
    assert 'of 25 iterations fit in 0.01 minutes' in run.stdout
    assert 'minutes over' in run.stdout
    for row in ('random weights', 'trained weights', 'percent'):
        assert row in run.stdout
    assert list((tmp_path / 'out').glob('*.mp4'))
    assert (tmp_path / 'out/train/last_checkpoint').is_file()
