"""Propagate masks through a video and write it with the masks over it.

``python tools/demo/video_demo.py VIDEO --mask first.png --out out.mp4``
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Dict, Optional, Sequence

import mmcv

from hvc_mm.apis import (
    PictureWriter,
    PromptMasks,
    init_model,
    open_frames,
    track_frames,
)
from hvc_mm.apis.inference import frame_pipeline, stream_video
from hvc_mm.datasets import save_id_mask
from hvc_mm.engine.frame_sizes import parse_size
from hvc_mm.engine.run_config import (
    add_model_arguments,
    choose_checkpoint,
    read_config,
)
from hvc_mm.utils.outputs import check_outputs, claim_folder, listed_file
from hvc_mm.utils.signals import end_orderly_on_sigterm
from hvc_mm.visualization import VOSLocalVisualizer


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Propagate masks through a video and draw them over it'
    )
    parser.add_argument('video', help='video file, or folder of frames')
    parser.add_argument(
        '--mask',
        action='append',
        required=True,
        metavar='[FRAME:]PNG',
        help='palette PNG of the objects that begin, or are corrected, at a '
        'frame, by default the first one (0); may be given for several frames',
    )
    parser.add_argument(
        '--binarize',
        action='store_true',
        help='each mask shows one object, and its edges may be smooth',
    )
    parser.add_argument(
        '--out',
        required=True,
        help='video to write (.mp4, .mov, .mkv, .avi, .webm, .gif), or a '
        'folder for pictures',
    )
    parser.add_argument(
        '--masks-dir', metavar='DIR', help='also write palette PNGs here'
    )
    add_model_arguments(parser)
    parser.add_argument(
        '--batch-size',
        type=int,
        default=1,
        help='frames whose features are computed together',
    )
    parser.add_argument(
        '--input-size',
        type=parse_size,
        metavar='HxW',
        help='show frames to the network at this size, e.g. 480x854 of a '
        "video in 4K; masks and pictures keep the video's",
    )
    parser.add_argument(
        '--force',
        action='store_true',
        help='write over files that no earlier run wrote, too',
    )
    parser.add_argument(
        '--alpha', type=float, default=0.5, help='opacity of the masks'
    )
    parser.add_argument(
        '--fps', type=float, help="of the output; by default the input's"
    )
    return parser.parse_args(argv)


def parse_masks(given: Sequence[str]) -> Dict[int, str]:
    """Sort masks by the frame that they are given for.

    Args:
        given: ``PNG`` or ``FRAME:PNG`` each.

    Returns:
        Paths by frame index.

    Raises:
        ValueError: Two masks for one frame.
    """
    masks: Dict[int, str] = {}
    for text in given:
        frame, colon, path = text.partition(':')
        # 'C:\\mask.png' is a path, and so is a file with a colon in it.
        if not (colon and frame.isdecimal()):
            frame, path = '0', text
        if int(frame) in masks:
            raise ValueError(
                f'two masks for frame {frame}: {masks[int(frame)]}, {path}'
            )
        masks[int(frame)] = path
    return masks


def run(args: argparse.Namespace) -> PictureWriter:
    """Do what the command line says; return what has written the frames."""
    # What is wrong with the input shows before a model is built.
    source = open_frames(args.video)
    prompts = PromptMasks(parse_masks(args.mask), args.binarize)
    prompts.check_frames(source)
    writer = PictureWriter(args.out, args.fps or source.fps or 25, args.force)
    cfg = read_config(args.config, args.cfg_options)
    checkpoint = choose_checkpoint(cfg, args.checkpoint)
    check_outputs(
        filter(None, [args.out, args.masks_dir]),
        [*source.inputs, *prompts.files, cfg.filename, checkpoint or ''],
    )
    model = init_model(cfg, checkpoint, args.device, prefix=args.prefix)
    visualizer = VOSLocalVisualizer(alpha=args.alpha)
    pipeline = frame_pipeline(cfg, args.input_size)
    stream = stream_video(model, source, prompts, args.batch_size, pipeline)
    if args.masks_dir:
        claim_folder(args.masks_dir, args.force)
    try:
        with writer:
            for frame, sample in track_frames(
                stream, source.length, source.name
            ):
                picture = visualizer.draw(mmcv.bgr2rgb(frame.image), sample)
                writer.write(picture, frame.name)
                if args.masks_dir:
                    path = Path(args.masks_dir) / f'{frame.name}.png'
                    with listed_file(path, args.masks_dir) as partial:
                        save_id_mask(partial, sample.pred_ids.numpy())
    except (KeyboardInterrupt, SystemExit):
        print(f'stopped: {args.out} holds the first {writer.count} frames')
        raise
    return writer


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    begun = time.time()
    end_orderly_on_sigterm()
    try:
        writer = run(args)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (FileNotFoundError, ValueError, OSError) as error:
        raise SystemExit(f'error: {error}') from None
    seconds = time.time() - begun
    codec = f' ({writer.codec})' if writer.codec else ''
    print(
        f'{writer.count} frames in {seconds:.1f} s '
        f'({writer.count / seconds:.2f} frames/s): {args.out}{codec}'
    )


if __name__ == '__main__':
    main()
