"""The doctor: what is installed, whether it works, and how to mend it.

    python tools/misc/check_env.py [--column a|b|minimal]

Exit status 1 where there is a problem. Versions are compared with a tested
column; another version is no problem by itself.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import metadata
from pathlib import Path

from columns import COLUMNS, read_pins
from env_probes import PROBES, describe, driver_names, examine

ROOT = Path(__file__).resolve().parents[2]
# The doctor has to run where `import hvc_mm` would refuse to, and from a
# checkout that is not installed.
os.environ['HVC_SKIP_ENV_CHECK'] = '1'
sys.path.append(str(ROOT))

from env_verdict import doubled_metadata, judge, likely_column  # noqa: E402

from hvc_mm.utils.dependencies import (  # noqa: E402
    PACKAGES,
    installed_versions,
)


def print_table(title, heads, rows) -> None:
    """A table by rich, or plain lines where rich is among the missing."""
    try:
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text
    except ImportError:
        print(title)
        for row in rows:
            print('  ' + '  '.join(f'{cell:<14}' for cell in row))
        return
    table = Table(title=title)
    for head in heads:
        table.add_column(head)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def version_rows(versions, pins):
    """Rows of package, installed, tested, verdict; unused ones left out."""
    for name in PACKAGES:
        here, tested = versions.get(name), pins.get(name)
        if not here and not tested:
            continue
        verdict = 'absent' if not here else 'not the tested one'
        if here and here.split('+')[0] == tested:
            verdict = 'as tested'
        yield name, here or '-', tested or '-', verdict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--column', choices=sorted(COLUMNS), help='default: the closest one'
    )
    args = parser.parse_args()
    versions = installed_versions()
    column = args.column or likely_column(versions)
    pins = read_pins(ROOT / 'requirements' / COLUMNS[column].pins)
    print_table(
        f'Python {sys.version.split()[0]}, column {column}',
        ('package', 'installed', 'tested', ''),
        version_rows(versions, pins),
    )
    findings = {}
    for name, probe in PROBES.items():
        if all(versions.get(need) for need in probe.needs):
            print(f'trying: {probe.title} ...', flush=True)
            findings[name] = examine(probe)
    print_table(
        'tried',
        ('what', 'works', 'finding'),
        (
            (
                PROBES[name].title,
                'yes' if finding.works else 'no',
                describe(name, finding),
            )
            for name, finding in findings.items()
        ),
    )
    # Each folder once: a checkout may be on the path twice.
    folders = sorted({os.path.realpath(folder) for folder in sys.path})
    names = [
        (str(found.locate_file('')), found.metadata['Name'] or '')
        for found in metadata.distributions(path=folders)
    ]
    problems = judge(
        versions, findings, doubled_metadata(names), driver_names()
    )
    for number, problem in enumerate(problems, 1):
        level = 'problem' if problem.fatal else 'limited'
        print(f'{number}. {level}: {problem.what}\n   mend: {problem.mend}')
    if not problems:
        print('No problem found.')
    sys.exit(1 if problems else 0)


if __name__ == '__main__':
    main()
