"""The tutorial runs whole, and shows what it says."""

import ast
import base64
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

nbformat = pytest.importorskip(
    'nbformat', reason="pip install 'hvc_mm[notebook]': no nbformat"
)
nbclient = pytest.importorskip(
    'nbclient', reason="pip install 'hvc_mm[notebook]': no nbclient"
)
ROOT = Path(__file__).resolve().parents[2]
PATH = ROOT / 'docs/tutorial.ipynb'


def _text(cell):
    """What a cell printed or returned."""
    return ''.join(
        output.get('text') or output.get('data', {}).get('text/plain', '')
        for output in cell.outputs
        if output.get('name') != 'stderr'
    )


def _pictures(cell):
    found = []
    for output in cell.outputs:
        if 'image/png' in output.get('data', {}):
            png = base64.b64decode(output['data']['image/png'])
            found.append(cv2.imdecode(np.frombuffer(png, np.uint8), 1))
    return found


@pytest.mark.usefixtures('sample_tool')
def test_runs_whole(monkeypatch, tmp_path):
    pytest.importorskip('ipykernel')
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    for name in 'IPYTHONDIR', 'JUPYTER_DATA_DIR', 'TMPDIR':
        monkeypatch.setenv(name, str(tmp_path))
    notebook = nbformat.read(PATH, as_version=4)
    client = nbclient.NotebookClient(
        notebook,
        timeout=900,
        kernel_name='python3',
        resources=dict(metadata=dict(path=str(PATH.parent))),
    )
    client.execute()
    cells = {}
    for cell in notebook.cells:
        for mark in 'scores = ', 'axes', 'basis =', 'own = ', 'out_dir':
            if cell.cell_type == 'code' and mark in cell.source:
                cells[mark] = cell
    scores = ast.literal_eval(_text(cells['scores = ']))
    assert 0 < scores['davis/J&F'] <= 100
    assert round(float(_text(cells['own = '])), 1) == scores['davis/J&F']
    assert ast.literal_eval(_text(cells['out_dir'])) == ['preds', 'vis']
    for mark in 'axes', 'basis =':
        (picture,) = _pictures(cells[mark])
        assert np.ptp(picture) > 100
    assert not list(tmp_path.glob('hvc_mm_*'))  # it takes its files away


def test_what_is_committed_is_small_and_of_no_machine():
    assert PATH.stat().st_size < 600_000
    notebook = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        for output in cell.get('outputs', ()):
            assert output.get('name') != 'stderr'
            assert not re.search(r'/(tmp|home|root|work)/', _text(cell))


def test_links_resolve():
    for cell in nbformat.read(PATH, as_version=4).cells:
        for link in re.findall(r'\]\(([\w./]+)', cell.source):
            assert (PATH.parent / link).exists(), link
