"""`embed`: vectors of lines, windows or rows of tables into a .npy file; what was done, on standard error."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from omegaconf import DictConfig
from pydantic import Field

from lstm_lm.cli.hydra.app import run_app
from lstm_lm.cli.hydra.plain_config import plain_config
from lstm_lm.cli.model_choice import ModelChoice, TextOptions, note_checkpoint
from lstm_lm.cli.text_output import note, note_path
from lstm_lm.errors import UserError
from lstm_lm.heavy_imports import heavy_imports
from lstm_lm.shell_words import shell_word, short_path
from lstm_lm.terminal import Terminal, say_whole

if TYPE_CHECKING:
    from lstm_lm.embedding.embed import Embedded

NO_SWEEP = "embed writes one file, and has no sweeps (-m)\nrun it once for each text"


class CommandOptions(ModelChoice):
    """The keys of `conf/embed.yaml`."""

    data: dict[str, Any]
    out: str | None
    unit: Literal["line", "window"]
    unknown: Literal["error", "skip", "replace"]
    batch_size: Annotated[int, Field(ge=1, le=65536)]
    projector: bool
    overwrite: bool


def run(argv: Sequence[str], program: Sequence[str]) -> int:
    """`embed`, as `main.Verb` has it."""
    return run_app("embed", _embed, argv, program, no_multirun=NO_SWEEP)


def _embed(config: DictConfig) -> None:
    options = CommandOptions.parse(plain_config(config), "")
    text = TextOptions.parse(options.data, "data")
    if text.path is None:
        raise UserError("data.path=null: name the text whose lines get vectors: data.path=FILE")
    if text.column is not None and options.unit == "window":
        raise UserError(
            "unit=window: cuts running text, and with data.column each row is a text by itself\n"
            "use unit=line, a vector for each row of the table"
        )
    if options.out is None:
        raise UserError("out=null: name the file for the vectors: out=FILE.npy")
    out = Path(options.out).expanduser()

    with heavy_imports():
        from lstm_lm.data.cache_folder import cache_folder
        from lstm_lm.data.text_paths import text_at
        from lstm_lm.embedding.embed import claim, embed

    try:
        source = text_at(text.path, text.encoding, cache_folder(None), column=text.column)
    except LookupError:
        raise UserError(f"data.encoding={text.encoding}: no text encoding that Python knows") from None
    claim(out, source, projector=options.projector, overwrite=options.overwrite)
    loaded = options.load()
    note_checkpoint(loaded)
    done = embed(
        loaded,
        source,
        out,
        unit=options.unit,
        batch_size=options.batch_size,
        unknown=options.unknown,
        projector=options.projector,
        overwrite=options.overwrite,
        forward=options.forward,
        rows=text.column is not None,
    )
    noun = options.unit if text.column is None else "row"
    note_path(out, f"{done.rows:,} {noun}s, {done.size} numbers each: {done.how}")
    for line in _told(done):
        note(line)
    if done.projector is not None:
        command = f"tensorboard --logdir {shell_word(short_path(done.projector))}"
        say_whole(Terminal(stderr=True), "the tab Projector of", command)


def _told(done: "Embedded") -> list[str]:
    lines = []
    if done.blank:
        lines.append(f"{done.blank:,} of them without text: their rows are zero")
    if done.longer:
        lines.append(f"{done.longer:,} longer than the windows that the model was trained on")
    if done.replaced:
        lines.append(f"{done.replaced:,} unknown pieces of text were left out or replaced")
    return lines
