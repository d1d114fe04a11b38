"""`lstm_lm.score`: how likely a text is, in one call."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from lstm_lm.data.piped_text import ReadableText, text_to_read_once
from lstm_lm.data.text_source import StringText
from lstm_lm.errors import UserError
from lstm_lm.evaluation.scoring.lines import GivenLines
from lstm_lm.evaluation.scoring.options import ScoreOptions, Unit
from lstm_lm.evaluation.scoring.score import Scoring, scored_rows
from lstm_lm.models.loading import Loaded, load
from lstm_lm.tokenizers import Unknown

LABEL = "the text"


def score(
    run: str | Path | Loaded | None = None,
    text: str | Iterable[str] | None = None,
    *,
    path: str | list[str] | None = None,
    encoding: str = "utf-8",
    column: str | None = None,
    unit: Unit = "line",
    sort: Literal["surprise"] | None = None,
    top: int | None = None,
    unknown: Unknown = "error",
    batch_size: int = 64,
    ckpt_path: str | Path | None = None,
    runs_dir: str | Path = "outputs",
    device: str | torch.device = "auto",
    precision: str = "auto",
    forward: str | Mapping[str, Any] = "auto",
) -> Iterator[dict[str, Any]]:
    """Say how likely a text is to the model of a run: a dict for each line, token, or for the whole text, as it comes.

    The keys are the columns of `python -m lstm_lm score` (`evaluation/scoring/rows.py` says what each means). Neither
    the text nor the rows need fit into memory; `list(score(...))` has them all. What is wrong with the arguments is
    raised at once, what is wrong with the text when the iteration gets there.

    Args:
        run: a run directory or its name; None: the newest below `runs_dir`; or what `lstm_lm.load` gave, and then
            `ckpt_path`, `runs_dir`, `device` and `precision` are not looked at.
        text: the text, or its lines one by one, without their ends.
        path: what holds the text instead, as `data.path`: a file, a folder, a glob, a list of these, or `-`.
        encoding: of the files at `path`.
        column: of tables at `path` (.jsonl, .csv, .parquet), the one that holds text: each row is scored as a line is.
        unit: line: each by itself, from a fresh state; token: each token of these; text: all as one, the state carried.
        sort: surprise: the most nats per token first; None: in the text's order.
        top: with `sort`, only the first so many; 1 to 100000.
        unknown: what becomes of characters that the tokenizer does not know: error, skip or replace.
        batch_size: lines side by side; 1 to 65536.
        ckpt_path: a checkpoint file, or `best` or `last` of the run.
        runs_dir: the folder below which runs are looked for.
        device: auto (a GPU where there is one), cpu, gpu, mps, or torch's name of one.
        precision: as `lstm_lm.load` takes it; auto: 32-true.
        forward: the forward strategy, or auto; or a whole `forward` section.

    Raises:
        UserError: a value is out of its range; no such run, checkpoint or text; unknown characters in the text; ...
        RunError: the model's weights have diverged; there is no room to sort.
    """
    given = {"unit": unit, "sort": sort, "top": top, "unknown": unknown, "batch_size": batch_size}
    options = ScoreOptions.parse(given, "score")
    if column is not None:
        options.check_rows()
    if (text is None) == (path is None):
        raise UserError("score: needs one text: text= (a text, or its lines) or path=FILE")
    source: ReadableText
    if path is not None:
        source = text_to_read_once(path, encoding, "path", column)
    else:
        assert text is not None
        source = StringText(text, LABEL) if isinstance(text, str) else GivenLines(text, LABEL)
    if not isinstance(run, Loaded):
        run = load(run, ckpt_path=ckpt_path, runs_dir=runs_dir, device=device, precision=precision, forward=forward)
    scoring = Scoring(
        run, unknown=options.unknown, batch_size=options.batch_size, forward=forward, rows=column is not None
    )
    rows = scored_rows(scoring, source, options)
    return (row._asdict() for row in rows)
