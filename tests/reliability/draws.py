"""Settings of a run, drawn by a number: draw 17 is draw 17 everywhere, and the first twenty have every value.

Each choice deals its values out like a pack of cards, shuffled anew when it is used up: so twenty draws have seen all
of them. What cannot be had together is settled afterwards, by one rule each.
"""

import math
import random
from collections.abc import Mapping
from typing import Any

VALUES: Mapping[str, tuple[Any, ...]] = {
    "data.unit": ("window", "window", "line"),
    "data.split": ("random", "random", "random", "end"),
    "data.batch_size": (2, 3, 4, 5),
    "data.seq_len": (3, 5, 7, 9),
    "data.carry_state": (True, True, False),
    "data.window_lengths": ("fixed", "fixed", "fixed", "random"),
    "data.eval_batch_size": (1, 2, 4),
    "data.eval_context": (0, 5, 12),
    "data.validation_fraction": (0.1, 0.2, 0.3),
    "data.test_fraction": (0.0, 0.15),
    "tokenizer": ("char", "byte", "bpe"),
    "model.hidden_size": (8, 10, 12),
    "model.num_layers": (1, 2),
    "model.tie_weights": (False, False, True),
    "forward": ("auto", "fused", "stepwise"),
    "precision": ("64-true", "32-true", "64-true", "bf16-mixed"),
    "optimizer": ("sgd", "sgd with momentum", "adamw", "rmsprop", "muon", "torch.optim's NAdam"),
    "scheduler": ("constant", "constant after a warm-up", "one_cycle", "cosine", "linear", "step", "plateau"),
    "averaging": ("none", "ema", "ema from step 4 on", "asgd", "asgd of two"),
    "trainer.accumulate_grad_batches": (1, 2, 3, 4, 64),
    "trainer.gradient_clip": (None, "norm", "value"),
    "trainer.limit_train_batches": (None, 1, 3, 5, 0.3, 1.0, 3.0),
    "trainer.limit_val_batches": (None, None, 1, 2, 0.5, 1.0, 0),
    "trainer.limit_test_batches": (None, 1, 0.5),
    "trainer.overfit_batches": (0.0, 0.0, 0.0, 0.0, 3, 0.3),
    "trainer.val_check_interval": (None, None, 1, 3, 4, 0.4, 1.0),
    "trainer.check_val_every_n_epoch": (1, 1, 2, None),
    "trainer.num_sanity_val_steps": (0, 0, 2),
    "trainer.log_every_n_steps": (1, 1, 2, 3),
    "callbacks.checkpoint.every_n_steps": (1, 2, 3, 4),
    "callbacks.checkpoint.keep": (1, 2),
    "limit": ("epochs", "steps", "both"),
    "kills": (1, 1, 2),
    "moment": ("step", "step", "update", "validation", "write", "test", "signal"),
    "second moment": ("start", "step", "update", "validation", "write", "test", "signal"),
    "processes": (1,) * 19 + (2,),
}
"""What is drawn from, by the key of the configuration where there is one; what is there twice comes twice as often."""

Draw = dict[str, Any]


def draw(number: int) -> Draw:
    """The choices of draw `number`."""
    drawn: Draw = {}
    for key, values in VALUES.items():
        round_, place = divmod(number, len(values))
        pack = list(values)
        random.Random(f"{key} {round_}").shuffle(pack)
        drawn[key] = pack[place]
    return _settled(drawn) | {"seed": number}


def _settled(drawn: Draw) -> Draw:
    """Without what excludes each other."""
    if drawn["data.unit"] == "line":
        drawn["data.window_lengths"] = "fixed"  # a line's length is its own
    if drawn["trainer.check_val_every_n_epoch"] is None and not isinstance(drawn["trainer.val_check_interval"], int):
        drawn["trainer.val_check_interval"] = 4  # without epochs it counts windows
    if drawn["precision"] == "bf16-mixed":  # when asgd begins, and a plateau ends, would hang on the last digit
        drawn["averaging"] = "ema" if drawn["averaging"].startswith("asgd") else drawn["averaging"]
        drawn["scheduler"] = "step" if drawn["scheduler"] == "plateau" else drawn["scheduler"]
    if drawn["averaging"].startswith("asgd") or drawn["scheduler"] == "plateau":  # which need validations
        drawn["trainer.limit_val_batches"] = drawn["trainer.limit_val_batches"] or None
        if drawn["trainer.check_val_every_n_epoch"] == 2:
            drawn["trainer.check_val_every_n_epoch"] = 1
    if drawn["processes"] == 2:
        drawn["kills"] = 1  # each start takes seconds
    return drawn


def text_of(number: int) -> str:
    """400 to 1,500 characters in lines of one to many words, some blank, some characters of more than one byte."""
    chance = random.Random(f"text {number}")
    words = ["la", "mer", "été", "où", "x", "bateau", "naïve", "ça", "rit", "日本", "🙂", "une"]
    size = min(chance.randint(400, 1500), chance.randint(400, 1500))  # more often short: more epochs
    size = max(size, 800) if draw(number)["processes"] == 2 else size  # which has twice the streams
    text = ""
    while len(text) < size:
        text += " ".join(chance.choices(words, k=chance.choice([0, 1, 2, 3, 5, 9]))) + chance.choice(
            ["\n", "\n", " \n", ". "]
        )
    return text[:size]


