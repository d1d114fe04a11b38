"""A tokenizer in the form of Hugging Face's library `tokenizers`, of which `tokenizer.json` is the usual file."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from lstm_lm.text_pieces import elsewhere
from lstm_lm.tokenizers import Tokenizer
from lstm_lm.tokenizers.bpe import BYTES, BpeTokenizer
from lstm_lm.tokenizers.byte import ByteTokenizer
from lstm_lm.tokenizers.char import CharTokenizer
from lstm_lm.tokenizers.whitespace import WhitespaceTokenizer
from lstm_lm.tokenizers.word import UNKNOWN_WORD, WordTokenizer

FILE = "tokenizer.json"


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> list[str]:
    """Write `tokenizer.json` into `folder`, where the tokenizer can be expressed in it; gives lines for a person."""
    text = tokenizer_json(tokenizer)
    if text is None:
        return [f"without {FILE}, which cannot express tokenizer={tokenizer.name}"]
    (folder / FILE).write_text(text, encoding="utf-8")
    return []


def tokenizer_json(tokenizer: Tokenizer) -> str | None:
    """The content of `tokenizer.json`; None: the tokenizer is none of this project's, and has no such form.

    It gives the ids of `tokenizer.encode(text, unknown="replace")`; but those of words may differ at characters that
    one of both does not know yet, and BPE's in a text of more than 131,072 characters without a blank.
    """
    form = _FORMS.get(type(tokenizer))
    return None if form is None else form(tokenizer)


def _bpe(tokenizer: Tokenizer) -> str:
    return json.dumps(tokenizer.to_json()["tokenizer"], ensure_ascii=False, indent=2)


def _byte(tokenizer: Tokenizer) -> str:  # noqa: ARG001  (there is but one)
    made = tokenizers.Tokenizer(models.BPE(vocab=dict(BYTES), merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    return str(made.to_str(pretty=True))


def _char(tokenizer: Tokenizer) -> str:
    vocabulary = {character: token for token, character in enumerate(tokenizer.to_json()["alphabet"])}
    stand_in = tokenizer.decode([tokenizer.stand_in()])
    made = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=stand_in))
    made.decoder = decoders.Fuse()
    return str(made.to_str(pretty=True))


def _word(tokenizer: Tokenizer) -> str:
    assert isinstance(tokenizer, WordTokenizer)
    words = tokenizer.to_json()["words"]
    unknown = UNKNOWN_WORD
    while unknown in words:  # a text may hold it as a word of its own
        unknown = f"<{unknown}>"
    vocabulary = {word: token for token, word in enumerate([unknown, *words])}
    made = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    made.pre_tokenizer = pre_tokenizers.Split(tokenizers.Regex(elsewhere(tokenizer.form)), "isolated")
    made.decoder = decoders.Fuse()
    return str(made.to_str(pretty=True))


_FORMS: Mapping[type[Tokenizer], Callable[[Tokenizer], str]] = {
    BpeTokenizer: _bpe,
    ByteTokenizer: _byte,
    CharTokenizer: _char,
    WordTokenizer: _word,
    WhitespaceTokenizer: _word,
}
