"""`data=wikitext2`: two million words of Wikipedia, the benchmark of word-level LSTMs (Merity et al., 2016)."""

from pathlib import Path
from typing import ClassVar

from pydantic import field_validator

from lstm_lm.data.corpora.interface import Corpus, CorpusOptions, CorpusText, Split
from lstm_lm.data.text_files import FileText
from lstm_lm.errors import UserError

FILES: dict[Split, str] = {
    "train": "wiki.train.tokens",
    "validation": "wiki.valid.tokens",
    "test": "wiki.test.tokens",
}
WHERE = "get the archive of its word-level version, wikitext-2-v1, unpack it, and name the folder"


class WikiText2Options(CorpusOptions):
    """Options of `data=wikitext2`."""

    has_splits_of_its_own: ClassVar[bool] = True

    @field_validator("path")
    @classmethod
    def _one_folder(cls, path: str | list[str] | None) -> str:
        if not isinstance(path, str):
            raise ValueError(f"must name the folder that holds {', '.join(FILES.values())}\n{WHERE}: data.path=FOLDER")
        return path


class WikiText2(Corpus):
    """The three files of the word-level version, with splits of their own; tokenizer=whitespace reads it as papers do.

    Nobody who offers a stable address for it is known, so nothing is downloaded.
    """

    OptionsType: ClassVar[type[CorpusOptions]] = WikiText2Options

    def load(self) -> CorpusText:
        """The files in the folder `data.path`.

        Raises:
            UserError: the folder lacks one of them.
        """
        folder = Path(self.options.path).expanduser()
        missing = [name for name in FILES.values() if not (folder / name).is_file()]
        if missing:
            raise UserError(f"data.path={folder}: no {', '.join(missing)} there\n{WHERE}: data.path=FOLDER")
        encoding = self.options.encoding
        return CorpusText("wikitext2", {split: FileText([folder / name], encoding) for split, name in FILES.items()})


CORPUS = WikiText2
