"""Show what features have learned, over a video.

``feature_map.py pca VIDEO --out pca.mp4`` shows the main directions of the
features as colours, one basis for the whole video: what has one colour is one
thing to the network. ``feature_map.py affinity VIDEO --point 300 200 --out
affinity.mp4`` shows how alike every place of every frame is to one point.
"""

from __future__ import annotations

import argparse
from typing import Iterator, Optional, Sequence, Tuple

import mmcv
import numpy as np

from hvc_mm.apis import (
    FrameSource,
    PictureWriter,
    init_model,
    open_frames,
    track_frames,
    video_features,
)
from hvc_mm.engine.run_config import (
    add_model_arguments,
    choose_checkpoint,
    read_config,
)
from hvc_mm.models import LabelPropagationVOS
from hvc_mm.utils.outputs import check_outputs
from hvc_mm.visualization import (
    FeaturePCA,
    caption,
    overlay_heat,
    point_affinity,
    side_by_side,
)


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Show what features have learned, over a video'
    )
    kinds = parser.add_subparsers(dest='kind', required=True)
    pca = kinds.add_parser('pca', help='main directions as colours')
    pca.add_argument(
        '--fit-frames',
        type=int,
        default=64,
        help='frames, spread over the video, that the basis is made from',
    )
    affinity = kinds.add_parser('affinity', help='likeness to a point')
    affinity.add_argument(
        '--point',
        type=float,
        nargs=2,
        required=True,
        metavar=('X', 'Y'),
        help='in pixels of the frame',
    )
    affinity.add_argument(
        '--frame', type=int, default=0, help='frame that the point is in'
    )
    affinity.add_argument(
        '--temperature',
        type=float,
        help="sharpness; by default the propagator's",
    )
    for sub in (pca, affinity):
        sub.add_argument('video', help='video file, or folder of frames')
        sub.add_argument(
            '--out', required=True, help='video to write, or a folder'
        )
        sub.add_argument(
            '--force',
            action='store_true',
            help='write over files that no earlier run wrote, too',
        )
        add_model_arguments(sub)
    return parser.parse_args(argv)


def pca_pictures(
    model: LabelPropagationVOS, source: FrameSource, fit_frames: int
) -> Iterator[Tuple[str, np.ndarray]]:
    """Draw each frame next to its features' main directions.

    The video is read twice; the basis is made from ``fit_frames`` frames.

    Yields:
        The frame's name and the picture, RGB.
    """
    step = max(1, (source.length or 1) // max(1, fit_frames))
    chosen = range(0, source.length or 1 << 31, step)
    fitted = track_frames(
        video_features(model, source, chosen),
        source.length and len(chosen),
        'basis',
    )
    basis = FeaturePCA(features for _, features in fitted)
    for frame, features in track_frames(
        video_features(model, source), source.length, source.name
    ):
        image = mmcv.bgr2rgb(frame.image)
        colors = basis.to_rgb(features, image.shape[:2])
        yield frame.name, side_by_side([image, colors])


def affinity_pictures(
    model: LabelPropagationVOS,
    source: FrameSource,
    point: Tuple[float, float],
    frame_index: int,
    temperature: float,
) -> Iterator[Tuple[str, np.ndarray]]:
    """Draw each frame under its affinity to a point.

    Args:
        model: From ``init_model``.
        source: The video; it is read twice.
        point: x and y in pixels.
        frame_index: Of the frame that the point is in.
        temperature: > 0.

    Yields:
        The frame's name and the picture, RGB.

    Raises:
        ValueError: The video has no such frame, or the frame no such point.
    """
    found = next(video_features(model, source, {frame_index}), None)
    if found is None:
        raise ValueError(f'{source.name} has no frame {frame_index}')
    frame, features = found
    height, width = frame.image.shape[:2]
    x, y = point
    if not (0 <= x < width and 0 <= y < height):
        raise ValueError(
            f'the point ({x:g}, {y:g}) is outside of the frame of '
            f'{width}x{height} pixels'
        )
    rows, columns = features.shape[1:]
    query = features[:, int(y * rows / height), int(x * columns / width)]
    for frame, features in track_frames(
        video_features(model, source), source.length, source.name
    ):
        heat, cosine = point_affinity(query, features, temperature)
        picture = overlay_heat(
            mmcv.bgr2rgb(frame.image),
            heat.cpu().numpy(),
            point=point if frame.index == frame_index else None,
        )
        text = f'frame {frame.index}: largest cosine {cosine:.3f}'
        yield frame.name, caption(picture, text)


def run(args: argparse.Namespace) -> int:
    """Do what the command line says; return the number of frames."""
    source = open_frames(args.video)
    writer = PictureWriter(args.out, source.fps or 25, args.force)
    cfg = read_config(args.config, args.cfg_options)
    checkpoint = choose_checkpoint(cfg, args.checkpoint)
    inputs = [*source.inputs, cfg.filename, checkpoint or '']
    check_outputs([args.out], inputs)
    model = init_model(cfg, checkpoint, args.device, prefix=args.prefix)
    if args.kind == 'pca':
        pictures = pca_pictures(model, source, args.fit_frames)
    else:
        temperature = args.temperature or model.propagator.temperature
        pictures = affinity_pictures(
            model, source, tuple(args.point), args.frame, temperature
        )
    with writer:
        for name, picture in pictures:
            writer.write(picture, name)
    return writer.count


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    try:
        count = run(args)
    except (FileNotFoundError, ValueError, OSError) as error:
        raise SystemExit(f'error: {error}') from None
    print(f'{count} frames: {args.out}')


if __name__ == '__main__':
    main()
