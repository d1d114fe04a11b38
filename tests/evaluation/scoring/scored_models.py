"""Models with drawn weights, as `lstm_lm.load` would give them, and a loop that scores a line in the plainest way."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch.nn.functional import log_softmax

from lstm_lm.cli.hydra.conf import conf_dir
from lstm_lm.data.text_source import StringText
from lstm_lm.evaluation.scoring.options import ScoreOptions
from lstm_lm.evaluation.scoring.score import Scoring, scored_rows
from lstm_lm.models.build import build_model
from lstm_lm.models.loading import Loaded
from lstm_lm.tokenizers import Tokenizer
from lstm_lm.tokenizers.char import CharTokenizer

WORDS = CharTokenizer("\n abcdefgh")
SMALL: dict[str, dict[str, Any]] = {
    "lstm": {"embedding_size": 5, "hidden_size": 7, "num_layers": 2},
    "ffn": {"embedding_size": 5, "hidden_size": 7, "num_layers": 1, "context_size": 4},
    "transformer": {"embedding_size": 8, "num_layers": 1, "num_heads": 2},
}


def drawn(tokenizer: Tokenizer = WORDS, name: str = "lstm", **data: Any) -> Loaded:
    """A small model whose weights are drawn from seed 4; `data`: keys of the run's section."""
    section = OmegaConf.merge(OmegaConf.load(conf_dir() / "model" / f"{name}.yaml"), SMALL[name])
    plain: Any = OmegaConf.to_container(section, resolve=True)
    plain.pop("defaults", None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = build_model(plain, tokenizer.vocabulary_size).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(2.0)  # so that predictions differ
    loaded = Loaded(model, tokenizer)
    loaded.config = {"model": plain, "data": {"unit": "window", "seq_len": 8, **data}}
    loaded.checkpoint = Path("run/checkpoints/best.ckpt")
    loaded.autocast = None
    loaded.run = None
    return loaded


def plainly(loaded: Loaded, before: str, line: str) -> list[float]:
    """Nats of each token of `line`, given what is `before` it (one token)."""
    return plainly_of(loaded, loaded.tokenizer.encode(before + line).ids.tolist())


def plainly_of(loaded: Loaded, ids: list[int]) -> list[float]:
    """Nats of each of `ids` but the first: a token at a time, by itself."""
    state = loaded.model.initial_state(1)
    nats = []
    with torch.no_grad():
        for token, target in pairwise(ids):
            logits, state = loaded.model(torch.tensor([[token]]), state)
            nats.append(-float(log_softmax(logits[0, 0].double(), dim=-1)[target]))
    return nats


def rows(loaded: Loaded, text: str, batch_size: int = 3, **asked: Any) -> list[Any]:
    """The rows of a text."""
    given = {"unit": "line", "unknown": "error", "batch_size": batch_size, "sort": None, "top": None, **asked}
    options = ScoreOptions.parse(given, "")
    scoring = Scoring(loaded, unknown=options.unknown, batch_size=batch_size)
    return list(scored_rows(scoring, StringText(text, "the text"), options))
