"""``videominer mcp``: mining for clients of the Model Context Protocol (docs/mcp.md)."""

from __future__ import annotations

import argparse
from pathlib import Path

from lmms_videominer.commands.arguments import FLAGS, Subcommands, add_miner_arguments, command, config_of
from lmms_videominer.errors import ConfigError


def add_mcp(subcommands: Subcommands) -> None:
    parser = command(
        subcommands,
        "mcp",
        "Serve mining to clients of the Model Context Protocol, over stdin and stdout.",
        run_mcp,
        [
            "videominer mcp --root /films",
            "videominer mcp --root /films --model Qwen/Qwen2-VL-7B-Instruct --frames 16",
        ],
        notes="A client starts this command by itself; docs/mcp.md has the lines for its configuration.",
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=Path("."),
        metavar="DIR",
        help="the only folder whose videos and results are read (default: the working directory)",
    )
    add_miner_arguments(parser, FLAGS)


def run_mcp(args: argparse.Namespace) -> int:
    config = config_of(args, FLAGS)
    if not args.root.is_dir():
        raise ConfigError(f"--root {args.root}: no such folder. Name the folder of the videos")
    try:
        from lmms_videominer.commands.mcp_tools import Miners, server_of
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "mcp":
            raise
        raise ConfigError(
            "videominer mcp needs the package mcp, version 2 or newer: pip install '.[mcp]' in a clone"
        ) from error
    server_of(args.root, Miners(args.model, config, args.device)).run("stdio")
    return 0
