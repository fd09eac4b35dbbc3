"""Loading the masks that a benchmark gives to the model."""

from __future__ import annotations

import torch
from mmcv.transforms import BaseTransform

from hvc_mm.registry import TRANSFORMS

from ..prompts import Prompt


@TRANSFORMS.register_module()
class LoadPrompt(BaseTransform):
    """Read the mask of a frame where objects begin; skip other frames.

    Required keys: ``ori_shape``; ``prompt`` (the fields of
    :class:`~hvc_mm.datasets.prompts.Prompt`) where objects begin. Added key
    there: ``prompt_ids``, ``(H, W)`` uint8 tensor.
    """

    def transform(self, results: dict) -> dict:
        """Read ``results['prompt']``; see ``Prompt.read`` for errors."""
        prompt = results.get('prompt')
        if prompt is not None:
            ids = Prompt(**prompt).read(results['ori_shape'])
            results['prompt_ids'] = torch.from_numpy(ids)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
