"""The text that a run is evaluated on: its own, or another one in its tokens.

Its own is cut as it was for the training. Another one is scored from its first character to its last, as one split
called `test`, unless the user says how to cut it, or it comes in splits of its own. A run that was trained on lines or
documents is scored on these, whichever text they are of.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lstm_lm.data.cache_folder import cache_folder
from lstm_lm.data.corpora import corpus_class
from lstm_lm.data.corpora.interface import CorpusOptions, CorpusText, Split
from lstm_lm.data.enough import FEWEST_TOKENS, more_text
from lstm_lm.data.lines import Lines, find_lines
from lstm_lm.data.text_paths import STANDARD_INPUT
from lstm_lm.data.token_store import EncodedCorpus, encoded
from lstm_lm.data.units import unit_of
from lstm_lm.errors import UserError
from lstm_lm.printable import printable, shown
from lstm_lm.tokenizers import Tokenizer

OWN_PATHS = {"validation_path", "test_path"}
FRACTIONS = {"validation_fraction": 0.1, "test_fraction": 0.0}
"""Keys that cut a text by shares; with what holds for one of them where the other is given."""
UNIT_KEYS = ("unit", "separator", "split", "split_seed", "seq_len")
"""Keys that say what is scored by itself; of the draw, too: who trained must not validate."""


@dataclass(frozen=True)
class EvaluationText:
    """A text, encoded, and the options that it was found by."""

    corpus: EncodedCorpus
    options: CorpusOptions
    lines: Mapping[Split, Lines]
    """The units of each split; of running text, nothing."""

    def identity(self) -> dict[str, Any]:
        """What distinguishes it from other texts, as plain data."""
        manifest = self.corpus.manifest
        return {
            "name": manifest.corpus,
            "path": self.options.path,
            "unit": self.options.unit,
            "sources": dict(manifest.sources),
            "unknown": manifest.unknown,
            "splits": {
                name: {"tokens": split.tokens, "characters": split.characters, "replaced": split.replaced}
                for name, split in manifest.splits.items()
            },
        }


def data_section(asked: Mapping[str, Any] | None, of_the_run: Any) -> dict[str, Any]:
    """The whole `data` section: `asked`, or, where it names no corpus, the run's own with the keys that `asked` sets.

    Its `validation_fraction` and `test_fraction` are null where the text is not the run's own, and nobody says how to
    cut it.

    Raises:
        UserError: the checkpoint has no such section, or its text came from standard input; another unit is asked for,
            or that the vocabulary grows.
    """
    asked = asked or {}
    if asked.get("unknown") == "extend":
        raise UserError(
            "data.unknown=extend: evaluation leaves the vocabulary as it is: use error, skip or replace\n"
            "a run learns new characters in training: python train.py init_from=RUN data.unknown=extend"
        )
    own = of_the_run if isinstance(of_the_run, Mapping) else {}
    asked = _in_its_units(asked, own)
    if asked.get("name") is not None:
        fixed = asked["name"] == own.get("name") != "text"  # the very text that the run trained on
        cut = {key: own[key] for key in FRACTIONS if key in own and asked.get(key) is None} if fixed else {}
        return {**asked, **cut}
    if not own:
        raise UserError("the checkpoint does not say which text it was trained on\nname one: data=text data.path=FILE")
    named = {key: value for key, value in asked.items() if value is not None}
    # what the run validates and tests with is no part of another text; a fixed text's path is that of a copy
    elsewhere = dict.fromkeys(OWN_PATHS & own.keys()) if "path" in named else {}
    uncut = dict.fromkeys(FRACTIONS) if "path" in named and own.get("name") == "text" else {}
    section = {**own, **elsewhere, **uncut, **named}
    if section.get("path") == STANDARD_INPUT and asked.get("path") is None:
        raise UserError("this run read its text from standard input, which is gone\nname a text: data.path=FILE")
    return section


def with_fractions(section: Mapping[str, Any]) -> dict[str, Any]:
    """`section` as a corpus takes it, which knows no text that is not cut."""
    return {**section, **FRACTIONS, **_given(section)}


def _given(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key: section[key] for key in FRACTIONS if section.get(key) is not None}


def _in_its_units(asked: Mapping[str, Any], own: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is asked for, in the units that the run was trained on."""
    unit, other, column = unit_of(own), asked.get("unit"), own.get("column")
    if asked.get("column") is not None and own and column is None:
        raise UserError(
            f"data.column={shown(str(asked['column']))}: this run was trained on no rows; a loss of other units is "
            "another figure\nleave it out (python -m lstm_lm score data.path=FILE data.column=NAME takes all runs)"
        )
    if column is not None and asked.get("name") not in (None, "text"):
        raise UserError(
            f"data={asked['name']}: this run was trained on rows of tables, and that text has none\n"
            "name tables: data=text data.path=FILE.jsonl data.column=NAME"
        )
    option = asked.get("name") is not None  # whose file says window, whatever was typed
    if unit is None or (unit == "window" == (other or unit)):
        return asked
    if other not in (None, unit) and not (option and other == "window"):
        raise UserError(
            f"data.unit={other}: this run was trained on data.unit={unit}; a loss of other units is another figure\n"
            f"use data.unit={unit} (python -m lstm_lm score data.path=FILE takes lines of every run)"
        )
    if asked.get("separator") not in (None, own.get("separator")):
        raise UserError(
            f"data.separator={printable(repr(asked['separator']))}: this run was trained with another one; a loss of "
            "other units is another figure\nleave it out"
        )
    if not option:
        return asked
    units = {key: own[key] for key in UNIT_KEYS if key in own}
    return {**asked, **units, **({} if column is None else {"column": asked.get("column") or column})}


def read_text(section: Mapping[str, Any], tokenizer: Tokenizer) -> EvaluationText:
    """Find the text of a whole `data` section, and encode it with `tokenizer`, unless that has been done before.

    Raises:
        UserError: an option is out of range; the text is missing, unreadable or too short, or has characters that the
            tokenizer does not know.
        RunError: the disk is full.
    """
    kind = corpus_class(section)
    options = kind.OptionsType.parse(with_fractions(section), "data")
    cache = cache_folder(options.cache_dir)
    found = replace(kind(options, cache).load(), units=options.units())
    whole = not _given(section) and found.sources.keys() == {"train"}
    if whole:
        found = CorpusText(found.name, {"test": found.sources["train"]}, units=found.units)
    corpus = encoded(found, tokenizer, options.still_unknown, cache)
    separator, lines = options.unit_end(), {}
    for split, part in corpus.manifest.splits.items():
        short = f"is too short: {part.tokens} of {FEWEST_TOKENS} tokens" if part.tokens < FEWEST_TOKENS else None
        if separator is not None:
            cut = options.unit == "line"
            lines[split] = find_lines(corpus.tokens(split), tokenizer, options.seq_len, separator, cut=cut)
            short = None if lines[split].tokens else f"has no {options.unit}s (blank ones left out)"
        if short is not None and split != "train":
            raise UserError(
                f"data.name={options.name}: the {split} text {short}\n"
                f"{'give more text' if whole else more_text(split, options)}"
            )
    return EvaluationText(corpus, options, lines)
