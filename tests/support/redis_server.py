"""A real Redis server on a free port of this machine, as Debian packages it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

STARTS_S = 60.0


class RedisServer:
    """A server that keeps everything in memory; ``stop`` kills it, and ``start`` starts an empty one at the same port.

    Args:
        folder: Its working folder, with its log.
        options: Further arguments of ``redis-server``.
    """

    def __init__(self, folder: Path, *options: str):
        pytest.importorskip("redis", reason="the package redis is not installed: pip install redis")
        if shutil.which("redis-server") is None:
            pytest.skip("redis-server is not installed: apt-get install redis-server")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.options = folder, options
        self.process: subprocess.Popen | None = None
        self.start()

    @property
    def address(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--save", "", "--appendonly", "no", *self.options]
        log = self.folder / "redis.log"
        with log.open("ab") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        ends_s = time.monotonic() + STARTS_S
        while time.monotonic() < ends_s and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise RuntimeError(f"redis-server does not start: {log.read_text()[-2000:]}")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
