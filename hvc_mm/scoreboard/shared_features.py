"""Test by several protocols at once, from features that are computed once.

A model that extracts the features of a frame and propagates by each protocol
in turn; an evaluator that gives each metric the predictions of its protocol;
and a hook that does the same for other hooks.
"""

from __future__ import annotations

import copy
import time
from typing import Any, Callable, List, Optional, Sequence, Tuple

import torch
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from hvc_mm.models import LabelPropagationVOS
from hvc_mm.registry import EVALUATOR, MODELS, TASK_UTILS
from hvc_mm.structures import VOSDataSample

__all__ = ['ProtocolEvaluator', 'ProtocolHooks', 'SharedFeaturesVOS']


@MODELS.register_module()
class SharedFeaturesVOS(LabelPropagationVOS):
    """Extract features once and propagate labels by several protocols.

    Each protocol gives the same predictions as a
    :class:`~hvc_mm.models.LabelPropagationVOS` with its propagator and codec.

    Args:
        protocols: Of each, configs of its ``propagator`` and ``codec``.
        **kwargs: Of :class:`~hvc_mm.models.LabelPropagationVOS`.
    """

    def __init__(self, protocols: Sequence[dict], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.branches = [self._branch(**parts) for parts in protocols]

    def _branch(self, propagator: dict, codec: dict) -> LabelPropagationVOS:
        # A shallow copy: its network is this one's own, its stream is not.
        branch = copy.copy(self)
        branch.propagator = MODELS.build(propagator)
        branch.codec = TASK_UTILS.build(codec)
        branch.reset()
        return branch

    @torch.no_grad()
    def predict(
        self, inputs: Sequence[Tensor], data_samples: List[VOSDataSample]
    ) -> List[List[VOSDataSample]]:
        """Propagate the labels through the next frames by each protocol.

        Args:
            inputs: Normalised frames ``(3, H, W)``, in video order.
            data_samples: One per frame.

        Returns:
            By protocol, samples of the frames with its predictions, and with
            ``seconds``: the frame's share of the features, and its own
            propagation and decoding.

        Raises:
            ValueError: When a video's frames differ in size.
        """
        features, seconds = _timed(self.extract_feat, inputs)
        share = seconds / len(inputs)
        outputs: List[List[VOSDataSample]] = [[] for _ in self.branches]
        for each, sample in zip(features, data_samples):
            for branch, predicted in zip(self.branches, outputs):
                if sample.get('starts_video', False):
                    branch.reset()
                own, seconds = _timed(branch.propagate, each, sample.clone())
                own.set_metainfo({'seconds': share + seconds})
                predicted.append(own)
        return outputs


def _timed(function: Callable, *arguments: Any) -> Tuple[Any, float]:
    """Call a function; return its result and how long it took."""
    began = _now()
    result = function(*arguments)
    return result, _now() - began


def _now() -> float:
    """Tell the time, when the GPU has done its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


@EVALUATOR.register_module()
class ProtocolEvaluator(Evaluator):
    """Give each metric the predictions of its own protocol."""

    def process(
        self,
        data_samples: Sequence[Sequence[VOSDataSample]],
        data_batch: Optional[Any] = None,
    ) -> None:
        """Let the metrics take the next frames, one list a metric."""
        for metric, samples in zip(self.metrics, data_samples):
            metric.process(data_batch, [s.to_dict() for s in samples])

    def evaluate(self, size: int) -> dict:
        """Finish the metrics; their figures are in their folders."""
        for metric in self.metrics:
            metric.evaluate(size)
        return {}


class ProtocolHooks(Hook):
    """Give hooks the predictions of their own protocol.

    Args:
        hooks: By protocol, in the model's order, those that take its
            predictions.
    """

    def __init__(self, hooks: Sequence[Sequence[Hook]]) -> None:
        self.hooks = hooks

    def before_test(self, runner: Runner) -> None:
        """Begin all of them."""
        for hooks in self.hooks:
            for hook in hooks:
                hook.before_test(runner)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[Sequence[Sequence[VOSDataSample]]] = None,
    ) -> None:
        """Let the hooks take the next frames, one list a protocol."""
        for hooks, samples in zip(self.hooks, outputs or ()):
            for hook in hooks:
                hook.after_test_iter(runner, batch_idx, data_batch, samples)
