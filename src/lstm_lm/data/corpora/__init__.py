"""Where text comes from. One module is one option of the group `data=`."""

from collections.abc import Mapping
from typing import Any, cast

from lstm_lm import registry
from lstm_lm.data.corpora.interface import Corpus
from lstm_lm.errors import UserError


def corpus_class(section: Mapping[str, Any]) -> type[Corpus]:
    """The corpus that a `data` section names.

    Raises:
        UserError: it names none.
    """
    name = section.get("name")
    if not isinstance(name, str):
        raise UserError(f"data.name={name!r}: must be the name of an option of data=")
    return cast(type[Corpus], registry.find(__name__, name, "data.name").CORPUS)
