"""`score`: how likely a text is; a table or rows on standard output, or files; all else on standard error."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from omegaconf import DictConfig

from lstm_lm.cli.hydra.app import run_app
from lstm_lm.cli.hydra.plain_config import plain_config
from lstm_lm.cli.model_choice import ModelChoice, TextOptions, note_checkpoint
from lstm_lm.cli.progress import Report, progress
from lstm_lm.cli.text_output import note, note_lost_characters, note_path
from lstm_lm.errors import UserError
from lstm_lm.evaluation.scoring.options import ScoreOptions
from lstm_lm.heavy_imports import heavy_imports
from lstm_lm.printable import printable_text
from lstm_lm.runs.outputs import claim_output
from lstm_lm.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lstm_lm.data.piped_text import PipedText
    from lstm_lm.data.text_files import FileText
    from lstm_lm.evaluation.scoring.rows import Row
    from lstm_lm.evaluation.scoring.totals import Totals
    from lstm_lm.models.loading import Loaded

NO_SWEEP = "score scores one text, and has no sweeps (-m)\nrun it once for each text"
ROWS_OF_A_TABLE = 20


class CommandOptions(ModelChoice):
    """The keys of `conf/score.yaml` that only the command has; the others are `ScoreOptions`."""

    data: dict[str, Any]
    format: Literal["auto", "table", "csv", "jsonl"]
    out: str | None
    html: str | None
    overwrite: bool


def run(argv: "Sequence[str]", program: "Sequence[str]") -> int:
    """`score`, as `main.Verb` has it."""
    return run_app("score", _score, argv, program, no_multirun=NO_SWEEP)


def _score(config: DictConfig) -> None:
    plain = plain_config(config)
    keys = set(ScoreOptions.model_fields)
    options = ScoreOptions.parse({key: value for key, value in plain.items() if key in keys}, "")
    command = CommandOptions.parse({key: value for key, value in plain.items() if key not in keys}, "")
    text = TextOptions.parse(command.data, "data")
    if text.path is None:
        raise UserError("data.path=null: name the text that is scored: data.path=FILE, or - for standard input")
    if command.html is not None and options.sort is not None:
        raise UserError("html= shows the text in its own order, and sort= has another one\nleave out one of the two")
    if text.column is not None:
        options.check_rows()
    as_table = command.out is None and (command.format == "table" or (command.format == "auto" and _at_a_terminal()))
    if as_table and options.sort is not None and options.top is None:
        options = options.model_copy(update={"top": ROWS_OF_A_TABLE})

    with heavy_imports():
        from lstm_lm.data.piped_text import text_to_read_once
        from lstm_lm.evaluation.scoring.score import Scoring, scored_rows
        from lstm_lm.reports.score_page import score_page
        from lstm_lm.reports.score_table import score_table

    source = text_to_read_once(text.path, text.encoding, column=text.column)
    _claim(command, source.paths)
    loaded = command.load()
    note_checkpoint(loaded)
    _claim(command, [*source.paths, loaded.checkpoint])
    if _knows_by_heart(loaded, source.paths):
        note("this run trained on most of this text: what it knows by heart surprises less than what it validates on")
    shown: list[Row] = []
    with ExitStack() as stack:
        page = None
        if command.html is not None:
            title = f"{source.label}, scored by {loaded.checkpoint}"
            whole = options.unit == "text"
            made = score_page(_path(command.html), title, loaded.tokenizer, whole=whole, overwrite=command.overwrite)
            page = stack.enter_context(made)
        scoring = Scoring(
            loaded,
            unknown=options.unknown,
            batch_size=options.batch_size,
            forward=command.forward,
            watcher=page,
            rows=text.column is not None,
        )
        mixed_up = command.out is None and not as_table and _at_a_terminal()  # rows and a bar on one terminal
        report = (lambda *_: None) if mixed_up else stack.enter_context(progress())
        rows = scored_rows(scoring, _Counted(source, report), options)
        if as_table:
            shown = list(islice(rows, options.top or ROWS_OF_A_TABLE))
        rest = _write(rows, command, options, as_table=as_table)
    if as_table:
        Terminal().print(score_table(shown))
        if rest:
            note(f"{rest:,} more rows: out=FILE.csv has all, sort=surprise shows the most surprising")
    for line in _told(scoring.totals, options):
        note(line)
    if command.out is not None:
        note_path(_path(command.out), f"{rest:,} row{'s' if rest != 1 else ''}")
    if page is not None:
        note_path(_path(str(command.html)), "the beginning of the text, as much as a page has" if page.full else "")
    note_lost_characters()


def _knows_by_heart(loaded: "Loaded", paths: "Iterable[Path]") -> bool:
    """Whether it has read one of these files, as its own `data.path`, more than once; a copy elsewhere is not known."""
    data, trainer = loaded.config.get("data"), loaded.config.get("trainer")
    if isinstance(trainer, dict) and trainer.get("max_epochs") == 1:
        return False
    own = data.get("path") if isinstance(data, dict) else None
    return isinstance(own, str) and any(path.resolve() == _path(own).resolve() for path in paths)


def _at_a_terminal() -> bool:
    return sys.stdout.isatty()


def _claim(command: CommandOptions, inputs: "Iterable[Path]") -> None:
    """Refuse, before any work, files that cannot or must not be written."""
    inputs = list(inputs)
    if command.out is not None:
        claim_output(_path(command.out), "out", ".csv", ".jsonl", overwrite=command.overwrite, inputs=inputs)
    if command.html is not None:
        claim_output(_path(command.html), "html", ".html", overwrite=command.overwrite, inputs=inputs)


def _path(name: str) -> Path:
    return Path(name).expanduser()


def _write(rows: "Iterator[Row]", command: CommandOptions, options: ScoreOptions, *, as_table: bool) -> int:
    """Write rows to where they belong, if not in a table; how many they are."""
    from lstm_lm.evaluation.scoring import row_files
    from lstm_lm.evaluation.scoring.rows import ROWS

    kind = ROWS[options.unit]
    if command.out is not None:
        return row_files.write(rows, kind, _path(command.out), overwrite=command.overwrite)
    if as_table:
        return sum(1 for _ in rows)
    shown = printable_text if _at_a_terminal() else str
    count = 0
    for line in row_files.written(rows, kind, "jsonl" if command.format == "jsonl" else "csv"):
        sys.stdout.write(shown(line))
        count += 1
    return count


def _told(totals: "Totals", options: ScoreOptions) -> Iterator[str]:
    """What is said at the end."""
    if options.unit != "text":
        blank = f", {totals.blank:,} of them blank" if totals.blank else ""
        yield f"{_lines(totals.lines, totals.noun)}{blank}: {totals.summary}"
    if totals.unknown.count:
        yield f"{totals.unknown.pieces:,} unknown pieces of text were left out or replaced, in {totals.unknown.where}"
    if totals.longer:
        longer = _lines(totals.longer, totals.noun)
        yield f"longer than the {totals.longest:,} tokens that training reads of a line: {longer}"
    if totals.returns:
        yield rf"ended by \r\n, whose \r was scored as a part of the line: {_lines(totals.returns, totals.noun)}"


def _lines(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' if count != 1 else ''}"


class _Counted:
    """A text that says how far it has been read, where that is known: of files of plain text."""

    def __init__(self, source: "FileText | PipedText", report: Report) -> None:
        self._source = source
        self._report = report
        self._bytes = sum(path.stat().st_size for path in source.paths) if source.is_plain else 0

    @property
    def label(self) -> str:
        """What to call it in a message."""
        return self._source.label

    def pieces(self) -> Iterator[str]:
        """The text from its start."""
        characters = 0
        for piece in self._source.pieces():
            yield piece
            characters += len(piece)
            if self._bytes:
                self._report("scoring", min(characters, self._bytes), self._bytes)  # the last report is a whole one
        if self._bytes:
            self._report("scoring", self._bytes, self._bytes)
