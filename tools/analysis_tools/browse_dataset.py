"""Draw what a config's data set gives to the model.

Pre-training: each image with both crops' boxes, and the crops with lines
between positive pairs. Videos: frames with the masks, parts or joints that
are given or that are the truth.
"""

from __future__ import annotations

import argparse
from typing import Iterator, Optional, Sequence, Tuple

import mmcv
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DefaultScope

from hvc_mm.apis import PictureWriter, track_frames
from hvc_mm.datasets import read_image
from hvc_mm.engine.run_config import add_cfg_options, read_config
from hvc_mm.registry import DATASETS
from hvc_mm.structures import PairedViewSample, VOSDataSample
from hvc_mm.utils.outputs import check_outputs, dataset_inputs
from hvc_mm.visualization import (
    VOSLocalVisualizer,
    as_rgb,
    caption,
    draw_crops,
    draw_positive_pairs,
    frame_ground_truth,
    frame_image,
    side_by_side,
)


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Browse a data set')
    parser.add_argument('config', help='config file, or its name')
    parser.add_argument(
        '--phase',
        choices=['train', 'val', 'test'],
        help='whose data; by default the first of them that the config has',
    )
    parser.add_argument(
        '--out', required=True, help='folder for pictures, or a video'
    )
    parser.add_argument(
        '--force',
        action='store_true',
        help='write over files that no earlier run wrote, too',
    )
    parser.add_argument('--number', type=int, default=20, help='items to draw')
    parser.add_argument('--video', help='draw this video only')
    parser.add_argument(
        '--seed', type=int, default=0, help='of the random crops'
    )
    parser.add_argument('--fps', type=float, default=12, help='of a video')
    add_cfg_options(parser)
    return parser.parse_args(argv)


def build_dataset(cfg: Config, phase: Optional[str]) -> BaseDataset:
    """Build the data set of a phase that the config has."""
    phases = [p for p in ('train', 'val', 'test') if f'{p}_dataloader' in cfg]
    phase = phase or next(iter(phases), None)
    if phase not in phases:
        raise ValueError(
            f'{cfg.filename} has data for {phases or "no phase"}, not '
            f'{phase or "any"}'
        )
    with DefaultScope.overwrite_default_scope('hvc_mm'):
        return DATASETS.build(cfg[f'{phase}_dataloader'].dataset)


def draw_pair(item: dict, grid: Tuple[int, int]) -> np.ndarray:
    """Draw an image with its crops, and the crops with positive pairs."""
    sample: PairedViewSample = item['data_samples']
    image = mmcv.bgr2rgb(read_image(sample.img_path))
    boxes = [sample.box1, sample.box2]
    pairs = draw_positive_pairs(
        [as_rgb(view) for view in item['inputs']],
        [torch.from_numpy(box) for box in boxes],
        grid,
    )
    source = draw_crops(image, boxes)
    # The pairs have a caption too, so that the heights are alike.
    return side_by_side(
        [pairs, caption(source, 'first crop orange, second blue')]
    )


def draw_frame(item: dict, visualizer: VOSLocalVisualizer) -> np.ndarray:
    """Draw a frame with what is known about it."""
    sample: VOSDataSample = item['data_samples']
    image = frame_image(item['inputs'], sample)
    joints, ids, what = sample.get('gt_joints'), None, 'not annotated'
    if joints is not None:
        what = 'joints'
    elif 'prompt_ids' in sample:
        ids, what = sample.prompt_ids.numpy(), 'given to the model'
    elif sample.get('gt_path'):
        ids, what = frame_ground_truth(sample).ids, 'ground truth'
    picture = visualizer.draw(image, gt_ids=ids, gt_joints=joints)
    name = f'{sample.video} {sample.frame_name}'
    return caption(picture, f'{name}: {what}')


def pictures(
    dataset: BaseDataset, number: int, video: Optional[str], grid: int = 32
) -> Iterator[Tuple[str, np.ndarray]]:
    """Draw at most ``number`` items, all of ``video`` if one is given.

    Yields:
        A name for the file, and the picture, RGB.

    Raises:
        TypeError: Items of another kind than paired views or frames.
    """
    visualizer = VOSLocalVisualizer()
    visualizer.dataset_meta = dataset.metainfo
    drawn = 0
    for index in range(len(dataset)):
        if drawn == number:
            return
        if video and dataset.get_data_info(index).get('video') != video:
            continue
        item = dataset[index]
        sample = item['data_samples']
        if isinstance(sample, PairedViewSample):
            yield f'{index:06d}', draw_pair(item, (grid, grid))
        elif isinstance(sample, VOSDataSample):
            name = f'{sample.video}_{sample.frame_name}'.replace('/', '_')
            yield name, draw_frame(item, visualizer)
        else:
            raise TypeError(
                f'items are {type(sample).__name__}; expected paired views '
                'or frames of videos'
            )
        drawn += 1


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)
    try:
        cfg = read_config(args.config, args.cfg_options)
        dataset = build_dataset(cfg, args.phase)
        total = min(args.number, len(dataset))
        check_outputs([args.out], [*dataset_inputs(dataset), cfg.filename])
        with PictureWriter(args.out, args.fps, args.force) as writer:
            for name, picture in track_frames(
                pictures(dataset, args.number, args.video), total, 'items'
            ):
                writer.write(picture, name)
    except (OSError, TypeError, ValueError) as error:
        raise SystemExit(f'error: {error}') from None
    if writer.count == 0:
        raise SystemExit(f'error: no video {args.video} in the data set')
    print(f'{writer.count} pictures: {args.out}')


if __name__ == '__main__':
    main()
