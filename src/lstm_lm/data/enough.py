"""Whether there is enough text for a batch; where there is not, the numbers, and what to do."""

from collections.abc import Mapping

from lstm_lm.data.corpora.interface import CorpusOptions, Split
from lstm_lm.data.lines import Lines
from lstm_lm.data.manifest import SplitManifest
from lstm_lm.errors import UserError


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
                f"{_remedy(counts.tokens, streams, batch_size, seq_len)}"
            )
        if split != "train" and counts.tokens < 2:
            raise UserError(
                f"data.name={options.name}: the {split} text is too short: {counts.tokens} of 2 tokens\n"
                f"give more text, or a larger data.{split}_fraction"
            )


def check_lines(splits: Mapping[Split, Lines], options: CorpusOptions, processes: int) -> None:
    """A training batch needs its lines, every other split one.

    Raises:
        UserError: there is too little text.
    """
    for split, lines in splits.items():
        needed, there = options.batch_size * processes if split == "train" else 1, len(lines.starts)
        if there < needed:
            smaller = there // processes if split == "train" else 0
            raise UserError(
                f"data.name={options.name}: the {split} text has {there:,} of the {needed:,} lines that a batch needs "
                "(blank ones left out)\n"
                + (f"give more text, or data.batch_size={smaller} at most" if smaller else "give more text")
            )


def _remedy(tokens: int, streams: int, batch_size: int, seq_len: int) -> str:
    ways = ["give more text"]
    if smaller := tokens // (streams // batch_size * seq_len):
        ways.append(f"data.batch_size={smaller}")
    if shorter := tokens // streams:
        ways.append(f"data.seq_len={shorter}")
    return f"{', or '.join(ways)} at most" if len(ways) > 1 else ways[0]
