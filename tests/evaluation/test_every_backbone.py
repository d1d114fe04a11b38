"""Every language model there is goes through every method, and is afterwards what it was."""

import numpy as np
import pytest
import torch
from evaluation_models import evaluated, rounding_of, subject
from quick_compose import compose

from lstm_lm.cli.hydra.conf import options_of
from lstm_lm.evaluation.methods.interface import Windows
from lstm_lm.models.build import build_model, model_class
from lstm_lm.models.interface import LanguageModel

SMALL = {
    "embedding_size": 8,
    "hidden_size": 8,
    "num_layers": 2,
    "num_heads": 2,
    "context_size": 16,
}
BACKBONES = [name for name in options_of("model") if model_class(name).objective == "language_modelling"]


def made(name: str) -> LanguageModel:
    section = compose(f"model={name}")["model"]
    torch.manual_seed(0)
    return build_model({**section, **{key: SMALL[key] for key in SMALL if key in section}}, 6).eval()


@pytest.mark.parametrize("name", BACKBONES)
def test_scores_agree_between_methods_and_the_weights_stay(name: str) -> None:
    model = made(name)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    ids = np.random.default_rng(0).integers(0, 6, 500)
    text = subject(model, {"train": ids, "validation": ids[:200]}, windows=Windows(1, 16, 0))
    static = evaluated(text, "static")["splits"]["validation"]["loss"]
    small = {"segment_length": 8, "statistics_segments": 10, "tuning_tokens": 100}
    dynamic = evaluated(text, "dynamic", step_sizes=[0.01], decays=[0.01], **small)
    assert dynamic["static_loss"] == pytest.approx(static, rel=0, abs=rounding_of(static, model))
    assert dynamic["gain"] != 0
    tiny = evaluated(text, "dynamic", step_sizes=[1e-9], decays=[0.0], **small)
    assert tiny["loss"] == pytest.approx(static, abs=1e-5), "other windows, the same state: the same loss"
    context = evaluated(text, "context", positions=50)
    limit = model.context_limit
    assert context["full_context"] == (64 if limit is None else min(64, limit))
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
