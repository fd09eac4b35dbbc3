"""The scoreboard as a table for people and as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from hvc_mm.engine.hooks.protocol_log_hook import counts_of_total
from hvc_mm.utils.files import write_json

from .benchmarks import Benchmark
from .candidate import Candidate
from .plots import draw_plots

# Longer tables help nobody; the JSON has all.
_MOST_SEQUENCES = 40
_NOTHING = '-'


@dataclass
class Scoreboard:
    """What is known so far.

    Attributes:
        candidates: The backbones, in the order they were named.
        benchmarks: Those with data, in the order they were named.
        results: By names of backbone and benchmark, what
            :func:`~hvc_mm.scoreboard.cell.run_cell` returned.
        failures: Likewise, why there is none.
        skipped: By benchmark's name, which data aren't there.
        input_size: ``(H, W)`` that frames of free size were brought to.
    """

    candidates: List[Candidate]
    benchmarks: List[Benchmark] = field(default_factory=list)
    results: Dict[Tuple[str, str], dict] = field(default_factory=dict)
    failures: Dict[Tuple[str, str], str] = field(default_factory=dict)
    skipped: Dict[str, str] = field(default_factory=dict)
    input_size: Optional[Tuple[int, int]] = None

    def of(self, candidate: Candidate, benchmark: Benchmark) -> dict:
        """A cell's result; empty where there is none."""
        return self.results.get((candidate.name, benchmark.name), {})

    def write(self, out_dir: Path) -> None:
        """Write ``scoreboard.json``, ``scoreboard.md`` and the plots.

        Args:
            out_dir: Where to; made if missing.
        """
        write_json(out_dir / 'scoreboard.json', self.as_dict())
        plots = draw_plots(
            self.benchmarks, list(self.results.values()), out_dir
        )
        text = self.as_markdown(plots)
        (out_dir / 'scoreboard.md').write_text(text, encoding='utf-8')

    def as_dict(self) -> Dict[str, Any]:
        """All figures, for programs."""
        return {
            'backbones': {
                c.name: {
                    'what': c.title,
                    'config': c.backbone,
                    'weights_sha256': c.weights,
                    'channels': c.channels,
                    'stride': c.stride,
                    'parameters': c.parameters,
                }
                for c in self.candidates
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
        """The report.

        Args:
            plots: Pairs of a file's name and what it shows.

        Returns:
            str: Markdown.
        """
        parts = ['# Scoreboard\n', self.overview(), '']
        parts += [
            f'- {name}: skipped, {why}' for name, why in self.skipped.items()
        ]
        parts += [
            f'- {backbone} on {benchmark}: failed, {why}'
            for (backbone, benchmark), why in self.failures.items()
        ]
        for benchmark in self.benchmarks:
            parts += self._section(benchmark)
        if plots:
            parts.append('\n## Plots\n')
            parts += [f'![{title}]({name})\n' for name, title in plots]
        parts += ['\n## Backbones\n', self._backbones()]
        ran = sorted({r['ran_with'] for r in self.results.values()})
        seeds = sorted({str(r['seed']) for r in self.results.values()})
        parts.append(f'\nSeed {", ".join(seeds)}. {". ".join(ran)}.\n')
        return '\n'.join(parts)

    def overview(self) -> str:
        """The first score and the time of every cell, as a table."""
        heads = ['backbone']
        for benchmark in self.benchmarks:
            heads += [f'{benchmark.title}: {benchmark.headline}', 's/frame']
        rows = []
        for candidate in self.candidates:
            row = [candidate.name]
            for benchmark in self.benchmarks:
                result = self.of(candidate, benchmark)
                score = result.get('scores', {}).get(benchmark.headline)
                row += [_number(score), _seconds(result)]
            rows.append(row)
        return _table(heads, rows)

    def _section(self, benchmark: Benchmark) -> List[str]:
        found = [
            (c, self.of(c, benchmark))
            for c in self.candidates
            if self.of(c, benchmark)
        ]
        if not found:
            return []
        first = found[0][1]
        counts = counts_of_total(first['counts'], first['whole'])
        size = ''
        if self.input_size is not None and benchmark.takes_own_size:
            size = ' at {}x{} (height x width)'.format(*self.input_size)
        rows = [
            [c.name, *map(_number, r['scores'].values()), _seconds(r)]
            for c, r in found
        ]
        heads = ['backbone', *benchmark.scores, 's/frame']
        parts = [
            f'\n## {benchmark.title}\n',
            f'{counts}{size}; percent.\n',
            f'{first["protocol"]}.\n',
            _table(heads, rows),
        ]
        names = list(first['sequences'])
        rows = [
            [name, *(_number(r['sequences'].get(name)) for _, r in found)]
            for name in names[:_MOST_SEQUENCES]
        ]
        heads = [f'{benchmark.headline} of', *(c.name for c, _ in found)]
        parts += ['', _table(heads, rows)]
        if len(names) > _MOST_SEQUENCES:
            more = len(names) - _MOST_SEQUENCES
            parts.append(f'\n{more} more are in scoreboard.json.')
        return parts

    def _backbones(self) -> str:
        rows = []
        for c in self.candidates:
            files = [
                f'`{path}` (sha256 {digest[:8]})'
                for path, digest in c.weights.items()
            ]
            rows.append(
                [
                    c.name,
                    c.title,
                    f'{c.stride:g}',
                    str(c.channels),
                    f'{c.parameters / 1e6:.1f} M',
                    ', '.join(files) or 'random',
                ]
            )
        heads = ['name', 'what', 'stride', 'channels', 'parameters', 'weights']
        return _table(heads, rows, texts=(0, 1, 5))


def _seconds(result: dict) -> str:
    value = result.get('seconds_per_frame')
    return _NOTHING if value is None else f'{value:.3f}'


def _number(value: Optional[float]) -> str:
    return _NOTHING if value is None else f'{value:.1f}'


def _table(
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    texts: Sequence[int] = (0,),
) -> str:
    """A Markdown table; columns of figures are right-aligned."""
    marks = ['---' if i in texts else '---:' for i in range(len(heads))]
    lines = [heads, marks, *rows]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)
