"""Start a backbone from a file of any known layout."""

from __future__ import annotations

from mmengine.logging import print_log
from mmengine.model import update_init_info
from torch import nn

from hvc_mm.registry import WEIGHT_INITIALIZERS

from .checkpoint_file import CheckpointError
from .conversion import convert_file


@WEIGHT_INITIALIZERS.register_module()
class PretrainedBackbone:
    """mmengine's ``Pretrained`` for whatever file holds the backbone.

    It takes what ``tools/model_converters/convert.py`` takes: checkpoints of
    HVC pre-training, the released weights, MoCo and so on, and refuses a
    file that would leave tensors of the backbone at random.

    Args:
        checkpoint: The file.
        layout: A key of :data:`~hvc_mm.weights.LAYOUTS`, or ``'auto'``.

    Example:
        >>> init_cfg = dict(
        ...     type='hvc_mm.PretrainedBackbone',
        ...     checkpoint='work_dirs/hvc_coco/epoch_20.pth')
    """

    def __init__(self, checkpoint: str, layout: str = 'auto') -> None:
        self.checkpoint = checkpoint
        self.layout = layout

    def __call__(self, module: nn.Module) -> None:
        """Load the file's ResNet into a module with torchvision's names.

        Args:
            module: :class:`~hvc_mm.models.backbones.HVCResNet`, mmdet's
                ``ResNet`` or the like (of an ensemble or a wrapper, its
                ``primary`` member). Stages that it hasn't are left out.

        Raises:
            CheckpointError: When the file can't be read, or a tensor of
                the module isn't there in its shape.
        """
        conversion = convert_file(self.checkpoint, self.layout)
        target = getattr(module, 'primary', module)
        given, wanted = conversion.state_dict, target.state_dict()
        bad = [
            f'{name} {tuple(tensor.shape)}'
            for name, tensor in wanted.items()
            if not name.endswith('num_batches_tracked')
            and (name not in given or given[name].shape != tensor.shape)
        ]
        if bad:
            raise CheckpointError(
                f'{self.checkpoint}: {conversion.architecture} with '
                f'{conversion.stages} stages lacks {len(bad)} of the '
                f'{len(wanted)} tensors of {type(module).__name__}, e.g. '
                f'{", ".join(bad[:4])}'
            )
        taken = {k: v for k, v in given.items() if k in wanted}
        target.load_state_dict(taken, strict=False)
        message = (
            f'{type(module).__name__}: {len(taken)} tensors from '
            f'{self.checkpoint} ({conversion.layout}, sha256 '
            f'{conversion.source["sha256"][:8]})'
            + (f'; {conversion.note}' if conversion.note else '')
        )
        print_log(message, logger='current')
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=message)
