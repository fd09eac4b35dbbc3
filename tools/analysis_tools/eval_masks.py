"""Score masks on the disk, of any method, with a config's protocol.

    python tools/analysis_tools/eval_masks.py configs/hvc_davis.py --pred DIR

DIR holds ``<video>/<frame>.png``, ids as palette or greyscale PNG, as
``tools/test.py --out DIR`` writes them (for joints: ``<clip>.npy``). Frames
that the protocol leaves out need no mask. No model is built.
"""

from __future__ import annotations

import argparse
import tokenize
import zipfile
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence

import numpy as np
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from rich.progress import track

from hvc_mm.datasets import read_image_size
from hvc_mm.datasets.jhmdb import JOINTS
from hvc_mm.engine.run_config import (
    add_cfg_options,
    evaluators_of,
    read_config,
)
from hvc_mm.registry import DATASETS
from hvc_mm.utils import register_all_modules
from hvc_mm.utils.outputs import check_outputs

# What belongs to a run of a model: the masks are there, nothing is written.
_RUN_ONLY = ('out_dir', 'zip_path', 'format_only', 'results_dir')

# What numpy raises for damaged files: their heads are Python literals.
_NUMPY_ERRORS = (
    *(OSError, EOFError, ValueError, SyntaxError, MemoryError),
    *(tokenize.TokenError, zipfile.BadZipFile),
)


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='a test config: data and protocol')
    parser.add_argument(
        '--pred', required=True, type=Path, metavar='DIR', help='the masks'
    )
    parser.add_argument(
        '--binarize',
        action='store_true',
        help='each mask in DIR shows one object, and its edges may be smooth',
    )
    parser.add_argument(
        '--results-dir', metavar='DIR', help='write scores (JSON, CSV) here'
    )
    parser.add_argument(
        '--force',
        action='store_true',
        help='write over results that no earlier run wrote, too',
    )
    parser.add_argument(
        '--per-sequence',
        action='store_true',
        help='also show a row for every video or object',
    )
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    if not args.pred.is_dir():
        parser.error(f'--pred {args.pred}: there is no such folder')
    return args


def evaluators(cfg: Config, args: argparse.Namespace) -> List[dict]:
    """Turn a config's metrics into those that score what is there already."""
    metrics = evaluators_of(cfg)
    if not metrics or 'test_dataloader' not in cfg:
        raise SystemExit(
            f'{args.config} has no test_dataloader and test_evaluator: '
            'expected a test config such as configs/hvc_davis.py'
        )
    for metric in metrics:
        for key in _RUN_ONLY:
            metric.pop(key, None)
        if args.results_dir:
            metric['results_dir'] = args.results_dir
            metric['force'] = args.force
        if args.per_sequence:
            metric['per_sequence'] = True
    return metrics


def frames(
    dataset, pred: Path, grid: int = 40, binarize: bool = False
) -> Iterator[dict]:
    """Yield what a model would have returned for each frame of a data set.

    Args:
        dataset: One item per frame, videos whole and in order.
        pred: The folder of masks (or of joints).
        grid: Cells along a frame's sides, the unit of joints in files.
        binarize: Each mask shows one object.
    """
    joints: Dict[str, np.ndarray] = {}
    for i in range(len(dataset)):
        sample = dataset.get_data_info(i)
        sample['ori_shape'] = read_image_size(sample['img_path'])
        if 'prompt' in sample:
            # Metrics only ask whether the frame came with a prompt.
            sample['prompt_ids'] = sample['prompt']
        video, index = sample['video'], sample['frame_index']
        if index == 0:
            path = pred / f'{video}.npy'
            joints = {}
            if path.is_file():
                joints[video] = read_cells(path, sample['video_length'])
        if video in joints:
            cells = joints[video][:, :, index]
            height, width = sample['ori_shape']
            # Lost joints are -1 and stay negative.
            sample['pred_joints'] = cells * [[width / grid], [height / grid]]
        else:
            name = f'{sample["frame_name"]}.png'
            sample['pred_path'] = str(pred / video / name)
            sample['binarize'] = binarize
        yield sample


def read_cells(path: Path, length: int) -> np.ndarray:
    """Read a clip's joints ``(2, 15, T)`` in cells, of all its frames.

    Raises:
        ValueError: The file is damaged, or holds something else.
    """
    wanted = f'expected finite numbers of shape (2, {len(JOINTS)}, {length})'
    try:
        cells = np.load(path, allow_pickle=False)
    except _NUMPY_ERRORS as error:
        raise ValueError(f'cannot read {path}: {error}; {wanted}') from error
    if not isinstance(cells, np.ndarray) or cells.dtype.kind not in 'fiu':
        kind = getattr(cells, 'dtype', 'an archive')
        raise ValueError(f'{path} holds {kind}; {wanted}')
    fits = cells.ndim == 3 and cells.shape[:2] == (2, len(JOINTS))
    if not fits or cells.shape[2] < length:
        raise ValueError(f'{path} has shape {cells.shape}; {wanted}')
    if not np.isfinite(cells).all():
        raise ValueError(f'{path} holds NaN or infinity; {wanted}')
    return cells


def main(argv: Optional[Sequence[str]] = None) -> Dict[str, float]:
    """Score the masks; log the tables and return the figures by name."""
    args = parse_args(argv)
    try:
        return score(args)
    except (OSError, ValueError) as error:
        raise SystemExit(f'error: {error}') from None


def score(args: argparse.Namespace) -> Dict[str, float]:
    """Score the masks that the command line names."""
    if args.results_dir:
        check_outputs([args.results_dir], [args.pred])
    cfg = read_config(args.config, args.cfg_options)
    register_all_modules()
    metrics = evaluators(cfg, args)
    dataset = DATASETS.build({**cfg.test_dataloader.dataset, 'pipeline': []})
    grid = next((m['grid'] for m in metrics if 'grid' in m), 40)
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = dataset.metainfo
    for sample in track(
        frames(dataset, args.pred, grid, args.binarize),
        'Scoring',
        total=len(dataset),
    ):
        evaluator.process([sample])
    return evaluator.evaluate(len(dataset))


if __name__ == '__main__':
    main()
