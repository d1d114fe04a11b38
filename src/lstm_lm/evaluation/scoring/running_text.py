"""The tokens of a whole text, as it comes, with the lines in which it has what the tokenizer does not know."""

from collections.abc import Iterator

from lstm_lm.data.piped_text import ReadableText
from lstm_lm.errors import UserError
from lstm_lm.evaluation.scoring.lines import Line
from lstm_lm.evaluation.scoring.unknown import UnknownLines, refusal
from lstm_lm.text_chunks import chunks
from lstm_lm.tokenizers import Tokenizer, Unknown
from lstm_lm.tokenizers.interface import Ids


def running_text(source: ReadableText, tokenizer: Tokenizer, unknown: Unknown, found: UnknownLines) -> Iterator[Ids]:
    """The tokens of the text, in parts; what is unknown is counted in `found`.

    Raises:
        UserError: the text cannot be read, or has what the tokenizer does not know and `unknown` is "error".
    """
    if tokenizer.always_replaces:
        unknown = "replace"

    def count(line: Line) -> int:
        return tokenizer.encode(line.text, "skip").replaced

    pieces = _labelled(source)
    number = 1  # of the line that the next piece of text begins in
    for chunk in pieces:
        try:
            ids, replaced = tokenizer.encode(chunk, unknown)
        except UserError as error:
            lines = _numbered(chunk, pieces, number)
            first = next(line for line in lines if count(line))
            raise refusal(error, first, lines, count, source.label) from None
        if replaced:
            for line in _numbered(chunk, iter(()), number):
                found.add(line.number, count(line))
        yield ids
        number += chunk.count("\n")


def _labelled(source: ReadableText) -> Iterator[str]:
    """The text in chunks that can be encoded one by one; half of a character in it is refused."""
    try:
        yield from chunks(source.pieces())
    except UserError as error:
        message = str(error)
        raise UserError(message if message.startswith(source.label) else f"{source.label}: {message}") from None


def _numbered(chunk: str, following: Iterator[str], number: int) -> Iterator[Line]:
    """The lines of `chunk` and of what follows; one that lies across a border comes in two parts."""
    while True:
        for place, text in enumerate(chunk.split("\n")):
            yield Line(number + place, text)
        number += chunk.count("\n")
        following_chunk = next(following, None)
        if following_chunk is None:
            return
        chunk = following_chunk
