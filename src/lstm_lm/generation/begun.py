"""Texts of a run that have begun: with its prompt, which waits to be read, and what makes text of their tokens."""

from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor

from lstm_lm.generation.run_units import separator_of_run
from lstm_lm.generation.sampler import TokenStream
from lstm_lm.generation.text import Row, Settings, beginning_ids, pieces_of, token_stream
from lstm_lm.generation.units import beginning
from lstm_lm.models.loading import Loaded


class Begun(NamedTuple):
    """N texts with one prompt, to be written side by side."""

    stream: TokenStream
    """Of N texts; it has read nothing."""
    ids: Tensor
    """What it reads first, int64 `[n]`, n >= 1."""
    rows: list[Row]
    """What takes the tokens of each."""
    shown: str
    """What the texts begin with, before what the rows give."""
    held: str
    """The end of the prompt that is not in there, since the rows give it: the end of a line or document may have begun
    in it."""

    def pieces(self, max_new_tokens: int) -> Iterator[str]:
        """The text, where N is 1, in pieces, none of them empty; when this returns, the prompt has been read.

        Raises:
            RunError: from the iterator: the model's weights have diverged.
        """
        self.stream.feed(self.ids)
        (row,) = self.rows
        return self._pieces(row, max_new_tokens)

    def _pieces(self, row: Row, max_new_tokens: int) -> Iterator[str]:
        if self.shown:
            yield self.shown
        yield from pieces_of(self.stream, row, max_new_tokens)


def begin(loaded: Loaded, prompt: str, num_samples: int, settings: Settings) -> Begun:
    """Begin N = `num_samples` texts of a run: running text, or, of a run of lines or documents, one of these.

    Raises:
        UserError: the tokenizer does not know the prompt, or it is longer than a line or document of such a run; the
            model continues no text.
    """
    stream = token_stream(loaded.model, num_samples, settings)
    unknown = settings.get("unknown", "error")
    separator = separator_of_run(loaded)
    if separator is None:
        rows = [Row(loaded.tokenizer, settings) for _ in range(num_samples)]
        return Begun(stream, beginning_ids(loaded.tokenizer, prompt, unknown), rows, prompt, "")
    before = beginning(loaded.tokenizer, separator, prompt, unknown)
    stop = settings.get("stop") or ()
    ends: Settings = {**settings, "stop": [*([stop] if isinstance(stop, str) else stop), separator]}
    rows = [Row(loaded.tokenizer, ends) for _ in range(num_samples)]
    for row in rows:
        row.push_text(before.held)
    return Begun(stream, before.ids, rows, before.shown, before.held)
