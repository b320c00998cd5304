"""``videominer index``: what all questions on a video share, made beforehand."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from lmms_videominer.commands.arguments import Subcommands, add_miner_arguments, check_videos, command, config_of
from lmms_videominer.errors import ConfigError, VideoMinerError
from lmms_videominer.redaction import redacted
from lmms_videominer.show.printable import printable

if TYPE_CHECKING:
    from lmms_videominer.selectors.indexing import Indexed

FLAGS = ("scorer",)


def add_index(subcommands: Subcommands) -> None:
    parser = command(
        subcommands,
        "index",
        "Make what later questions on videos share: the first cut, image features, plain captions of the first events.",
        run_index,
        [
            "videominer index film.mp4 talk.mp4",
            "videominer index videos/*.mp4 --model Qwen/Qwen2-VL-7B-Instruct --set cache_dir=/data/cache",
            "videominer index film.mp4 --set index=2 --set max_vlm_calls=500",
        ],
        notes="Ask afterwards with the same models and settings, and with index=1, or the index given here:\n"
        '  videominer mine film.mp4 --question "Who opens the door?" --set index=1',
    )
    parser.add_argument("videos", nargs="+", metavar="VIDEO", help="the video files")
    add_miner_arguments(parser, FLAGS)


def run_index(args: argparse.Namespace) -> int:
    from lmms_videominer.selectors.indexing import Indexed, Indexing, with_captions
    from lmms_videominer.store.cache import MemoryCache, open_cache

    config = with_captions(config_of(args, FLAGS))
    Indexing.check(config)
    cache = open_cache(config.cache_dir)
    cache.close()
    if isinstance(cache, MemoryCache):
        raise ConfigError(
            "the cache is kept in memory, so an index would be lost with this command: name a folder that can be "
            "written with --set cache_dir=FOLDER or $VIDEOMINER_CACHE"
        )
    check_videos(args.model, args.videos)
    indexing = Indexing.from_pretrained(args.model, config=config, device=args.device)
    results = indexing.make(args.videos, progress=not args.quiet)
    for path, result in zip(args.videos, results, strict=True):
        if isinstance(result, Indexed):
            print(printable(line_of(path, result)))
        else:
            print(printable(redacted(f"videominer: {result}")), file=sys.stderr)
    return int(any(isinstance(result, VideoMinerError) for result in results))


def line_of(path: str, indexed: Indexed) -> str:
    """What one video gave and cost."""
    usage = indexed.usage
    line = (
        f"{path}: {len(indexed.events)} events, {usage.vlm_calls} captions made, {usage.vlm_calls_cached} from the "
        f"cache, {sum(usage.seconds.values()):.1f} s"
    )
    return f"{line} ({', '.join(indexed.fallbacks)})" if indexed.fallbacks else line
