"""What is known of an encoded corpus without reading it: `manifest.json`, beside the token files."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lstm_lm.data.corpora.interface import Split

FORMAT_VERSION: Final = 2
DType = Literal["uint8", "uint16", "uint32"]
Count = Annotated[int, Field(ge=0)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

MOST_FILES = 1000
"""Every checkpoint holds the manifest."""
BYTES_PER_TOKEN: dict[DType, int] = {"uint8": 1, "uint16": 2, "uint32": 4}


def smallest_dtype(vocabulary_size: int) -> DType:
    """The smallest unsigned type that holds every id below `vocabulary_size`."""
    if vocabulary_size <= 1 << 8:
        return "uint8"
    return "uint16" if vocabulary_size <= 1 << 16 else "uint32"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class SplitManifest(_Model):
    """One split."""

    tokens: Count
    characters: Count
    """Of the text, unknown pieces that were left out included."""
    bytes: Count
    """Of the text in UTF-8."""
    replaced: Count
    """Pieces of the text that no token covers, which were replaced by an unknown token or left out."""
    start: Count
    """First character within the source it is cut from; of units that were dealt, 0."""
    stop: Count | None
    """One past its last character there; None: the source is this split alone, or its units were dealt."""
    crc32: Annotated[int, Field(ge=0, lt=1 << 32)]
    """Of the token file."""


class DealtUnits(_Model):
    """How units were dealt to the splits (`data/unit_splits.py`)."""

    separator: str
    seed: Count


class Manifest(_Model):
    """An encoded corpus: where it came from, with what it was encoded, and how much of it there is."""

    format_version: Literal[2]
    key: Digest
    """Of all that the entry was made from and with: what names its folder."""
    corpus: str
    sources: dict[Split, Digest]
    """SHA-256 of each text that the splits are read from or cut from."""
    files: dict[Split, list[Digest]]
    """SHA-256 of each file that such a text is made of; of MOST_FILES at most."""
    units: DealtUnits | None
    """None: the splits are ranges of characters."""
    tokenizer: str
    """Name of the tokenizer."""
    tokenizer_fingerprint: Digest
    vocabulary_size: Annotated[int, Field(gt=0)]
    unknown: Literal["error", "skip", "replace"]
    dtype: DType
    splits: dict[Split, SplitManifest]

    def file_bytes(self, split: Split) -> int:
        """Size of a split's token file."""
        return self.splits[split].tokens * BYTES_PER_TOKEN[self.dtype]

    def write(self, path: Path) -> None:
        """Write it as JSON, with a digest over the rest.

        Raises:
            OSError: it cannot be written.
        """
        content = self.model_dump(mode="json")
        text = json.dumps({**content, "digest": _digest(content)}, indent=2, ensure_ascii=False)
        path.write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The manifest at `path`; None if it is missing, damaged, or of another format."""
        try:
            content: Any = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(content, dict) or content.pop("digest", None) != _digest(content):
                return None
            return cls.model_validate_json(json.dumps(content))
        except (OSError, ValueError, RecursionError, ValidationError):
            return None


def _digest(content: dict[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
