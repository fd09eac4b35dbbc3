"""The last step of the pre-training pipeline."""

from __future__ import annotations

from mmcv.transforms import BaseTransform

from hvc_mm.registry import TRANSFORMS
from hvc_mm.structures import PairedViewSample

from .to_chw import to_chw_tensor


@TRANSFORMS.register_module()
class PackPairedViews(BaseTransform):
    """Pack two views for a model, still 8 bit: the device normalises them.

    Required keys: ``views``, ``boxes``, ``img_path``; ``ori_shape`` where it
    is there. Returns ``inputs``, two ``(3, H, W)`` uint8 tensors in the
    order of the image's channels (BGR), and ``data_samples``, a
    :class:`PairedViewSample`. mmengine's ``default_collate`` makes of these
    two ``(N, 3, H, W)`` tensors and a list.
    """

    def transform(self, results: dict) -> dict:
        """Replace ``results`` by what a model takes."""
        box1, box2 = results['boxes']
        meta = dict(img_path=results['img_path'], box1=box1, box2=box2)
        if 'ori_shape' in results:
            meta['ori_shape'] = results['ori_shape']
        return dict(
            inputs=[to_chw_tensor(view) for view in results['views']],
            data_samples=PairedViewSample(metainfo=meta),
        )

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'
