"""Bring a backbone's weights from elsewhere into a plain state dict.

``python tools/model_converters/convert.py IN OUT [--from LAYOUT]``
"""

import argparse
import os.path as osp

from conversion import Conversion, convert_checkpoint

from hvc_mm.checkpoint import (
    LAYOUTS,
    CheckpointError,
    read_checkpoint,
    sha256_of,
)


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Write the ResNet of a checkpoint made elsewhere as a '
        "plain state dict with torchvision's names, and a record of where it "
        'is from',
        epilog='layouts: '
        + '; '.join(
            f'{name}: {known.title}' for name, known in LAYOUTS.items()
        ),
    )
    parser.add_argument('input', metavar='IN', help='the checkpoint')
    parser.add_argument('output', metavar='OUT', help='where to write')
    parser.add_argument(
        '--from',
        dest='layout',
        choices=['auto', *sorted(LAYOUTS)],
        default='auto',
        help='how the file looks (auto: find out)',
    )
    return parser.parse_args()


def report(conversion: Conversion) -> str:
    """Say what was recognised, and count matched, left over, missing."""
    lines = [
        f'{conversion.source["source"]}: {LAYOUTS[conversion.layout].title} '
        f'({conversion.place}), {conversion.architecture}, '
        f'{conversion.stages} of 4 stages',
        f'matched    {len(conversion.state_dict)}',
        _listed('left over', conversion.left_over),
        _listed('missing', conversion.missing),
    ]
    if conversion.missing:
        lines.append(
            'WARNING: a backbone without the missing tensors starts them at '
            'random'
        )
    if conversion.note:
        lines.append(f'NOTE: {conversion.note}')
    return '\n'.join(lines)


def _listed(title: str, names: list, most: int = 6) -> str:
    more = f' and {len(names) - most} more' if len(names) > most else ''
    some = f': {", ".join(names[:most])}{more}' if names else ''
    return f'{title:10s} {len(names)}{some}'


def main() -> None:
    args = parse_args()
    if osp.abspath(args.input) == osp.abspath(args.output):
        raise SystemExit(f'{args.output}: IN and OUT are the same file')
    try:
        checkpoint = read_checkpoint(args.input)
    except CheckpointError as error:
        raise SystemExit(str(error)) from None
    try:
        conversion = convert_checkpoint(checkpoint, args.input, args.layout)
    except CheckpointError as error:
        raise SystemExit(f'{args.input}: {error}') from None
    print(report(conversion))
    conversion.save(args.output)
    print(f'wrote {args.output} (sha256 {sha256_of(args.output)})')


if __name__ == '__main__':
    main()
