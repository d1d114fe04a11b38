"""Text to token ids and back. One module is one option of the group `tokenizer=`."""

from collections.abc import Mapping
from typing import Any, cast

from lstm_lm import registry
from lstm_lm.errors import UserError
from lstm_lm.tokenizers.interface import Encoded, FitText, StreamDecoder, Tokenizer, Unknown

__all__ = [
    "Encoded",
    "FitText",
    "StreamDecoder",
    "Tokenizer",
    "Unknown",
    "tokenizer_class",
    "tokenizer_from_json",
]


def tokenizer_class(name: str) -> type[Tokenizer]:
    """The class behind the option `tokenizer=NAME`.

    Raises:
        UserError: there is no such tokenizer.
    """
    return cast(type[Tokenizer], registry.find(__name__, name, "tokenizer.name").TOKENIZER)


def tokenizer_from_json(data: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer whose `to_json` is `data`; its class is the one that `data["name"]` names.

    Raises:
        UserError: `data` is no tokenizer, or a damaged one.
    """
    name = data.get("name") if isinstance(data, Mapping) else None
    if not isinstance(name, str):
        raise UserError("this is no stored tokenizer: it does not say which (key 'name')")
    return tokenizer_class(name).from_json(data)
