"""The scoreboard as tables for people and as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import pandas as pd

from hvc_mm.engine.hooks.protocol_log_hook import counts_of_total
from hvc_mm.utils.files import write_json
from hvc_mm.utils.outputs import listed_file

from .entries import BENCHMARKS, Backbone, Benchmark
from .page import write_page
from .plots import draw_plots, plot_files
from .protocols import OWN
from .published import Published, read_published
from .results import FORMAT
from .tables import (
    SECONDS,
    as_latex,
    differences_table,
    markdown_table,
    published_table,
    runs_table,
    scores_table,
)

__all__ = ['Names', 'Scoreboard', 'in_words']

# Longer tables help nobody; the JSON has all.
_MOST_SEQUENCES = 40
_JSON, _MARKDOWN = 'scoreboard.json', 'scoreboard.md'
_SCORES, _DIFFERENCES = 'scores.csv', 'differences.csv'
_LATEX = 'scores.tex'
_TABLES = (_SCORES, _DIFFERENCES, _LATEX)
_PAGE = 'scoreboard.html'
_SEE_PAGE = f'[{_PAGE}]({_PAGE}) shows all this, with frames of every video.'
_COUNTS = ('counts', 'whole')


# Of a backbone, a benchmark and a protocol (None for the config's own).
Names = Tuple[str, str, Optional[str]]


def in_words(names: Names) -> str:
    """Name a run: ``'hvc on davis by dino'``."""
    backbone, benchmark, protocol = names
    return f'{backbone} on {benchmark} by {protocol or OWN}'


@dataclass
class Scoreboard:
    """What is known so far.

    Attributes:
        backbones: In the order they were named.
        benchmarks: Those with data, in the order they were named.
        protocols: By name, in the order they were named; None is each
            benchmark's own.
        results: By names, what :meth:`~hvc_mm.scoreboard.runs.Run.score`
            returned.
        failures: Likewise, why there is none.
        warnings: Likewise, what to know before one reads it.
        skipped: Which benchmarks, or protocols of a benchmark, were not
            scored, and why.
        published: Scores to show next to these.
    """

    backbones: List[Backbone]
    benchmarks: List[Benchmark] = field(default_factory=list)
    protocols: Sequence[Optional[str]] = (None,)
    results: Dict[Names, dict] = field(default_factory=dict)
    failures: Dict[Names, str] = field(default_factory=dict)
    warnings: Dict[Names, str] = field(default_factory=dict)
    skipped: List[Dict[str, Optional[str]]] = field(default_factory=list)
    published: List[Published] = field(default_factory=read_published)

    @classmethod
    def from_runs(cls, runs: Sequence[Dict[str, Any]]) -> Scoreboard:
        """Make one of results that were read from files."""
        board = cls([], protocols=[])
        for run in runs:
            parts = ('backbone', 'benchmark', 'protocol')
            names = tuple(run[part]['name'] for part in parts)
            board.results[names] = run
            if names[0] not in [each.name for each in board.backbones]:
                board.backbones.append(_backbone_of(run))
            if names[1] not in [each.name for each in board.benchmarks]:
                board.benchmarks.append(_benchmark_of(run))
        board.protocols = list(dict.fromkeys(by for _, _, by in board.results))
        return board

    def files(self, out_dir: Path) -> List[Path]:
        """List the files that :meth:`write` may write."""
        plots = plot_files(self.benchmarks)
        names = (_JSON, _MARKDOWN, _PAGE, *_TABLES, *plots)
        return [out_dir / name for name in names]

    def write(self, out_dir: Path) -> None:
        """Write the report: JSON, Markdown, tables, the page and the plots."""
        report = self.as_dict()
        with listed_file(out_dir / _JSON) as path:
            write_json(path, report)
        self._write_tables(out_dir)
        plots = draw_plots(self.benchmarks, report['runs'], out_dir)
        no_page = write_page(
            *(out_dir / _PAGE, report, out_dir / 'runs'), self.published
        )
        text = self.as_markdown(plots, no_page or _SEE_PAGE)
        with listed_file(out_dir / _MARKDOWN) as path:
            path.write_text(text, encoding='utf-8')

    def _write_tables(self, out_dir: Path) -> None:
        """Write what people put into papers: CSV and LaTeX."""
        results = self._in_order()
        for name, table in (
            (_SCORES, scores_table(results, self.published)),
            (_DIFFERENCES, differences_table(results)),
        ):
            with listed_file(out_dir / name) as path:
                table.to_csv(path, index=False)
        with listed_file(out_dir / _LATEX) as path:
            text = as_latex(results, self.published)
            path.write_text(text, encoding='utf-8')

    def as_dict(self) -> Dict[str, Any]:
        """Give all figures, for programs."""
        keys = ('backbone', 'benchmark', 'protocol')
        failures, warnings = (
            [dict(zip(keys, names), why=why) for names, why in told.items()]
            for told in (self.failures, self.warnings)
        )
        return {
            'format': FORMAT,
            'runs': self._in_order(),
            'failures': failures,
            'warnings': warnings,
            'skipped': self.skipped,
        }

    def _in_order(self) -> List[dict]:
        """List the results by benchmark, protocol and backbone."""
        names = [
            (backbone.name, benchmark.name, protocol)
            for benchmark in self.benchmarks
            for protocol in self.protocols
            for backbone in self.backbones
        ]
        return [self.results[key] for key in names if key in self.results]

    def as_markdown(
        self, plots: Sequence[Tuple[str, str]] = (), about_page: str = ''
    ) -> str:
        """Write the report as Markdown.

        Args:
            plots: Pairs of a PNG's name and what it shows.
            about_page: A sentence that says where the page is, or why there
                is none.
        """
        parts = ['# Scoreboard\n', self.overview(), '']
        if about_page:
            parts.append(f'{about_page}\n')
        for each in self.skipped:
            parts.append(f'- {each["benchmark"]}: skipped, {each["why"]}')
        for names, why in self.failures.items():
            parts.append(f'- {in_words(names)}: failed, {why}')
        for names, why in self.warnings.items():
            parts.append(f'- {in_words(names)}: {why}')
        for benchmark in self.benchmarks:
            parts += self._section(benchmark)
        if plots:
            parts.append('\n## Plots\n')
            parts.append('Each is also there as SVG and PDF.\n')
            parts += [f'![{title}]({name})\n' for name, title in plots]
        parts += ['\n## Backbones\n', self._table_of_backbones()]
        parts.append(self._origin())
        return '\n'.join(parts)

    def overview(self) -> str:
        """Tabulate the first score and the time of every run."""
        known = {(by, name) for name, _, by in (*self.results, *self.failures)}
        rows = [
            (protocol, backbone.name)
            for protocol in self.protocols
            for backbone in self.backbones
            if (protocol, backbone.name) in known
        ]
        names = [name for _, name in rows]
        columns = {'protocol': [protocol or OWN for protocol, _ in rows]}
        table = pd.DataFrame(columns, index=names)
        for benchmark in self.benchmarks:
            own = [
                self.results.get((name, benchmark.name, protocol), {})
                for protocol, name in rows
            ]
            head = benchmark.headline
            figures = {
                f'{benchmark.title}: {head}': [
                    result.get('scores', {}).get(head) for result in own
                ],
                SECONDS: [result.get('seconds_per_frame') for result in own],
            }
            own_table = pd.DataFrame(figures, index=names, dtype=float)
            table = pd.concat([table, own_table], axis=1)
        return markdown_table(table, 'backbone', texts=('protocol',))

    def _section(self, benchmark: Benchmark) -> List[str]:
        """Write a benchmark's tables, one after the other by protocol."""
        parts = []
        for protocol in self.protocols:
            keys = [(b.name, benchmark.name, protocol) for b in self.backbones]
            results = [self.results[k] for k in keys if k in self.results]
            if results:
                parts += self._table_of(benchmark, results)
        if not parts:
            return []
        published = published_table(self.published, benchmark.name)
        if published is not None:
            texts = ('protocol', 'source')
            parts.append('\n### Published by others, of the whole benchmark\n')
            parts.append(markdown_table(published, 'method', texts))
        return [f'\n## {benchmark.title}', *parts]

    def _table_of(
        self, benchmark: Benchmark, results: Sequence[dict]
    ) -> List[str]:
        """Tabulate the backbones on a benchmark by one protocol."""
        first = results[0]
        protocol = first['protocol']
        counts = counts_of_total(*map(first['benchmark'].get, _COUNTS))
        title = protocol['name'] or "the config's own"
        if protocol['input_size']:
            height, width = protocol['input_size']
            counts += f' at {height}x{width} (height x width)'
            if protocol['name']:
                title += ' but for the size of frames'
        head = benchmark.headline
        sequences = pd.DataFrame(
            {
                result['backbone']['name']: {
                    name: figures[head]
                    for name, figures in result['sequences'].items()
                }
                for result in results
            }
        )
        shown = sequences.head(_MOST_SEQUENCES)
        parts = [
            f'\n### Protocol: {title}\n',
            f'{counts}; percent.\n',
            f'{protocol["text"]}.\n',
            markdown_table(runs_table(results), 'backbone'),
            '',
            markdown_table(shown, f'{head} of'),
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

    def _origin(self) -> str:
        """Tell the seeds, and which versions ran where."""
        results = self.results.values()
        seeds = sorted({str(result['seed']) for result in results})
        ran = sorted(
            {
                ', '.join(f'{k} {v}' for k, v in result['versions'].items())
                for result in results
            }
        )
        return f'\nSeed {", ".join(seeds)}. {". ".join(ran)}.\n'


def _backbone_of(run: Dict[str, Any]) -> Backbone:
    fields = dict(run['backbone'])
    overrides = {'model.backbone': fields.pop('config')}
    return Backbone(overrides=overrides, **fields)


def _benchmark_of(run: Dict[str, Any]) -> Benchmark:
    """Make a benchmark as a result tells it, if it is not one of ours."""
    name, title = run['benchmark']['name'], run['benchmark']['title']
    scores = {head: head for head in run['scores']}
    return BENCHMARKS.get(name) or Benchmark(name, '', title, scores)
