"""A request for text, in the completions form of the OpenAI API, and the answer to it.

`top_k`, `min_p` and `unknown` are keys that API lacks; they mean what they mean to `generate`. What is left out, or
null, is as in `conf/generate.yaml`.
"""

import secrets
import time
from typing import Annotated, Any

from pydantic import Field

from lstm_lm.generation.options import StopString
from lstm_lm.generation.text import Settings
from lstm_lm.models.loading import Loaded
from lstm_lm.options import Options
from lstm_lm.printable import printable
from lstm_lm.serving.bodies import check_length, check_list
from lstm_lm.serving.options import ServeOptions
from lstm_lm.serving.refusals import Refused
from lstm_lm.serving.writer import Job
from lstm_lm.tokenizers import Unknown

MOST_TOKENS = 500
"""Where a request does not say."""
LEFT_OUT: dict[str, Any] = {
    "prompt": "",
    "temperature": 0.8,
    "top_k": None,
    "top_p": 1.0,
    "min_p": 0.0,
    "stop": [],
    "seed": None,
    "n": 1,
    "stream": False,
    "echo": False,
    "stream_options": {},
}
MOST_STOPS, LONGEST_STOP = 16, 1000
"""Strings, and characters of one: each takes time with every character, in the thread that writes for all."""
IGNORED = ("model", "user", "metadata", "store")
"""There is one model, and nobody is told apart."""
NEUTRAL: dict[str, Any] = {
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logit_bias": {},
    "logprobs": None,
    "suffix": "",
    "best_of": 1,
}
"""What there is in that API and not here may have the value that means nothing."""


class CompletionRequest(Options):
    """What a client asks for."""

    prompt: str | Annotated[list[str], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=0)]
    temperature: Annotated[float, Field(ge=0)]
    top_k: Annotated[int, Field(ge=1)] | None
    top_p: Annotated[float, Field(gt=0, le=1)]
    min_p: Annotated[float, Field(ge=0, le=1)]
    stop: StopString | list[StopString]
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None
    n: Annotated[int, Field(ge=1)]
    stream: bool
    echo: bool
    unknown: Unknown
    stream_options: dict[str, Any]

    @classmethod
    def of(cls, body: dict[str, Any], limits: ServeOptions) -> "CompletionRequest":
        """What `body` says.

        Raises:
            UserError: a key is unknown, or its value is out of range.
            Refused: it asks for more than `limits`, or for what there is not.
        """
        said = {key: value for key, value in body.items() if value is not None and key not in IGNORED}
        for key in NEUTRAL.keys() & said.keys():
            if said.pop(key) != NEUTRAL[key]:
                raise Refused(400, f"{key}: is not there; leave it out")
        check_list("prompt", said.get("prompt"), limits.max_texts)
        check_list("stop", said.get("stop"), MOST_STOPS)
        defaults = LEFT_OUT | {"unknown": limits.unknown, "max_tokens": min(MOST_TOKENS, limits.max_tokens)}
        request = cls.parse(defaults | said, "")
        check_length(request.prompts, limits.max_characters)
        if any(len(stop) > LONGEST_STOP for stop in request.stops):
            raise Refused(400, f"stop: a string may have {LONGEST_STOP:,} characters")
        if request.max_tokens > limits.max_tokens:
            raise Refused(400, f"max_tokens={request.max_tokens}: this server writes at most {limits.max_tokens}")
        if request.texts > limits.max_texts:
            raise Refused(400, f"{request.texts} texts (n): this server writes at most {limits.max_texts} at once")
        return request

    @property
    def prompts(self) -> list[str]:
        """One or several."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt

    @property
    def stops(self) -> list[str]:
        """Some, or none."""
        return [self.stop] if isinstance(self.stop, str) else self.stop

    @property
    def texts(self) -> int:
        """How many are to be written."""
        return len(self.prompts) * self.n

    @property
    def includes_usage(self) -> bool:
        """Whether a stream ends with the number of tokens."""
        return bool(self.stream_options.get("include_usage"))

    def settings(self, autocast: Any) -> Settings:
        """What `generate` would be told."""
        return Settings(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            seed=self.seed,
            stop=self.stops,
            unknown=self.unknown,
            autocast=autocast,
        )


class Completion:
    """The answer, in whole or in parts."""

    def __init__(self, model: str) -> None:
        self._head = {
            "id": f"cmpl-{secrets.token_hex(12)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
        }

    def of(self, choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> dict[str, Any]:
        """An object with these choices; `usage` where it is known."""
        return {**self._head, "choices": choices} | ({} if usage is None else {"usage": usage})


def choice(index: int, text: str, finish_reason: str | None) -> dict[str, Any]:
    """One text, or a part of it; `finish_reason` stop or length at its end."""
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish_reason}


def usage_of(jobs: list[Job]) -> dict[str, int]:
    """Tokens read and written."""
    read, written = sum(len(job.begun.ids) for job in jobs), sum(job.tokens for job in jobs)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


def model_name(loaded: Loaded) -> str:
    """What the model is called: its run, or its checkpoint."""
    return printable(loaded.checkpoint.stem if loaded.run is None else loaded.run.path.absolute().name)
