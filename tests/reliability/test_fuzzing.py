"""Damaged files of every kind: a few of them, and (slow) a thousand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def fuzz(root_dir, tmp_path):
    """Run the script; return its counts, and what went wrong."""

    def run(*options):
        out = tmp_path / 'counts.json'
        done = subprocess.run(
            [sys.executable, str(HERE / 'fuzz.py'), f'--json={out}', *options],
            env={**os.environ, 'PYTHONPATH': str(root_dir)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert done.returncode == 0, done.stdout
        return json.loads(out.read_text())['counts']

    return run


def test_a_few_damaged_files(fuzz):
    counts = fuzz('--cases=1', '--first=100')
    assert sum(counts['all'].values()) > 120
    assert counts['all']['refused'] > 60 and counts['all']['accepted'] > 5


@pytest.mark.slow
def test_a_thousand_damaged_files(fuzz):
    """In equal shares of six kinds of damage, over all readers."""
    counts = fuzz('--cases=9')
    shares = {
        kind: sum(counts[kind].values())
        for kind in ('truncation', 'bit flips', 'hole', 'swap', 'wrong type')
    }
    assert len(set(shares.values())) == 1 and sum(shares.values()) > 900
    assert sum(counts['all'].values()) >= 1000
    for ended in ('unclear', 'silent', 'hang'):
        assert counts['all'][ended] == 0


@pytest.mark.parametrize('name', ['JpegFrame', 'PngFrame'])
def test_the_judges_accept_whole_pictures_only(name, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    import readers

    reader = getattr(readers, name)(tmp_path)
    whole = reader.content
    assert reader.judge(whole).shape == (*readers.SIZE, 3)
    middle = 3 * len(whole) // 5
    for damaged in (
        whole[:-9],
        whole[:middle] + whole[-60:],
        whole[:middle] + bytes(len(whole) - middle),
        whole + whole,
    ):
        with pytest.raises(ValueError):
            reader.judge(damaged)
