"""Special tokens in foreign text are text: questions, options, captions and subtitles cannot end a turn or add a frame.

Three means, each where it serves:

- ``as_plain_text``, for a tokenizer that reads nothing but foreign text: its own setting.
- ``ControlTokens.broken`` and ``pieces_to_ids``, for a chat template whose ids we make: the ids decode to the text.
- ``ControlTokens.spaced``, for a processor that looks for its placeholders in the text: a space after the first
  character, ``< |im_end|>``, the one means that leaves them no way to be found.

Text without such tokens has the same ids with them as without them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# Tokens with the shape of turn marks are taken for these even if their tokenizer does not call them special.
SHAPE = r"<[|｜][^<>\s]{1,60}?[|｜]>"
THINK = "</?think>"  # a token of some models, which prompts and completions of ours write too
PLACEHOLDERS = ("<image>", "<video>", "<audio>")  # of tasks and of backbones; a tokenizer need not know them
COMMON = (SHAPE, "</?s>", r"\[/?INST\]", "<(?:start|end)_of_turn>", "<(?:bos|eos)>", "<IMG_CONTEXT>")


@dataclass(frozen=True)
class ControlTokens:
    """The tokens of a tokenizer that control: special ones, and those that its chat template writes.

    Attributes:
        pattern: Matches the first character of each token in a text, however they overlap.
    """

    pattern: re.Pattern[str]

    @classmethod
    def of(cls, tokenizer: Any, *templates: Any, more: Iterable[str] = (), own: str = "(?!)") -> ControlTokens:
        """The control tokens of a tokenizer of transformers.

        Args:
            tokenizer: The tokenizer; one without added tokens, as of mistral-common, never reads them from text.
            templates: Chat templates besides that of the tokenizer.
            more: Further tokens: placeholders of a processor, which its tokenizer may not know.
            own: Regular expression for the parts of a prompt that stay as they are, since we write them ourselves.
        """
        text = "\0".join(str(template or "") for template in (getattr(tokenizer, "chat_template", ""), *templates))
        added = getattr(tokenizer, "added_tokens_decoder", {}).values()
        tokens = [re.escape(token) for token in more]
        for token in added:
            if token.special or token.content in text or re.fullmatch(SHAPE, token.content):
                # a normalizer may lower the case before it looks for these
                tokens.append(re.escape(token.content) if not token.normalized else f"(?i:{re.escape(token.content)})")
        return cls.matching(tokens, own)

    @classmethod
    def matching(cls, expressions: Iterable[str], own: str = "(?!)") -> ControlTokens:
        """Those that any of the regular ``expressions`` matches; single characters and spaces cannot be broken."""
        parts = [text for text in dict.fromkeys(expressions) if len(re.sub(r"\\(.)", r"\1", text).strip()) > 1]
        return cls(re.compile(f"({own})|(?={'|'.join(parts) or '(?!)'}).", re.DOTALL))

    @classmethod
    def common(cls, own: str = "(?!)") -> ControlTokens:
        """What chat models have in common, for one behind a service, whose tokenizer is not at hand."""
        return cls.matching([*COMMON, *PLACEHOLDERS], own)

    def broken(self, text: str, mark: str) -> str:
        """``text`` with ``mark`` after the first character of each control token."""
        return self.pattern.sub(lambda match: match[0] if match[1] else f"{match[0]}{mark}", text)

    def spaced(self, text: str) -> str:
        """``text`` with a space after the first character of each control token."""
        return self.broken(text, " ")


def legible(text: str) -> str:
    """``text`` with a replacement character for every lone surrogate, which no tokenizer and no file takes."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def as_plain_text(tokenizer: Any) -> None:
    """Let ``tokenizer``, of transformers or of tokenizers, read special tokens in texts as text.

    It still adds its own around them.
    """
    is_bare = hasattr(tokenizer, "encode_special_tokens")  # of tokenizers, as static embeddings have
    setattr(tokenizer, "encode_special_tokens" if is_bare else "split_special_tokens", True)


def unused_character(text: str) -> str:
    """A private-use character that ``text`` does not have, to mark places in it."""
    return next(mark for mark in map(chr, range(0xF0000, 0xFFFFE)) if mark not in text)


def pieces_to_ids(tokenizer: Any, pieces: list[str]) -> list[int]:
    """Token ids of ``pieces`` of one text, each tokenized by itself, so that no token reaches over their borders."""
    ids = _ids(tokenizer, pieces[0])
    newline = _ids(tokenizer, "\n")
    for piece in pieces[1:]:
        after = _ids(tokenizer, f"\n{piece}")  # SentencePiece would put a space before the start of a text
        follows = after[: len(newline)] == newline
        ids += after[len(newline) :] if follows else _ids(tokenizer, piece)
    return ids


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
