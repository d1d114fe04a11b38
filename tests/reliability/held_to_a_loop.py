"""What a run has left on the disk, beside what the plain loop says, and beside a run that was not killed."""

import math
from collections.abc import Mapping
from typing import Any

import plain_loop
import torch
from killed_runs import OF_THE_MACHINE, Run
from plain_loop import Record, Score
from plain_text import Settings, Text
from torch import Tensor

Figures = dict[str, dict[int, float]]
"""What metrics.csv holds: column, step, value."""


def of_score(name: str, scored: Score) -> dict[str, float]:
    return {
        f"{name}/loss": scored.loss,
        f"{name}/perplexity": math.exp(scored.loss),
        f"{name}/bits_per_character": scored.bits_per_character,
        f"{name}/bits_per_byte": scored.bits_per_byte,
        f"{name}/tokens": scored.tokens,
    }


def figures_of(record: Record, every: int) -> Figures:
    """What metrics.csv is to hold."""
    rows: dict[int, dict[str, float]] = {step: of_score("val", scored) for step, scored in record.validations.items()}
    last = len(record.steps)
    for step, taken in enumerate(record.steps, 1):
        if step % every == 0 or step == last:
            row = rows.setdefault(step, {})
            row |= {"epoch": step / record.steps_per_epoch, "train/loss": taken.loss, "train/gradient_norm": taken.norm}
            row |= {"train/perplexity": math.exp(taken.loss), "train/learning_rate": taken.rate}
            row |= {"train/averaged_steps": taken.averaged} if taken.averaged else {}
    if record.test is not None:
        rows[last] |= of_score("test", record.test)
    return by_column(rows)


def by_column(rows: Mapping[int, Mapping[str, float]]) -> Figures:
    columns: Figures = {}
    for step, row in sorted(rows.items()):
        for name, value in row.items():
            if name != "step":
                columns.setdefault(name, {})[step] = value
    return columns


