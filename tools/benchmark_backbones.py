"""Score any backbones on all benchmarks, by the protocols of publications.

    python tools/benchmark_backbones.py \\
        --backbones hvc=work_dirs/hvc_coco/epoch_20.pth \\
            moco=checkpoints/moco_v1_200ep_pretrain.pth.tar:stage=3 \\
            'torchvision=TorchvisionBackbone:model=resnet50,nodes=layer2' \\
            'mmdet.ResNet:depth=50,stage=2,weights=resnet50.pth' \\
            dino=timm:vit_small_patch16_224,weights=dino.pth,facet=key \\
            random=HVCResNet:depth=18,stage=3 \\
        --benchmarks davis davis16 vip jhmdb \\
        --protocols own dino dinov3 --out report/

A backbone is one of

    [NAME=]FILE[:KEY=VALUE,...]          weights of a ResNet, in any layout
                                         that model_converters/convert.py
                                         knows
    [NAME=][SCOPE.]TYPE[:KEY=VALUE,...]  a class of any OpenMMLab registry
    [NAME=]timm:MODEL[,KEY=VALUE,...]    a model of timm
    [NAME=]transformers:MODEL[,KEY=...]  a folder of transformers, or a name
                                         on the hub
    BACKBONES.yaml (.yml, .json, .py)    a file whose `backbones` maps names
                                         to the above, or to dicts of the
                                         keys below; `custom_imports` names
                                         modules to import before

Keys:
    stage=N      the output of stage N, from 1 on (layer1); 3 by default for
                 a FILE
    map=I        which of the maps that a TYPE returns, from 0 on; (I, J, ...)
                 joins several
    weights=FILE what a TYPE loads; without it the TYPE is scored as it
                 builds itself: at random, or with its own init_cfg
    layout=NAME  how a FILE looks, if `auto` is wrong
    data_preprocessor.mean=(...), .std=(...), .bgr_to_rgb=...
                 how frames are normalised; ImageNet's values by default
Any other key is an argument of the backbone: depth=50, style=caffe,
strides=(1,2,1,1); dots lead into nested dicts.

Every backbone is scored on every benchmark whose data are there, by every
protocol that fits it: those of configs/_base_/protocols, and `own`, the
benchmark's config as it is.

The report is scoreboard.md, scoreboard.json, plots and, with the extra
`report`, scoreboard.html, a page with frames of every video. It is written
after every step, and a run that was stopped goes on after the last video that
was scored; what depends on a changed setting, file of weights or sample
starts anew.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Optional, Sequence, Set, Tuple

from mmengine.config import Config, DictAction

from hvc_mm.engine.frame_sizes import parse_size
from hvc_mm.engine.run_config import read_run
from hvc_mm.scoreboard import (
    BENCHMARKS,
    OWN,
    Backbone,
    Benchmark,
    Run,
    Scoreboard,
    check_protocols,
    group_runs,
    make_backbone,
    parse_backbones,
    prepare_run,
    score_together,
    try_frame_sizes,
    why_unfit,
)
from hvc_mm.scoreboard.report import Names, in_words
from hvc_mm.scoreboard.results import refuse_older
from hvc_mm.utils import register_all_modules
from hvc_mm.utils.files import remove_abandoned
from hvc_mm.utils.outputs import check_outputs, claim_file
from hvc_mm.utils.worker_errors import reason_of


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--backbones', nargs='+', required=True, metavar='SPEC'
    )
    parser.add_argument(
        '--benchmarks',
        nargs='+',
        choices=list(BENCHMARKS),
        default=list(BENCHMARKS),
        help='those without data are skipped (default: all)',
    )
    parser.add_argument(
        '--protocols',
        nargs='+',
        default=[OWN],
        metavar='NAME',
        help='published protocols, as for `tools/test.py --protocol`; own: '
        "the benchmark's config as it is (default)",
    )
    parser.add_argument(
        '--out', type=Path, required=True, help='the folder of the report'
    )
    parser.add_argument(
        '--force',
        action='store_true',
        help="write over files of the report's names that no earlier "
        'scoreboard wrote',
    )
    parser.add_argument(
        '--input-size',
        type=parse_size,
        metavar='HxW',
        help='show frames to the network at this size, in place of that of '
        'a named protocol, or where the config takes them at their own '
        "(DAVIS); scores stay at the frames' own size",
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help="override entries of the benchmarks' configs; data_root=DIR "
        'says where the data are',
    )
    return parser.parse_args(argv)


def read_benchmark(
    benchmark: Benchmark,
    args: argparse.Namespace,
    protocol: Optional[str] = None,
) -> Config:
    """Read a benchmark's config as ``tools/test.py`` would."""
    # Each benchmark takes some of the options out.
    options = dict(args.cfg_options or {})
    work_dir = str(args.out / 'runs')
    return read_run(benchmark.config, options, work_dir, protocol=protocol)


def missing_data(cfg: Config) -> Optional[str]:
    """Tell what isn't there of a benchmark's data: a folder or a list.

    What is wrong with data that are there is the data set's to say.
    """
    dataset = cfg.test_dataloader.dataset
    root = Path(dataset.data_root)
    if not root.is_dir():
        return f'there is no folder {root}'
    listed = dataset.get('ann_file')
    if listed and not (root / listed).is_file():
        return f'there is no list {root / listed}'
    return None


