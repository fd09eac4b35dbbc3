"""Score the tracker on videos of DAVIS, with detections now and then.

    python tools/analysis_tools/eval_tracker.py --data-root data/DAVIS \\
        --weights resnet50.pth --depth 50

Detections are the annotated masks, eroded by a few pixels, in a random order
and all of one class and score: the tracker is told no identity. Printed is
the AP50 of YouTube-VIS, from the test loop, data set and metric of
MMDetection (3.1 or later) or MMTracking, whichever is installed. Needs
pycocotools.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import os.path as osp
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, List, Optional, Sequence, Tuple

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask
from torch import nn

from hvc_mm.checkpoint import find_weights
from hvc_mm.datasets.id_masks import objects_in, read_id_mask, without_void
from hvc_mm.engine.run_config import read_config
from hvc_mm.utils.environment import installed_versions

CONFIGS = {
    'mmdet': 'mask-rcnn_hvc_ytvis_mmdet',
    'mmtrack': 'mask-rcnn_hvc_ytvis',
}
FRAMES, MASKS = 'JPEGImages/480p', 'Annotations/480p'


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('--data-root', required=True, help='the folder of DAVIS')
    add('--weights', required=True, help="the backbone's, or their name")
    add('--depth', type=int, default=18, help="the ResNet's: 18 (default), 50")
    add(
        '--style',
        choices=['pytorch', 'caffe'],
        default='pytorch',
        help="where a ResNet-50's blocks have their stride",
    )
    add('--videos', nargs='+', default=['dogs-jump', 'schoolgirls'])
    add(
        '--every',
        type=int,
        default=10,
        help='detections on every so many frames (10)',
    )
    add('--erode', type=int, default=1, help="pixels off each mask's edge (1)")
    add('--seed', type=int, default=0, help='of the order of detections (0)')
    add(
        '--project',
        choices=CONFIGS,
        default='mmtrack' if installed_versions()['mmtrack'] else 'mmdet',
        help='default: MMTracking where it is installed, else MMDetection',
    )
    args = parser.parse_args(argv)
    for name, least in (('every', 1), ('erode', 0)):
        if getattr(args, name) < least:
            parser.error(
                f'--{name} is {getattr(args, name)}; expected at least {least}'
            )
    if not osp.isdir(osp.join(args.data_root, FRAMES)):
        parser.error(
            f'--data-root {args.data_root} has no folder {FRAMES}; expected '
            'the folder of DAVIS'
        )
    return args


@MODELS.register_module(force=True)
class ErodedMasks(nn.Module):
    """Find annotated objects, without saying which one is which.

    Args:
        folder: The annotations, ``<video>/<frame>.png``.
        erode: Pixels that a mask loses along its edge.
        seed: Of the order.
    """

    is_init = with_mask = True

    def __init__(self, folder: str, erode: int, seed: int) -> None:
        super().__init__()
        self.folder = folder
        self.kernel = np.ones((2 * erode + 1,) * 2, np.uint8)
        self.random = np.random.RandomState(seed)

    def predict(
        self, image: torch.Tensor, data_samples: list, rescale: bool = True
    ) -> None:
        """Give the frame's sample ``pred_instances``."""
        (sample,) = data_samples
        video, name = Path(sample.img_path).parts[-2:]
        ids, objects = read_objects(
            osp.join(self.folder, video, Path(name).stem + '.png')
        )
        masks = [
            cv2.erode((ids == i).astype(np.uint8), self.kernel) > 0
            for i in objects
        ]
        masks = [mask for mask in masks if mask.any()]
        order = self.random.permutation(len(masks))
        masks = np.stack([np.zeros(ids.shape, bool), *masks])[order + 1]
        sample.pred_instances = InstanceData(
            masks=torch.from_numpy(masks),
            bboxes=torch.zeros(len(masks), 4),
            labels=torch.zeros(len(masks), dtype=torch.long),
            scores=torch.ones(len(masks)),
        )


def read_objects(path: str) -> Tuple[np.ndarray, List[int]]:
    """Read a mask of ids, and list the objects in it."""
    ids = without_void(read_id_mask(path), None)
    return ids, objects_in(ids)


