"""Segment one's own video on a page in the browser.

``python tools/demo/web_demo.py`` prints the page's address: load a video,
paint masks, propagate, correct, download.
"""

from __future__ import annotations

import argparse
import signal
from typing import Optional, Sequence

from mmengine.config import Config

from hvc_mm.apis import init_model
from hvc_mm.engine.run_config import (
    add_model_arguments,
    choose_checkpoint,
    read_config,
)
from hvc_mm.models import MaskCodec
from hvc_mm.utils.signals import end_orderly_on_sigterm
from hvc_mm.web.server import missing_for_page, serve
from hvc_mm.web.uploads import Limits


def parse_args(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description='Segment a video on a page in the browser',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add_model_arguments(parser)
    parser.add_argument(
        '--short-side',
        type=int,
        default=240,
        help='of the frames that the network sees, in pixels; 0: as the '
        'config says. Masks have the size of the video',
    )
    parser.add_argument(
        '--host',
        default='127.0.0.1',
        help='address to listen at; 0.0.0.0 lets other machines in, who need '
        'no password',
    )
    parser.add_argument(
        '--port', type=int, help='None: a free one from 7860 on'
    )
    limits = Limits()
    parser.add_argument(
        '--max-frames', type=int, default=limits.frames, help='of a video'
    )
    parser.add_argument(
        '--max-megapixels',
        type=float,
        default=limits.pixels / 1e6,
        help='of a frame',
    )
    parser.add_argument(
        '--max-megabytes',
        type=int,
        default=limits.megabytes,
        help='of the files of a video',
    )
    return parser.parse_args(argv)


def set_short_side(cfg: Config, short_side: int) -> None:
    """Let the network see frames of a smaller size.

    Args:
        cfg: Its test pipeline is changed.
        short_side: In pixels; the ratio stays.
    """
    loader = cfg.get('test_dataloader') or {}
    steps = loader.get('dataset', {}).get('pipeline')
    steps = list(steps or [dict(type='PackVOSInputs')])
    names = [str(step['type']).split('.')[-1] for step in steps]
    if 'ResizeFrame' not in names:
        steps.insert(-1, dict(type='hvc_mm.ResizeFrame'))
        names.insert(-1, 'ResizeFrame')
    at = names.index('ResizeFrame')
    # How it rounds and averages stays the protocol's.
    kept = {
        key: value
        for key, value in steps[at].items()
        if key not in ('size', 'long_side')
    }
    steps[at] = dict(kept, short_side=short_side)
    cfg.merge_from_dict({'test_dataloader.dataset.pipeline': steps})


def run(args: argparse.Namespace) -> None:
    """Serve the page until the process is told to end."""
    limits = Limits(
        args.max_frames, int(args.max_megapixels * 1e6), args.max_megabytes
    )
    cfg = read_config(args.config, args.cfg_options)
    if args.short_side:
        set_short_side(cfg, args.short_side)
    checkpoint = choose_checkpoint(cfg, args.checkpoint)
    model = init_model(cfg, checkpoint, args.device, prefix=args.prefix)
    if not isinstance(model.codec, MaskCodec):
        raise ValueError(
            f'{args.config} propagates by a {type(model.codec).__name__}; '
            'the page is for masks, as in hvc_davis'
        )
    with serve(model, args.host, args.port, limits) as url:
        print(f'the page is at {url} (Ctrl-C ends it)', flush=True)
        signal.pause()


def main(argv: Optional[Sequence[str]] = None) -> None:
    args = parse_args(argv)
    missing = missing_for_page()
    if missing:
        raise SystemExit(f'error: {missing}')
    end_orderly_on_sigterm()
    try:
        run(args)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (FileNotFoundError, ValueError, OSError) as error:
        raise SystemExit(f'error: {error}') from None


if __name__ == '__main__':
    main()
