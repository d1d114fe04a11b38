"""Whether there is enough text for a batch; where there is not, the numbers, and what to do."""

from collections.abc import Mapping

from lstm_lm.data.corpora.interface import CorpusOptions, Split
from lstm_lm.data.lines import Lines
from lstm_lm.data.manifest import SplitManifest
from lstm_lm.errors import UserError

FEWEST_TOKENS = 2
"""Of a text that is only read: one to read and one to predict."""


def more_text(split: Split, options: CorpusOptions) -> str:
    """What to do for a longer validation or test split."""
    if getattr(options, f"{split}_path", None) is not None:
        return f"name a longer text: data.{split}_path=FILE, or null for a share of data.path's"
    if options.has_splits_of_its_own:
        return "give more text"
    larger = f"a larger data.{split}_fraction"
    fixed = options.path is None  # the text of data=python_docs, or a download, is as long as it is
    return f"choose {larger}" if fixed else f"give more text, or {larger}"


def check_streams(splits: Mapping[Split, SplitManifest], options: CorpusOptions, processes: int) -> None:
    """Every training stream needs a window, every other split a token to predict.

    Raises:
        UserError: there is too little text.
    """
    batch_size, seq_len = options.batch_size, options.seq_len
    streams = batch_size * processes
    for split, counts in splits.items():
        if split == "train" and counts.tokens < streams * seq_len:
            raise UserError(
                f"data.name={options.name}: the training text is too short: {counts.tokens:,} tokens,\n"
                f"but {streams:,} streams of one window of {seq_len:,} tokens need {streams * seq_len:,}\n"
                f"{_remedy(counts, streams, options)}"
            )
        if split != "train" and counts.tokens < FEWEST_TOKENS:
            raise UserError(
                f"data.name={options.name}: the {split} text is too short: {counts.tokens} of {FEWEST_TOKENS} tokens\n"
                f"{more_text(split, options)}"
            )


def check_lines(splits: Mapping[Split, Lines], options: CorpusOptions, processes: int) -> None:
    """A training batch needs its lines (or documents), every other split one.

    Raises:
        UserError: there is too little text.
    """
    for split, lines in splits.items():
        needed, there = options.batch_size * processes if split == "train" else 1, len(lines.starts)
        if there < needed:
            smaller = there // processes if split == "train" else 0
            more = "give more text" if split == "train" else more_text(split, options)
            if smaller:
                more += f", or data.batch_size={smaller} at most"
            raise UserError(
                f"data.name={options.name}: the {split} text has {there:,} of the {needed:,} {options.unit}s "
                f"that a batch needs (blank ones left out)\n{more}"
            )


def _remedy(counts: SplitManifest, streams: int, options: CorpusOptions) -> str:
    ways = ["give more text"] if options.path is not None else ["take another text"]
    if smaller := counts.tokens // (streams // options.batch_size * options.seq_len):
        ways.append(f"data.batch_size={smaller}")
    if shorter := counts.tokens // streams:
        ways.append(f"data.seq_len={shorter}")
    return f"{', or '.join(ways)} at most" if len(ways) > 1 else ways[0]
