"""Which texts a `data` section means now, without encoding them."""

from collections.abc import Mapping
from typing import Any

from lstm_lm.data.cache_folder import cache_folder
from lstm_lm.data.corpora import corpus_class


def text_digests(section: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of each text that the splits are read or cut from, as `Manifest.sources` has it: the texts are read.

    Raises:
        UserError: an option is wrong; a text is missing or cannot be read.
    """
    kind = corpus_class(section)
    options = kind.OptionsType.parse(section, "data")
    corpus = kind(options, cache_folder(options.cache_dir)).load()
    return {str(split): source.checksum() for split, source in corpus.sources.items()}


def digest_differences(then: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Each split whose text is another one, or that has a text of its own only in one of the two."""
    found: list[str] = []
    for split in dict.fromkeys([*now, *then]):
        before, after = then.get(split), now.get(split)
        if before is not None and after is not None and before != after:
            found.append(f"text of the {split} split: SHA-256 {before[:12]}... then, {after[:12]}... now")
        elif before != after:
            cut, own = "cut from the training text", "a text of its own"
            told = (f"{cut} then, {own} now", f"{own} then, {cut} now")[after is None]
            found.append(f"text of the {split} split: {told}")
    return found
