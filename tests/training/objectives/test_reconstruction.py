"""Training an autoencoder: what is scored, that it learns, resumes and runs under every strategy."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from quick_compose import compose
from rounding import bound, of_losses

import lstm_lm
from lstm_lm.cells.lstm import LSTM
from lstm_lm.data.streams import IGNORE, Batch
from lstm_lm.errors import UserError
from lstm_lm.forward.interface import StackSpec
from lstm_lm.generation.reconstruction import reconstruct
from lstm_lm.models.backbones.autoencoder import Autoencoder
from lstm_lm.models.build import build_model
from lstm_lm.registry import names
from lstm_lm.runs import checkpoint_file, metrics_file
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training.objectives import build_objective
from lstm_lm.training.objectives.reconstruction import to_the_front

Config = Callable[..., dict[str, Any]]

V = 7
AUTOENCODER = ("experiment=autoencoder", "data=text", "data.seq_len=16", "model.latent_size=12")
"""For `small_config`, whose model has one layer of 16."""


def model(**changes: Any) -> Autoencoder:
    torch.manual_seed(0)
    values: dict[str, Any] = compose("experiment=autoencoder")["model"]
    made = build_model(values | {"embedding_size": 6, "hidden_size": [8, 5], "latent_size": 4} | changes, V)
    assert isinstance(made, Autoencoder)
    return made


def loss(made: Autoencoder, targets: torch.Tensor) -> Any:
    config = compose("experiment=autoencoder")
    objective = build_objective(config["objective"], config["model"])
    batch = Batch(torch.zeros_like(targets), targets, fresh=True)
    return objective.loss(made, batch, made.initial_state(targets.shape[1]))


@given(st.lists(st.lists(st.sampled_from([1, 2, 3, IGNORE]), min_size=4, max_size=4), min_size=1, max_size=3))
def test_what_is_to_be_predicted_comes_to_the_front_in_its_order(columns: list[list[int]]) -> None:
    targets, lengths = to_the_front(torch.tensor(columns).T)
    for column, length, before in zip(targets.T.tolist(), lengths.tolist(), columns, strict=True):
        kept = [token for token in before if token != IGNORE]
        assert column == kept + [IGNORE] * (4 - len(kept))
        assert length == len(kept)


def test_a_model_that_knows_nothing_loses_log_v_a_token() -> None:
    blank = model().eval()
    with torch.no_grad():
        blank.head.weight.zero_()
        blank.head.bias.zero_()
        blank.head.bias[3] = 1e-6  # so 3 is what it takes for most likely
    targets = torch.tensor([[3, 3, 1], [3, 2, IGNORE], [IGNORE, 3, IGNORE]])
    result = loss(blank, targets)
    torch.testing.assert_close(result.loss, torch.tensor(math.log(V)))
    shares = {name: (int(share.hits), int(share.total)) for name, share in result.shares.items()}
    assert shares["exact_match"] == (1, 3)
    assert shares["exact_match_tokens"] == shares["forced_match_tokens"] == (4, 6)


def test_padding_and_empty_columns_change_no_loss() -> None:
    made = model().eval()
    text = torch.tensor([[1, 4], [2, 5], [3, 6]])
    padded = torch.full((5, 4), IGNORE)
    padded[2:, 1:3] = text
    for got, expected in zip(loss(made, padded)[2:4], loss(made, text)[2:4], strict=True):
        torch.testing.assert_close(got, expected)
    assert int(loss(made, padded).shares["exact_match"].total) == 2


def test_nothing_but_the_loss_is_counted_in_training() -> None:
    result = loss(model().train(), torch.tensor([[1, 2], [3, 4]]))
    assert not result.shares
    assert result.loss.requires_grad
    assert not result.nats.requires_grad


def test_greedy_decoding_is_told_the_vector_alone() -> None:
    made = model().eval()
    vector = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    decoded = made.decode(vector, 5)
    assert decoded.shape == (5, 3)
    logits, _ = made(made.shifted(decoded), made.decoding(vector))
    assert torch.equal(logits.argmax(dim=-1), decoded)


def test_model_and_objective_must_go_together() -> None:
    autoencoder, lstm = (compose(f"model={name}")["model"] for name in ("autoencoder", "lstm"))
    with pytest.raises(UserError, match="cannot train model=autoencoder, which goes with objective=reconstruction"):
        build_objective(compose()["objective"], autoencoder)
    with pytest.raises(UserError, match="cannot train model=lstm, which goes with objective=language_modelling"):
        build_objective({"name": "reconstruction"}, lstm)


def column(run: Path, name: str) -> list[float]:
    return [row[name] for row in metrics_file.read(run / "metrics.csv") if row.get(name) is not None]


def test_a_small_text_is_learnt_by_heart(small_config: Config, tmp_path: Path) -> None:
    lines = ["one fish\n", "two fish\n", "red fish\n", "blue fish\n"]
    (tmp_path / "fish.txt").write_text("".join(lines) * 20)
    changes = ("optimizer.lr=0.02", "trainer.max_epochs=8", "model.hidden_size=24", "callbacks.samples.length=0")
    paths = (f"data.path={tmp_path / 'fish.txt'}", "data.validation_fraction=0.2", "data.batch_size=4")
    summary = lstm_lm.train(small_config(*AUTOENCODER, *paths, *changes), tmp_path / "run")
    assert summary.status == "completed"
    loss, found = column(tmp_path / "run", "val/loss"), column(tmp_path / "run", "val/exact_match")
    assert loss[-1] < 0.2 < 1.0 < loss[0]
    assert found[0] < 0.5 < found[-1] == 1.0
    assert summary.val is not None
    assert summary.val.shares is not None
    assert set(summary.val.shares) == {"exact_match", "exact_match_tokens", "forced_match_tokens"}
    assert summary.val.shares["exact_match"] == 1.0
    assert summary.val.bits_per_byte is None
    assert "no code length" in str(summary.val.bits_per_byte_reason)
    stored = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert stored["val"]["shares"] == summary.val.shares
    loaded, tokenizer = lstm_lm.load(tmp_path / "run")
    assert isinstance(loaded, Autoencoder)
    assert [reconstruct(loaded, tokenizer, line) for line in lines] == lines
    with pytest.raises(UserError, match="objective=reconstruction and continues no text"):
        lstm_lm.generate(tmp_path / "run", prompt="one")


@pytest.mark.parametrize("unit", ["line", "window"])
def test_a_resumed_run_takes_the_steps_of_one_that_was_not_stopped(
    unit: str, small_config: Config, tmp_path: Path
) -> None:
    every = (*AUTOENCODER, f"data.unit={unit}", "model.dropout=0.1", "trainer.max_epochs=2")
    limits = ("trainer.max_steps=30", "scheduler=constant")
    lstm_lm.train(small_config(*every, *limits), tmp_path / "alone")
    lstm_lm.train(small_config(*every, "trainer.max_steps=13", "scheduler=constant"), tmp_path / "twice")
    lstm_lm.train(small_config(*every, *limits, "resume=auto"), tmp_path / "twice")
    steps = column(tmp_path / "alone", "train/loss")
    assert len(steps) > 20
    assert column(tmp_path / "twice", "train/loss") == steps
    weights = [checkpoint_file.load(RunDirectory(tmp_path / run).last)["state_dict"] for run in ("alone", "twice")]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


def test_ten_steps_are_the_same_under_every_strategy(small_config: Config, tmp_path: Path) -> None:
    found = {}
    for way in names("lstm_lm.forward.strategies"):
        config = small_config(*AUTOENCODER, f"forward={way}", "model.num_layers=2", "trainer.max_steps=10")
        summary = lstm_lm.train(config, tmp_path / way)
        assert summary.runtime.forward == way
        found[way] = column(tmp_path / way, "train/loss")
    decoder = StackSpec(LSTM, 8 + 12, (16, 16))  # what it reads has the text's vector beside a token's
    beside = 2 * decoder.num_layers + 4  # the encoder; what makes its vector, what reads it, the head, the loss
    two = bound(decoder, torch.empty(16, 4), torch.float32, reference=torch.float32, beside=beside)
    allowed = of_losses(two, found["fused"])
    for way, losses in found.items():
        assert losses == pytest.approx(found["fused"], rel=0, abs=allowed), way


@pytest.mark.matrix
def test_a_run_compiles(small_config: Config, tmp_path: Path) -> None:
    config = small_config(*AUTOENCODER, "compile=default", "trainer.max_steps=2")
    summary = lstm_lm.train(config, tmp_path / "run")
    assert summary.runtime.compile_graphs
    assert summary.runtime.graph_breaks == 0
