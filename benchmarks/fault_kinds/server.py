"""A server that fails: a real one on loopback, behind lmms-eval's ``openai`` backbone with the plugin in front.

A fault that passes must leave every answer as it is without. One that stays costs the samples that it hits, whose notes
name it, or ends the run with an error that does. Afterwards the same run with a sound server must give the answers of
an undisturbed one: nothing that came from the fault is in the cache.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from fault_kinds import evaluating, mining
from fault_kinds.running import LOST, SURVIVED, TOLD, UNCLEAR, Fault, Result, isolated, told
from lmms_videominer.errors import VideoMinerError

FAILED = "LMMS_EVAL_"  # begins what the backbone gives in place of an answer
TIMEOUT_S, HANG_S = 3, 20
ONCE, ONE, ALL = "once", "always, for one request", "always, for all"


class Handler(BaseHTTPRequestHandler):
    """Answers chat completions by a rule of what is asked, unless the server's fault hits."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        content = body["messages"][-1]["content"]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        if self.server.hits(digest):
            self.server.reply(self)
        else:
            self.complete(_answer(content, digest))

    def complete(self, text: Any) -> None:
        message = {"role": "assistant", "content": text}
        reply = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "served",
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8},
        }
        self.send(200, json.dumps(reply).encode())

    def send(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Quiet."""


def _answer(content: Any, digest: str) -> str:
    """A caption or an answer that follows from the request alone."""
    text = content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
    if "Answer with" in text:
        return "ABCD"[int(digest[:2], 16) % 4]
    return f"a scene with the sign {digest[:6]}"


Reply = Callable[[Handler], None]


def _error(status: int, **headers: str) -> Reply:
    text = json.dumps({"error": {"message": f"fault {status}", "type": "fault", "code": status}}).encode()
    return lambda handler: handler.send(status, text, **headers)


def _closed(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.close()


def _hang(handler: Handler) -> None:
    time.sleep(HANG_S)
    _closed(handler)


def _cut(handler: Handler) -> None:
    handler.send(200, b'{"id": "1", "object": "chat.completion", "choices": [{"index": 0, "mess')


def _page(handler: Handler) -> None:
    handler.send(200, b"<html><body>Sign in to continue</body></html>", kind="text/html")


FAULTS: dict[str, tuple[Reply, str]] = {
    "500, once": (_error(500), ONCE),
    "500, for one request": (_error(500), ONE),
    "429 with Retry-After, once": (_error(429, Retry_After="1"), ONCE),
    "429, for all": (_error(429, Retry_After="1"), ALL),
    "closed connection, once": (_closed, ONCE),
    "closed connection, for all": (_closed, ALL),
    "no reply, once": (_hang, ONCE),
    "empty text, for one request": (lambda handler: handler.complete(""), ONE),
    "no text (null), for one request": (lambda handler: handler.complete(None), ONE),
    "a page of HTML, once": (_page, ONCE),
    "cut JSON, once": (_cut, ONCE),
    "401, for all": (_error(401), ALL),
}


@dataclass
class Hits:
    """Which requests a fault hits, by the digest of their content; ``seen`` counts all."""

    how: str = ""
    target: str = ""

    def __post_init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.hit = 0
        self.lock = threading.Lock()

    def __call__(self, digest: str) -> bool:
        with self.lock:
            self.seen[digest] += 1
            first = self.seen[digest] == 1
            hit = self.how == ALL or (digest == self.target and (first or self.how == ONE))
            self.hit += hit
            return hit


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hits: Hits, reply: Reply):
        super().__init__(("127.0.0.1", 0), Handler)
        self.hits, self.reply = hits, reply

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that close a connection are no fault of this program."""


@contextmanager
def serving(hits: Hits, reply: Reply = Handler.complete) -> Iterator[int]:
    """The port of a server that runs meanwhile."""
    server = Server(hits, reply)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class FailingServer(Fault):
    name, count, limit_s = "a failing server", len(FAULTS), 180.0

    def prepare(self, folder: Path) -> None:
        mining.import_all()
        evaluating.import_all()
        import openai  # noqa: F401

        self.world, self.folder = folder / "world", folder
        mining.world(self.world, questions=3)
        made = isolated(self._undisturbed, self.limit_s, folder / "undisturbed")
        if made.outcome != SURVIVED:
            raise RuntimeError(f"the undisturbed run: {made}")
        self.expected, self.digests = made.more["samples"], made.more["digests"]

    def _undisturbed(self) -> Result:
        hits = Hits()
        samples = self._evaluated(self.folder / "run", hits)
        return Result(SURVIVED, more={"samples": samples, "digests": sorted(hits.seen)})

    def _evaluated(self, folder: Path, hits: Hits, reply: Reply = Handler.complete) -> dict[str, Any]:
        """Samples by document of one run; its cache is below ``folder``, its output in a new folder there."""
        from lmms_videominer.models.bundle import find_bundle

        out = folder / f"out-{time.time_ns()}"
        with serving(hits, reply) as port:
            arguments = {
                "model": "served",
                "base_url": f"http://127.0.0.1:{port}/v1",
                "api_key": "none",
                "timeout": TIMEOUT_S,
                "max_retries": 3,
                "retry_backoff_s": 0.2,
                "policy": "none",
                "embedder": find_bundle(mining.MODEL).embedder,
                "events": 4,
                "max_depth": 1,
                "grain_s": 0,
                "frames": 4,
            }
            text = ",".join(f"{name}={value}" for name, value in arguments.items())
            evaluating.evaluate(self.world, folder / "cache", out, "videominer_openai", text)
        return evaluating.samples(out)["samples"]

    def title(self, number: int) -> str:
        return list(FAULTS)[number % len(FAULTS)]

    def run(self, number: int, folder: Path) -> Result:
        reply, how = FAULTS[self.title(number)]
        target = str(np.random.default_rng([self.seed, number]).choice(self.digests))
        hits = Hits(how, target)
        try:
            result = self._compared(self._evaluated(folder, hits, reply), how)
        except VideoMinerError as error:
            result = Result(LOST, f"a fault that passes ends the run: {error}") if how == ONCE else told(error)
        result = Result(
            result.outcome, result.detail, {"hit": hits.hit, "new": len(hits.seen.keys() - set(self.digests))}
        )
        if not hits.hit:
            return Result(LOST, "the fault hit nothing: the run asked for other things than an undisturbed one")
        if result.outcome in (SURVIVED, TOLD):
            differs = mining.difference(self.expected, self._evaluated(folder, Hits()))
            if differs:
                return Result(LOST, f"with a sound server afterwards: {differs}", result.more)
        return result

    def _compared(self, found: dict[str, Any], how: str) -> Result:
        """The outcome by the samples: those that are not as they were must say why."""
        if found.keys() != self.expected.keys():
            return Result(LOST, f"samples {sorted(found)} of {sorted(self.expected)}")
        hit = {name: sample for name, sample in found.items() if sample != self.expected[name]}
        if not hit:
            return Result(SURVIVED)
        where = mining.difference(self.expected, found)
        if any(FAILED in str(sample["answer"]) for sample in hit.values()):
            return Result(LOST, f"the text of a failure is an answer: {where}")
        silent = [name for name, sample in hit.items() if not sample["told"]]
        if silent:
            return Result(LOST, f"other results, of which nothing is said: {where}")
        if how == ONCE:
            return Result(LOST, f"a fault that passes costs an answer: {where}")
        if how == ONE and len(hit) == len(found):
            return Result(LOST, f"one request costs all samples: {where}")
        clear = all(_names_the_fault(sample["told"]) for sample in hit.values())
        return Result(TOLD if clear else UNCLEAR, str(hit))


def _names_the_fault(told: dict[str, Any]) -> bool:
    """Whether a note says that the sample has a problem, an empty answer or missing captions."""
    missing = [name for name in told.get("fallbacks", ()) if "missing" in name]
    return bool(told.get("problem") or told.get("empty") or told.get("missing") or missing)
