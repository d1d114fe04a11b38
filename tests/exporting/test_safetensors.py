"""`format=safetensors`: read by torch and safetensors alone, and by torch.nn's own modules."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from drawn_models import LETTERS, chosen, drawn
from torch import nn

from lstm_lm.errors import UserError
from lstm_lm.exporting.comparison import logits
from lstm_lm.exporting.export import export

safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed: the extra [export]")

ALONE = """
import importlib.abc, json, sys

class Nothing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in json.loads(sys.argv[1]):
            raise ImportError(f"{name} is not there")

sys.meta_path.insert(0, Nothing())
sys.path.insert(0, sys.argv[2])
import torch
from load import load

logits, state = load()(torch.tensor(json.loads(sys.argv[3])))
more, _ = load()(torch.tensor(json.loads(sys.argv[3])), state)
print(json.dumps([logits.tolist(), more.tolist()]))
"""
NOT_THERE = ["lstm_lm", "lightning", "hydra", "omegaconf", "pydantic", "tokenizers", "torchmetrics", "tensorboard"]
NOT_THERE += ["onnx", "onnxruntime", "matplotlib", "rich", "psutil", "pooch", "tqdm", "platformdirs"]
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "lstm": ("lstm", {}),
    "gru": ("gru", {"num_layers": 1}),
    "rnn": ("rnn", {"num_layers": 3}),
    "relu": ("rnn", {"activation": "relu"}),
    "tied, of two widths": ("lstm", {"hidden_size": [6, 5], "tie_weights": True}),
    "trained with dropouts": ("lstm", {"layer_dropout": 0.2, "recurrent_dropout": 0.2, "weight_drop": 0.2}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_reader_computes_what_the_model_does(case: str, tmp_path: Path) -> None:
    name, changes = CASES[case]
    done = export(drawn(name, **changes), chosen("safetensors"), tmp_path / "out")
    assert done.comparison.difference < 1e-5
    assert done.comparison.cost is None
    assert sorted(done.files) == ["config.json", "load.py", "model.safetensors", "tokenizer.json"]


def test_the_reader_needs_torch_and_safetensors_alone(tmp_path: Path) -> None:
    loaded = drawn()
    export(loaded, chosen("safetensors"), tmp_path / "out")
    tokens = torch.randint(LETTERS.vocabulary_size, (6, 3))
    argv = [json.dumps(NOT_THERE), str(tmp_path / "out"), json.dumps(tokens.tolist())]
    done = subprocess.run([sys.executable, "-c", ALONE, *argv], capture_output=True, text=True, check=True, timeout=300)
    with torch.no_grad():
        first, state = loaded.model(tokens, loaded.model.initial_state(3))
        second, _ = loaded.model(tokens, state)
    for expected, found in zip((first, second), json.loads(done.stdout), strict=True):
        torch.testing.assert_close(torch.tensor(found), expected, atol=1e-5, rtol=0)


def test_names_are_those_of_one_torch_module(tmp_path: Path) -> None:
    loaded = drawn()
    export(loaded, chosen("safetensors"), tmp_path / "out")
    weights = safetensors.load_file(tmp_path / "out" / "model.safetensors")
    module = nn.LSTM(5, 7, num_layers=2)
    module.load_state_dict({name: weight for name, weight in weights.items() if "_l" in name})
    tokens = torch.arange(9)
    y, _ = module(weights["embedding.weight"][tokens].unsqueeze(1))
    found = y[:, 0] @ weights["head.weight"].T + weights["head.bias"]
    torch.testing.assert_close(found, torch.from_numpy(logits(loaded.model, tokens.numpy())), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("name", "changes", "what"),
    [
        ("lstm", {"layer_norm": True}, "model.layer_norm=true"),
        ("lstm", {"activation": "relu"}, "model.activation=relu"),
        ("gru", {"zoneout_hidden": 0.1}, "model.zoneout_hidden=0.1"),
        ("ffn", {}, "model=ffn"),
        ("transformer", {}, "model=transformer"),
    ],
)
def test_what_torch_has_no_layer_for_is_refused_by_name(
    name: str, changes: dict[str, Any], what: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=f"{what}: "):
        export(drawn(name, **changes), chosen("safetensors"), tmp_path / "out")
    assert not list(tmp_path.iterdir())
