"""Units written one by one, as they were trained: lines or documents, each from a fresh state to its end.

Of each that has come to its end it is said whether the training text has it. Digests of that text's units are in the
checkpoint, so this needs no text (`data/known_units.py`).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Literal, NamedTuple, Unpack

import torch
from torch import Tensor

from lstm_lm.data.known_units import KnownUnits
from lstm_lm.data.lines import opening_token
from lstm_lm.data.units import shown_end
from lstm_lm.errors import UserError
from lstm_lm.generation.prompt import encode_prompt
from lstm_lm.generation.stop import StopScanner
from lstm_lm.generation.text import Row, Settings, token_stream, write_rows
from lstm_lm.models.interface import LanguageModel
from lstm_lm.printable import printable
from lstm_lm.tokenizers.interface import Tokenizer, Unknown

Standing = Literal["new", "copied", "not compared", "blank", "stopped", "unfinished"]
"""Whether the training text has it; or it is not known which units that has, it has nothing in it, or has not ended."""

MOST_ROUNDS = 100
"""Of drawing N units, until N new ones are found."""


class WrittenUnit(NamedTuple):
    """One of them."""

    text: str
    """The prompt included, without the separator."""
    standing: Standing


class NewUnits(NamedTuple):
    """Units that the training text has not, all different."""

    texts: list[str]
    drawn: int
    """How many it took."""
    others: Counter[Standing]
    """Of what kind those were that do not count; `new`: the same as one before."""


class Beginning(NamedTuple):
    """Of a unit: a prompt."""

    ids: Tensor
    """What a fresh state reads, int64 `[n]`, n >= 1."""
    shown: str
    held: str
    """Its end, where a separator may have begun, which the model may complete."""


def beginning(tokenizer: Tokenizer, separator: str, prompt: str, unknown: Unknown) -> Beginning:
    """`prompt`, as the beginning of a unit.

    Raises:
        UserError: it is longer than a unit, or the tokenizer does not know it.
    """
    prompt = prompt.removesuffix(separator)
    if separator in prompt:
        raise UserError(
            f"prompt: has a {printable(repr(separator))} in it, where this run's texts end (data.unit)\n"
            "give the beginning of one"
        )
    opening = torch.tensor([opening_token(tokenizer, separator)])
    ids = encode_prompt(tokenizer, prompt, unknown)
    begun = (length for length in range(len(separator) - 1, 0, -1) if prompt.endswith(separator[:length]))
    shown = len(prompt) - next(begun, 0)
    return Beginning(torch.cat([opening, ids]), prompt[:shown], prompt[shown:])


class UnitWriter:
    """Writes N units side by side, again and again; the same seed and N, the same units, on one machine."""

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        separator: str,
        *,
        known: KnownUnits | None = None,
        num_samples: int = 1,
        **settings: Unpack[Settings],
    ) -> None:
        """Begin nothing yet.

        Args:
            model: of a run that was trained on units.
            tokenizer: the run's.
            separator: what they end with.
            known: the training text's; None: nothing is compared.
            num_samples: N >= 1.
            settings: how text is written; a stop string ends a unit before its end.

        Raises:
            UserError: the model continues no text.
        """
        stop = settings.get("stop") or ()
        stops = [stop] if isinstance(stop, str) else list(stop)
        self._stream = token_stream(model, num_samples, settings)
        self._settings: Settings = {**settings, "stop": [*stops, separator]}
        self._tokenizer = tokenizer
        self.separator = separator
        self._known = known
        self._num_samples = num_samples
        self.last: WrittenUnit | None = None
        """What `pieces` has written."""
        self.tokens = 0
        """How many it has drawn for it."""

    def write(self, prompt: str = "", *, max_new_tokens: int) -> list[WrittenUnit]:
        """N units that begin with `prompt`, of as many tokens as it takes, `max_new_tokens` at most.

        Raises:
            UserError: the prompt is longer than a unit, or the tokenizer does not know it.
            RunError: the model's weights have diverged.
        """
        before = self._begin(prompt)
        rows = [self._row(before) for _ in range(self._num_samples)]
        texts = write_rows(self._stream, rows, max_new_tokens)
        return [self._unit(before.shown + text, row) for text, row in zip(texts, rows, strict=True)]

    def write_new(self, prompt: str = "", *, max_new_tokens: int) -> NewUnits:
        """N units that are not in the training text, each another; fewer, where MOST_ROUNDS of drawing find no more.

        Raises:
            UserError, RunError: as `write`.
        """
        found: dict[str, str] = {}  # by what is compared
        others: Counter[Standing] = Counter()
        rounds = 0
        while len(found) < self._num_samples and rounds < MOST_ROUNDS:
            rounds += 1
            for unit in self.write(prompt, max_new_tokens=max_new_tokens):
                if unit.standing != "new" or unit.text.strip() in found:
                    others[unit.standing] += 1
                else:
                    found[unit.text.strip()] = unit.text
        return NewUnits(list(found.values())[: self._num_samples], rounds * self._num_samples, others)

    def pieces(self, prompt: str = "", *, max_new_tokens: int) -> Iterator[str]:
        """One unit, `prompt` and what follows it, in pieces as they are written; when this returns the prompt is read.

        Raises:
            UserError: as `write`.
            RunError: from the iterator: the model's weights have diverged.
        """
        return self._pieces(self._begin(prompt), max_new_tokens)

    def _pieces(self, before: Beginning, max_new_tokens: int) -> Iterator[str]:
        row, written = self._row(before), [before.shown]
        self.last, self.tokens = None, 0
        if before.shown:
            yield before.shown
        for token in islice(self._stream, max_new_tokens):
            self.tokens += 1
            if piece := row.push(int(token)):
                written.append(piece)
                yield piece
            if row.stopped:
                break
        if rest := row.finish():
            written.append(rest)
            yield rest
        self.last = self._unit("".join(written), row)

    def _begin(self, prompt: str) -> Beginning:
        """Have a fresh state read the prompt, as the beginning of a unit."""
        before = beginning(self._tokenizer, self.separator, prompt, self._settings.get("unknown", "error"))
        self._stream.restart()
        self._stream.feed(before.ids)
        return before

    def _row(self, before: Beginning) -> Row:
        row = Row(self._tokenizer, self._settings)
        row.push_text(before.held)
        return row

    def _unit(self, text: str, row: Row) -> WrittenUnit:
        return WrittenUnit(text, self._standing(text, row))

    def _standing(self, text: str, row: Row) -> Standing:
        if row.stopped_by != self.separator:
            return "stopped" if row.stopped else "unfinished"
        if not text.strip():
            return "blank"
        if self._known is None:
            return "not compared"
        return "copied" if text in self._known else "new"


class UnitEnd:
    """Sees where units end, in tokens that come one at a time."""

    def __init__(self, tokenizer: Tokenizer, separator: str) -> None:
        self._tokenizer, self._separator = tokenizer, separator
        self._begin()

    def _begin(self) -> None:
        self._decoder, self._scanner = self._tokenizer.decoder(), StopScanner([self._separator])

    def is_at(self, token: int) -> bool:
        """Whether a unit ends with `token`, the next one."""
        self._scanner.push(self._decoder.push(token))
        ended = self._scanner.stopped
        if ended:
            self._begin()
        return ended


def units_in_a_row(
    model: LanguageModel,
    tokenizer: Tokenizer,
    separator: str,
    prompt: str,
    tokens: int,
    **settings: Unpack[Settings],
) -> str:
    """A text of so many tokens: units one after the other, each from a fresh state and the same beginning.

    Raises:
        UserError, RunError: as `UnitWriter.write`.
    """
    writer = UnitWriter(model, tokenizer, separator, **settings)
    beginning = prompt.partition(separator)[0] if prompt.strip() else ""  # it may be one for running text
    texts: list[str] = []
    while tokens > 0:
        texts += [*writer.pieces(beginning, max_new_tokens=tokens), shown_end(separator)]
        tokens -= writer.tokens
    return "".join(texts)


def counted(standings: Sequence[Standing]) -> str:
    """`7 new, 3 copied`."""
    return ", ".join(f"{count:,} {standing}" for standing, count in Counter(standings).most_common())
