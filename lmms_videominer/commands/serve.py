"""``videominer serve``: a page to try it, also as a Space (docs/serve.md)."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from lmms_videominer.commands.arguments import (
    FLAGS,
    Subcommands,
    add_miner_arguments,
    command,
    config_of,
    positive,
)
from lmms_videominer.config import MinerConfig
from lmms_videominer.errors import ConfigError
from lmms_videominer.show.printable import printable


def add_serve(subcommands: Subcommands) -> None:
    parser = command(
        subcommands,
        "serve",
        "Serve a page on which films are searched: drop one, ask, and see the tree grow.",
        run_serve,
        [
            "videominer serve",
            "videominer serve --root /films --model Qwen/Qwen2-VL-7B-Instruct --frames 16",
            "videominer serve --host 0.0.0.0 --port 8000 --max-minutes 30",
        ],
        notes="docs/serve.md says who may see and read what, and how to make a Space of it.",
    )
    parser.add_argument("--root", type=Path, metavar="DIR", help="offer the films in this folder, too")
    parser.add_argument(
        "--host", metavar="NAME", help="address to listen on (default: $GRADIO_SERVER_NAME, or this machine alone)"
    )
    parser.add_argument(
        "--port",
        type=positive,
        metavar="N",
        help="port (default: $GRADIO_SERVER_PORT, or the first free one from 7860)",
    )
    parser.add_argument(
        "--share", action="store_true", help="also a public address, through a tunnel of gradio.live, for a week"
    )
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--max-mb", type=positive, default=500, metavar="N", help="size of an uploaded film (default: %(default)s)"
    )
    limits.add_argument(
        "--max-minutes", type=positive, default=120, metavar="N", help="length of a film (default: %(default)s)"
    )
    limits.add_argument(
        "--max-seconds", type=positive, default=900, metavar="N", help="time of a search (default: %(default)s)"
    )
    limits.add_argument(
        "--max-waiting",
        type=positive,
        default=20,
        metavar="N",
        help="searches that wait in line (default: %(default)s)",
    )
    add_miner_arguments(parser, FLAGS)


def run_serve(args: argparse.Namespace) -> int:
    config = config_of(args, FLAGS)
    films: dict[str, str] = {}
    if args.root:
        from lmms_videominer.commands.serve_search import films_in

        films = films_in(args.root)
    with tempfile.TemporaryDirectory(prefix="videominer-serve-") as folder:
        # read when the package is imported: nothing is told to anybody, and all files lie where they are deleted
        os.environ.update(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=folder)
        os.environ.setdefault("GRADIO_HEARTBEAT_INTERVAL", "5")  # seconds until it shows that a visitor has left
        try:
            from lmms_videominer.commands.serve_page import served
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] != "gradio":
                raise
            raise ConfigError("videominer serve needs the package gradio: pip install '.[app]' in a clone") from error
        return _run(args, config, films, Path(folder), served)


def _run(args: argparse.Namespace, config: MinerConfig, films: dict[str, str], folder: Path, served) -> int:
    from lmms_videominer.commands.serve_search import Limits, Searches
    from lmms_videominer.miner import VideoMiner

    limits = Limits(args.max_mb, 60.0 * args.max_minutes, float(args.max_seconds))
    searches = Searches(lambda: VideoMiner.from_pretrained(args.model, config=config, device=args.device), limits)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # or uploaded films would stay
    try:
        address = {"host": args.host, "port": args.port, "share": args.share}
        with served(searches, films, folder, most_waiting=args.max_waiting, **address) as addresses:
            print(printable(f"videominer: the page is at {' and '.join(addresses)}; Ctrl-C ends it"), flush=True)
            while True:
                time.sleep(1)
    except KeyboardInterrupt:
        print("videominer: ending, after the stage that is under way", file=sys.stderr)
    finally:
        searches.close()
    return 0
