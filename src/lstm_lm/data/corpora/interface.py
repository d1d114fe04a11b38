"""What a corpus gives: texts for training, validation and test, or one text and where to cut it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from lstm_lm.data.text_source import TextSource
from lstm_lm.data.units import Unit, Units, separator_of
from lstm_lm.data.window_lengths import WindowLengths
from lstm_lm.options import Options
from lstm_lm.tokenizers import Unknown

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


class CorpusOptions(Options):
    """The keys of the `data` section that every corpus takes; conf/data/_windows.yaml says what each means."""

    has_splits_of_its_own: ClassVar[bool] = False
    """Whether the corpus comes cut, so that no share of its text is cut off."""

    name: str
    path: str | list[str] | None
    encoding: str
    cache_dir: str | None
    unknown: Literal["error", "skip", "replace", "extend"]
    unit: Unit
    separator: Annotated[str, Field(min_length=1)] | None
    batch_size: Annotated[int, Field(gt=0)]
    seq_len: Annotated[int, Field(gt=0)]
    window_lengths: WindowLengths
    carry_state: bool
    eval_batch_size: Annotated[int, Field(gt=0)]
    eval_context: Annotated[int, Field(ge=0)]
    split: Literal["random", "end"]
    split_seed: Annotated[int, Field(ge=0, lt=2**32)]
    validation_fraction: Annotated[float, Field(gt=0, lt=1)]
    test_fraction: Annotated[float, Field(ge=0, lt=1)]

    @field_validator("separator")
    @classmethod
    def _of_documents(cls, separator: str | None, info: ValidationInfo) -> str | None:
        if separator is not None and info.data.get("unit", "document") != "document":
            raise ValueError("is what separates documents: add data.unit=document, or leave it null")
        return separator

    @field_validator("window_lengths")
    @classmethod
    def _of_windows(cls, window_lengths: WindowLengths, info: ValidationInfo) -> WindowLengths:
        if window_lengths != "fixed" and (unit := info.data.get("unit")) in ("line", "document"):
            raise ValueError(f"must be fixed with data.unit={unit}: {unit}s are as long as they are")
        return window_lengths

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            "a".encode(encoding)
        except (LookupError, ValueError):
            raise ValueError("must be a text encoding that Python knows: utf-8, utf-16, latin-1, cp1252, ...") from None
        return encoding

    @field_validator("test_fraction")
    @classmethod
    def _something_left(cls, test_fraction: float, info: ValidationInfo) -> float:
        if info.data.get("validation_fraction", 0.0) + test_fraction >= 1:
            raise ValueError("must leave text to train on: with data.validation_fraction it must stay below 1")
        return test_fraction

    @property
    def title(self) -> str:
        """What a person calls the text."""
        return self.name

    @property
    def still_unknown(self) -> Unknown:
        """What becomes of what the tokenizer does not know, extended where that is asked for: then there is no such."""
        return "error" if self.unknown == "extend" else self.unknown

    def fractions(self) -> dict[Split, float]:
        """What share of the text each split but the first gets, where it is cut by shares."""
        return {"validation": self.validation_fraction, "test": self.test_fraction}

    def unit_end(self) -> str | None:
        """What each unit ends with; None: the text is a stream of windows."""
        return separator_of({"unit": self.unit, "separator": self.separator})

    def units(self) -> Units | None:
        """How units are dealt to the splits; None: the text is cut at places in it."""
        separator = self.unit_end()
        return None if separator is None or self.split == "end" else Units(separator, self.split_seed)


class NoPathOptions(CorpusOptions):
    """Those of a corpus whose text comes with Python."""

    @field_validator("path")
    @classmethod
    def _no_path(cls, path: str | list[str] | None) -> None:
        if path is not None:
            raise ValueError("must be null, for this text comes with Python; to train on one of your own add data=text")


@dataclass(frozen=True)
class CorpusText:
    """A corpus before it is cut.

    `sources` has at least "train". A split named in `fractions` (share of the training source, in (0, 1)) is taken from
    the training source: where there are `units`, of these, at random; else of its characters, off its end, the test
    split last.
    """

    name: str
    sources: Mapping[Split, TextSource]
    fractions: Mapping[Split, float] = field(default_factory=dict)
    units: Units | None = None


class Corpus(ABC):
    """One option of `data=`. Its module holds it as the constant `CORPUS`."""

    OptionsType: ClassVar[type[CorpusOptions]]

    def __init__(self, options: Any, cache: Path) -> None:
        """Take the checked `data` section and the folder for downloads and other things worth keeping."""
        self.options = options
        self.cache = cache

    @abstractmethod
    def load(self) -> CorpusText:
        """Find the text, fetching it first where that is needed; reads no more of it than a checksum needs.

        Raises:
            UserError: it is not there, cannot be read, or is not what it should be.
        """
