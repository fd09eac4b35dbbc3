"""Bring a backbone's weights from elsewhere into a plain state dict.

``python tools/model_converters/convert.py IN OUT [--from LAYOUT]``
"""

import argparse

from conversion import Conversion, convert

from hvc_mm.checkpoint import LAYOUTS, CheckpointError
from hvc_mm.utils.outputs import check_outputs


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Write the ResNet of a checkpoint made elsewhere as a '
        "plain state dict with torchvision's names, or its Vision Transformer "
        'with those of DINO and timm, and a record of where it is from',
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
    parser.add_argument(
        '--force',
        action='store_true',
        help='write over a file that no earlier run wrote, too',
    )
    return parser.parse_args()


def report(conversion: Conversion) -> str:
    """Say what was recognised, and count matched, left over, missing."""
    known = LAYOUTS.get(conversion.layout)
    names = conversion.left_over
    more = f' and {len(names) - 6} more' if len(names) > 6 else ''
    some = f': {", ".join(names[:6])}{more}' if names else ''
    stages = f', {conversion.stages} of 4 stages' if conversion.stages else ''
    lines = [
        f'{conversion.source["source"]}: '
        f'{known.title if known else "no known layout"} '
        f'({conversion.place}), {conversion.architecture}{stages}',
        f'matched    {len(conversion.state_dict)}',
        f'left over  {len(names)}{some}',
        'missing    0',
    ]
    if conversion.note:
        lines.append(f'NOTE: {conversion.note}')
    return '\n'.join(lines)


def main() -> None:
    args = parse_args()
    try:
        check_outputs([args.output, f'{args.output}.json'], [args.input])
        conversion = convert(args.input, args.layout, args.prefix)
        print(report(conversion))
        output, digest = conversion.save(args.output, force=args.force)
    except (CheckpointError, ValueError, OSError) as error:
        raise SystemExit(str(error)) from None
    print(f'wrote {output} (sha256 {digest})')


if __name__ == '__main__':
    main()
