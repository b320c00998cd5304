"""A backbone behind an HTTP interface: the frames that arrive at the server are the chosen ones."""

from __future__ import annotations

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image
from support.evaluation import evaluate, note_of, row, write_task

from lmms_videominer.lmms.handover import write_lossless

pytestmark = pytest.mark.evaluates


class Server(ThreadingHTTPServer):
    """Speaks as much of the chat completions interface as a backbone needs, and keeps what it is asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[list[dict]] = []


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(body["messages"][-1]["content"])
        answer = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "B"}}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8},
        }
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server():
    server = Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def pictures(content: list[dict]) -> np.ndarray:
    """uint8 [N, H, W, 3]: the images of one request."""
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    data = [io.BytesIO(base64.b64decode(url.partition(",")[2])) for url in urls]
    return np.stack([np.asarray(Image.open(item).convert("RGB")) for item in data])


def test_the_server_gets_the_chosen_frames(server, tmp_path):
    colours = np.random.default_rng(3).integers(0, 256, (40, 12, 12, 3), dtype=np.uint8)
    frames = np.kron(colours, np.ones((1, 28, 28, 1), np.uint8))  # 336x336: large enough not to be resized
    write_lossless(tmp_path / "video.mp4", frames, 4.0)
    write_task(tmp_path / "tasks", "remote", [row(0, tmp_path / "video.mp4", evidence=[[1.0, 3.0]])])
    arguments = (
        f"model=served,base_url=http://127.0.0.1:{server.server_port}/v1,api_key=none,selector=oracle,"
        "frames=3,max_retries=1"
    )

    (sample,) = evaluate(tmp_path / "out", "videominer_openai", arguments, "remote", tmp_path / "tasks")

    chosen = note_of(sample)["frames"]
    assert len(chosen) == 3 and sample["filtered_resps"] == "B"
    np.testing.assert_array_equal(pictures(server.asked[0]), frames[[*chosen, chosen[-1]]])
    assert sample["token_counts"][0]["output_tokens"] == 1  # the backbone's own counts stay beside the note
