from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from tokenizer_texts import Corpus, options_in_conf

from lstm_lm.tokenizers import Tokenizer, tokenizer_class

# No deadline, because the machine may be shared; no database, because tests leave nothing behind.
settings.register_profile("tokenizers", deadline=None, database=None)
settings.load_profile("tokenizers")

Fit = Callable[..., Tokenizer]


@pytest.fixture(scope="session")
def fit() -> Fit:
    """`fit(name, *training, others=[...], key=value)`: the tokenizer as `conf/` has it, but for the keys given.

    `min_frequency` is 1 unless given, so that the tokenizer knows all that it is fitted on.
    """

    def fitted(name: str, *training: str, others: tuple[str, ...] = (), **changes: Any) -> Tokenizer:
        options = options_in_conf(name)
        if "min_frequency" in options:
            options["min_frequency"] = 1
        kind = tokenizer_class(name)
        parsed = kind.OptionsType.parse({**options, **changes}, "tokenizer")
        return kind.fit(parsed, Corpus(list(training), list(others)))

    return fitted