def moved(weights: Mapping[str, Tensor], first: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All of them as one vector, from the first ones on: how far training has come; nothing where there are none."""
    ways = [(weight.double() - first[name].double()).flatten() for name, weight in sorted(weights.items())]
    return {"moved": torch.cat(ways)} if ways else {}


def weights_of(record: Record) -> dict[str, dict[str, Tensor]]:
    return {
        "last": record.last,
        "average beside the last": record.average,
        "best": record.best,
        "average beside the best": record.best_average,
    }


def weights_in(run: Run) -> dict[str, dict[str, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {}
    for name in ("last", "best"):
        checkpoint = run.checkpoint(name) or {"state_dict": {}, "lstm_lm": {"averaging": {"weights": {}}}}
        found[name] = {key.removeprefix("model."): weight for key, weight in checkpoint["state_dict"].items()}
        found[f"average beside the {name}"] = checkpoint["lstm_lm"]["averaging"]["weights"]
    return found


def distance(one: Mapping[Any, Any], two: Mapping[Any, Any]) -> float:
    """The largest difference, relative to the larger of the two; of vectors, their lengths."""
    assert one.keys() == two.keys(), (one.keys(), two.keys())
    found = 0.0
    for name, value in one.items():
        pair = [torch.as_tensor(item, dtype=torch.float64) for item in (value, two[name])]
        size = max(float(torch.linalg.vector_norm(item)) for item in pair)
        found = max(found, float(torch.linalg.vector_norm(pair[0] - pair[1])) / size if size else 0.0)
    return found


ROUNDING = {"64-true": 1e-9, "32-true": 2e-6, "bf16-mixed": 1e-2}
"""What two orders of the same sums may differ by, relatively, before training makes more of it."""
GROWTH = 10
"""So many times what rounding makes of a draw is allowed: the plain loop trains it in float64 and in the run's own
precision. Two loops in one precision differ from each other about as much as one differs from float64; ten times that
is far less than what a wrong window, divisor or step makes."""


def train_plainly(settings: Settings, text: Text, run: Run) -> tuple[Record, Record]:
    """What is right, to float64's precision; and what the plain loop makes of it in the run's own precision."""
    precision = run.config["precision"]["name"]

    def train(dtype: torch.dtype, **more: Any) -> Record:
        return plain_loop.train(settings, text, run.first_weights, dtype, **more)

    exact = train(torch.float64)
    if precision == "64-true":
        return exact, exact
    bf16 = precision == "bf16-mixed"
    own = train(torch.float32, bf16=bf16)
    best = (run.checkpoint("best") or {}).get("global_step")
    if best in exact.validations and (best, best) != (exact.best_step, own.best_step):
        assert exact.val is not None
        away = exact.validations[best].loss / exact.val.loss - 1
        rounded = distance(*({step: scored.loss for step, scored in side.validations.items()} for side in (own, exact)))
        if away <= ROUNDING[precision] + GROWTH * rounded:  # equal but for rounding: either may be the best
            exact, own = train(torch.float64, best_step=best), train(torch.float32, bf16=bf16, best_step=best)
    return exact, own


def differences(run: Run, settings: Settings, text: Text) -> list[str]:
    """Where the run is not what the plain loop says."""
    exact, own = train_plainly(settings, text, run)
    floor = ROUNDING[run.config["precision"]["name"]]
    found: list[str] = []
    every = run.config["trainer"]["log_every_n_steps"]
    sides = [figures_of(record, every) for record in (exact, own)]
    rows = by_column(run.rows)

    def hold(name: str, is_: Mapping[Any, Any], right: Mapping[Any, Any], rounded: Mapping[Any, Any]) -> None:
        if is_.keys() != right.keys():
            found.append(f"{name}: of {sorted(is_)}, not of {sorted(right)}")
            return
        allowed = floor + (GROWTH * distance(rounded, right) if rounded.keys() == right.keys() else 0.0)
        away = distance(is_, right)
        if not away <= allowed:
            found.append(
                f"{name}: {away:.2g} away, where {allowed:.2g} is rounding: {shown(is_)}; right: {shown(right)}"
            )

    for name in sorted({*rows, *sides[0]}):
        hold(name, rows.get(name, {}), sides[0].get(name, {}), sides[1].get(name, {}))
    weights, right, rounded = weights_in(run), weights_of(exact), weights_of(own)
    for name in right:
        hold(f"weights: {name}", *(moved(side[name], run.first_weights) for side in (weights, right, rounded)))
    best = (run.checkpoint("best") or {}).get("global_step")
    if best != exact.best_step:
        found.append(f"best.ckpt: of step {best}, not {exact.best_step}")
    summaries = [summary_of(record, text) for record in (exact, own)]
    told = flat({key: value for key, value in run.summary.items() if key not in ("status", "model", "data")})
    told |= {
        "parameters": run.summary["model"]["parameters"],
        "text": run.summary["data"]["tokens"],
        "vocabulary": run.summary["data"]["vocabulary_size"],
    }
    for name in sorted({*told, *summaries[0]}):
        hold(f"summary.json: {name}", *({0: side[name]} if name in side else {} for side in (told, *summaries)))
    if run.summary["status"] != "completed":
        found.append(f"summary.json: {run.summary['status']}")
    return found


def summary_of(record: Record, text: Text) -> dict[str, float]:
    told = {
        "train.loss": record.steps[-1].loss,
        "train.steps": len(record.steps),
        "train.epochs": record.epochs,
        "parameters": record.parameters,
        "text": len(text.train),
        "vocabulary": len(text.spelled),
    }
    for name, scored in (("val", record.val), ("test", record.test)):
        if scored is not None:
            told |= {key.replace("/", "."): value for key, value in of_score(name, scored).items()}
    return told


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif value is not None:
            found[f"{prefix}{name}"] = value
    return found


def shown(values: Mapping[Any, Any]) -> str:
    told = [f"{name}: {value:.8g}" for name, value in values.items() if not isinstance(value, Tensor)]
    return ", ".join(told)[:300]


def unlike(one: Any, two: Any, where: str = "") -> list[str]:
    """Where two nests of plain values and tensors differ, to the last bit."""
    if isinstance(one, Tensor) and isinstance(two, Tensor):
        same = one.dtype == two.dtype and one.shape == two.shape and torch.equal(one, two)
        return [] if same else [f"{where}: other numbers"]
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        return [
            line
            for key in sorted({*one, *two}, key=str)
            for line in unlike(one.get(key), two.get(key), f"{where}.{key}")
        ]
    if isinstance(one, (list, tuple)) and isinstance(two, (list, tuple)) and len(one) == len(two):
        return [line for at, pair in enumerate(zip(one, two, strict=True)) for line in unlike(*pair, f"{where}[{at}]")]
    return [] if one == two else [f"{where}: {one!r:.80} without a kill, {two!r:.80} with"]


def kept_in(checkpoint: dict[str, Any] | None, *, to_continue: bool) -> dict[str, Any]:
    """What a checkpoint has to hold: all that training goes on from, or the weights that were the best."""
    if checkpoint is None:
        return {}
    names = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", *(("epoch",) if to_continue else ()))
    own = checkpoint["lstm_lm"]
    if to_continue:
        own = {name: value for name, value in own.items() if name not in ("seconds", "config")}
        own["row"] = {name: value for name, value in own["row"].items() if not name.endswith(OF_THE_MACHINE)}
        own["data"] = own["data"] | {"key": None}  # of the cache: one tokenizer was fitted, the other was there already
    else:
        own = {"average": own["averaging"]["weights"], "validation": own["validation"]}
    return {name: checkpoint[name] for name in names} | {"lstm_lm": own}


def differ(whole: Run, killed: Run) -> list[str]:
    """Where a run that was killed has left something else than one that was not."""
    found = unlike(whole.rows, killed.rows, "metrics.csv") + unlike(whole.summary, killed.summary, "summary.json")
    for name in ("last", "best"):
        pair = [kept_in(run.checkpoint(name), to_continue=name == "last") for run in (whole, killed)]
        found += unlike(*pair, f"{name}.ckpt")
    return found
