import pytest

from hvc_mm.visualization import overlays


@pytest.fixture
def labels(monkeypatch):
    """Texts and places of the labels that would be drawn."""
    said = []
    monkeypatch.setattr(
        overlays,
        'draw_label',
        lambda image, text, at: said.append((text, at)),
    )
    return said
