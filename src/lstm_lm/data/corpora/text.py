"""`data=text`: any text of one's own, from files, folders, globs or standard input."""

from typing import Any, ClassVar

from pydantic import field_validator, model_validator

from lstm_lm.data.corpora.interface import Corpus, CorpusOptions, CorpusText, Split
from lstm_lm.data.held_out import without_held_out
from lstm_lm.data.text_files import FileText
from lstm_lm.data.text_paths import STANDARD_INPUT, text_at
from lstm_lm.data.units import separator_of, unit_of
from lstm_lm.printable import shown

Paths = str | list[str]


class TextOptions(CorpusOptions):
    """Options of `data=text`: `data.path` is needed, and validation and test may have files of their own."""

    validation_path: Paths | None
    test_path: Paths | None
    column: str | None

    @model_validator(mode="before")
    @classmethod
    def _rows_are_documents(cls, section: Any) -> Any:
        if not isinstance(section, dict) or (column := section.get("column")) is None:
            return section
        told = f"data.column={shown(str(column))} makes each row a document, which ends where the row does: "
        if section.get("unit") == "line" or section.get("separator") is not None:
            raise ValueError(f"{told}leave data.unit and data.separator out")
        if section.get("split") == "end":
            raise ValueError(f"{told}data.split=end cuts running text; hold rows out with data.validation_path=FILE")
        return {**section, "unit": unit_of(section)}

    @field_validator("path")
    @classmethod
    def _given(cls, path: Paths | None) -> Paths:
        if path is None:
            raise ValueError("must name the text to train on: a file, a folder, a glob, a list of them, or -")
        return path

    def unit_end(self) -> str | None:
        return separator_of(self.model_dump(include={"unit", "separator", "column"}))

    @field_validator("validation_path", "test_path")
    @classmethod
    def _files(cls, path: Paths | None) -> Paths | None:
        if path is not None and STANDARD_INPUT in ([path] if isinstance(path, str) else path):
            raise ValueError("must name files: only data.path can be standard input")
        return path


class Text(Corpus):
    """The text at `data.path`; a split with a path of its own is read from there, else cut off the text's end.

    A file that is held out is left out of the training text.
    """

    OptionsType: ClassVar[type[CorpusOptions]] = TextOptions

    def load(self) -> CorpusText:
        """Find the files.

        Raises:
            UserError: one is missing, cannot be read, or is empty; nothing is left to train on.
        """
        options = self.options
        fractions = options.fractions()
        own: dict[Split, Paths | None] = {"validation": options.validation_path, "test": options.test_path}
        held_out: dict[Split, FileText] = {}
        for split, path in own.items():
            if path is not None:
                held_out[split] = text_at(path, options.encoding, self.cache, f"data.{split}_path", options.column)
                del fractions[split]
        train = without_held_out(text_at(options.path, options.encoding, self.cache, column=options.column), held_out)
        return CorpusText("text", {"train": train, **held_out}, fractions)


CORPUS = Text
