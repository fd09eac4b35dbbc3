"""The Triton kernels find what the dense form finds.

With `TRITON_INTERPRET=1` from the start, as test_triton_search.py runs this
file: Triton interprets what is defined after that, its own functions too.
Half products are in float16, since the interpreter multiplies the bits of
bfloat16 as integers.
"""

import pytest
import torch
import torch.nn.functional as F

from hvc_mm.models.vos import LabelPropagator, triton_search
from hvc_mm.models.vos.window import Window
from hvc_mm.models.vos.windowed_search import Segment


@pytest.mark.parametrize(
    'settings',
    [
        dict(radius=2, topk=5, context=2),
        dict(radius=1.5, topk=3, context=3, repeat_reference=False),
        dict(
            radius=3,
            topk=15,
            context=2,
            window='square',
            with_edge=True,
            reference_in_window=True,
            repeat_reference='latest',
        ),
        dict(radius=None, topk=2, context=1),
    ],
)
@pytest.mark.parametrize('dtype', [None, 'float16'])
def test_equals_the_dense_form(dense_stream, video, settings, dtype):
    mine = LabelPropagator(native='triton', compute_dtype=dtype, **settings)
    dense = dense_stream(**settings)
    frames = video(0, (3, 9), 8, 3, [1])
    for features, labels in frames:
        small = None if labels is None else labels.float()
        found = mine.step(features.float(), small)
        expected = dense.step(features.float().double(), labels)
        torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-6)
    assert isinstance(mine._search, triton_search.TritonSearch)


def _search(frames, window, topk, dtype=torch.float32):
    made = triton_search.TritonSearch(
        frames[0], window, topk, len(frames), dtype
    )
    for time, frame in enumerate(frames):
        made.write(time, made.prepare(frame))
    return made


def _noise(*shape):
    generator = torch.Generator().manual_seed(0)
    return F.normalize(torch.randn(*shape, generator=generator), dim=-1)


def _best(frames, query, topk, slots):
    """All cells may match: scores and cells of the best, best first."""
    table = frames[slots].double().flatten(0, 2)
    scores, cells = (query.double().flatten(0, 1) @ table.t()).topk(topk)
    return scores, cells + slots.start * frames[0, ..., 0].numel()


def test_frames_of_several_groups_and_bands_of_rows(monkeypatch):
    """Ten frames are two groups; there is room for one row at a time."""
    monkeypatch.setattr(triton_search, 'GPU_BUDGET', 1)
    *frames, query = _noise(11, 2, 3, 40)
    search = _search(torch.stack(frames), Window(None), 4)
    slots = slice(1, 10)
    (found,) = search.in_window(query, [Segment(1, slots.start, slots.stop)])
    scores, cells = _best(torch.stack(frames), query, 4, slots)
    order = found.scores.argsort(dim=1, descending=True)
    assert torch.equal(found.cells.gather(1, order), cells)
    torch.testing.assert_close(
        found.scores.gather(1, order).double(), scores, rtol=0, atol=1e-6
    )


@pytest.mark.parametrize('shift, rounds', [(0.01, 2), (0.2, 1)])
def test_what_rounding_may_hide_is_compared_in_full(
    monkeypatch, shift, rounds
):
    """Where cells are so much alike that rounding may change their order."""
    monkeypatch.setattr(triton_search, 'SPARE', 1)
    query, other = torch.eye(2, 16)
    angles = shift * torch.arange(6)[:, None]
    frame = (angles.cos() * query + angles.sin() * other)[None, None]
    rounded = []
    select = triton_search.TritonSearch._select

    def count(self, queries, keys, short, *given):
        rounded.append(short.dtype)
        return select(self, queries, keys, short, *given)

    monkeypatch.setattr(triton_search.TritonSearch, '_select', count)
    window, half = Window(None), torch.float16
    search = _search(frame, window, 1, half)
    queries = query.expand(1, 6, -1)
    (found,) = search.in_window(queries, [Segment(0, 0, 1)])
    assert len(rounded) == rounds
    _, cells = _best(frame, queries, 1, slice(0, 1))
    assert torch.equal(found.cells, cells)


def test_fewer_cells_than_asked_for():
    frames = _noise(1, 1, 2, 4)
    search = _search(frames, Window(1), 3)
    (found,) = search.in_window(frames[0], [Segment(0, 0, 1)])
    assert torch.isinf(found.scores).tolist() == [[False, True, True]] * 2
    assert found.cells.tolist() == [[0, 0, 0], [1, 0, 0]]
