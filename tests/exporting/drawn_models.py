"""Models with drawn weights, as `lstm_lm.load` would give them."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from lstm_lm.cli.hydra.conf import conf_dir
from lstm_lm.exporting.formats import format_of
from lstm_lm.exporting.formats.interface import Format
from lstm_lm.models.build import build_model
from lstm_lm.models.loading import Loaded
from lstm_lm.tokenizers import Tokenizer, tokenizer_class
from lstm_lm.tokenizers.char import CharTokenizer

TEXT = "the cat sat on a mat, and the dogs ran\nto see the cat\n"
LETTERS = CharTokenizer("\n abcdefgh")
SMALL: dict[str, dict[str, Any]] = {
    "lstm": {"embedding_size": 5, "hidden_size": 7, "num_layers": 2},
    "gru": {"embedding_size": 5, "hidden_size": 7, "num_layers": 2},
    "rnn": {"embedding_size": 5, "hidden_size": 7, "num_layers": 2},
    "ffn": {"embedding_size": 5, "hidden_size": 7, "num_layers": 1, "context_size": 4},
    "transformer": {"embedding_size": 8, "hidden_size": 12, "num_layers": 2, "num_heads": 2, "context_size": 9},
    "autoencoder": {"embedding_size": 5, "hidden_size": 7, "num_layers": 1},
}


def drawn(name: str = "lstm", tokenizer: Tokenizer = LETTERS, **changes: Any) -> Loaded:
    """A small model whose weights are drawn from seed 4."""
    section = OmegaConf.merge(OmegaConf.load(conf_dir() / "model" / f"{name}.yaml"), {**SMALL[name], **changes})
    plain: Any = OmegaConf.to_container(section, resolve=True)
    plain.pop("defaults", None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = build_model(plain, tokenizer.vocabulary_size).eval()
    loaded = Loaded(model, tokenizer)
    loaded.config = {"model": plain}
    loaded.checkpoint = Path("run/checkpoints/best.ckpt")
    loaded.run = None
    return loaded


class Text:
    """What tokenizers are fitted on."""

    def training(self) -> Any:
        return iter([TEXT])

    everything = training


def fitted(name: str) -> Tokenizer:
    """The tokenizer that `conf/` describes, of a short text."""
    options: Any = OmegaConf.to_container(OmegaConf.load(conf_dir() / "tokenizer" / f"{name}.yaml"))
    small = {"min_frequency": 1, "vocabulary_size": 270} if "min_frequency" in options else {}
    kind = tokenizer_class(name)
    return kind.fit(kind.OptionsType.parse({**options, **small}, "tokenizer"), Text())


def chosen(name: str, **keys: Any) -> Format:
    """A format with its keys as `conf/` has them, but for those given."""
    section: Any = OmegaConf.to_container(OmegaConf.load(conf_dir() / "export" / "format" / f"{name}.yaml"))
    return format_of({**section, **keys})
