"""Draw what pre-training is learning, now and then."""

from __future__ import annotations

import os.path as osp
from contextlib import contextmanager
from typing import Iterator, List, Optional, Sequence, Tuple

import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from hvc_mm.datasets import write_picture
from hvc_mm.models.losses import find_positive_pairs
from hvc_mm.registry import HOOKS, MODELS
from hvc_mm.structures import PairedViewSample
from hvc_mm.utils.outputs import check_outputs, dataset_inputs
from hvc_mm.visualization.pretraining import draw_pretraining_sample


@HOOKS.register_module()
class PairedViewsVisualizationHook(Hook):
    """Show some images of a training batch as the model sees them.

    Per image: both crops with lines between some positive pairs; with lines
    from some cells of the first crop to where the model finds them in the
    second (green: right); and the forward and backward pseudo-flow as
    colours. Images whose crops share no place are left out, unless the batch
    has no other. The model runs in eval mode for it, so that training goes on
    as if the hook weren't there.

    Args:
        interval: Draw every n-th iteration, the first one included.
        num_samples: Images of the batch that are drawn, at most.
        max_pairs: Pairs and matches drawn per image.
        out_dir: Write ``<out_dir>/<iteration>_<image>.jpg``, over those of
            an earlier run; None gives the pictures to the visualizer's
            backends.

    Raises:
        ValueError: An interval or number below 1.
    """

    priority = 'LOW'

    def __init__(
        self,
        interval: int = 500,
        num_samples: int = 2,
        max_pairs: int = 24,
        out_dir: Optional[str] = None,
    ) -> None:
        if min(interval, num_samples, max_pairs) < 1:
            raise ValueError(
                'interval, num_samples and max_pairs must be at least 1, not '
                f'{interval}, {num_samples} and {max_pairs}'
            )
        self.interval = interval
        self.num_samples = num_samples
        self.max_pairs = max_pairs
        self.out_dir = out_dir

    def before_train(self, runner: Runner) -> None:
        """Raise ValueError where ``out_dir`` is among the training data."""
        if self.out_dir is not None:
            inputs = dataset_inputs(runner.train_dataloader.dataset)
            check_outputs([self.out_dir], inputs)

    @master_only
    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[dict] = None,
    ) -> None:
        """Draw a batch of two 8-bit views, when it is time.

        Raises:
            TypeError: For another model than HVC.
        """
        if runner.iter % self.interval:
            return
        model = runner.model
        if is_model_wrapper(model):
            model = model.module
        if not isinstance(model, MODELS.get('hvc_mm.HVC')):
            raise TypeError(
                f'{type(self).__name__} draws what HVC sees, not '
                f'{type(model).__name__}'
            )
        step = runner.iter + 1
        for index, picture in enumerate(self._pictures(model, data_batch)):
            if self.out_dir is not None:
                name = f'{step:06d}_{index}.jpg'
                path = osp.join(self.out_dir, name)
                write_picture(path, picture)
            else:
                name = f'pretraining_{index}'
                runner.visualizer.add_image(name, picture, step)

    def _pictures(self, model: nn.Module, batch: dict) -> List[np.ndarray]:
        radius = getattr(model.loss_module, 'pos_radius', 0.1)
        # A single image tells the size of the feature grid.
        grid = what_model_sees(model, _images_of(batch, [0]))[0].shape[2:]
        chosen = _with_pairs(batch['data_samples'], tuple(grid), radius)
        batch = _images_of(batch, chosen[: self.num_samples])
        maps = what_model_sees(model, batch)
        pictures = []
        for index, sample in enumerate(batch['data_samples']):
            query, key, *flows = (part[index] for part in maps)
            views = [_as_rgb(view[index]) for view in batch['inputs']]
            boxes = [torch.from_numpy(b) for b in (sample.box1, sample.box2)]
            pictures.append(
                draw_pretraining_sample(
                    views, boxes, query, key, flows, radius, self.max_pairs
                )
            )
        return pictures


def _images_of(batch: dict, chosen: List[int]) -> dict:
    """Take some images of a batch."""
    return dict(
        inputs=[view[chosen] for view in batch['inputs']],
        data_samples=[batch['data_samples'][index] for index in chosen],
    )


def _with_pairs(
    samples: Sequence[PairedViewSample], grid: Tuple[int, int], radius: float
) -> List[int]:
    """List those that have positive pairs; all where none has any."""
    boxes = [
        torch.from_numpy(np.stack([sample.get(key) for sample in samples]))
        for key in ('box1', 'box2')
    ]
    count = find_positive_pairs(*boxes, grid, radius).count
    return count.nonzero()[:, 0].tolist() or list(range(len(samples)))


@torch.no_grad()
def what_model_sees(
    model: nn.Module, batch: dict
) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute a batch's maps from view 1 to view 2; leave the model alone.

    Args:
        model: :class:`~hvc_mm.models.HVC`, in any mode.
        batch: Two views ``(N, 3, H, W)``, 8 bit, and N samples.

    Returns:
        The prediction of view 1 and the target's projection of view 2, both
        ``(N, C, h, w)`` and of unit length, and the forward and backward
        field, ``(N, 2, h, w)``.
    """
    with _eval_mode(model):
        view1, view2 = model.data_preprocessor(batch)['inputs']
        query = model.predict_view(model.backbone, view1)
        key = model.project_view(view2)
        return (query, key, *model.flow_head.forward_backward(query, key))


@contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    """Set eval mode for a while; then every module is as it was."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def _as_rgb(view: Tensor) -> np.ndarray:
    """``(3, H, W)`` BGR -> ``(H, W, 3)`` RGB, uint8."""
    array: Sequence = view.flip(0).permute(1, 2, 0).cpu().numpy()
    return np.ascontiguousarray(array)
