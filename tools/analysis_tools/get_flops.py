"""Count a model's multiply-adds and parameters, with mmengine's counter."""

from __future__ import annotations

import argparse
from typing import Tuple

from mmengine.analysis import get_model_complexity_info
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from hvc_mm.engine.run_config import add_cfg_options, read_config
from hvc_mm.models import HVC, LabelPropagationVOS
from hvc_mm.registry import MODELS


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Count multiply-adds (FLOPs) and parameters'
    )
    parser.add_argument('config', help='config file, or its name')
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        metavar='PIXELS',
        help='height and width of the input; by default 480 854 for '
        'propagation and 256 256 for pre-training',
    )
    parser.add_argument(
        '--table', action='store_true', help='list every module'
    )
    add_cfg_options(parser)
    args = parser.parse_args()
    if args.shape is not None and len(args.shape) not in (1, 2):
        parser.error('--shape takes one or two numbers')
    return args


class OneView(nn.Module):
    """HVC's online network on one view, and the flow head on a pair."""

    def __init__(self, model: HVC) -> None:
        super().__init__()
        self.backbone = model.backbone
        self.projector = model.projector
        self.predictor = model.predictor
        self.flow_head = model.flow_head

    def forward(self, view: Tensor) -> Tuple[Tensor, Tensor]:
        """From ``(1, 3, H, W)`` to the pseudo-flow's two directions."""
        projection = self.projector(self.backbone(view))
        prediction = self.predictor(projection)
        return self.flow_head.forward_backward(prediction, projection)


def countable(model: nn.Module) -> Tuple[nn.Module, Tuple[int, int], str]:
    """Find what of HVC or a propagation model is counted.

    Returns:
        A module that takes one image, its usual ``(H, W)``, and what is left
        out, in words.
    """
    if isinstance(model, HVC):
        text = (
            'online network on one view and the flow head on one pair; a '
            'training step runs both twice, and the target (backbone and '
            'projector) on both views'
        )
        return OneView(model), (256, 256), text
    if isinstance(model, LabelPropagationVOS):
        text = 'backbone on one frame; propagation itself is not in it'
        return model.backbone, (480, 854), text
    raise TypeError(
        f'expected HVC or LabelPropagationVOS, not {type(model).__name__}; '
        'detectors have tools of their own project'
    )


def main() -> None:
    args = parse_args()
    try:
        cfg = read_config(args.config, args.cfg_options)
        with DefaultScope.overwrite_default_scope('hvc_mm'):
            module, shape, text = countable(MODELS.build(cfg.model))
    except (OSError, TypeError, ValueError) as error:
        raise SystemExit(f'error: {error}') from None
    if args.shape:
        shape = (args.shape[0], args.shape[-1])
    counts = get_model_complexity_info(
        module.eval(),
        (3, *shape),
        show_table=args.table,
        show_arch=False,
    )
    if args.table:
        print(counts['out_table'])
    print(f'counted: {text}')
    print(f'input: {shape[0]}x{shape[1]} (height x width)')
    print(f'multiply-adds: {counts["flops_str"]}')
    print(f'parameters: {counts["params_str"]}')


if __name__ == '__main__':
    main()
