"""What the plugin changes in lmms-eval itself."""

from __future__ import annotations

import base64
import io

from PIL import Image

from lmms_videominer.lmms import hooks


def test_pictures_that_come_to_lie_at_the_address_of_earlier_ones_are_encoded_by_themselves():
    """lmms-eval keeps the pictures of a request by ``id()``, so that a server gets an earlier picture again."""
    from lmms_eval.protocol import ChatMessages

    hooks.made_model("openai", "")
    messages, cache, seen = ChatMessages(messages=[]), {}, []
    for red in range(100):
        picture = Image.new("RGB", (4, 4), (red, 0, 0))
        encoded = messages.encode_image(picture, cache)
        seen.append(Image.open(io.BytesIO(base64.b64decode(encoded))).getpixel((0, 0))[0])
    assert seen == list(range(100))
