"""From a prompt to text: streamed, as whole texts, or in turns. Only what is new is given, never the prompt."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TypedDict, Unpack

import torch
from torch import Tensor

from lstm_lm.errors import UserError
from lstm_lm.generation.filters import Sampling
from lstm_lm.generation.prompt import encode_prompt, opening
from lstm_lm.generation.sampler import TokenStream
from lstm_lm.generation.stop import StopScanner
from lstm_lm.models.interface import LanguageModel
from lstm_lm.tokenizers.interface import Tokenizer, Unknown

Stop = str | Sequence[str] | None


class Settings(TypedDict, total=False):
    """How text is written; a key that is left out has the value in brackets."""

    temperature: float
    """>= 0; 0 is greedy [1: the model's own distribution]."""
    top_k: int | None
    """>= 1: only the k most likely tokens [None: all]."""
    top_p: float
    """Above 0, at most 1: only the nucleus of this probability [1: all]."""
    min_p: float
    """0 to 1: only tokens with this share of the most likely one's probability [0: all]."""
    seed: int | None
    """0 to 2^63 - 1; the same seed, the same text, on one machine [None: another text each time]."""
    stop: Stop
    """The text ends before this string, or the first of these [None]."""
    unknown: Unknown
    """What becomes of characters of the prompt that the tokenizer does not know ["error"]."""
    autocast: torch.dtype | None
    """The type of the products, for mixed precision [None: that of the weights]."""


def stream_text(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompt: str = "",
    *,
    max_new_tokens: int,
    **settings: Unpack[Settings],
) -> Iterator[str]:
    """Continue `prompt`; gives pieces of text as they are written, none of them empty. Constant memory per token.

    The prompt has been read when this returns. All pieces together are what `sample_text` gives.

    Raises:
        UserError: the tokenizer does not know the prompt, or the model continues no text.
        RunError: from the iterator: the model's weights have diverged.
        ValueError: a setting is out of its range.
    """
    return TextSession(model, tokenizer, **settings).write(prompt, max_new_tokens=max_new_tokens)


def sample_text(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompt: str = "",
    *,
    max_new_tokens: int,
    **settings: Unpack[Settings],
) -> str:
    """The text that follows `prompt`, as one string.

    Raises:
        UserError: the tokenizer does not know the prompt, or the model continues no text.
        RunError: the model's weights have diverged.
        ValueError: a setting is out of its range.
    """
    return "".join(stream_text(model, tokenizer, prompt, max_new_tokens=max_new_tokens, **settings))


def sample_texts(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompt: str = "",
    *,
    num_samples: int,
    max_new_tokens: int,
    **settings: Unpack[Settings],
) -> list[str]:
    """`num_samples` >= 1 texts that follow `prompt`, written side by side in one batch.

    One alone is what `sample_text` gives. Raises as `sample_text`.
    """
    stream = token_stream(model, num_samples, settings)
    _feed(stream, tokenizer, prompt, settings)
    return write_rows(stream, [Row(tokenizer, settings) for _ in range(num_samples)], max_new_tokens)


class TextSession:
    """A text that grows in turns: each prompt continues what was read and written before, the state carried on.

    The model has read every token it wrote, a stop string's included.
    """

    def __init__(self, model: LanguageModel, tokenizer: Tokenizer, **settings: Unpack[Settings]) -> None:
        self._tokenizer = tokenizer
        self._settings = settings
        self._stream = token_stream(model, 1, settings)

    def write(self, prompt: str = "", *, max_new_tokens: int) -> Iterator[str]:
        """Read `prompt` (when this returns, it has been read) and continue it; gives non-empty pieces of text.

        Read the pieces to their end, or leave off anywhere: the next turn continues from the last token drawn.

        Raises:
            UserError: the tokenizer does not know the prompt; the session is as it was.
            RunError: from the iterator: the model's weights have diverged.
        """
        row = Row(self._tokenizer, self._settings)
        _feed(self._stream, self._tokenizer, prompt, self._settings)
        return pieces_of(self._stream, row, max_new_tokens)


def pieces_of(stream: TokenStream, row: "Row", max_new_tokens: int) -> Iterator[str]:
    """What `stream`, of one text, writes until it has stopped or has so many tokens: pieces, none of them empty."""
    push = row.push
    for token in islice(stream, max_new_tokens):
        piece = push(int(token))
        if piece:
            yield piece
        if row.stopped:
            return
    rest = row.finish()
    if rest:
        yield rest


class Row:
    """One text: tokens in, text out, up to a stop string."""

    def __init__(self, tokenizer: Tokenizer, settings: Settings) -> None:
        stop = settings.get("stop") or ()
        self._decoder = tokenizer.decoder()
        self._scanner = StopScanner([stop] if isinstance(stop, str) else list(stop))

    @property
    def stopped(self) -> bool:
        """Whether a stop string has come."""
        return self._scanner.stopped

    @property
    def stopped_by(self) -> str | None:
        """Which one."""
        return self._scanner.stopped_by

    def push(self, token: int) -> str:
        """The text that `token` makes certain, none perhaps."""
        if self._scanner.stopped:
            return ""
        return self._scanner.push(self._decoder.push(token))

    def finish(self) -> str:
        """What is left at the end: a character that was begun, a stop string that was not completed."""
        return self.push_text(self._decoder.flush()) + self._scanner.flush()

    def push_text(self, text: str) -> str:
        return self._scanner.push(text)


def write_rows(stream: TokenStream, rows: Sequence[Row], max_new_tokens: int) -> list[str]:
    """What `stream` writes, side by side, until all `rows` have stopped or have so many tokens."""
    texts: list[list[str]] = [[] for _ in rows]
    for ids in islice(stream, max_new_tokens):
        for text, row, token in zip(texts, rows, ids.tolist(), strict=True):
            text.append(row.push(token))
        if all(row.stopped for row in rows):
            break
    return ["".join([*text, row.finish()]) for text, row in zip(texts, rows, strict=True)]


def token_stream(model: LanguageModel, num_samples: int, settings: Settings) -> TokenStream:
    """N = `num_samples` texts of `model`, not begun.

    Raises:
        UserError: it continues no text.
    """
    if model.objective != "language_modelling":
        raise UserError(f"this run's model was trained for objective={model.objective} and continues no text")
    sampling = Sampling(
        temperature=settings.get("temperature", 1.0),
        top_k=settings.get("top_k"),
        top_p=settings.get("top_p", 1.0),
        min_p=settings.get("min_p", 0.0),
    )
    return TokenStream(
        model, sampling, num_samples=num_samples, seed=settings.get("seed"), autocast=settings.get("autocast")
    )


def beginning_ids(tokenizer: Tokenizer, prompt: str, unknown: Unknown) -> Tensor:
    """What a stream that has read nothing is fed, int64 `[n]`, n >= 1.

    Raises:
        UserError: as `encode_prompt`.
    """
    ids = encode_prompt(tokenizer, prompt, unknown)
    return ids if len(ids) else opening(tokenizer)


def _feed(stream: TokenStream, tokenizer: Tokenizer, prompt: str, settings: Settings) -> None:
    read = beginning_ids if stream.last is None else encode_prompt
    stream.feed(read(tokenizer, prompt, settings.get("unknown", "error")))
