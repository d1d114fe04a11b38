"""`data=tinyshakespeare`: 40,000 lines of Shakespeare's plays, the corpus of char-rnn and nanoGPT (public domain)."""

from pathlib import Path
from typing import ClassVar

import pooch
from filelock import FileLock
from pydantic import field_validator

from lstm_lm import unfinished
from lstm_lm.data.cache_folder import writing_below
from lstm_lm.data.corpora.interface import Corpus, CorpusOptions, CorpusText
from lstm_lm.data.text_files import FileText
from lstm_lm.errors import UserError

URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
FILE_NAME = "tinyshakespeare.txt"


class TinyShakespeareOptions(CorpusOptions):
    """Options of `data=tinyshakespeare`."""

    @field_validator("path")
    @classmethod
    def _one_file(cls, path: str | list[str] | None) -> str | None:
        if isinstance(path, list):
            raise ValueError("must be one file, a copy of tiny Shakespeare; several texts are taken by data=text")
        return path


class TinyShakespeare(Corpus):
    """1,115,394 characters; data.validation_fraction=0.1 gives nanoGPT's split (1,003,854 train, 111,540 validate)."""

    OptionsType: ClassVar[type[CorpusOptions]] = TinyShakespeareOptions

    def load(self) -> CorpusText:
        """The file at `data.path`, else a copy that is downloaded once; either way its SHA-256 is checked.

        Raises:
            UserError: no file there, no network, or the file is another text.
        """
        path = (
            _download(self.cache / "downloads") if self.options.path is None else Path(self.options.path).expanduser()
        )
        source = FileText([path], "utf-8")
        if (found := source.checksum()) != SHA256:
            raise UserError(
                f"{path}: not tiny Shakespeare: its SHA-256 is {found},\n"
                f"expected {SHA256}\n"
                f"to train on another text: data=text data.path={path}"
            )
        return CorpusText("tinyshakespeare", {"train": source}, self.options.fractions())


def _download(folder: Path) -> Path:
    target = folder / FILE_NAME
    by_hand = f"get it by hand and name it: data.path=FILE (or put it at {target})"
    with writing_below(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{FILE_NAME}.lock"):
            for left in folder.glob("tmp????????"):  # what pooch calls the file that it downloads to
                unfinished.remove_if_abandoned(left)
            try:
                # Downloads to a temporary file and renames it once the checksum is right; removes it where it is wrong.
                pooch.retrieve(URL, known_hash=f"sha256:{SHA256}", fname=FILE_NAME, path=folder, progressbar=True)
            except ValueError:
                raise UserError(
                    f"downloaded {URL}\nbut its SHA-256 is not {SHA256}: not kept; try again later, or\n{by_hand}"
                ) from None
            except OSError as error:
                if error.errno is not None:  # the disk's fault: the errors of a connection carry no number
                    raise
                if (response := getattr(error, "response", None)) is not None:
                    response.close()  # of an HTTP error: pooch leaves the connection open
                raise UserError(f"cannot download {URL}\n{_cause(error):.200}\n{by_hand}") from error
    return target


def _cause(error: BaseException) -> str:
    """What went wrong in the end: the connection's errors wrap one another."""
    while True:
        inner = getattr(error, "reason", None) or next(iter(error.args), None)
        if not isinstance(inner, BaseException):
            return " ".join(str(error).split()) or type(error).__name__
        error = inner


CORPUS = TinyShakespeare
