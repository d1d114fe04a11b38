"""A small LSTM language model, trained by one plain loop: what the project's runs are held to.

Written anew from the documents (docstrings, conf/, what Lightning says of its Trainer, the papers on averaging). It is
given token ids, the bytes that each stands for, and the first weights; it shares no code with src/, and knows no
checkpoints.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

import torch
from plain_muon import PlainMuon
from plain_text import Settings, Text, Window, amount, eval_windows, line_windows, stream_windows
from torch import Tensor
from torch.nn import functional as F

Weights = dict[str, Tensor]
"""By name; of tied weights each name."""
State = list[tuple[Tensor, Tensor]] | None
"""(h, c) of each layer, each [B, H]; None: all zeros."""


class Score(NamedTuple):
    """What is said of a split."""

    loss: float
    tokens: int
    bits_per_character: float
    bits_per_byte: float


class Step(NamedTuple):
    """What is said of an optimizer step."""

    loss: float
    norm: float
    """Of the gradient, before clipping."""
    rate: float
    averaged: int
    """Steps in the average."""


@dataclass
class Record:
    """All that came of it."""

    steps: list[Step] = field(default_factory=list)
    """Of steps 1, 2, ..."""
    validations: dict[int, Score] = field(default_factory=dict)
    """By the steps behind them."""
    epochs: int = 0
    """Whole ones."""
    steps_per_epoch: int = 0
    parameters: int = 0
    """Numbers that are trained."""
    last: Weights = field(default_factory=dict)
    average: Weights = field(default_factory=dict)
    """Beside the last weights; empty: there is none."""
    best_step: int | None = None
    best: Weights = field(default_factory=dict)
    """That were trained, not averaged."""
    best_average: Weights = field(default_factory=dict)
    val: Score | None = None
    test: Score | None = None


def product(x: Tensor, weight: Tensor, bias: Tensor, bf16: bool) -> Tensor:
    """`x` times the rows of `weight`, and `bias`; `bf16`: of what bfloat16 keeps of them, and what it keeps of that."""
    if not bf16:
        return F.linear(x, weight, bias)
    return F.linear(x.bfloat16().float(), weight.bfloat16().float(), bias.bfloat16().float()).bfloat16().float()


def logits_of(weights: Weights, ids: Tensor, state: State, bf16: bool) -> tuple[Tensor, State]:
    """Of ids [T, B]: [T, B, V], and the state after them. Gates lie in the order i, f, g, o."""
    x = F.embedding(ids, weights["embedding.weight"])
    after = []
    layer = 0
    while f"stack.weight_hh_l{layer}" in weights:
        w_x, w_h, b_x, b_h = (
            weights[f"stack.{name}_l{layer}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        zeros = x.new_zeros(ids.shape[1], w_h.shape[1])
        h, c = (zeros, zeros) if state is None else state[layer]
        outputs = []
        for from_input in product(x, w_x, b_x, bf16):
            i, f, g, o = (from_input + product(h, w_h, b_h, bf16)).chunk(4, dim=-1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        x = torch.stack(outputs)
        after.append((h, c))
        layer += 1
    return product(x, weights["head.weight"], weights["head.bias"], bf16), after


def nats_of(weights: Weights, window: Window, state: State, bf16: bool) -> tuple[Tensor, State]:
    """Summed over what is scored."""
    total = torch.zeros(())
    state = None if window.fresh else state
    for piece in window.pieces:
        logits, after = logits_of(weights, piece.inputs, None if len(window.pieces) > 1 else state, bf16)
        log_p = torch.log_softmax(logits, dim=-1)
        total = total - log_p.gather(-1, piece.targets[..., None])[..., 0][piece.scored].sum()
    return total, after


def score(weights: Weights, windows: Sequence[Window], spelled: Sequence[bytes], bf16: bool) -> Score:
    """Of so many of a split's windows as are given."""
    nats, state = 0.0, None
    seen: list[int] = []
    with torch.no_grad():
        for window in windows:
            summed, state = nats_of(weights, window, state, bf16)
            nats += float(summed)
            seen += [int(token) for piece in window.pieces for token in piece.targets[piece.scored]]
    octets = [byte for token in seen for byte in spelled[token]]
    begun = sum(not 0x80 <= byte < 0xC0 for byte in octets)  # bytes that begin a character in UTF-8
    return Score(nats / len(seen), len(seen), nats / math.log(2) / begun, nats / math.log(2) / len(octets))


