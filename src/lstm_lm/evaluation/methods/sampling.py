"""`method=sampling`: how fast the model writes one text, a token at a time, and what it writes.

The same loop as `generate`: the state is carried, every token is drawn from the model's distribution before the next is
computed, and nothing is computed ahead. A model of lines or documents begins the next one where one has ended.
"""

import time
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import Field

from lstm_lm.data.lines import opening_token
from lstm_lm.data.units import shown_end
from lstm_lm.errors import UserError
from lstm_lm.evaluation.methods.interface import Method, Outcome, Subject
from lstm_lm.generation.filters import Sampling as Filters
from lstm_lm.generation.prompt import encode_prompt, opening
from lstm_lm.generation.sampler import TokenStream
from lstm_lm.generation.units import UnitEnd
from lstm_lm.options import Options
from lstm_lm.synchronize import synchronize

PARTS = 20
"""Parts of the text, each timed by itself: the curve shows whether later tokens cost more than early ones."""


class SamplingOptions(Options):
    """The `method` section of method=sampling."""

    name: str
    prompt: str
    max_new_tokens: Annotated[int, Field(ge=PARTS, le=10**6)]
    warmup_tokens: Annotated[int, Field(ge=0)]
    temperature: Annotated[float, Field(ge=0)]
    seed: Annotated[int, Field(ge=0, lt=2**63)]


class Sampling(Method):
    """Speed of writing, and a sample."""

    OptionsType: ClassVar[type[Options]] = SamplingOptions
    options: SamplingOptions

    def evaluate(self, subject: Subject) -> Outcome:
        """Write a text from the prompt, and time it.

        Where the tokenizer does not know the prompt, the text begins as without one, and is timed but not kept.
        """
        options, tokenizer = self.options, subject.tokenizer
        reason: str | None = None
        try:
            ids = encode_prompt(tokenizer, options.prompt, "error")
        except UserError as error:
            ids, reason = torch.empty(0, dtype=torch.int64), str(error).splitlines()[0]
        begin = opening(tokenizer)
        if subject.separator is not None:
            begin = torch.tensor([opening_token(tokenizer, subject.separator)])
            ids = torch.cat([begin, ids])
        elif not len(ids):
            ids = begin
        choice = subject.use_forward(subject.workload(1, 1))

        def stream(seed: int) -> TokenStream:
            made = TokenStream(subject.model, Filters(options.temperature), seed=seed, autocast=subject.autocast)
            made.feed(ids)
            return made

        warm = stream(options.seed)
        for _ in range(options.warmup_tokens):
            next(warm)
        synchronize(subject.device)
        began = time.perf_counter()
        writer = stream(options.seed)
        synchronize(subject.device)
        read = time.perf_counter() - began
        written: list[torch.Tensor] = []
        ends, moments = _parts(options.max_new_tokens), [time.perf_counter()]
        end = None if subject.separator is None else UnitEnd(tokenizer, subject.separator)
        for number in range(options.max_new_tokens):
            written.append(next(writer))
            if end is not None and end.is_at(int(written[-1])):
                writer.restart()
                writer.feed(begin)
            if number + 1 in ends:
                synchronize(subject.device)
                moments.append(time.perf_counter())
                subject.report("sampling", number + 1, options.max_new_tokens)
        decoder = tokenizer.decoder()
        text = "".join(decoder.push(int(token)) for token in torch.cat(written).tolist()) + decoder.flush()
        if subject.separator is not None:
            text = text.replace(subject.separator, shown_end(subject.separator))
        seconds = np.diff(moments)
        figures: dict[str, Any] = {
            "tokens": options.max_new_tokens,
            "prompt_tokens": len(ids),
            "prompt_seconds": read,
            "tokens_per_second": options.max_new_tokens / float(seconds.sum()),
            "token_ms": 1000 * float(seconds.sum()) / options.max_new_tokens,
            "parts": {"ends": ends, "token_ms": (1000 * seconds / np.diff([0, *ends])).tolist()},
            "text": None if reason else text,
            "text_reason": reason,
        }
        return Outcome(choice, figures)


def _parts(tokens: int) -> list[int]:
    """How many tokens are written when each part ends."""
    return [tokens * (part + 1) // PARTS for part in range(PARTS)]


METHOD = Sampling
