"""A corpus cut into its splits, and as a tokenizer is fitted on it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lstm_lm.data.corpora.interface import SPLITS, CorpusText, Split
from lstm_lm.data.text_source import CharacterRange, TextSource
from lstm_lm.data.unit_splits import unit_splits
from lstm_lm.data.units import UnitText


@dataclass(frozen=True)
class SplitText:
    """One split: its text, and its bounds in characters within the source that it is cut from (None: all of it)."""

    text: TextSource
    start: int = 0
    stop: int | None = None


def cut(corpus: CorpusText) -> dict[Split, SplitText]:
    """The splits of `corpus`, in the order train, validation, test; reads the training source once if there is a cut.

    Units are dealt by `unit_splits`. Without them, of n characters the first int(n * (1 - validation - test)) train, as
    nanoGPT cuts them; the last n - int(n * (1 - test)) test; those between validate.

    Raises:
        UserError: there are too few units; the text cannot be read.
    """
    parts = {split: SplitText(source) for split, source in corpus.sources.items()}
    validation, test = corpus.fractions.get("validation", 0.0), corpus.fractions.get("test", 0.0)
    if corpus.units is not None:
        parts = {split: SplitText(UnitText(source, corpus.units)) for split, source in corpus.sources.items()}
        if validation or test:
            dealt = unit_splits(corpus.sources["train"], corpus.units, corpus.fractions)
            parts |= {split: SplitText(text) for split, text in dealt.items()}
    elif validation or test:
        source = corpus.sources["train"]
        characters = source.characters()
        train_stop = int(characters * (1 - validation - test))
        test_start = int(characters * (1 - test))
        bounds: list[tuple[Split, int, int]] = [("train", 0, train_stop)]
        if validation:
            bounds.append(("validation", train_stop, test_start))
        if test:
            bounds.append(("test", test_start, characters))
        for split, start, stop in bounds:
            parts[split] = SplitText(CharacterRange(source, start, stop), start, stop)
    return {split: parts[split] for split in SPLITS if split in parts}


class FittingText:
    """The splits as `Tokenizer.fit` reads them: each call begins a fresh pass."""

    def __init__(self, splits: Mapping[Split, SplitText]) -> None:
        self._splits = splits

    def training(self) -> Iterator[str]:
        """The training split."""
        return self._splits["train"].text.pieces()

    def everything(self) -> Iterator[str]:
        """All splits, one after the other."""
        for split in self._splits.values():
            yield from split.text.pieces()
