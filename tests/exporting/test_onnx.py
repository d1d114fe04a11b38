"""`format=onnx`: onnxruntime computes what PyTorch does, step by step and in windows, with the state handed on."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from drawn_models import chosen, drawn, fitted

from lstm_lm import registry
from lstm_lm.cells.lstm import lstm_cell
from lstm_lm.errors import UserError
from lstm_lm.exporting.export import export
from lstm_lm.exporting.formats import onnx as format_onnx
from lstm_lm.exporting.formats.onnx import STEP, WINDOW, run, session
from lstm_lm.models.loading import Loaded

onnx = pytest.importorskip("onnx", reason="onnx is not installed: the extra [export]")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: the extra [export]")

STEPS = 7
LAYERS = (1, 2, 3)
SMALLEST = {("lstm", 2, "char"), ("gru", 1, "bpe"), ("rnn", 1, "word")}
CASES = [
    pytest.param(*case, marks=() if case in SMALLEST else pytest.mark.matrix)
    for case in product(("lstm", "gru", "rnn"), LAYERS, registry.names("lstm_lm.tokenizers"))
]
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "layer_norm": ("lstm", {"layer_norm": True}),
    "activations": ("lstm", {"activation": "leaky_relu", "gate_activation": "hard_sigmoid"}),
    "relu": ("lstm", {"activation": "relu", "num_layers": 1}),
    "zoneout": ("lstm", {"zoneout_hidden": 0.1, "zoneout_cell": 0.2}),
    "all of it": ("lstm", {"layer_norm": True, "activation": "relu", "zoneout_cell": 0.2, "recurrent_dropout": 0.1}),
    "gru zoneout": ("gru", {"zoneout_hidden": 0.3}),
    "rnn zoneout": ("rnn", {"zoneout_hidden": 0.3, "activation": "relu"}),
    "rnn relu": ("rnn", {"activation": "relu"}),
    "tied, of two widths": ("lstm", {"hidden_size": [6, 5], "tie_weights": True}),
    "ffn": ("ffn", {}),
    "ffn gelu": ("ffn", {"activation": "gelu", "tie_weights": True, "hidden_size": 5, "direct_connections": False}),
    "ffn of one token": ("ffn", {"context_size": 1, "activation": "relu"}),
    "transformer": ("transformer", {}),
    "transformer gelu": ("transformer", {"activation": "gelu", "tie_weights": False, "context_size": 3}),
    "transformer of one token": ("transformer", {"context_size": 1}),
}
DEFAULT = {"all of it", "gru zoneout", "ffn", "transformer"}


@pytest.mark.parametrize(("name", "layers", "tokenizer"), CASES)
def test_onnxruntime_computes_what_pytorch_does(name: str, layers: int, tokenizer: str, tmp_path: Path) -> None:
    loaded = drawn(name, fitted(tokenizer), num_layers=layers)
    done = export(loaded, chosen("onnx"), tmp_path / "out")
    assert done.comparison.difference < 1e-5
    assert sorted(done.files) == [STEP, "tokenizer.json", WINDOW]
    for batch in (1, 32):
        check(loaded, tmp_path / "out", batch)


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=() if case in DEFAULT else pytest.mark.matrix) for case in VARIANTS]
)
def test_other_cells_and_models_are_written_as_they_are(case: str, tmp_path: Path) -> None:
    name, changes = VARIANTS[case]
    loaded = drawn(name, **changes)
    export(loaded, chosen("onnx"), tmp_path / "out")
    check(loaded, tmp_path / "out", batch=3)


def check(loaded: Loaded, folder: Path, batch: int) -> None:
    """Two windows of different lengths and then a few steps, the state handed on, against the model."""
    tokens = np.random.default_rng(0).integers(loaded.tokenizer.vocabulary_size, size=(3 * STEPS, batch))
    with torch.no_grad():
        expected, _ = loaded.model(torch.from_numpy(tokens), loaded.model.initial_state(batch))
    window, step = session(folder / WINDOW), session(folder / STEP)
    first, state = run(window, tokens[: STEPS + 2], {})
    second, state = run(window, tokens[STEPS + 2 : 2 * STEPS], state)
    parts = [first, second]
    for row in tokens[2 * STEPS :]:
        logits, state = run(step, row, state)
        parts.append(logits[None])
    np.testing.assert_allclose(np.concatenate(parts), expected.numpy(), atol=1e-5, rtol=0)


def test_graphs_are_valid_and_of_plain_operators(tmp_path: Path) -> None:
    export(drawn(layer_norm=True), chosen("onnx"), tmp_path / "out")
    for name in (STEP, WINDOW):
        graph = onnx.load(tmp_path / "out" / name)
        onnx.checker.check_model(graph, full_check=True)
        assert [opset.domain for opset in graph.opset_import] == [""]
        assert graph.graph.output[0].name == "logits"
        assert [value.name for value in graph.graph.input] == ["tokens", "h_0", "c_0", "h_1", "c_1"]


@pytest.mark.parametrize("name", ["lstm", "gru", "ffn", "transformer"])
def test_int8_is_small_and_says_what_it_costs(name: str, tmp_path: Path) -> None:
    size = {"embedding_size": 64, "hidden_size": 64}
    loaded = drawn(name, **size)
    whole = export(loaded, chosen("onnx"), tmp_path / "whole").files
    done = export(loaded, chosen("onnx", quantize="int8"), tmp_path / "small")
    for file in (STEP, WINDOW):
        assert done.files[file] < 0.4 * whole[file]
        assert any(file in line for line in done.told)
    comparison = done.comparison
    assert max(comparison.between.values()) < 1e-4, "the files compute what the rounded model does"
    assert 1e-5 < comparison.difference < 1, "which is not the run's"
    assert comparison.cost is not None
    assert 0 < comparison.cost < 0.01


def test_what_has_no_graph_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = drawn()
    monkeypatch.setattr(format_onnx, "MOST_BYTES", 1000)
    with pytest.raises(UserError, match="GiB of weights"):
        export(loaded, chosen("onnx"), tmp_path / "out")
    monkeypatch.setattr(loaded.model, "cell", replace(lstm_cell(), name="made_up"))
    with pytest.raises(UserError, match="model=lstm: there is no graph of its cell, made_up"):
        export(loaded, chosen("onnx"), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_row_of_zeros_stays_zero() -> None:
    from lstm_lm.exporting.onnx_graphs.int8 import round_weights

    layer = torch.nn.Linear(4, 2)
    with torch.no_grad():
        layer.weight[0] = 0
    before = layer.weight.detach().clone()
    round_weights(layer)
    assert not layer.weight[0].any()
    torch.testing.assert_close(layer.weight, before, atol=float(before.abs().max()) / 254 + 1e-7, rtol=0)
