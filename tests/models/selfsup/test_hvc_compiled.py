"""mmengine's ``compile=True`` on HVC: the same losses, compiled once.

mmengine hands the model's ``train_step`` to torch.compile; here with a
backend that runs what was traced as it is, so that no compiler is needed.
"""

import copy

import pytest
import torch
from mmengine.optim import OptimWrapper

STEPS = 4


def train(model, batch, **compile_options):
    """Losses of some steps, on batches with differing numbers of pairs."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    wrapper = OptimWrapper(optimizer)
    wrapper.initialize_count_status(model, 0, STEPS)
    step = model.train_step
    if compile_options:
        step = torch.compile(step, **compile_options)
    views, samples = batch
    losses = []
    for index in range(STEPS):
        shifted = copy.deepcopy(samples)
        for sample in shifted:
            sample.set_metainfo({'box2': sample.box2 * (1 - 0.1 * index)})
        data = dict(inputs=views, data_samples=shifted)
        losses.append(float(step(data, wrapper)['loss']))
    return losses


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(getattr(torch, 'compiler', None), 'disable'),
    reason='torch before 2.1',
)
def test_the_networks_are_compiled_once(model, batch):
    from torch._dynamo.testing import CompileCounter

    model.double()  # a few steps magnify rounding
    twin = copy.deepcopy(model)
    graphs = []

    class Counter(CompileCounter):
        """Also notes after which step a graph came."""

        def __call__(self, graph, inputs):
            graphs.append(int(model.target.steps))
            return super().__call__(graph, inputs)

    found = train(model, batch, backend=Counter())
    assert found == pytest.approx(train(twin, batch), abs=1e-6)
    assert len(set(found)) == STEPS
    # Two views, online and target: nothing is traced again later.
    assert len(graphs) >= 2
    assert max(graphs) <= 1
