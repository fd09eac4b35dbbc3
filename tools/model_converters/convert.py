"""Bring a backbone's weights from elsewhere into a plain state dict.

``python tools/model_converters/convert.py IN OUT [--from LAYOUT]``
"""

import argparse
import os.path as osp

from conversion import Conversion, convert

from hvc_mm.checkpoint import LAYOUTS, CheckpointError, sha256_of


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
    parser.add_argument(
        '--prefix',
        help='which network of the file, where it has several: what the '
        'names of its tensors begin with',
    )
    return parser.parse_args()


def report(conversion: Conversion) -> str:
    """Say what was recognised, and count matched, left over, missing."""
    known = LAYOUTS.get(conversion.layout)
    names = conversion.left_over
    more = f' and {len(names) - 6} more' if len(names) > 6 else ''
    some = f': {", ".join(names[:6])}{more}' if names else ''
    lines = [
        f'{conversion.source["source"]}: '
        f'{known.title if known else "no known layout"} '
        f'({conversion.place}), {conversion.architecture}, '
        f'{conversion.stages} of 4 stages',
        f'matched    {len(conversion.state_dict)}',
        f'left over  {len(names)}{some}',
        'missing    0',
    ]
    if conversion.note:
        lines.append(f'NOTE: {conversion.note}')
    return '\n'.join(lines)


def main() -> None:
    args = parse_args()
    if osp.abspath(args.input) == osp.abspath(args.output):
        raise SystemExit(f'{args.output}: IN and OUT are the same file')
    try:
        conversion = convert(args.input, args.layout, args.prefix)
    except CheckpointError as error:
        raise SystemExit(str(error)) from None
    print(report(conversion))
    conversion.save(args.output)
    print(f'wrote {args.output} (sha256 {sha256_of(args.output)})')


if __name__ == '__main__':
    main()