OPTIMIZERS = {
    "sgd": {"name": "sgd", "lr": 0.5, "momentum": 0.0, "weight_decay": 0.0, "nesterov": False},
    "sgd with momentum": {"name": "sgd", "lr": 0.2, "momentum": 0.8, "weight_decay": 0.01, "nesterov": True},
    "adamw": {"name": "adamw", "lr": 0.01, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1},
    "muon": {
        "name": "muon",
        "lr": 0.02,
        "momentum": 0.9,
        "iterations": 3,
        "refresh": 2,
        "damping": 0.0,
        "blocks": 1,
        "betas": [0.9, 0.95],
        "eps": 1e-8,
        "weight_decay": 0.1,
    },
    "rmsprop": {"name": "rmsprop", "lr": 0.003, "alpha": 0.9, "eps": 1e-6, "momentum": 0.5, "weight_decay": 0.01},
    "torch.optim's NAdam": {
        "name": "torch",
        "cls": "NAdam",
        "lr": 0.01,
        "betas": [0.9, 0.95],
        "momentum_decay": 0.01,
        "weight_decay": 0.01,
    },
}
OPTIMIZERS["muon, damped"] = {**OPTIMIZERS["muon"], "damping": 0.5}
SCHEDULERS = {
    "constant": {"name": "constant", "warmup_steps": 0},
    "constant after a warm-up": {"name": "constant", "warmup_steps": 3},
    "one_cycle": {"name": "one_cycle", "warmup": 0.3, "start": 0.1, "end": 0.01},
    "cosine": {"name": "cosine", "warmup_steps": 3, "end": 0.1},
    "linear": {"name": "linear", "warmup_steps": 2, "end": 0.2},
    "step": {"name": "step", "warmup_steps": 3, "step_size": 4, "gamma": 0.7},
    "plateau": {"name": "plateau", "warmup_steps": 2, "patience": 1, "min_delta": 0.05, "gamma": 0.6, "end": 0.1},
}
AVERAGES = {
    "none": {"name": "none"},
    "ema": {"name": "ema", "decay": 0.8, "start_step": 0},
    "ema from step 4 on": {"name": "ema", "decay": 0.9, "start_step": 3},
    "asgd": {"name": "asgd", "non_monotone": 0},
    "asgd of two": {"name": "asgd", "non_monotone": 2},
}
CLIPS = {None: (None, "norm"), "norm": (0.3, "norm"), "value": (0.02, "value")}
MOST_WINDOWS = 40


TOKENIZERS = {
    "char": {"name": "char"},
    "byte": {"name": "byte"},
    "bpe": {"name": "bpe", "vocabulary_size": 280, "min_frequency": 2},
}
FORWARD = {"auto": {"name": "auto"}, "fused": {"name": "fused", "calls": "auto"}, "stepwise": {"name": "stepwise"}}


def section(drawn: Draw, group: str) -> dict[str, Any]:
    """The section of the configuration that a choice stands for."""
    if group == "precision":
        return {"name": drawn[group]}
    sections = {"optimizer": OPTIMIZERS, "scheduler": SCHEDULERS, "averaging": AVERAGES, "tokenizer": TOKENIZERS}
    return {**sections, "forward": FORWARD}[group][drawn[group]]


def trainer_of(drawn: Draw, windows: int, eval_windows: Mapping[str, int]) -> dict[str, Any]:
    """The `trainer` section's keys, for a text with so many `windows` in an epoch, and in a validation and a test."""
    prefix = "trainer."
    chosen = {key.removeprefix(prefix): value for key, value in drawn.items() if key.startswith(prefix)}
    chosen["gradient_clip_val"], chosen["gradient_clip_algorithm"] = CLIPS[chosen.pop("gradient_clip")]
    there = {"limit_train_batches": windows, **eval_windows, "overfit_batches": min(windows, *eval_windows.values())}
    for key, count in there.items():
        if isinstance(chosen[key], float) and 0 < chosen[key] * count < 1:
            chosen[key] = 1  # Lightning refuses a share of less than a window
    chance = random.Random(drawn["seed"])
    limit = chosen["overfit_batches"] or chosen["limit_train_batches"]
    share = isinstance(limit, float) and limit <= 1
    epoch = windows if limit is None else int(windows * limit) if share else min(windows, int(limit))
    interval = chosen["val_check_interval"]
    if isinstance(interval, int) and chosen["check_val_every_n_epoch"] is not None:
        chosen["val_check_interval"] = min(interval, epoch)  # more than an epoch has is refused
    steps = math.ceil(epoch / chosen["accumulate_grad_batches"])
    epochs = max(1, min(chance.randint(2, 5), MOST_WINDOWS // epoch))
    most = max(1, min(epochs * steps, MOST_WINDOWS // chosen["accumulate_grad_batches"]))
    kind = "both" if drawn["limit"] == "epochs" and epoch > MOST_WINDOWS else drawn["limit"]
    chosen["max_epochs"] = -1 if kind == "steps" else epochs
    chosen["max_steps"] = -1 if kind == "epochs" else chance.randint(max(1, most // 2), most)
    return chosen
