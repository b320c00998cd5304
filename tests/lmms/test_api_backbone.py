"""A backbone behind an HTTP interface: the frames that arrive at the server are the chosen ones."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image
from support.evaluation import evaluate, note_of, row, write_task
from support.service import serving

from lmms_videominer.lmms.handover import write_lossless

pytestmark = pytest.mark.evaluates


def pictures(content: list[dict]) -> np.ndarray:
    """uint8 [N, H, W, 3]: the images of one request."""
    urls = [part["image_url"]["url"] for part in content if part["type"] == "image_url"]
    data = [io.BytesIO(base64.b64decode(url.partition(",")[2])) for url in urls]
    return np.stack([np.asarray(Image.open(item).convert("RGB")) for item in data])


def test_the_server_gets_the_chosen_frames(tmp_path):
    colours = np.random.default_rng(3).integers(0, 256, (40, 12, 12, 3), dtype=np.uint8)
    frames = np.kron(colours, np.ones((1, 28, 28, 1), np.uint8))  # 336x336: large enough not to be resized
    write_lossless(tmp_path / "video.mp4", frames, 4.0)
    write_task(tmp_path / "tasks", "remote", [row(0, tmp_path / "video.mp4", evidence=[[1.0, 3.0]])])
    with serving(then="say B") as service:
        arguments = f"model=served,base_url={service.url},api_key=none,selector=oracle,frames=3,max_retries=1"
        (sample,) = evaluate(tmp_path / "out", "videominer_openai", arguments, "remote", tmp_path / "tasks")

    chosen = note_of(sample)["frames"]
    assert len(chosen) == 3 and sample["filtered_resps"] == "B"
    np.testing.assert_array_equal(pictures(service.asked[0]["messages"][-1]["content"]), frames[[*chosen, chosen[-1]]])
    assert sample["token_counts"][0]["output_tokens"] == 1  # the backbone's own counts stay beside the note
