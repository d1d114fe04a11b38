"""The text that a run is evaluated on: its own, or another one in its tokens."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lstm_lm.data.cache_folder import cache_folder
from lstm_lm.data.corpora import corpus_class
from lstm_lm.data.corpora.interface import CorpusOptions
from lstm_lm.data.enough import FEWEST_TOKENS, more_text
from lstm_lm.data.text_paths import STANDARD_INPUT
from lstm_lm.data.token_store import EncodedCorpus, encoded
from lstm_lm.errors import UserError
from lstm_lm.tokenizers import Tokenizer

OWN_PATHS = {"validation_path", "test_path"}


@dataclass(frozen=True)
class EvaluationText:
    """A text, encoded, and the options that it was found by."""

    corpus: EncodedCorpus
    options: CorpusOptions

    def identity(self) -> dict[str, Any]:
        """What distinguishes it from other texts, as plain data."""
        manifest = self.corpus.manifest
        return {
            "name": manifest.corpus,
            "path": self.options.path,
            "sources": dict(manifest.sources),
            "unknown": manifest.unknown,
            "splits": {
                name: {"tokens": split.tokens, "characters": split.characters, "replaced": split.replaced}
                for name, split in manifest.splits.items()
            },
        }


def data_section(asked: Mapping[str, Any] | None, of_the_run: Any) -> dict[str, Any]:
    """The whole `data` section: `asked`, or, where it names no corpus, the run's own with the keys that `asked` sets.

    Raises:
        UserError: the checkpoint has no such section, or its text came from standard input.
    """
    asked = asked or {}
    if asked.get("name") is not None:
        return dict(asked)
    if not isinstance(of_the_run, Mapping):
        raise UserError("the checkpoint does not say which text it was trained on\nname one: data=text data.path=FILE")
    named = {key: value for key, value in asked.items() if value is not None}
    # what another text validates and tests with is no part of this one
    elsewhere = dict.fromkeys(OWN_PATHS & of_the_run.keys()) if "path" in named else {}
    section = {**of_the_run, **elsewhere, **named}
    if section.get("path") == STANDARD_INPUT and asked.get("path") is None:
        raise UserError("this run read its text from standard input, which is gone\nname a text: data.path=FILE")
    return section


def read_text(section: Mapping[str, Any], tokenizer: Tokenizer) -> EvaluationText:
    """Find the text of a whole `data` section, and encode it with `tokenizer`, unless that has been done before.

    Raises:
        UserError: an option is out of range; the text is missing, unreadable or too short, or has characters that the
            tokenizer does not know.
        RunError: the disk is full.
    """
    kind = corpus_class(section)
    options = kind.OptionsType.parse(section, "data")
    if options.unit != "window":
        raise UserError(
            f"data.unit={options.unit}: evaluate scores running text\nto score it as such, say data.unit=window"
        )
    cache = cache_folder(options.cache_dir)
    corpus = encoded(kind(options, cache).load(), tokenizer, options.unknown, cache)
    for split, part in corpus.manifest.splits.items():
        if part.tokens < FEWEST_TOKENS and split != "train":
            raise UserError(
                f"data.name={options.name}: the {split} text is too short: {part.tokens} of {FEWEST_TOKENS} tokens\n"
                f"{more_text(split, options)}"
            )
    return EvaluationText(corpus, options)
