"""Stacked-LSTM language models: train them, load them, let them write.

config = lstm_lm.compose("data=text", "data.path=novel.txt")   # a plain dict; needs no Hydra from here on
summary = lstm_lm.train(config, "outputs/novel")
model, tokenizer = lstm_lm.load("outputs/novel")
text = lstm_lm.generate("outputs/novel", prompt="Once")
for piece in lstm_lm.stream("outputs/novel", prompt="Once"):   # the same, as it is written
    print(piece, end="", flush=True)
scores = lstm_lm.evaluate("outputs/novel", method="static")
rows = list(lstm_lm.score("outputs/novel", ["It was a bright day.", "Day bright a was it."]))
vectors = lstm_lm.embed("outputs/novel", ["It was a bright day.", "Day bright a was it."])   # float32 [2, H]
lstm_lm.export("outputs/novel", "onnx", out="novel-onnx")
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lstm_lm.cli.evaluate_api import evaluate
    from lstm_lm.cli.export_api import export
    from lstm_lm.cli.hydra.compose import compose
    from lstm_lm.cli.score_api import score
    from lstm_lm.embedding.api import embed
    from lstm_lm.generation.api import generate, stream
    from lstm_lm.models.loading import load
    from lstm_lm.training.train import train

__version__ = "0.1.0"
__all__ = ["compose", "embed", "evaluate", "export", "generate", "load", "score", "stream", "train"]

_WHERE = {
    "compose": "lstm_lm.cli.hydra.compose",
    "embed": "lstm_lm.embedding.api",
    "evaluate": "lstm_lm.cli.evaluate_api",
    "export": "lstm_lm.cli.export_api",
    "generate": "lstm_lm.generation.api",
    "load": "lstm_lm.models.loading",
    "score": "lstm_lm.cli.score_api",
    "stream": "lstm_lm.generation.api",
    "train": "lstm_lm.training.train",
}


def __getattr__(name: str) -> Any:
    """Import a part of the API when it is first used: `import lstm_lm` alone stays instant."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    """The API, which nobody has imported yet."""
    return [*__all__, "__version__"]
