"""Draw curves from mmengine's logs, or sum up how long iterations took.

``analyze_logs.py plot work_dirs/hvc_coco --keys loss loss_static`` and
``analyze_logs.py time work_dirs/hvc_coco``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Dict, List

import numpy as np

from hvc_mm.utils.outputs import check_outputs, claim_file, listed_file
from hvc_mm.utils.run_log import find_log, read_log, series


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Analyze logs of mmengine')
    tasks = parser.add_subparsers(dest='task', required=True)
    plot = tasks.add_parser('plot', help='curves of losses or scores')
    plot.add_argument('--keys', nargs='+', default=['loss'])
    plot.add_argument('--out', default='curves.png', help='picture to write')
    plot.add_argument(
        '--force',
        action='store_true',
        help='write over a file that no earlier run wrote, too',
    )
    plot.add_argument(
        '--smooth',
        type=int,
        default=1,
        metavar='N',
        help='draw the mean of the last N values',
    )
    plot.add_argument('--legend', nargs='+', help='a name for each log')
    time = tasks.add_parser('time', help='seconds per iteration')
    time.add_argument(
        '--skip', type=int, default=1, help='log lines left out at the start'
    )
    for sub in (plot, time):
        sub.add_argument(
            'logs', nargs='+', help='scalars.json, or a work dir with one'
        )
    args = parser.parse_args()
    if args.task == 'plot':
        if args.legend and len(args.legend) != len(args.logs):
            parser.error('--legend takes one name for each log')
        if args.smooth < 1:
            parser.error('--smooth takes 1 or more')
    return args


def smoothed(values: np.ndarray, window: int) -> np.ndarray:
    """The mean of each value and those before it, at most ``window``."""
    sums = np.cumsum(np.insert(values, 0, 0.0))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def plot(
    logs: Dict[str, List[dict]], keys: List[str], window: int, out: str
) -> None:
    """Draw curves into one picture; see the module's description."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, entries in logs.items():
        for key in keys:
            steps, values = series(entries, key)
            label = f'{name} {key}'.strip()
            axes.plot(
                steps,
                smoothed(values, window),
                label=label,
                marker='o' if len(values) < 20 else None,
            )
    axes.set_xlabel('step')
    axes.set_ylabel(', '.join(keys))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    with listed_file(out) as partial:
        form = Path(out).suffix[1:] or 'png'
        figure.savefig(partial, dpi=120, format=form)


def time_report(entries: List[dict], skip: int) -> str:
    """Seconds per iteration, in words."""
    _, times = series(entries, 'time')
    times = times[skip:] if len(times) > skip else times
    lines = [
        f'iteration: mean {times.mean():.4f} s, median '
        f'{np.median(times):.4f} s, slowest {times.max():.4f} s '
        f'({len(times)} log lines)'
    ]
    try:
        _, waits = series(entries, 'data_time')
    except KeyError:
        return lines[0]
    waits = waits[-len(times) :]
    share = 100 * waits.sum() / times.sum()
    lines.append(f'waiting for data: mean {waits.mean():.4f} s ({share:.1f}%)')
    return '\n'.join(lines)


def main() -> None:
    args = parse_args()
    try:
        paths = [find_log(path) for path in args.logs]
        if args.task == 'plot':
            check_outputs([args.out], paths)
            claim_file(args.out, args.force)
        logs = [read_log(path) for path in paths]
        if args.task == 'plot':
            names = args.legend or (args.logs if len(logs) > 1 else [''])
            plot(dict(zip(names, logs)), args.keys, args.smooth, args.out)
            print(args.out)
            return
        for path, entries in zip(paths, logs):
            print(f'{path}\n{time_report(entries, args.skip)}')
    except (OSError, ValueError) as error:
        raise SystemExit(f'error: {error}') from None
    except KeyError as error:
        raise SystemExit(f'error: {error.args[0]}') from None


if __name__ == '__main__':
    main()