def annotate(root: str, video: str) -> dict:
    """Describe a video and its annotation in the layout of YouTube-VIS."""
    frames = sorted(Path(root, FRAMES, video).glob('*.jpg'))
    if not frames:
        raise SystemExit(
            f'--videos {video}: no frames in {Path(root, FRAMES, video)}'
        )
    images, annotations = [], []
    for time, frame in enumerate(frames):
        ids, objects = read_objects(
            osp.join(root, MASKS, video, f'{frame.stem}.png')
        )
        image = dict(video_id=1, height=ids.shape[0], width=ids.shape[1])
        image['id'] = image['image_id'] = time + 1
        name = f'{video}/{frame.name}'
        images.append(dict(image, file_name=name, frame_id=time))
        for index in objects:
            rle = coco_mask.encode(np.asfortranarray(ids == index))
            one = dict(image, id=len(annotations) + 1, instance_id=index)
            one.update(
                category_id=1, iscrowd=0, area=int((ids == index).sum())
            )
            one['bbox'] = coco_mask.toBbox(rle).tolist()
            one['segmentation'] = dict(rle, counts=rle['counts'].decode())
            annotations.append(one)
    return dict(
        videos=[dict(images[0], id=1, name=video)],
        images=images,
        annotations=annotations,
        categories=[dict(id=1, name='person')],
    )


def make_config(
    args: argparse.Namespace, content: dict, work_dir: str
) -> Config:
    """Derive a run over one video from the config that is shipped."""
    cfg = read_config(CONFIGS[args.project])
    cfg.work_dir, cfg.log_level = work_dir, 'ERROR'
    cfg.model.detector = dict(
        type='ErodedMasks',
        folder=osp.join(args.data_root, MASKS),
        erode=args.erode,
        seed=args.seed,
    )
    cfg.model.label_map = None
    cfg.model.carrier.backbone = dict(
        type='hvc_mm.HVCResNet',
        depth=args.depth,
        style=args.style,
        out_indices=(2,),
        init_cfg=dict(
            type='hvc_mm.PretrainedBackbone', checkpoint=args.weights
        ),
    )
    cfg.test_dataloader.update(num_workers=0, persistent_workers=False)
    dataset = cfg.test_dataloader.dataset
    dataset.data_root = ''
    dataset.data_prefix = dict(img_path=osp.join(args.data_root, FRAMES))
    dataset.ann_file = osp.join(work_dir, 'annotations.json')
    Path(dataset.ann_file).write_text(json.dumps(content), encoding='utf-8')
    # Frames as they are.
    size = content['images'][0]
    for step in dataset.pipeline:
        for each in [step, *step.get('transforms', [])]:
            if each.type.endswith('Resize'):
                each.scale = size['width'], size['height']
    cfg.test_evaluator.update(format_only=False, outfile_prefix=None)
    cfg.visualizer.vis_backends = []
    return cfg


def ap50(cfg: Config, **options: Any) -> float:
    """Run the project's test loop; give its score.

    Args:
        cfg: The run.
        **options: Of the tracker (``detect_every``) and its ``tracks``.
    """
    cfg = copy.deepcopy(cfg)
    cfg.model.detect_every = options.pop('detect_every')
    cfg.model.tracks.update(options)
    # Of mmengine, one for each run.
    cfg.experiment_name = f'{cfg.model.detect_every}-{options}'
    with open(os.devnull, 'w') as nowhere, redirect_stdout(nowhere):
        return Runner.from_cfg(cfg).test()['youtube_vis/segm_mAP_50']


def main() -> None:
    """Print the scores of every video."""
    args = parse_args()
    try:
        read_config(CONFIGS[args.project])
        args.weights = find_weights(args.weights)
        contents = {v: annotate(args.data_root, v) for v in args.videos}
    except (OSError, ValueError) as error:
        raise SystemExit(f'error: {error}') from None
    for video, content in contents.items():
        count = len({a['instance_id'] for a in content['annotations']})
        print(f'{video}, {len(content["images"])} frames, {count} objects:')
        with tempfile.TemporaryDirectory() as folder:
            cfg = make_config(args, content, folder)
            every = f'one of {args.every} frames'
            for title, options in {
                'the first frame': dict(detect_every=None),
                every: dict(detect_every=args.every),
                f'{every}, lost objects not found again': dict(
                    detect_every=args.every, reid_thr=None
                ),
            }.items():
                score = ap50(cfg, **options)
                print(f'  AP50 {score:.3f}  detections on {title}', flush=True)


if __name__ == '__main__':
    main()
