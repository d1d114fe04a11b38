"""One token for each of the 256 bytes: any text in UTF-8, nothing to learn, nothing unknown."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np

from lstm_lm.options import Options
from lstm_lm.tokenizers.interface import FitText, Ids, Tokenizer, fields


class ByteOptions(Options):
    """No choices."""

    name: Literal["byte"]


class ByteTokenizer(Tokenizer):
    """The id is the byte."""

    name: ClassVar[str] = "byte"
    OptionsType: ClassVar[type[Options]] = ByteOptions

    def __init__(self) -> None:
        super().__init__([bytes([byte]) for byte in range(256)])

    @classmethod
    def fit(cls, options: ByteOptions, text: FitText) -> Self:  # noqa: ARG003  (all texts have the same bytes)
        """The one byte tokenizer; `text` is not read."""
        return cls()

    def to_json(self) -> dict[str, Any]:
        """The name alone."""
        return {"name": self.name}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The one byte tokenizer.

        Raises:
            UserError: `data` is something else.
        """
        fields(data, cls.name)
        return cls()

    def _ids(self, chunk: str) -> Ids:
        return np.frombuffer(chunk.encode("utf-8"), np.uint8).astype(np.int64)


TOKENIZER = ByteTokenizer
