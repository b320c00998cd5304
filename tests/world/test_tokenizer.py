"""The tokenizer that the world's models share."""

from lmms_videominer.world import language
from lmms_videominer.world.script import COLOURS, PLACES, SIGNS
from lmms_videominer.world.tokenizer import train_tokenizer


def test_every_word_of_the_world_is_one_token_and_any_text_comes_back():
    tokenizer = train_tokenizer()
    for word in (*COLOURS, *PLACES, *SIGNS):
        assert len(tokenizer(f" {word}").input_ids) == 1, word
    text = f"Frames of a café, {language.ANSWER_SUFFIX}\n1 star, 2 moon: 2"
    assert tokenizer.decode(tokenizer(text).input_ids) == text
