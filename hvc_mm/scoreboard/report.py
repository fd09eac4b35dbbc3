"""The scoreboard as tables for people and as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import pandas as pd

from hvc_mm.engine.hooks.protocol_log_hook import counts_of_total
from hvc_mm.utils.files import write_json
from hvc_mm.utils.outputs import listed_file

from .entries import Backbone, Benchmark
from .plots import draw_plots

__all__ = ['Scoreboard', 'markdown_table']

# Longer tables help nobody; the JSON has all.
_MOST_SEQUENCES = 40
_SECONDS = 's/frame'
_JSON, _MARKDOWN = 'scoreboard.json', 'scoreboard.md'


@dataclass
class Scoreboard:
    """What is known so far.

    Attributes:
        backbones: In the order they were named.
        benchmarks: Those with data, in the order they were named.
        results: By names of backbone and benchmark, what
            :meth:`~hvc_mm.scoreboard.runs.Run.score` returned.
        failures: Likewise, why there is none.
        skipped: By benchmark's name, which data aren't there.
        input_size: ``(H, W)`` that frames of free size were brought to.
    """

    backbones: List[Backbone]
    benchmarks: List[Benchmark] = field(default_factory=list)
    results: Dict[Tuple[str, str], dict] = field(default_factory=dict)
    failures: Dict[Tuple[str, str], str] = field(default_factory=dict)
    skipped: Dict[str, str] = field(default_factory=dict)
    input_size: Optional[Tuple[int, int]] = None

    def files(self, out_dir: Path) -> List[Path]:
        """List the files that :meth:`write` may write."""
        plots = ['score_against_time.png']
        for name in (benchmark.name for benchmark in self.benchmarks):
            plots += [f'{name}_sequences.png', f'{name}_j_over_time.png']
        return [out_dir / name for name in (_JSON, _MARKDOWN, *plots)]

    def write(self, out_dir: Path) -> None:
        """Write ``scoreboard.json``, ``scoreboard.md`` and the plots."""
        with listed_file(out_dir / _JSON) as path:
            write_json(path, self.as_dict())
        results = list(self.results.values())
        plots = draw_plots(self.benchmarks, results, out_dir)
        with listed_file(out_dir / _MARKDOWN) as path:
            path.write_text(self.as_markdown(plots), encoding='utf-8')

    def as_dict(self) -> Dict[str, Any]:
        """Give all figures, for programs."""
        return {
            'backbones': {
                b.name: {
                    'what': b.title,
                    'config': b.config,
                    'weights_sha256': b.weights,
                    'channels': b.channels,
                    'stride': b.stride,
                    'parameters': b.parameters,
                }
                for b in self.backbones
            },
            'input_size': self.input_size,
            'results': list(self.results.values()),
            'failures': [
                {'backbone': names[0], 'benchmark': names[1], 'why': why}
                for names, why in self.failures.items()
            ],
            'skipped': self.skipped,
        }

    def as_markdown(self, plots: Sequence[Tuple[str, str]] = ()) -> str:
        """Write the report; plots are a file's name and what it shows."""
        parts = ['# Scoreboard\n', self.overview(), '']
        for name, why in self.skipped.items():
            parts.append(f'- {name}: skipped, {why}')
        for (backbone, benchmark), why in self.failures.items():
            parts.append(f'- {backbone} on {benchmark}: failed, {why}')
        for benchmark in self.benchmarks:
            parts += self._section(benchmark)
        if plots:
            parts.append('\n## Plots\n')
            parts += [f'![{title}]({name})\n' for name, title in plots]
        parts += ['\n## Backbones\n', self._table_of_backbones()]
        ran = sorted({r['ran_with'] for r in self.results.values()})
        seeds = sorted({str(r['seed']) for r in self.results.values()})
        parts.append(f'\nSeed {", ".join(seeds)}. {". ".join(ran)}.\n')
        return '\n'.join(parts)

    def overview(self) -> str:
        """Tabulate the first score and the time of every run."""
        table = pd.DataFrame(index=[b.name for b in self.backbones])
        for benchmark in self.benchmarks:
            own = self._table(benchmark).reindex(table.index)
            own = own.reindex(columns=[benchmark.headline, _SECONDS])
            own.columns = [f'{benchmark.title}: {own.columns[0]}', _SECONDS]
            table = pd.concat([table, own], axis=1)
        return markdown_table(table, 'backbone')

    def _results_of(self, benchmark: Benchmark) -> Dict[str, dict]:
        """Collect a benchmark's results by backbone, in the report's order."""
        keys = [(b.name, benchmark.name) for b in self.backbones]
        return {k[0]: self.results[k] for k in keys if k in self.results}

    def _table(self, benchmark: Benchmark) -> pd.DataFrame:
        """Tabulate scores and seconds a frame, a row a backbone."""
        rows = {
            name: {**result['scores'], _SECONDS: result['seconds_per_frame']}
            for name, result in self._results_of(benchmark).items()
        }
        return pd.DataFrame.from_dict(rows, orient='index', dtype=float)

    def _section(self, benchmark: Benchmark) -> List[str]:
        results = self._results_of(benchmark)
        if not results:
            return []
        first = next(iter(results.values()))
        counts = counts_of_total(first['counts'], first['whole'])
        if first['input_size']:
            counts += ' at {}x{} (height x width)'.format(*first['input_size'])
        columns = {name: r['sequences'] for name, r in results.items()}
        sequences = pd.DataFrame(columns)
        shown = sequences.head(_MOST_SEQUENCES)
        parts = [
            f'\n## {benchmark.title}\n',
            f'{counts}; percent.\n',
            f'{first["protocol"]}.\n',
            markdown_table(self._table(benchmark), 'backbone'),
            '',
            markdown_table(shown, f'{benchmark.headline} of'),
        ]
        more = len(sequences) - len(shown)
        if more:
            parts.append(f'\n{more} more are in scoreboard.json.')
        return parts

    def _table_of_backbones(self) -> str:
        rows = {}
        for b in self.backbones:
            files = [f'`{p}` (sha256 {s[:8]})' for p, s in b.weights.items()]
            rows[b.name] = {
                'what': b.title,
                'stride': f'{b.stride:g}',
                'channels': b.channels,
                'parameters': f'{b.parameters / 1e6:.1f} M',
                'weights': ', '.join(files) or 'random',
            }
        table = pd.DataFrame.from_dict(rows, orient='index')
        return markdown_table(table, 'name', texts=('what', 'weights'))


def markdown_table(
    table: pd.DataFrame, corner: str, texts: Sequence[str] = ()
) -> str:
    """Write a table in Markdown, a line a row.

    Figures are shown with one decimal, seconds with three, and what isn't
    known as a dash.

    Args:
        table: The figures.
        corner: Head of the column of row names.
        texts: Heads of columns that aren't right-aligned.
    """

    def shown(head: str, value: Any) -> str:
        if not isinstance(value, float):
            return str(value)
        digits = 3 if head == _SECONDS else 1
        return '-' if pd.isna(value) else f'{value:.{digits}f}'

    heads = list(table.columns)
    alignment = ['---' if head in texts else '---:' for head in heads]
    lines = [[corner, *heads], ['---', *alignment]]
    for name, *row in table.itertuples():
        lines.append([name, *map(shown, heads, row)])
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)
