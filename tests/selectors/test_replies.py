from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmms_videominer.selectors.replies import Ratings, read_clips, read_confidence, read_relevance, read_wishes, worst
from lmms_videominer.types import Reading

STRICT, LENIENT, DEFAULT = Reading.STRICT, Reading.LENIENT, Reading.DEFAULT


@pytest.mark.parametrize(
    ("text", "scores", "reading"),
    [
        ('{"answer": "B", "confidence": 2, "relevance": [1, 3, 2]}', (1, 3, 2), STRICT),
        (' {"relevance": [3, 3, 3]}\n', (3, 3, 3), STRICT),
        ('Here you are:\n```json\n{"relevance": [1, 3, 2]}\n```', (1, 3, 2), LENIENT),
        ("{'answer': 'B', 'relevance': [1, 3, 2]}", (1, 3, 2), LENIENT),
        ("Prediction: A. Frame relevance: [1, 3, 2]", (1, 3, 2), LENIENT),
        ("**Relevance**: [ 1,3 , 2 ] as I see it", (1, 3, 2), LENIENT),
        ('{"relevance": ["1", "3", 2]}', (1, 3, 2), LENIENT),
        ('{"relevance": [3, 2]}', (3, 2, 1), LENIENT),
        ('{"relevance": [3, 2, 1, 3, 3]}', (3, 2, 1), LENIENT),
        ('{"relevance": [0, 3, 7]}', (1, 3, 1), LENIENT),
        ('{"answer": "B", "relevance": [3, 2', (3, 2, 1), LENIENT),  # cut off at the token limit
        ('{"relevance": []}', (1, 1, 1), DEFAULT),
        ('{"relevance": 3}', (1, 1, 1), DEFAULT),
        ('{"relevance": [9, 9, 9]}', (1, 1, 1), DEFAULT),
        ("All of them are relevant.", (1, 1, 1), DEFAULT),
        ("[3, 3, 3]", (1, 1, 1), DEFAULT),
        ("", (1, 1, 1), DEFAULT),
    ],
)
def test_relevance(text, scores, reading):
    assert read_relevance(text, 3) == Ratings(scores, reading)


@pytest.mark.parametrize(
    ("text", "confidence", "reading"),
    [
        ('{"confidence": 3}', 3, STRICT),
        ('Sure.\n{"confidence": 3}', 3, LENIENT),
        ("Confidence Level: 2", 2, LENIENT),
        ("**Confidence:** 2.", 2, LENIENT),
        ("My confidence is 3", 3, LENIENT),
        ('{"confidence": "3"}', 3, LENIENT),
        (" 2.\n", 2, LENIENT),
        ("confidence: 3, then again confidence: 1", 1, DEFAULT),
        ("confidence: 1, 2 or 3", 1, DEFAULT),
        ('{"confidence": 30}', 1, DEFAULT),
        ('{"confidence": 0}', 1, DEFAULT),
        ("3 frames show a dog", 1, DEFAULT),
        ("", 1, DEFAULT),
    ],
)
def test_confidence(text, confidence, reading):
    assert read_confidence(text) == (confidence, reading)


@pytest.mark.parametrize(
    ("text", "wishes", "reading"),
    [
        ('{"frames": [{"segment": 2, "description": "a dog"}]}', ((1, "a dog"),), STRICT),
        (
            '{"frames": [{"segment": 1, "description": "a"}, {"segment": 1, "description": "b"}]}',
            ((0, "a"), (0, "b")),
            STRICT,
        ),
        ('{"frames": [{"segment": "2", "description": "a dog"}]}', ((1, "a dog"),), LENIENT),
        (
            '{"frames": [{"segment": 2, "description": "a dog"}, {"segment": 9, "description": "x"}]}',
            ((1, "a dog"),),
            LENIENT,
        ),
        ('I want:\n[{"segment_id": "1", "duration": "0-4", "description": " a dog "}]', ((0, "a dog"),), LENIENT),
        ("{'frames': [{'segment': 1, 'description': 'a dog'}]}", ((0, "a dog"),), LENIENT),
        (
            '{"segment": 3, "description": "a dog"} and {"segment": 1, "description": "a cat"}',
            ((2, "a dog"), (0, "a cat")),
            LENIENT,
        ),
        ('{"frames": [{"segment": 1, "description": "a dog"}, {"segment": 2, "descr', ((0, "a dog"),), LENIENT),
        (
            "{'segment': 1, 'description': 'a dog'} and {'segment': 4, 'description': 'a cat'}",
            ((0, "a dog"), (3, "a cat")),
            LENIENT,
        ),
        (
            'Not {"segment": 1, "description": "a cat"}. {"frames": [{"segment": 2, "description": "a dog"}]}',
            ((1, "a dog"),),
            LENIENT,
        ),
        ('{"frames": []}', (), DEFAULT),
        ('{"frames": [{"segment": 0, "description": "a dog"}]}', (), DEFAULT),
        ('{"frames": [{"segment": true, "description": "a dog"}]}', (), DEFAULT),
        ('{"frames": [{"segment": 1, "description": " "}]}', (), DEFAULT),
        ("Show me a dog in segment 2.", (), DEFAULT),
    ],
)
def test_wishes(text, wishes, reading):
    assert read_wishes(text, 4) == (wishes, reading)


