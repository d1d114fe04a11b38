"""A corpus encoded once, in a stream, into memory-mapped token files that later runs reuse.

An entry is a folder named by its content (checksums of the texts, the cut, the tokenizer, the format): `manifest.json`,
`tokenizer.json` and one `SPLIT.bin` a split. It appears by a rename, whole or not at all.

The text is hashed every time that an entry is asked for: nothing less (size, time of change) says what a file holds.
And each pass over the text that makes an entry hashes what it reads (`FileText`): another text ends it.
"""

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lstm_lm.data.cache_folder import writing_below
from lstm_lm.data.corpora.interface import CorpusText, Split
from lstm_lm.data.makers import only_maker
from lstm_lm.data.manifest import FORMAT_VERSION, MOST_FILES, DealtUnits, Manifest, SplitManifest, smallest_dtype
from lstm_lm.data.splits import FittingText, SplitText, cut
from lstm_lm.data.units import UnitText
from lstm_lm.errors import UserError
from lstm_lm.options import Options
from lstm_lm.printable import printable, shortened
from lstm_lm.renaming import remove, rename
from lstm_lm.tokenizers import Tokenizer, Unknown, tokenizer_from_json
from lstm_lm.tokenizers.interface import ROW_END, Encoded

MANIFEST_FILE = "manifest.json"
TOKENIZER_FILE = "tokenizer.json"
PIECE_BYTES = 1 << 20
LONGEST_SHOWN = 80
"""Characters of a unit, in a message."""


class EncodedCorpus:
    """An entry of the store, open for reading."""

    def __init__(self, folder: Path, manifest: Manifest, tokenizer: Tokenizer) -> None:
        self.folder = folder
        self.manifest = manifest
        self.tokenizer = tokenizer

    def tokens(self, split: Split) -> NDArray[Any]:
        """The ids of a split, [N], of the manifest's type: a read-only memory map (N = 0: an empty array)."""
        if self.manifest.splits[split].tokens == 0:
            return np.empty(0, self.manifest.dtype)
        return np.memmap(self.folder / f"{split}.bin", dtype=self.manifest.dtype, mode="r")


How = Tokenizer | tuple[type[Tokenizer] | Tokenizer, Options]
"""A tokenizer; or one to make of the text, with its options: a class to fit, or one to extend."""


def encoded(corpus: CorpusText, tokenizer: How, unknown: Unknown, cache: Path) -> EncodedCorpus:
    """The entry for `corpus`, from the store below `cache`, or made now.

    Several processes may ask for one entry at once: one makes it, the others wait. A damaged entry is made again.

    Args:
        corpus: the text.
        tokenizer: one that exists, or how to make one of this text.
        unknown: what becomes of text that no token covers.
        cache: the folder to keep entries in.

    Raises:
        UserError: the text cannot be read or encoded, or the folder cannot be written.
        RunError: the disk is full. Nothing half-written is left.
    """
    if isinstance(tokenizer, Tokenizer) and corpus.units is not None and corpus.units.separator == ROW_END:
        _check_row_end(tokenizer)
    key = _key(corpus, tokenizer, unknown)
    folder = cache / "tokens" / f"{corpus.name}-{key[:32]}"
    if (entry := _open(folder, key)) is not None:
        return entry
    with writing_below(cache):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with only_maker(folder) as building:
            if (entry := _open(folder, key)) is not None:  # made by another process in the meantime
                return entry
            _make(folder, building, lambda: _build(building, key, corpus, tokenizer, unknown))
    entry = _open(folder, key)
    assert entry is not None, f"{folder} has just been made, and is not whole"
    return entry


def _check_row_end(tokenizer: Tokenizer) -> None:
    """Without a token for it, rows would run into each other."""
    if not len(tokenizer.encode(ROW_END, "skip").ids):
        raise UserError(
            f"data.column: the {tokenizer.name} tokenizer of the checkpoint has no token for the end of a row\n"
            "its model was trained on no tables: train one on these rows, or name a plain text"
        )


def _key(corpus: CorpusText, tokenizer: How, unknown: Unknown) -> str:
    how: dict[str, Any]
    if isinstance(tokenizer, Tokenizer):
        how = {"fingerprint": tokenizer.fingerprint()}
    else:
        kind, options = tokenizer
        how = {"name": kind.name, "options": options.model_dump(mode="json")}
        if isinstance(kind, Tokenizer):
            how["extends"] = kind.fingerprint()
    sources = {split: source.checksum() for split, source in corpus.sources.items()}
    units = None if corpus.units is None else asdict(corpus.units)
    content = [FORMAT_VERSION, corpus.name, sources, dict(corpus.fractions), units, how, unknown]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _open(folder: Path, key: str) -> EncodedCorpus | None:
    """The entry at `folder` if it is whole, and the one of `key`."""
    manifest = Manifest.read(folder / MANIFEST_FILE)
    if manifest is None or manifest.key != key:
        return None
    try:
        tokenizer = tokenizer_from_json(json.loads((folder / TOKENIZER_FILE).read_text(encoding="utf-8")))
        sizes = {split: (folder / f"{split}.bin").stat().st_size for split in manifest.splits}
        if any(size != manifest.file_bytes(split) for split, size in sizes.items()):
            return None
        if any(_crc32(folder / f"{split}.bin") != part.crc32 for split, part in manifest.splits.items()):
            return None
    except (OSError, ValueError, UserError):  # damaged; or another process takes it away, to make it again
        return None
    if tokenizer.fingerprint() != manifest.tokenizer_fingerprint:
        return None
    return EncodedCorpus(folder, manifest, tokenizer)


