"""A test's log begins with all that its score depends on."""

from __future__ import annotations

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from hvc_mm.registry import HOOKS

from ..protocol import describe_test


@HOOKS.register_module()
class ProtocolLogHook(Hook):
    """Log the protocol, the data found, weights, seed and versions.

    A score in a log can be trusted and repeated when these stand above it:
    see :func:`~hvc_mm.engine.protocol.describe_test`.
    """

    priority = 'VERY_HIGH'

    @master_only
    def before_test(self, runner: Runner) -> None:
        """Log it, once the weights are loaded and the data are found.

        A data set that can check its annotations does so now: a wrong one
        should end the run before its first frame.

        Args:
            runner: The run.
        """
        dataset = runner.test_dataloader.dataset
        for part in getattr(dataset, 'datasets', [dataset]):
            if hasattr(part, 'check_annotations'):
                part.check_annotations()
        found = describe_test(runner)
        width = max(map(len, found))
        lines = [f'{key:{width}}  {text}' for key, text in found.items()]
        runner.logger.info('\n'.join(['protocol of this test:', *lines]))