@pytest.mark.parametrize(
    ("text", "clips", "reading"),
    [
        ('{"answer": "B", "clips": [4, 3, 3]}', (2, 3), STRICT),
        ('The answer is B. {"clips": [3, 4]}', (2, 3), LENIENT),
        ("{'answer': 'B', 'clips': [3, 4]}", (2, 3), LENIENT),
        ('{"clips": ["3-5"]}', (2, 3, 4), LENIENT),
        ("Clips: 3-5 and 8", (2, 3, 4, 7), LENIENT),
        ("It is shown in clip 3.", (2,), LENIENT),
        ("**Clips**: [3, 4]", (2, 3), LENIENT),
        ('{"clips": [1, 10]}', (0, 9), STRICT),
        ("Clips 1 and 10", (0, 9), LENIENT),
        ("Clips 0-2", (0, 1), LENIENT),
        ('{"clips": ["3–5"]}', (2, 3, 4), LENIENT),
        ('{"clips": [3, 99]}', (2,), LENIENT),
        ('{"clips": [0]}', (), DEFAULT),
        ('{"clips": [11]}', (), DEFAULT),
        ("{'clips': 0x1" + "0" * 5000 + "}", (), DEFAULT),
        ('{"clips": []}', (), DEFAULT),
        ("In 3 of the moments.", (), DEFAULT),
    ],
)
def test_clips(text, clips, reading):
    assert read_clips(text, 10) == (clips, reading)


_PIECES = [
    '{"',
    '"relevance": ',
    '"frames": [{"segment": 1, "description": "x"}',
    '"clips": ',
    '"confidence": ',
    "[",
    "]",
    "}",
    ", ",
    "1",
    "3",
    "12",
    "-",
    "clip ",
    "confidence ",
    "'",
    "\\d",
    "null",
    "NaN",
    "\n",
]
texts = st.text() | st.lists(st.sampled_from(_PIECES)).map("".join)


@settings(deadline=None)
@given(texts, st.integers(1, 40))
def test_any_text_is_read_without_an_error_and_within_range(text, count):
    ratings = read_relevance(text, count)
    assert len(ratings.scores) == count and set(ratings.scores) <= {1, 2, 3}
    assert ratings.reading is not DEFAULT or set(ratings.scores) == {1}
    assert read_confidence(text)[0] in (1, 2, 3)
    wishes, reading = read_wishes(text, count)
    assert all(0 <= gap < count and wish for gap, wish in wishes) and (reading is DEFAULT) == (not wishes)
    clips, reading = read_clips(text, count)
    assert list(clips) == sorted({i for i in clips if 0 <= i < count}) and (reading is DEFAULT) == (not clips)


@settings(deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=32))
def test_every_list_of_ratings_in_the_format_is_strict(scores):
    text = json.dumps({"answer": "A", "confidence": 1, "relevance": scores})
    assert read_relevance(text, len(scores)) == Ratings(tuple(scores), STRICT)


@pytest.mark.parametrize(
    "text",
    [
        "{" * 20000,
        '{"a":' * 20000,
        "[" * 20000,
        "confidence" + " " * 50000,
        "clip " * 20000,
        "clips: " + "1" * 50000,
        "relevance: [" + "1," * 50000,
    ],
)
def test_long_degenerate_texts_are_read_in_linear_time(text):
    read_relevance(text, 8), read_confidence(text), read_wishes(text, 8), read_clips(text, 8)  # must not hang


def test_the_worst_of_readings():
    assert worst([STRICT, DEFAULT, LENIENT]) is DEFAULT and worst([]) is STRICT
