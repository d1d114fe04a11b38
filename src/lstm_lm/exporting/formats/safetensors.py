"""`format=safetensors`: weights under torch.nn.LSTM's names, and what reads them without this project."""

import json
import runpy
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from lstm_lm.errors import UserError
from lstm_lm.exporting.formats.interface import Format, Logits
from lstm_lm.exporting.hugging_face import write_tokenizer
from lstm_lm.models.interface import LanguageModel
from lstm_lm.models.loading import Loaded
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel

WEIGHTS, CONFIG, LOAD = "model.safetensors", "config.json", "load.py"
STACK = "stack."
"""Before the names of torch.nn.LSTM, inside this project's model."""
MODULES: dict[str, dict[str, Any]] = {
    "lstm": {"cell": "LSTM"},
    "gru": {"cell": "GRU"},
    "rnn_tanh": {"cell": "RNN", "nonlinearity": "tanh"},
    "rnn_relu": {"cell": "RNN", "nonlinearity": "relu"},
}
"""What torch.nn has of the cells, and with which argument."""


class Safetensors(Format):
    """Weights, sizes, tokenizer, and a reader of thirty lines."""

    packages: ClassVar[tuple[str, ...]] = ("safetensors",)

    def refuse(self, loaded: Loaded) -> None:
        model = loaded.model
        name = loaded.config["model"]["name"]
        if not isinstance(model, RecurrentLanguageModel) or model.cell.name not in MODULES:
            raise UserError(f"format=safetensors: model={name}: torch.nn has no such layer\nuse format=onnx")
        if deviations := model.spec_for(training=False).deviations:
            raise UserError(
                f"format=safetensors: model.{deviations[0]}: torch.nn.{MODULES[model.cell.name]['cell']} lacks it\n"
                "use format=onnx"
            )

    def write(self, loaded: Loaded, model: LanguageModel, folder: Path) -> list[str]:
        from safetensors.torch import save

        assert isinstance(model, RecurrentLanguageModel)
        options = model.options
        weights = {name.removeprefix(STACK): tensor.contiguous() for name, tensor in model.state_dict().items()}
        if options.tie_weights:
            del weights["head.weight"]
        (folder / WEIGHTS).write_bytes(save(weights, {"format": "pt"}))
        config = {
            **MODULES[model.cell.name],
            "vocabulary_size": model.vocabulary_size,
            "widths": [options.embedding_size, *options.hidden_sizes],
            "tied": options.tie_weights,
        }
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        (folder / LOAD).write_text(_reader(), encoding="utf-8")
        return write_tokenizer(loaded.tokenizer, folder)

    def computed(self, folder: Path, tokens: npt.NDArray[np.int64]) -> Mapping[str, Logits]:
        model = runpy.run_path(str(folder / LOAD))["load"]()
        with torch.inference_mode():
            logits, _ = model(torch.from_numpy(tokens).unsqueeze(1))
        return {LOAD: logits[:, 0].numpy()}


def _reader() -> str:
    return resources.files("lstm_lm.exporting").joinpath(LOAD).read_text(encoding="utf-8")


FORMAT = Safetensors
