"""Export the backbone of a training checkpoint.

``python tools/model_converters/publish_model.py IN OUT [--hash-name]``
"""

import argparse
import os
import os.path as osp

from hvc_mm.weights import CheckpointError, publish, sha256_of


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
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if osp.abspath(args.input) == osp.abspath(args.output):
        raise SystemExit(f'{args.output}: IN and OUT are the same file')
    try:
        conversion = publish(args.input)
    except CheckpointError as error:
        raise SystemExit(str(error)) from None
    conversion.save(args.output)
    output, digest = args.output, sha256_of(args.output)
    if args.hash_name:
        stem, extension = osp.splitext(args.output)
        output = f'{stem}-{digest[:8]}{extension}'
        os.replace(args.output, output)
        os.replace(f'{args.output}.json', f'{output}.json')
    print(
        f'{args.input}: backbone ({conversion.architecture}), '
        f'{len(conversion.state_dict)} tensors; '
        f'{len(conversion.left_over)} others left out'
    )
    print(f'wrote {output} (sha256 {digest})')


if __name__ == '__main__':
    main()
