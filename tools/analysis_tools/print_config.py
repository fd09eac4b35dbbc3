"""Print a config with all its bases, variables and options filled in."""

from __future__ import annotations

import argparse

from hvc_mm.engine.run_config import add_cfg_options, read_config


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description='Print a whole config')
    parser.add_argument('config', help='config file, or its name')
    parser.add_argument('--save-path', metavar='FILE', help='also write it')
    add_cfg_options(parser)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        cfg = read_config(args.config, args.cfg_options)
    except (OSError, ValueError) as error:
        raise SystemExit(f'error: {error}') from None
    print(f'# {cfg.filename}\n{cfg.pretty_text}')
    if args.save_path:
        cfg.dump(args.save_path)


if __name__ == '__main__':
    main()
