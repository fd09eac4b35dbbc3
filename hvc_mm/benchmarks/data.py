"""How many images a core prepares for pre-training, and where time goes.

There is no dense side here, and so no mark: the figure tells how many workers
a GPU needs.
"""

from __future__ import annotations

import argparse
import time
from typing import Callable, Dict, List

from mmengine.config import Config
from mmengine.dataset import default_collate

from hvc_mm.datasets import ImageFolderDataset
from hvc_mm.registry import MODELS, TRANSFORMS

from .measure import single_thread, timed
from .report import Mark, Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``benchmark.py data`` beside the common ones."""
    parser.add_argument(
        '--images',
        required=True,
        help='folder of photographs, or a glob pattern',
    )
    parser.add_argument(
        '--number', type=int, help='images (default: 512; quick: 64)'
    )


def run(args: argparse.Namespace) -> Report:
    """Time each step of the pipeline, then collating and normalising."""
    number = args.number or (64 if args.quick else 512)
    dataset = ImageFolderDataset(
        data_root='', sources=args.images, recursive=True, pipeline=[]
    )
    infos = [dataset[at % len(dataset)] for at in range(number)]
    config = _config()
    steps = {
        step.type: TRANSFORMS.build(step)
        for step in config.train_dataloader.dataset.pipeline
    }
    with single_thread(args.device):
        seconds, samples = _best_pass(steps, infos, args.repeats)
        preprocessor = MODELS.build(config.model.data_preprocessor)
        preprocessor.to(args.device)
        batch = default_collate(samples)
        seconds['collate'] = timed(lambda: default_collate(samples)) / number
        seconds['normalise, on the device'] = (
            timed(lambda: preprocessor(batch), args.device) / number
        )
    report = Report(f'data pipeline, {number} images, one core')
    for name, each in seconds.items():
        report.rows.append({'what': name, 'ms an image': each * 1e3})
    worker = sum(seconds[name] for name in [*steps, 'collate'])
    report.rows.append(
        {'what': 'a worker, all of it', 'ms an image': worker * 1e3}
    )
    report.marks.append(
        Mark('images a second and core', 1 / worker, form='{:.0f}')
    )
    return report


def _best_pass(
    steps: Dict[str, Callable], infos: List[dict], repeats: int
) -> tuple:
    """Seconds an image of each step in the best of several passes."""
    passes = []
    for _ in range(repeats):
        spent = dict.fromkeys(steps, 0.0)
        samples = []
        for info in infos:
            results = dict(info)
            for name, step in steps.items():
                start = time.process_time()
                results = step(results)
                spent[name] += time.process_time() - start
                if results is None:  # a broken file: training skips it too
                    break
            else:
                samples.append(results)
        passes.append((sum(spent.values()), spent, samples))
    _, spent, samples = min(passes, key=lambda one: one[0])
    if not samples:
        raise ValueError(f'none of {len(infos)} images could be read')
    return {n: s / len(infos) for n, s in spent.items()}, samples


def _config() -> Config:
    """The recipe: pipeline and preprocessor of ``configs/hvc_coco.py``."""
    # Imported late: with the configs it is needed here alone.
    from hvc_mm.engine.run_config import find_config

    return Config.fromfile(
        find_config('hvc_coco'), import_custom_modules=False
    )
