"""What a page needs to know of a model and its tokenizer, as plain data; and which of them it can be made for."""

from typing import Any

from torch import Tensor

from lstm_lm.errors import UserError
from lstm_lm.models.backbones.lstm import LSTMOptions
from lstm_lm.models.interface import LanguageModel
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel
from lstm_lm.text_pieces import BYTE_LEVEL, elsewhere
from lstm_lm.tokenizers import Tokenizer
from lstm_lm.tokenizers.bpe import BpeTokenizer
from lstm_lm.tokenizers.byte import ByteTokenizer
from lstm_lm.tokenizers.char import CharTokenizer
from lstm_lm.tokenizers.whitespace import WhitespaceTokenizer
from lstm_lm.tokenizers.word import WordTokenizer

CELLS = {"lstm": "lstm", "gru": "gru", "rnn_tanh": "rnn", "rnn_relu": "rnn"}
"""The cells that `source/engine.js` has, by this project's names of them."""
TOKENIZERS = (CharTokenizer, ByteTokenizer, BpeTokenizer, WordTokenizer, WhitespaceTokenizer)
"""Those that `source/tokenizers.js` has."""
HEAD = "head.weight"


def refuse_unknown(model: LanguageModel, name: str, tokenizer: Tokenizer) -> None:
    """Refuse what a page has no JavaScript for.

    Raises:
        UserError: it is no recurrent model, or has a cell or a tokenizer of somebody else's.
    """
    if not isinstance(model, RecurrentLanguageModel) or model.cell.name not in CELLS:
        raise UserError(
            f"format=html: model={name}: a page writes with the recurrent models alone (lstm, gru, rnn)\n"
            "choose another run, or another format"
        )
    if type(tokenizer) not in TOKENIZERS:
        raise UserError(
            f"format=html: tokenizer={tokenizer.name}: a page knows char, byte, bpe, word and whitespace alone\n"
            "choose another run, or another format"
        )


def tensors(model: LanguageModel) -> dict[str, Tensor]:
    """The weights in the order in which a page holds them; tied ones once."""
    assert isinstance(model, RecurrentLanguageModel)
    tied = model.options.tie_weights
    return {name: tensor for name, tensor in model.state_dict().items() if not (tied and name == HEAD)}


def model_description(model: LanguageModel) -> dict[str, Any]:
    """What `source/engine.js` computes by."""
    assert isinstance(model, RecurrentLanguageModel)
    options = model.options
    lstm = options if isinstance(options, LSTMOptions) else None
    return {
        "cell": {
            "name": CELLS[model.cell.name],
            "activation": getattr(options, "activation", "tanh"),
            "gate_activation": lstm.gate_activation if lstm else "sigmoid",
            "layer_norm": lstm.layer_norm if lstm else False,
            "zoneout_hidden": options.inside.zoneout_hidden,
            "zoneout_cell": options.inside.zoneout_cell,
        },
        "hidden_sizes": options.hidden_sizes,
        "tensors": [[name, list(tensor.shape)] for name, tensor in tensors(model).items()],
    }


def tokenizer_description(tokenizer: Tokenizer) -> dict[str, Any]:
    """What `source/tokenizers.js` reads and writes by: each token's bytes as characters U+0000 to U+00FF."""
    merges: list[int] = []
    pieces = elsewhere(tokenizer.form) if isinstance(tokenizer, WordTokenizer) else None
    if isinstance(tokenizer, BpeTokenizer):
        pieces = BYTE_LEVEL
        model = tokenizer.to_json()["tokenizer"]["model"]
        for left, right in model["merges"]:
            merges += [model["vocab"][token] for token in (left, right, left + right)]
    return {
        "name": tokenizer.name,
        "tokens": [tokenizer.token_bytes(token).decode("latin-1") for token in range(tokenizer.vocabulary_size)],
        "pieces": pieces,
        "merges": merges,
        "unknown": tokenizer.stand_in() if tokenizer.always_replaces else None,
    }
