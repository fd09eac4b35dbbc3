"""Write small data sets in the official layouts, to try everything on.

They are made from photographs that come inside the scikit-image and
scikit-learn wheels: nothing is downloaded. The same seed gives the same
files.

Example:
    python tools/dataset_converters/make_sample.py data
"""

from __future__ import annotations

import argparse
import sys
import time

DEFAULT = ('coco', 'davis')
NAMES = (
    'coco',
    'davis',
    'davis_testdev',
    'ytvos',
    'ytvos19',
    'vip',
    'jhmdb',
    'folder',
)


def parse_size(text: str) -> tuple[int, int]:
    """'240x432' to (height, width)."""
    parts = text.lower().split('x')
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        raise argparse.ArgumentTypeError(
            f'{text!r} is no size; expected HEIGHTxWIDTH, e.g. 240x432'
        )
    return int(parts[0]), int(parts[1])


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n\n')[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument('out', help='an empty or new folder, e.g. data')
    parser.add_argument(
        '--benchmarks',
        nargs='+',
        choices=(*NAMES, 'all'),
        default=list(DEFAULT),
        metavar='NAME',
        help=f'which of {", ".join(NAMES)}, or all',
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--videos', type=int, default=4, help='videos per benchmark'
    )
    parser.add_argument(
        '--frames', type=int, default=30, help='frames per video'
    )
    parser.add_argument(
        '--size',
        type=parse_size,
        default=(240, 432),
        metavar='HxW',
        help='height and width of the frames',
    )
    parser.add_argument(
        '--images', type=int, default=200, help='images for pre-training'
    )
    parser.add_argument(
        '--force',
        action='store_true',
        help='write into a folder that is not empty; an earlier sample is '
        'replaced, other files are never touched',
    )
    return parser.parse_args(argv)


def write(args: argparse.Namespace) -> None:
    """Write what the command line asks for, with a progress bar."""
    # Here, so that --help and a typing error answer at once.
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TimeElapsedColumn

    from hvc_mm.datasets.sample import (
        LAYOUTS,
        SampleFolder,
        SampleSpec,
        write_layout,
    )

    spec = SampleSpec(
        seed=args.seed,
        videos=args.videos,
        frames=args.frames,
        size=tuple(args.size),
        images=args.images,
    )
    asked = NAMES if 'all' in args.benchmarks else args.benchmarks
    names = [name for name in NAMES if name in asked]
    console = Console()
    started = time.perf_counter()
    columns = (
        '{task.description:<14}',
        BarColumn(),
        '{task.completed}/{task.total}',
        TimeElapsedColumn(),
    )
    lines = []
    with SampleFolder(args.out, args.force) as folder, Progress(
        *columns, console=console
    ) as bar:
        for name in names:
            task = bar.add_task(name, total=LAYOUTS[name].steps(spec))
            counts, size = write_layout(
                name, folder, spec, lambda task=task: bar.advance(task)
            )
            what = ', '.join(f'{n} {kind}' for kind, n in counts.items())
            lines.append(f'{name}: {what}; {size / 1e6:.1f} MB')
    for line in lines:
        print(line)
    seconds = time.perf_counter() - started
    print(f'wrote {args.out} (seed {args.seed}) in {seconds:.1f} s')


def main(argv: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    args = parse_args(argv)
    try:
        write(args)
    except (OSError, ValueError, ModuleNotFoundError) as error:
        print(f'make_sample: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
