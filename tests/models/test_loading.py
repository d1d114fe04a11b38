import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from rounding import Results, assert_close, bound

from lstm_lm.errors import UserError
from lstm_lm.models.build import build_model
from lstm_lm.models.interface import LanguageModel
from lstm_lm.models.loading import load
from lstm_lm.runs import checkpoint_file
from lstm_lm.tokenizers.char import CharTokenizer

MODEL_YAML = Path(__file__).parents[2] / "conf" / "model" / "lstm.yaml"
TOKENIZER = CharTokenizer("\nabcdefg")
TOKENS = torch.tensor([[1, 2], [3, 4], [0, 7]])

Save = Callable[..., Path]


def section(**changes: Any) -> dict[str, Any]:
    small = {"embedding_size": 6, "hidden_size": 6, "num_layers": 2}
    composed = OmegaConf.to_container(OmegaConf.merge(OmegaConf.load(MODEL_YAML), small, changes), resolve=True)
    assert isinstance(composed, dict)
    return composed  # type: ignore[return-value]


def build(**changes: Any) -> LanguageModel:
    return build_model(section(**changes), TOKENIZER.vocabulary_size).eval()


def checkpoint(model: LanguageModel, **changes: Any) -> dict[str, Any]:
    """What training writes, so far as loading reads it."""
    return {
        "state_dict": {f"model.{name}": tensor for name, tensor in model.state_dict().items()} | {"metric.sum": TOKENS},
        "lstm_lm": {
            "schema_version": 1,
            "config": {"model": section(**changes), "seed": 1},
            "tokenizer": TOKENIZER.to_json(),
        },
    }


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """`save(checkpoint, run="run", name="best")` writes it into a run directory and gives the file."""

    def saved(content: dict[str, Any], run: str = "run", name: str = "best") -> Path:
        path = tmp_path / run / "checkpoints" / f"{name}.ckpt"
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint_file.save(content, path)
        return path

    return saved


def logits(model: LanguageModel) -> torch.Tensor:
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        found, _ = model(TOKENS, model.initial_state(2))
    assert found.dtype == dtype
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "changes",
    [{}, {"tie_weights": True}, {"hidden_size": [9, 4, 6], "num_layers": 3, "tie_weights": True}, {"dropout": 0.5}],
)
def test_the_model_computes_what_it_computed_before_it_was_saved(changes: dict[str, Any], save: Save) -> None:
    original = build(**changes)
    path = save(checkpoint(original, **changes))
    model, tokenizer = load(path.parents[1])
    assert torch.equal(logits(model), logits(original))
    assert model.num_parameters() == original.num_parameters(), "tied weights are tied again"
    assert not model.training
    assert tokenizer.fingerprint() == TOKENIZER.fingerprint()


def test_it_says_where_model_and_tokenizer_come_from(save: Save) -> None:
    path = save(checkpoint(build()))
    loaded = load(path.parents[1])
    assert loaded.model is loaded[0]
    assert loaded.config == {"model": section(), "seed": 1}
    assert loaded.checkpoint == path
    assert loaded.run is not None
    assert loaded.run.path == path.parents[1]
    assert loaded.autocast is None
    assert loaded.forward_reason


def test_the_newest_usable_run_or_the_file_that_is_named(save: Save, tmp_path: Path) -> None:
    best, last = build(), build()
    save(checkpoint(best), name="best")
    path = save(checkpoint(last), name="last")
    (tmp_path / "run" / "checkpoints" / "best.ckpt").write_bytes(b"PK")
    warnings: list[str] = []
    assert torch.equal(logits(load(runs_dir=tmp_path, warn=warnings.append).model), logits(last))
    assert len(warnings) == 1
    elsewhere = tmp_path / "copy.ckpt"
    elsewhere.write_bytes(path.read_bytes())
    loaded = load(ckpt_path=elsewhere)
    assert torch.equal(logits(loaded.model), logits(last))
    assert loaded.run is None


@pytest.mark.parametrize(
    ("precision", "weights", "autocast"),
    [
        ("auto", torch.float32, None),
        ("32-true", torch.float32, None),
        ("64-true", torch.float64, None),
        ("bf16-true", torch.bfloat16, None),
        ("bf16-mixed", torch.float32, torch.bfloat16),
    ],
)
def test_any_precision_whatever_the_training_s(
    precision: str, weights: torch.dtype, autocast: torch.dtype | None, save: Save
) -> None:
    original = build().double()
    path = save(checkpoint(original))
    loaded = load(path.parents[1], precision=precision)
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {weights}
    assert loaded.autocast == autocast
    found, expected = logits(loaded.model), logits(original)
    assert weights != torch.float64 or torch.equal(found, expected)
    assert_close(Results((found,)), Results((expected,)), bound(original.stack.spec, TOKENS, weights, beside=1))


