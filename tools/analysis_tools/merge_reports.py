"""Join scoreboards from several machines and people into one report.

    python tools/analysis_tools/merge_reports.py report_a/ report_b/ \\
        mine=report_c/runs/hvc/davis/dino/0123456789ab/result.json \\
        --out merged/

Each is `[NAME=]PATH`: a scoreboard.json, the result.json of a run, or a
folder with one of them. With NAME its backbone is called so (of several
backbones each NAME-<backbone>).

A run that is in two reports is taken once. Two runs of one name that are of
different weights, data, settings or scores are refused, and nothing is
written. Backbones that were scored on different data are told.

The merged report has tables and plots; pictures of masks stay with the
reports that have them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Optional, Sequence

from hvc_mm.scoreboard import Scoreboard
from hvc_mm.scoreboard.merging import (
    merge_runs,
    read_report,
    tell_differences,
)
from hvc_mm.scoreboard.report import in_words
from hvc_mm.utils.outputs import check_outputs, claim_file


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('reports', nargs='+', metavar='[NAME=]PATH')
    parser.add_argument(
        '--out', type=Path, required=True, help='the folder of the new report'
    )
    parser.add_argument(
        '--force',
        action='store_true',
        help="write over files of the report's names that no earlier one "
        'wrote',
    )
    return parser.parse_args(argv)


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Read the reports, join their runs and write the new report."""
    args = parse_args(argv)
    try:
        reports = [read_report(text) for text in args.reports]
        board = Scoreboard.from_runs(merge_runs(reports))
        files = board.files(args.out)
        check_outputs(files, [report.path for report in reports])
        for path in files:
            claim_file(path, args.force)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    board.warnings = tell_differences(board.as_dict()['runs'])
    for names, why in board.warnings.items():
        print(f'{in_words(names)}: {why}', file=sys.stderr)
    board.write(args.out)
    print(board.overview())
    print(f'the report of {len(reports)} is in {args.out}')


if __name__ == '__main__':
    main()
