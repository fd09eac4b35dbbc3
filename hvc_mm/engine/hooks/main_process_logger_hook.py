"""One process of several writes a test's scores."""

from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import LoggerHook

from hvc_mm.registry import HOOKS


@HOOKS.register_module()
class MainProcessLoggerHook(LoggerHook):
    """Log a run; of several processes the main one writes the scores' file.

    mmengine lets each process write ``<work dir>/<time>/<time>.json`` at the
    end of a test. All write to one file at the same time, each with times of
    its own, so that what is left may be no JSON.

    Args:
        **kwargs: Those of mmengine's hook.
    """

    @master_only
    def after_test_epoch(self, *args: Any, **kwargs: Any) -> None:
        """Log the scores and write them to the file."""
        super().after_test_epoch(*args, **kwargs)
