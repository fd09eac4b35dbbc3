import pytest
import torch

from hvc_mm.utils.compiling import not_compiled


def double(x):
    """Twice."""
    return x + x


def test_a_marked_function_is_itself():
    marked = not_compiled(double)
    assert (marked.__name__, marked.__doc__) == ('double', 'Twice.')
    assert marked(3) == 6


def test_it_is_itself_where_torch_has_no_mark(monkeypatch):
    monkeypatch.delattr(torch, 'compiler', raising=False)
    assert not_compiled(double) is double


@pytest.mark.skipif(
    not hasattr(getattr(torch, 'compiler', None), 'disable'),
    reason='torch before 2.1',
)
def test_compiled_code_calls_it_as_it_is():
    seen = []

    def backend(graph, inputs):
        seen.append([n.target for n in graph.graph.nodes])
        return graph.forward

    @not_compiled
    def count(x):
        assert not torch._dynamo.is_compiling()
        return int(x.sum()) + 0 * len(x.nonzero())

    def whole(x):
        return double(x) * count(x)

    compiled = torch.compile(whole, backend=backend)
    for number in (2.0, 3.0, 4.0):
        x = torch.full((3,), number)
        assert torch.equal(compiled(x), whole(x))
    names = [getattr(t, '__name__', t) for graph in seen for t in graph]
    assert 'add' in names
    assert 'nonzero' not in names and 'sum' not in names