def find_data(board: Scoreboard, args: argparse.Namespace) -> List[str]:
    """Skip benchmarks without data, and list the roots of the others'.

    Raises:
        ValueError: None has its data.
    """
    roots = []
    for name in dict.fromkeys(args.benchmarks):
        benchmark = BENCHMARKS[name]
        cfg = read_benchmark(benchmark, args)
        missing = missing_data(cfg)
        if missing is None:
            board.benchmarks.append(benchmark)
            roots.append(cfg.test_dataloader.dataset.data_root)
        else:
            print(f'{benchmark.title} is skipped: {missing}', flush=True)
            board.skipped.append({'benchmark': name, 'why': missing})
    if not board.benchmarks:
        raise ValueError(
            'there are no data of any of these benchmarks; their root is set '
            'by HVC_DATA_ROOT or --cfg-options data_root=DIR'
        )
    return roots


def claim_files(
    board: Scoreboard, roots: Sequence[str], args: argparse.Namespace
) -> None:
    """Refuse to write over what is read, or over others' files."""
    lists = [text for text in args.backbones if Path(text).is_file()]
    weights = [path for each in board.backbones for path in each.weights]
    files = board.files(args.out)
    check_outputs([*files, args.out / 'runs'], [*lists, *weights, *roots])
    for path in files:
        claim_file(path, args.force)
    if not args.force:
        refuse_older(args.out / 'scoreboard.json')
    remove_abandoned(args.out / 'runs')


def plan(board: Scoreboard) -> List[Tuple[Benchmark, Optional[str]]]:
    """Pair benchmarks with the protocols that fit them; tell the others.

    Raises:
        ValueError: No pair is left.
    """
    pairs: List[Tuple[Benchmark, Optional[str]]] = []
    for benchmark in board.benchmarks:
        for protocol in board.protocols:
            why = why_unfit(protocol, benchmark)
            if why is None:
                pairs.append((benchmark, protocol))
            else:
                print(f'skipped: {why}', flush=True)
                skipped = dict(benchmark=benchmark.name, protocol=protocol)
                board.skipped.append({**skipped, 'why': why})
    if not pairs:
        raise ValueError('none of these protocols fits these benchmarks')
    return pairs


def prepare_runs(
    board: Scoreboard,
    backbone: Backbone,
    pairs: Sequence[Tuple[Benchmark, Optional[str]]],
    args: argparse.Namespace,
) -> List[Run]:
    """Read a backbone's configs; tell what a reader should know before."""
    runs = []
    tried: Set[Tuple[int, int]] = set()
    for benchmark, protocol in pairs:
        names = (backbone.name, benchmark.name, protocol)
        with told_failures(board, [names]):
            cfg = read_benchmark(benchmark, args, protocol)
            size = args.input_size
            run = prepare_run(
                benchmark, backbone, cfg, args.out, size, protocol
            )
            try_frame_sizes(backbone, run.frame_sizes - tried)
            tried |= run.frame_sizes
            runs.append(run)
            if run.warning:
                print(f'{in_words(names)}: {run.warning}', flush=True)
                board.warnings[names] = run.warning
    return runs


def score_all(
    board: Scoreboard,
    pairs: Sequence[Tuple[Benchmark, Optional[str]]],
    args: argparse.Namespace,
) -> None:
    """Run whatever isn't there yet; the report grows with every run."""
    runs = [
        run
        for backbone in board.backbones
        for run in prepare_runs(board, backbone, pairs, args)
    ]
    groups = deque(group_runs(runs))
    if not groups:
        board.write(args.out)  # what has failed
    while groups:
        group = groups.popleft()
        names = [run.names for run in group]
        print(f'== {"; ".join(map(in_words, names))}', flush=True)
        with told_failures(board, names):
            board.results.update(zip(names, score_together(group)))
        if len(group) > 1 and names[0] in board.failures:
            # One protocol's failure is none of the others': each by itself.
            for name in names:
                del board.failures[name]
            groups.extendleft([run] for run in reversed(group))
        board.write(args.out)


@contextmanager
def told_failures(board: Scoreboard, names: Sequence[Names]) -> Iterator[None]:
    """Keep on going after whatever a foreign network raises, and tell it.

    The other runs may well be fine.
    """
    try:
        yield
    except Exception as error:
        reason = reason_of(error)
        if reason == str(error):
            traceback.print_exc()  # a worker's says nothing of the network
        why = f'{type(error).__name__}: {reason}'
        board.failures.update(dict.fromkeys(names, why))


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Score and report; returns the exit status."""
    args = parse_args(argv)
    register_all_modules(init_default_scope=False)
    try:
        # All of them before the first one is scored: mistakes come early.
        check_protocols(args.protocols)
        named = parse_backbones(args.backbones)
        backbones = [make_backbone(name, named[name]) for name in named]
        board = Scoreboard(backbones)
        names = dict.fromkeys(args.protocols)
        board.protocols = [None if name == OWN else name for name in names]
        roots = find_data(board, args)
        pairs = plan(board)
        claim_files(board, roots, args)
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from None
    score_all(board, pairs, args)
    print(board.overview())
    print(f'the report is in {args.out}')
    for names, why in board.failures.items():
        print(f'{in_words(names)} failed: {why}', file=sys.stderr)
    return 1 if board.failures else 0


if __name__ == '__main__':
    sys.exit(main())
