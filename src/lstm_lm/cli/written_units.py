"""Lines and documents that a model writes: each to standard output, what it is to standard error.

One alone goes out as it is written; what it is, is known when it has ended.
"""

from collections.abc import Iterator, Sequence
from itertools import chain

from lstm_lm.cli.prompt_loop import prompt_loop
from lstm_lm.cli.text_output import note, write_text
from lstm_lm.data.units import LINE_END, shown_end
from lstm_lm.generation.options import GenerateOptions
from lstm_lm.generation.units import MOST_ROUNDS, Standing, UnitWriter, WrittenUnit, counted

MEANS: dict[Standing, str] = {
    "new": "new",
    "copied": "copied",
    "not compared": "not compared: the run has more training texts than it keeps track of",
    "blank": "blank",
    "stopped": "ended by stop=, not compared",
    "unfinished": "cut off at max_new_tokens, not compared",
}
"""In the words of a person."""


def write_units(writer: UnitWriter, prompt: str, options: GenerateOptions, *, interactive: bool) -> None:
    """Write what `generate` is asked for.

    Raises:
        UserError: the tokenizer does not know the prompt, or it is no beginning.
        RunError: the model's weights have diverged.
    """
    noun = "line" if writer.separator == LINE_END else "document"
    count = options.max_new_tokens
    if interactive:
        hint = f"what you type is the beginning of a {noun}; nothing: any one"
        prompt_loop(lambda typed: _told(writer, typed, count), prompt, hint)
    elif options.only_new:
        found = writer.write_new(prompt, max_new_tokens=count)
        _write([WrittenUnit(text, "new") for text in found.texts], noun, writer.separator)
        if len(found.texts) < options.num_samples:
            others = ", ".join(f"{often:,} {_other(kind)}" for kind, often in found.others.most_common())
            note(
                f"found {len(found.texts):,} new {noun}s of {options.num_samples:,}, and gave up after {MOST_ROUNDS} "
                f"times as many: {others}\na higher temperature strays further from the training text"
            )
    elif options.num_samples == 1:
        write_text(_told(writer, prompt, count))
    else:
        units = writer.write(prompt, max_new_tokens=count)
        _write(units, noun, writer.separator)
        note(f"--- {len(units):,} {noun}s: {counted([unit.standing for unit in units])}")


def _write(units: Sequence[WrittenUnit], noun: str, separator: str) -> None:
    for number, unit in enumerate(units, start=1):
        note(f"--- {noun} {number:,} of {len(units):,}: {MEANS[unit.standing]}")
        write_text([unit.text, shown_end(separator)])


def _told(writer: UnitWriter, typed: str, count: int) -> Iterator[str]:
    """A unit that begins with what was typed, with its separator, as it is written; then what it is."""

    def ended() -> Iterator[str]:
        if writer.last is not None:
            yield shown_end(writer.separator)
            note(f"--- {MEANS[writer.last.standing]}")

    return chain(writer.pieces(typed, max_new_tokens=count), ended())


def _other(kind: Standing) -> str:
    return "the same again" if kind == "new" else kind
