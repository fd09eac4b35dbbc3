"""Export the backbone of a training checkpoint.

``python tools/model_converters/publish_model.py IN OUT [--hash-name]``
"""

import argparse
from typing import Any, Dict

from conversion import Conversion, convert, source_of
from torch import Tensor

from hvc_mm.checkpoint import (
    CheckpointError,
    check_weights,
    read_checkpoint,
)
from hvc_mm.utils.outputs import check_outputs

_PREFIX = 'backbone.'


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Write the backbone of a checkpoint of pre-training as a '
        "plain state dict, a ResNet with torchvision's names, and a record "
        'of the run it is from'
    )
    parser.add_argument('input', metavar='IN', help='the checkpoint')
    parser.add_argument('output', metavar='OUT', help='where to write')
    parser.add_argument(
        '--hash-name',
        action='store_true',
        help="add the first 8 digits of the file's sha256 to its name, as "
        'OpenMMLab does',
    )
    parser.add_argument(
        '--force',
        action='store_true',
        help='write over a file that no earlier run wrote, too',
    )
    return parser.parse_args()


def publish(path: str) -> Conversion:
    """Get the backbone of a checkpoint that mmengine wrote.

    A ResNet comes with torchvision's names, whatever wraps it. Another
    architecture comes with its own names, less the ``backbone.`` before
    them.
    """
    checkpoint = read_checkpoint(path)
    state_dict = checkpoint.get('state_dict', checkpoint)
    block = f'{_PREFIX}layer1.0.conv1.weight'
    if any(name.endswith(block) for name in state_dict):
        conversion = convert(path, 'mm')
    else:
        conversion = _any_backbone(state_dict, path)
    if not conversion.state_dict:
        raise CheckpointError(
            f'{path}: no tensor under {_PREFIX!r}, expected a checkpoint of '
            'pre-training; for weights made elsewhere use convert.py'
        )
    conversion.source.update(_run(checkpoint.get('meta')))
    return conversion


def _any_backbone(state_dict: Dict[str, Any], path: str) -> Conversion:
    tensors = {k: v for k, v in state_dict.items() if isinstance(v, Tensor)}
    taken = {
        name[len(_PREFIX) :]: tensor
        for name, tensor in tensors.items()
        if name.startswith(_PREFIX)
    }
    try:
        check_weights(taken)
    except CheckpointError as error:
        raise CheckpointError(f'{path}: {error}') from None
    return Conversion(
        taken,
        layout='mm',
        place='state_dict.backbone',
        left_over=[n for n in tensors if not n.startswith(_PREFIX)],
        source=source_of(path),
    )


def _run(meta: Any) -> Dict[str, Any]:
    """Select what mmengine noted about the run and json can hold."""
    if not isinstance(meta, dict):
        return {}
    wanted = ('experiment_name', 'epoch', 'iter', 'seed', 'time')
    return {
        key: meta[key]
        for key in wanted
        if isinstance(meta.get(key), (str, int))
    }


def main() -> None:
    args = parse_args()
    try:
        check_outputs([args.output, f'{args.output}.json'], [args.input])
        conversion = publish(args.input)
        output, digest = conversion.save(
            args.output, args.hash_name, args.force
        )
    except (CheckpointError, ValueError, OSError) as error:
        raise SystemExit(str(error)) from None
    print(
        f'{args.input}: backbone ({conversion.architecture}), '
        f'{len(conversion.state_dict)} tensors; '
        f'{len(conversion.left_over)} others left out'
    )
    print(f'wrote {output} (sha256 {digest})')


if __name__ == '__main__':
    main()