def _crc32(path: Path) -> int:
    """A damaged token would be trained on as another one. It takes less time than the digest of the text itself."""
    crc = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            crc = zlib.crc32(piece, crc)
    return crc


def _make(folder: Path, building: Path, build: Callable[[], None]) -> None:
    """Let `build` fill the folder `building`, then call it `folder`."""
    building.mkdir()
    try:
        build()
        if folder.exists():  # damaged, or it would have been opened
            remove(folder)
        rename(building, folder)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def _build(folder: Path, key: str, corpus: CorpusText, tokenizer: How, unknown: Unknown) -> None:
    splits = cut(corpus)
    if not isinstance(tokenizer, Tokenizer):
        kind, options = tokenizer
        make = kind.extended if isinstance(kind, Tokenizer) else kind.fit
        tokenizer = make(options, FittingText(splits))
    if tokenizer.always_replaces:
        unknown = "replace"
    dtype = smallest_dtype(tokenizer.vocabulary_size)
    counts: dict[Split, SplitManifest] = {}
    for split, part in splits.items():
        with (folder / f"{split}.bin").open("wb") as file:
            counts[split] = _encode(part, tokenizer, unknown, dtype, file)
            _sync(file)
    with (folder / TOKENIZER_FILE).open("wb") as file:
        file.write(json.dumps(tokenizer.to_json(), ensure_ascii=True).encode("ascii"))
        _sync(file)
    Manifest(
        format_version=FORMAT_VERSION,
        key=key,
        corpus=corpus.name,
        sources={split: source.checksum() for split, source in corpus.sources.items()},
        files={split: source.digests()[:MOST_FILES] for split, source in corpus.sources.items()},
        units=None if corpus.units is None else DealtUnits(**asdict(corpus.units)),
        tokenizer=tokenizer.name,
        tokenizer_fingerprint=tokenizer.fingerprint(),
        vocabulary_size=tokenizer.vocabulary_size,
        unknown=unknown,
        dtype=dtype,
        splits=counts,
    ).write(folder / MANIFEST_FILE)


def _encode(part: SplitText, tokenizer: Tokenizer, unknown: Unknown, dtype: str, file: BinaryIO) -> SplitManifest:
    """Encode one split into `file`, in constant memory."""
    if isinstance(part.text, UnitText):
        counted = _Counted(part.text.units())
        parts = _each(counted, tokenizer, unknown)
    else:
        counted = _Counted(part.text.pieces())
        parts = tokenizer.encode_pieces(counted, unknown)
    tokens = replaced = crc = 0
    try:
        for ids, missing in parts:
            content = ids.astype(dtype).tobytes()
            file.write(content)
            crc = zlib.crc32(content, crc)
            tokens += len(ids)
            replaced += missing
    except UserError as error:
        # The tokenizer names the key as `generate.py` has it, and cannot know which text it was.
        message = str(error).replace("\nunknown=", "\ndata.unknown=").replace(", unknown=", ", data.unknown=")
        if (unknown_pieces := _count_unknown(part, tokenizer)) > 1:
            message = message.replace("\nthe first is", f"\nthere are {unknown_pieces:,} such places; the first is", 1)
        raise type(error)(message if message.startswith(part.text.label) else f"{part.text.label}: {message}") from None
    return SplitManifest(
        tokens=tokens,
        characters=counted.characters,
        bytes=counted.bytes,
        replaced=replaced,
        start=part.start,
        stop=part.stop,
        crc32=crc,
    )


def _each(units: Iterable[str], tokenizer: Tokenizer, unknown: Unknown) -> Iterator[Encoded]:
    """Unit by unit, as a prompt is: no token reaches from one into the next."""
    for unit in units:
        try:
            yield tokenizer.encode(unit, unknown)
        except UserError as error:
            shown = printable(shortened(repr(unit), LONGEST_SHOWN))
            raise type(error)(str(error).replace("of the text", f"of {shown}", 1)) from None


def _count_unknown(part: SplitText, tokenizer: Tokenizer) -> int:
    """How many pieces of the text the tokenizer does not know; 0 where that cannot be said."""
    try:
        return sum(encoded.replaced for encoded in tokenizer.encode_pieces(part.text.pieces(), "skip"))
    except UserError:
        return 0


class _Counted:
    """Pieces of text, counted as they pass."""

    def __init__(self, pieces: Iterator[str]) -> None:
        self._pieces = pieces
        self.characters = 0
        self.bytes = 0

    def __iter__(self) -> Iterator[str]:
        for piece in self._pieces:
            self.characters += len(piece)
            self.bytes += len(piece) if piece.isascii() else len(piece.encode("utf-8", "surrogatepass"))
            yield piece


def _sync(file: BinaryIO) -> None:
    """A rename may outlive a power cut that the content does not: have the content on the disk first."""
    file.flush()
    os.fsync(file.fileno())