def factor(options: dict[str, Any], step: int, total: int) -> float:
    """Of the learning rate, in the step that has `step` behind it."""
    last = max(1, total - 1)

    def cosine(one: float, two: float, way: float) -> float:
        return two + (one - two) * (1 + math.cos(math.pi * min(1.0, way))) / 2

    if options["name"] == "one_cycle":
        peak = options["warmup"] * last
        if step < peak:
            return cosine(options["start"], 1.0, step / peak)
        return cosine(1.0, options["end"], (step - peak) / max(1.0, last - peak))
    up = options["warmup_steps"]
    warm = (step + 1) / (up + 1) if step < up else 1.0
    way = (step - up) / max(1, last - up)
    if options["name"] == "step":
        return warm * float(options["gamma"] ** (step // options["step_size"]))
    if options["name"] == "cosine" and step >= up:
        return cosine(1.0, options["end"], way)
    if options["name"] == "linear" and step >= up:
        return 1.0 + min(1.0, way) * (options["end"] - 1.0)
    return warm


class Plateau:
    """The rate is reduced after so many validations, one after the other, that are not better by as much as asked."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options if options["name"] == "plateau" else None
        self._best, self._in_vain = math.inf, 0
        self.factor = 1.0

    def note_validation(self, loss: float) -> None:
        if self._options is None:
            return
        better = loss < self._best - self._options["min_delta"]
        self._best, self._in_vain = (loss, 0) if better else (self._best, self._in_vain + 1)
        if self._in_vain == self._options["patience"]:
            self._in_vain, self.factor = 0, max(self._options["end"], self.factor * self._options["gamma"])


def optimizer_of(options: dict[str, Any], weights: Weights) -> Any:
    """torch.optim's own; matrices decay, biases do not. Muon takes the matrices of the stack."""
    kinds = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}
    muon = options["name"] == "muon"
    taken = [weight for name, weight in weights.items() if muon and name.startswith("stack.weight")]
    rest = [weight for weight in dict.fromkeys(weights.values()) if all(weight is not one for one in taken)]
    own = ("name", "cls", "weight_decay", *(("momentum", "iterations", "refresh", "damping", "blocks") if muon else ()))
    groups = [
        {"params": [weight for weight in rest if (weight.ndim > 1) == matrix], "weight_decay": decay}
        for matrix, decay in ((True, options["weight_decay"]), (False, 0.0))
    ]
    name = "adamw" if muon else options["name"]
    optimizer = (getattr(torch.optim, options["cls"]) if name == "torch" else kinds[name])(
        groups, **{name: value for name, value in options.items() if name not in own}
    )
    return PlainMuon(taken, optimizer, options) if muon else optimizer


class Average:
    """The mean of the weights with the moving average's bias correction (ema), or their plain mean (asgd, NT-ASGD)."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._sum: list[Tensor] = []
        self._weight = 0.0
        self._losses: list[float] = []
        self._worse = False
        self.count = 0

    def take_in(self, step: int, weights: Sequence[Tensor]) -> None:
        name = self._options["name"]
        if (
            name == "none"
            or (name == "ema" and step <= self._options["start_step"])
            or (name == "asgd" and not self._worse)
        ):
            return
        keep, share = (self._options["decay"], 1 - self._options["decay"]) if name == "ema" else (1.0, 1.0)
        before = self._sum or [torch.zeros_like(weight) for weight in weights]
        self._sum = [keep * old + share * weight.detach() for old, weight in zip(before, weights, strict=True)]
        self._weight = keep * self._weight + share
        self.count += 1

    def note_validation(self, loss: float) -> None:
        """NT-ASGD: worse than the best of all but the last so many before it."""
        if self._options["name"] == "asgd" and not self._worse:
            older = self._losses[: max(0, len(self._losses) - self._options["non_monotone"])]
            self._worse = bool(older) and loss > min(older)
            self._losses.append(loss)

    def values(self) -> list[Tensor] | None:
        return [total / self._weight for total in self._sum] if self.count else None


def train(
    settings: Settings,
    text: Text,
    initial: Weights,
    dtype: torch.dtype,
    *,
    bf16: bool = False,
    best_step: int | None = None,
) -> Record:
    """Train from the weights `initial` on, computed in `dtype`.

    `bf16`: its products in bfloat16. `best_step`: which validation is to count as the best; None: the first of
    those with the least loss.
    """
    own = {name: weight.detach().to(dtype, copy=True).requires_grad_() for name, weight in initial.items()}
    if initial["head.weight"].data_ptr() == initial["embedding.weight"].data_ptr():
        own["head.weight"] = own["embedding.weight"]
    parameters = list(dict.fromkeys(own.values()))
    names = {name: next(at for at, one in enumerate(parameters) if one is weight) for name, weight in own.items()}

    def named(values: Sequence[Tensor] | None) -> Weights:
        return {} if values is None else {name: values[at].detach().clone() for name, at in names.items()}

    few = settings.overfit_batches
    in_text, endless = line_windows(settings, text) if settings.unit == "line" else stream_windows(settings, text.train)
    per_epoch = amount(few or settings.limit_train_batches, in_text)
    repeated = list(islice(endless, per_epoch)) if few else None
    validation = eval_windows(settings, text, text.validation)
    validation = validation[: amount(few or settings.limit_val_batches, len(validation))]
    interval = settings.val_check_interval
    if interval is None or (isinstance(interval, float) and interval <= 1):
        interval = max(1, int(per_epoch * (1.0 if interval is None else interval)))
    record = Record(steps_per_epoch=math.ceil(per_epoch / settings.accumulate_grad_batches))
    record.parameters = sum(weight.numel() for weight in parameters)
    total = min(
        limit
        for limit, asked in (
            (settings.max_epochs * record.steps_per_epoch, settings.max_epochs),
            (settings.max_steps, settings.max_steps),
        )
        if asked > 0
    )
    optimizer, average = optimizer_of(settings.optimizer, own), Average(settings.averaging)
    plateau = Plateau(settings.scheduler)
    peak = settings.optimizer["lr"]

    def validate(*, in_training: bool = True) -> None:
        """With the average, where there is one."""
        found = score(named(average.values()) or own, validation, text.spelled, bf16)
        step = len(record.steps)
        record.validations[step] = found
        if in_training:
            average.note_validation(found.loss)
            plateau.note_validation(found.loss)
        better = record.val is None or found.loss < record.val.loss
        if better if best_step is None else step == best_step:
            record.val, record.best_step = found, step
            record.best, record.best_average = named(parameters), named(average.values())

    state: State = None
    windows = 0
    while len(record.steps) < total:
        nats, tokens, read = 0.0, 0, 0
        for index, window in enumerate(repeated or islice(endless, per_epoch)):
            summed, state = nats_of(own, window, state, bf16)
            summed.backward()
            state = [(h.detach(), c.detach()) for h, c in state or []]
            windows += 1
            read += 1
            nats += float(summed.detach())
            tokens += sum(int(piece.scored.sum()) for piece in window.pieces)
            if read == settings.accumulate_grad_batches or index == per_epoch - 1:
                over = read * settings.seq_len * settings.batch_size if settings.lengths else tokens
                gradients = [weight.grad for weight in parameters if weight.grad is not None]
                for gradient in gradients:
                    gradient /= over
                norm = math.sqrt(sum(float(gradient.double().square().sum()) for gradient in gradients))
                if settings.gradient_clip_val and settings.gradient_clip_algorithm == "value":
                    for gradient in gradients:
                        gradient.clamp_(-settings.gradient_clip_val, settings.gradient_clip_val)
                elif settings.gradient_clip_val:
                    for gradient in gradients:
                        gradient *= min(1.0, settings.gradient_clip_val / (norm + 1e-6))
                rate = peak * factor(settings.scheduler, len(record.steps), total) * plateau.factor
                for group in optimizer.param_groups:
                    group["lr"] = rate
                optimizer.step()
                optimizer.zero_grad()
                average.take_in(len(record.steps) + 1, parameters)
                record.steps.append(Step(nats / tokens, norm, rate, average.count))
                nats, tokens, read = 0.0, 0, 0
            epochs = settings.check_val_every_n_epoch
            counted = windows if epochs is None else index + 1
            if validation and (epochs is None or (record.epochs + 1) % epochs == 0) and counted % interval == 0:
                validate()
            if len(record.steps) == total:
                break
        record.epochs += index == per_epoch - 1
    if validation and len(record.steps) not in record.validations:
        validate(in_training=False)
    record.last, record.average = named(parameters), named(average.values())
    if text.test is not None:
        tested = eval_windows(settings, text, text.test)
        tested = tested[: amount(settings.limit_test_batches, len(tested))]
        used = (record.best_average or record.best) if record.best_step is not None else (record.average or record.last)
        record.test = score(used, tested, text.spelled, bf16) if tested else None
    return record
