"""From a loaded model and a text to its rows, one by one."""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, Protocol

import numpy as np

from lstm_lm.data.piped_text import ReadableText
from lstm_lm.data.units import LINE_END, separator_of, unit_of
from lstm_lm.errors import UserError
from lstm_lm.evaluation.language_model import require_language_model
from lstm_lm.evaluation.scoring.encoding import EncodedLine, LineEncoder
from lstm_lm.evaluation.scoring.lines import Line, Noun, lines_of
from lstm_lm.evaluation.scoring.model import Nats, ScoredLine, TokenScorer
from lstm_lm.evaluation.scoring.options import ScoreOptions
from lstm_lm.evaluation.scoring.order import all_sorted, most_surprising
from lstm_lm.evaluation.scoring.rows import LineRow, Ranked, Row, RowMaker, TextRow, TokenRow, figures
from lstm_lm.evaluation.scoring.running_text import running_text
from lstm_lm.evaluation.scoring.totals import Totals
from lstm_lm.evaluation.scoring.unknown import refusal
from lstm_lm.evaluation.token_sizes import TokenSizes
from lstm_lm.models.loading import Loaded
from lstm_lm.tokenizers import Unknown
from lstm_lm.tokenizers.interface import Ids

ONLY_READ = np.array([np.nan])
"""The loss of a token that has nothing before it."""


class Watcher(Protocol):
    """Sees every token, in the text's order."""

    def line(self, number: int, ids: Ids, nats: Nats) -> None:
        """A line's tokens, [n], and their losses; NaN: the token is only read."""

    def running(self, ids: Ids, nats: Nats) -> None:
        """The next tokens of a whole text, [n], likewise."""


class Scoring:
    """Scores one text, once."""

    def __init__(
        self,
        loaded: Loaded,
        *,
        unknown: Unknown = "error",
        batch_size: int = 64,
        forward: str | Mapping[str, Any] = "auto",
        watcher: Watcher | None = None,
        rows: bool = False,
    ) -> None:
        """Choose how the model runs.

        Args:
            loaded: what `lstm_lm.load` gave.
            unknown: what becomes of text that the tokenizer does not know.
            batch_size: lines side by side.
            forward: the forward strategy, or auto; or a whole `forward` section.
            watcher: sees the tokens, too.
            rows: the text is that of a table's rows, each of which is scored as a line is.

        Raises:
            UserError: it is no language model; no such strategy, or it cannot run this model.
        """
        require_language_model(loaded, "score")
        self._loaded = loaded
        self._unknown: Unknown = unknown
        self._batch_size = batch_size
        self._forward = forward
        self._watcher = watcher
        self._rows = RowMaker(loaded.tokenizer, TokenSizes(loaded.tokenizer))
        self._noun: Noun = "row" if rows else "line"
        self._end = (_unit_end(loaded) or LINE_END) if rows else None
        self._encoder = LineEncoder(loaded.tokenizer, unknown, self._end)
        self.totals = Totals(_longest(loaded), knows_return=self._encoder.knows_return, noun=self._noun)
        """Of what has been scored so far."""

    def lines(self, source: ReadableText) -> Iterator[LineRow]:
        """A row for each line, blank ones too.

        Raises:
            UserError: a line cannot be read, or has what the tokenizer does not know and `unknown` is "error"; nothing
                in the text can be scored.
            RunError: the model predicts no numbers.
        """
        return map(self._rows.line, self._scored(source))

    def tokens(self, source: ReadableText) -> Iterator[TokenRow]:
        """A row for each token of those that are scored of a line.

        Raises:
            UserError: as `lines`.
            RunError: as `lines`.
        """
        return chain.from_iterable(map(self._rows.tokens, self._scored(source)))

    def text(self, source: ReadableText) -> TextRow:
        """The row of a whole text, of which every token but the first is predicted, as `evaluate` does.

        Raises:
            UserError: as `lines`.
            RunError: the model predicts no numbers.
        """
        scorer = TokenScorer(self._loaded, 1, self._forward)
        totals, watcher = self.totals, self._watcher
        parts = running_text(source, self._loaded.tokenizer, self._unknown, totals.unknown)
        first = next((part for part in parts if len(part)), None)
        worst: tuple[float, int] | None = None
        try:
            if first is not None:
                if watcher is not None:
                    watcher.running(first[:1], ONLY_READ)
                for ids, nats in scorer.running(chain([first], parts)):
                    totals.add(len(ids), float(nats.sum()), self._rows.characters(ids))
                    place = int(nats.argmax())
                    if worst is None or nats[place] > worst[0]:
                        worst = float(nats[place]), int(ids[place])
                    if watcher is not None:
                        watcher.running(ids, nats)
        finally:
            scorer.close()
        self._something(source.label)
        assert worst is not None
        return TextRow(
            most_surprising=self._rows.spelled(worst[1]),
            most_surprising_nats=worst[0],
            **figures(totals.nats, totals.tokens, totals.characters, totals.unknown.pieces),
        )

    def _scored(self, source: ReadableText) -> Iterator[ScoredLine]:
        scorer = TokenScorer(self._loaded, self._batch_size, self._forward)
        try:
            for scored in scorer.lines(self._encoded(lines_of(source, self._noun), source.label)):
                self.totals.add_line(scored, self._rows.characters(scored.encoded.scored))
                if self._watcher is not None:
                    self._watcher.line(scored.encoded.line.number, *self._with_the_first(scored))
                yield scored
        finally:
            scorer.close()
        self._something(source.label)

    def _encoded(self, lines: Iterator[Line], label: str) -> Iterator[EncodedLine]:
        skipping = LineEncoder(self._loaded.tokenizer, "skip", self._end)
        for line in lines:
            try:
                yield self._encoder.encode(line)
            except UserError as error:
                raise refusal(
                    error, line, lines, lambda line: skipping.encode(line).unknown, label, self._noun
                ) from None

    def _with_the_first(self, scored: ScoredLine) -> tuple[Ids, Nats]:
        """A line's tokens and losses; with the one that is read first, where that is a part of the line."""
        ids, nats = scored.encoded.ids, scored.nats
        if self._encoder.scores_the_end or not len(ids):
            return ids[1:], nats
        return ids, np.concatenate([ONLY_READ, nats])

    def _something(self, label: str) -> None:
        if not self.totals.tokens:
            raise UserError(f"{label}: nothing in it can be scored\nname a text with more in it: data.path=FILE")


def _unit_end(loaded: Loaded) -> str | None:
    """What the units end with that the run was trained on; None: on running text."""
    data = loaded.config.get("data")
    return separator_of(data) if isinstance(data, Mapping) else None


def _longest(loaded: Loaded) -> int | None:
    """Tokens of the longest line that the model has seen in one piece; None: it was not trained on single lines."""
    data = loaded.config.get("data")
    if not isinstance(data, Mapping) or unit_of(data) != "line":
        return None
    longest = data.get("seq_len")
    return longest if isinstance(longest, int) else None


def scored_rows(scoring: Scoring, source: ReadableText, options: ScoreOptions) -> Iterator[Row]:
    """The rows that are asked for, in the order that is asked for.

    Raises:
        UserError: as `Scoring.lines`.
        RunError: likewise; or there is no room to sort.
    """
    if options.unit == "text":
        yield scoring.text(source)
        return
    rows: Iterator[Ranked] = scoring.lines(source) if options.unit == "line" else scoring.tokens(source)
    if options.sort is None:
        yield from rows
    elif options.top is not None:
        yield from most_surprising(rows, options.top)
    else:
        yield from all_sorted(rows, LineRow if options.unit == "line" else TokenRow)
