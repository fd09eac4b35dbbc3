"""The benchmark's command line, as a user runs it."""

import json
import subprocess
import sys


def test_loss_ends_with_its_marks(root_dir, tmp_path):
    out = tmp_path / 'loss.json'
    done = subprocess.run(
        [
            *(sys.executable, 'tools/analysis_tools/benchmark.py', 'loss'),
            *('--quick', '--repeats', '1', '--json', str(out)),
            *('--samples', '2', '--whole-samples', '2'),
        ],
        cwd=root_dir,
        capture_output=True,
        text=True,
    )
    last = done.stdout.splitlines()[-1]
    assert last.startswith('pair term N=2 x'), done.stderr
    assert 'whole loss N=2 x' in last
    # The status follows the marks, hit or missed at this small size.
    assert done.returncode == int('MISSED' in last)
    figures = json.loads(out.read_text())
    assert len(figures['rows']) == 2 and figures['environment']['torch']
