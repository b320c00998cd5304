"""A language model behind a server with OpenAI's chat completions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from lmms_videominer.errors import CallError
from lmms_videominer.models.server import Server
from lmms_videominer.policy.language_model import Completion, check_seeds, in_order

AT_ONCE = 64  # prompts after which it shows that a server is down


class ServedLM:
    """Completes prompts by a server, which applies the chat template.

    Completions have no token ids; their tokens are those that the server counts. Reasoning that the server took out of
    a reply is put back, since the format of the policy has it. Each sample is asked for with its seed, which servers
    heed more or less.

    Args:
        server: The server, with its model.
        max_new_tokens: Maximum number of tokens of a completion.
    """

    def __init__(self, server: Server, max_new_tokens: int = 160):
        self.server, self.max_new_tokens = server, max_new_tokens

    @property
    def identity(self) -> str:
        return f"{self.server.identity}:{self.max_new_tokens}"

    @property
    def at_once(self) -> int:
        """How many requests it serves at once."""
        return self.server.at_once

    def complete(self, prompts: Sequence[str], temperature: float = 0.0, seeds: Sequence[int] = ()) -> list[Completion]:
        """One completion per prompt, in order, with a fault in place of one that does not come."""
        return in_order(self.stream(prompts, temperature, seeds), len(prompts))

    def stream(
        self, prompts: Sequence[str], temperature: float = 0.0, seeds: Sequence[int] = ()
    ) -> Iterator[dict[int, Completion]]:
        """The completions of ``complete`` by position, each as it comes.

        Raises:
            ModelError: Every one of ``AT_ONCE`` prompts failed, and a plain one fails too: the server is down.
        """
        check_seeds(prompts, temperature, seeds)
        asked = [(prompt, seeds[i] if temperature else None) for i, prompt in enumerate(prompts)]
        for start in range(0, len(asked), AT_ONCE):
            part = asked[start : start + AT_ONCE]
            faults = []
            for i, completion in self.server.each(partial(self._completion, temperature), part):
                if completion.fault:
                    faults.append(completion.fault)
                yield {start + i: completion}
            if len(faults) == len(part):
                self.server.check_alive(faults[0])

    def _completion(self, temperature: float, asked: tuple[str, int | None]) -> Completion:
        prompt, seed = asked
        reply = self.server.reply(prompt, self.max_new_tokens, temperature, seed)
        if isinstance(reply, CallError):
            return Completion("", fault=reply)
        return Completion(reply.whole, prompt_tokens=reply.prompt_tokens, completion_tokens=reply.completion_tokens)
