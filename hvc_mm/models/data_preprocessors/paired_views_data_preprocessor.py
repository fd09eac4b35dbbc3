"""From a batch of paired views to what HVC's networks take."""

from __future__ import annotations

import torch

from hvc_mm.registry import MODELS

from .normalisation import Normalisation


@MODELS.register_module()
class PairedViewsDataPreprocessor(Normalisation):
    """Normalise both views of a batch; see :class:`Normalisation`.

    Example:
        >>> preprocessor = PairedViewsDataPreprocessor(
        ...     mean=(125.3, 123.0, 113.9), std=(51.6, 50.8, 51.3))
        >>> views = [torch.zeros(4, 3, 256, 256, dtype=torch.uint8)] * 2
        >>> out = preprocessor(dict(inputs=views, data_samples=[None] * 4))
        >>> len(out['inputs']), out['inputs'][0].dtype
        (2, torch.float32)
    """

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise ``data['inputs']``.

        Args:
            data: ``inputs``: two ``(N, 3, H, W)`` tensors, or two lists of N
                ``(3, H, W)`` ones; ``data_samples``: handed on as they are,
                boxes stay on the CPU.
            training: Makes no difference.

        Returns:
            dict: ``inputs``, two ``(N, 3, H, W)`` float32 tensors on the
            device, and ``data_samples``.

        Raises:
            ValueError: Not two views, or images of another shape.
        """
        views = data['inputs']
        if len(views) != 2:
            raise ValueError(f'expected two views, found {len(views)}')
        views = [
            view if isinstance(view, torch.Tensor) else torch.stack(list(view))
            for view in views
        ]
        return dict(
            inputs=[self.normalise(view) for view in views],
            data_samples=data.get('data_samples'),
        )
