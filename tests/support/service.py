"""An HTTP service with the chat completions interface, on this machine, that fails as it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar

HANGS_S = 3.0
SLOW_S = 0.3
S = TypeVar("S", bound=ThreadingHTTPServer)


class Service(ThreadingHTTPServer):
    """Answers the n-th request with the n-th of ``plan``, and all that follow with ``then``.

    What it answers: "good" (the text "a red square"), "say " and a text, "empty", "null", a status ("500", "429",
    "400"), "closed" (the connection, without a reply), "hang", "slow", "html" or "cut" (half a reply), "refuses " and
    the model's reason, "filtered", "thought" (all tokens, without a text), "thinks" (reasoning beside the text),
    "stopped" (text up to the limit of tokens), or "no " and the name of an argument that the model does not take.

    Attributes:
        asked: The body of every request, in the order of arrival.
        at_s: When each arrived.
        keys: What each said in ``Authorization``.
        most_at_once: The most requests that it had at the same time.
        models: What it lists; ``None``: it has no list.
    """

    daemon_threads = True

    def __init__(self, plan: Sequence[str] = (), then: str = "good"):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.then = list(plan), then
        self.asked: list[dict[str, Any]] = []
        self.at_s: list[float] = []
        self.keys: list[str] = []
        self.most_at_once = self.now = 0
        self.models: list[str] | None = ["served", "another"]
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def count(self, change: int) -> None:
        with self._lock:
            self.now += change
            self.most_at_once = max(self.most_at_once, self.now)

    def next_answer(self, body: dict[str, Any]) -> str:
        with self._lock:
            self.asked.append(body)
            self.at_s.append(time.monotonic())
            return self.plan.pop(0) if self.plan else self.then


class Handler(BaseHTTPRequestHandler):
    server: Service
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.server.models is None:
            self.send(404, "application/json", b"{}")
            return
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": "me"} for name in self.server.models]
        self.send(200, "application/json", json.dumps({"object": "list", "data": listed}).encode())

    def do_POST(self) -> None:
        self.server.keys.append(self.headers["Authorization"] or "")
        self.server.count(1)
        try:
            self.answer()
        finally:
            self.server.count(-1)

    def answer(self) -> None:
        answer = self.server.next_answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        if answer == "closed":
            self.close_connection = True
            self.connection.close()
        elif answer == "hang":
            time.sleep(HANGS_S)
        elif answer.isdigit():
            self.send(int(answer), "application/json", json.dumps({"error": {"message": f"status {answer}"}}).encode())
        elif answer.startswith("no "):
            name = answer.removeprefix("no ")
            error = {"message": f"Unsupported parameter: {name!r}", "param": name, "code": "unsupported_parameter"}
            self.send(400, "application/json", json.dumps({"error": error}).encode())
        elif answer == "html":
            self.send(200, "text/html", b"<html>Sign in to the network first</html>")
        else:
            time.sleep(SLOW_S if answer == "slow" else 0.0)
            said = answer.removeprefix("say ") if answer.startswith("say ") else "a red square"
            refusal = answer.removeprefix("refuses ") if answer.startswith("refuses ") else None
            content = {"null": None, "empty": "", "thought": None, "filtered": ""}.get(answer, said)
            end = {"thought": "length", "stopped": "length", "filtered": "content_filter"}.get(answer, "stop")
            made = completion(None if refusal else content, end, refusal)
            if answer in ("thinks", "thought"):
                made["choices"][0]["message"]["reasoning_content"] = "Let me see."
            data = json.dumps(made).encode()
            self.send(200, "application/json", data[: len(data) // 2] if answer == "cut" else data)

    def send(self, status: int, kind: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if status == 429:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Quiet."""


def completion(content: str | None, end: str = "stop", refusal: str | None = None) -> dict[str, Any]:
    message = {"role": "assistant", "content": content, "refusal": refusal}
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "served",
        "choices": [{"index": 0, "finish_reason": end, "message": message}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8},
    }


@contextmanager
def serving(plan: Sequence[str] = (), then: str = "good") -> Iterator[Service]:
    with running(Service(plan, then)) as service:
        yield service


@contextmanager
def running(service: S) -> Iterator[S]:
    with service:
        thread = threading.Thread(target=service.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield service
        finally:
            service.shutdown()
            thread.join()