@pytest.mark.parametrize("forward", ["auto", "fused", "stepwise"])
def test_any_forward_strategy(forward: str, save: Save) -> None:
    original = build()
    path = save(checkpoint(original))
    torch.testing.assert_close(logits(load(path.parents[1], forward=forward).model), logits(original))


def test_torch_s_generator_is_not_touched(save: Save) -> None:
    path = save(checkpoint(build()))
    before = torch.get_rng_state()
    load(path.parents[1])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_model_can_be_trained_further(save: Save) -> None:
    model, _ = load(save(checkpoint(build())).parents[1])
    found, _ = model.train()(TOKENS, model.initial_state(2))
    found.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def damaged(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    content = checkpoint(build())
    change(content)
    return content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda it: it["state_dict"].pop("model.head.bias"), r"it lacks head\.bias"),
        (lambda it: it["state_dict"].update({"model.extra": TOKENS}), "it has unknown extra"),
        (lambda it: it["state_dict"].update({"model.head.bias": TOKENS}), r"head\.bias \[3, 2\] instead of \[8\]"),
        (lambda it: it["state_dict"].update({"model.head.bias": 3}), r"state_dict\.model\.head\.bias"),
        (lambda it: it.pop("state_dict"), "no state_dict"),
        (lambda it: it["state_dict"].clear(), r"lacks embedding\.weight, .* and 8 more"),
        (lambda it: it["lstm_lm"]["config"]["model"].update(hidden_size=7), "instead of"),
        (lambda it: it["lstm_lm"]["config"]["model"].update(hidden_size=60000, num_layers=1024), "lacks"),
        (lambda it: it["lstm_lm"]["config"]["model"].update(hidden_size=0), r"best\.ckpt: model\.hidden_size=0"),
        (lambda it: it["lstm_lm"]["config"]["model"].update(name="nonesuch"), "no such option"),
        (lambda it: it["lstm_lm"]["config"].pop("model"), r"no lstm_lm\.config\.model"),
        (lambda it: it["lstm_lm"].pop("config"), r"no lstm_lm\.config"),
        (lambda it: it["lstm_lm"].update(config=[1, 2]), r"lstm_lm\.config"),
        (lambda it: it["lstm_lm"].pop("tokenizer"), r"no lstm_lm\.tokenizer"),
        (lambda it: it["lstm_lm"].update(tokenizer={"name": "char", "alphabet": "aa"}), "malformed"),
        (lambda it: it["lstm_lm"].update(tokenizer={"name": "char", "alphabet": "ab"}), r"embedding\.weight \[8, 6\]"),
        (lambda it: it["lstm_lm"].update(tokenizer={"name": "nonesuch"}), "no such option"),
    ],
)
def test_parts_that_do_not_fit_are_refused_by_name(
    change: Callable[[dict[str, Any]], None], message: str, save: Save
) -> None:
    path = save(damaged(change))
    with pytest.raises(UserError, match=message) as refusal:
        load(path.parents[1])
    assert str(path) in str(refusal.value)
    assert len(str(refusal.value).splitlines()) <= 4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"device": "toaster"}, "device=toaster"),
        ({"device": "cuda:99"}, "device=cuda: "),
        ({"device": "meta"}, "device=meta"),
        ({"precision": "8-true"}, "precision=8-true: no such precision"),
        ({"precision": "16-mixed"}, "precision=16-mixed: a CPU has no float16"),
        ({"forward": "nonesuch"}, "forward='nonesuch'"),
        ({"run": "nonesuch"}, "run=nonesuch"),
        ({"ckpt_path": "nonesuch.ckpt"}, r"ckpt_path=nonesuch\.ckpt"),
    ],
)
def test_what_is_not_there_is_refused_by_name(wrong: dict[str, str], message: str, save: Save, tmp_path: Path) -> None:
    save(checkpoint(build()))
    with pytest.raises(UserError, match=message) as refusal:
        load(**{"runs_dir": tmp_path, **wrong})  # type: ignore[arg-type]
    assert len(str(refusal.value).splitlines()) <= 4


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_auto_is_the_cpu_where_there_is_no_gpu_and_gpu_is_refused(save: Save) -> None:
    run = save(checkpoint(build())).parents[1]
    if not torch.backends.mps.is_available():
        assert next(load(run, device="auto").model.parameters()).device.type == "cpu"
        with pytest.raises(UserError, match="device=gpu"):
            load(run, device="gpu")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_onto_a_gpu(save: Save) -> None:
    original = build()
    model, _ = load(save(checkpoint(original)).parents[1], device="auto")
    with torch.no_grad():
        found, _ = model(TOKENS.cuda(), model.initial_state(2))
    tensor_float = torch.float16  # TensorFloat-32, which cuDNN may take, has as many digits
    allowed = bound(original.stack.spec, TOKENS, tensor_float, reference=torch.float32, beside=1)
    assert_close(Results((found,)), Results((logits(original),)), allowed)


def test_neither_lightning_nor_hydra_is_needed() -> None:
    program = "import sys, lstm_lm.generation.api; print({'lightning', 'hydra'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
