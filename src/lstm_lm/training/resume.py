"""Whether a run starts, continues, or is complete; and whether continuing would silently change what is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lstm_lm import hardware
from lstm_lm.data.corpora.interface import YOUNGER_KEYS
from lstm_lm.errors import UserError
from lstm_lm.runs import checkpoint_file, checkpoint_form, rotation, summary
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training import cluster
from lstm_lm.training.tuning.choice import chosen_config, of_before

WHAT = ("model", "tokenizer", "data", "objective", "optimizer", "scheduler", "averaging")
"""Sections that say what is computed: the same function of the same text, or it is another run."""
WHAT_OF_TRAINER = ("accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm", "overfit_batches")
"""Keys of `trainer` that do; the others are limits, logging, and how it is computed."""
NOT_WHAT = frozenset({"data.cache_dir", "data.path"})
"""Where a text lies, not what it is: that its manifest's digests say (`refuse_other_text`)."""
WHAT_IT_WAS = {
    "objective.name": "language_modelling",
    "objective.label_smoothing": 0.0,
    "objective.activation_regularisation": 0.0,
    "objective.temporal_activation_regularisation": 0.0,
    "averaging.name": "none",
    **{f"data.{key}": value for key, value in YOUNGER_KEYS.items()},
}
"""Keys that are younger than some checkpoints, with what those did."""
HOW = (
    *("forward", "precision", "compile", "device", "trainer", "callbacks", "logger", "runtime"),
    *("deterministic", "on_nonfinite"),
)
"""Sections and keys that say how, how long, and what is written about it: free to change, and noted."""
LIMITS = ("max_epochs", "max_steps", "max_time", "min_epochs", "min_steps")
MOST_DIFFERENCES_SHOWN = 2


@dataclass(frozen=True)
class Start:
    """How a run begins."""

    checkpoint: Path | None
    """Continue from this file; None: from the first step."""
    step: int | None = None
    """Optimizer steps behind it; None: nothing is there of an earlier run."""
    complete: bool = False
    """There is nothing left to do."""
    passed_over: tuple[str, ...] = ()
    """Newer checkpoints that are damaged: what is wrong with each."""
    changed: tuple[str, ...] = ()
    """What is done in another way than before, as `forward.name: fused then, pipelined now`."""


def plan(config: Mapping[str, Any], run_dir: Path) -> Start:
    """What `resume=` and `ckpt_path=` mean for `run_dir`, as it is now; reads, writes nothing.

    Raises:
        UserError: the directory holds a run that nothing was said about, a checkpoint is missing or damaged, or what
            it trained differs from `config` (unless `resume=force`).
    """
    run = RunDirectory(run_dir)
    asked, named = config["resume"], config["ckpt_path"]
    if named is not None:
        if named == "last":
            newest, passed_over = rotation.newest_whole(run)
            return replace(_continue(config, newest or run.last), passed_over=tuple(passed_over))
        path = run.best if named == "best" else Path(named)
        if not _belongs_to(run, path) and not run.is_empty():
            raise UserError(
                f"{run_dir}: holds a run already, and ckpt_path={named} is not of it\n"
                "continue the run with ckpt_path=last, or choose another hydra.run.dir for what begins at that file"
            )
        return _continue(config, path)
    if asked == "never":
        if not run.is_empty():
            raise UserError(
                f"{run_dir}: holds a run already, and resume=never\n"
                "continue it with resume=auto, or choose another hydra.run.dir"
            )
        return Start(None)
    newest, passed_over = rotation.newest_whole(run)
    if newest is None:
        return Start(None, step=None if run.is_empty() else 0)
    start = _continue(config, newest)
    complete = not passed_over and _is_complete(config, run, newest)  # steps that are lost are taken again
    return replace(start, complete=complete, passed_over=tuple(passed_over))


def refuse_early(config: Mapping[str, Any], run_dir: Path) -> Start:
    """`plan`, and devices and precisions that are not there are refused, too: before anything is written.

    Raises:
        UserError: as `plan`, `hardware.resolve` and `cluster.lead`.
    """
    start = plan(config, run_dir)
    if not start.complete:
        hardware.resolve(config["trainer"])
        cluster.lead(config["trainer"])
    return start


def _belongs_to(run: RunDirectory, file: Path) -> bool:
    folders = run.path.resolve(), run.checkpoints.resolve()  # which may be a link to a larger disk
    return any(file.parent.resolve().is_relative_to(folder) for folder in folders)


def _continue(config: Mapping[str, Any], path: Path) -> Start:
    checkpoint = checkpoint_file.load(path)
    checkpoint_form.check_whole(checkpoint, path)
    saved = checkpoint["lstm_lm"]
    tuning = of_before(saved, config)
    if tuning is not None:  # what was chosen then is chosen again
        config = chosen_config(config, tuning["chosen"])
    changed = differences(saved["config"], config)
    other_tokens = [line for line in changed if line.startswith("tokenizer.")]
    if other_tokens and config["resume"] == "force":
        raise UserError(
            f"{path}: was trained with another tokenizer: {other_tokens[0]}\n"
            "its weights belong to its tokens, whatever resume= says: bring back that tokenizer, or start a new run"
        )
    if changed and config["resume"] != "force":
        shown = changed[:MOST_DIFFERENCES_SHOWN]
        if len(changed) > len(shown):
            shown = [*shown[:-1], f"{shown[-1]}; and {len(changed) - len(shown)} more"]
        raise UserError(
            f"{path}: was trained with other settings\n"
            + "\n".join(shown)
            + "\nuse resume=force to continue all the same, or init_from= to start a new run from its weights"
        )
    return Start(
        path, step=int(checkpoint["global_step"]), changed=(*changed, *changes_of_how(saved["config"], config))
    )


def changes_of_how(saved: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Each key that does not say what is computed, and differs; one that a checkpoint does not know is none."""
    then, now = (_leaves({name: part[name] for name in HOW if name in part}) for part in (saved, config))
    what = {f"trainer.{key}" for key in WHAT_OF_TRAINER}
    return [
        f"{name}: {then[name]} then, {value} now"
        for name, value in now.items()
        if name in then and name not in what and then[name] != value
    ]


def _leaves(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            found |= _leaves(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def differences(saved: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Each key that says what is computed and differs, as `model.hidden_size: 128 then, 256 now`."""
    names = [("seed",)] + [("trainer", key) for key in WHAT_OF_TRAINER]
    for section in WHAT:
        names += [(section, key) for key in sorted({*saved.get(section, {}), *config.get(section, {})})]
    found: list[str] = []
    for path in names:
        name = ".".join(path)
        then, now = (_value(section, path, WHAT_IT_WAS.get(name)) for section in (saved, config))
        if name not in NOT_WHAT and then != now:
            found.append(f"{name}: {then!r} then, {now!r} now")
    return sorted(found, key=lambda line: ".name: " not in line)  # another model has other keys, too


def refuse_other_text(
    then: Mapping[str, Any], now: Mapping[str, Any], checkpoint: Path, config: Mapping[str, Any]
) -> None:
    """Compare the manifests of the text that was trained on and of the one that is there.

    Raises:
        UserError: they differ, and `config` does not say resume=force.
    """
    if config["resume"] == "force":
        return
    found = text_differences(then, now)
    if found:
        raise UserError(
            f"{checkpoint}: was trained on another text\n{found[0]}\n"
            "bring back that text, use resume=force to continue on this one, or init_from= to start a new run"
        )


def refuse_other_shapes(weights: Mapping[str, torch.Tensor], model: torch.nn.Module, checkpoint: Path) -> None:
    """Compare a checkpoint's weights with those that `model` has.

    Raises:
        UserError: they are others, or of other shapes: not even resume=force makes one model of another.
    """
    own = {name: list(weight.shape) for name, weight in model.state_dict().items()}
    then = {name: list(weight.shape) for name, weight in weights.items()}
    different = [name for name in {**then, **own} if then.get(name) != own.get(name)]
    if different:
        name = different[0]
        raise UserError(
            f"{checkpoint}: its weights are of another model: {name} is {then.get(name)} there, {own.get(name)} here\n"
            "resume=force cannot change that: bring back the model's keys, or start a run in another hydra.run.dir"
        )


def text_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two manifests as plain data: texts and splits, in this order."""
    found: list[str] = []
    if then["splits"].keys() != now["splits"].keys():
        found.append(f"splits: {', '.join(then['splits'])} then, {', '.join(now['splits'])} now")
    for split in (name for name in now["splits"] if name in then["splits"]):
        digests = (manifest["sources"].get(split) for manifest in (then, now))
        before, after = (str(digest)[:12] for digest in digests)
        if before != after:
            found.append(f"text of the {split} split: SHA-256 {before}... then, {after}... now")
        cuts = [[manifest["splits"][split][key] for key in ("start", "stop", "tokens")] for manifest in (then, now)]
        if before == after and cuts[0] != cuts[1]:
            found.append(f"{split} split: another part of the text: {cuts[0][2]:,} tokens then, {cuts[1][2]:,} now")
    return found


def _value(config: Mapping[str, Any], path: Sequence[str], absent: Any) -> Any:
    value: Any = config
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return absent
        value = value[key]
    return value


def _is_complete(config: Mapping[str, Any], run: RunDirectory, newest: Path) -> bool:
    """Finished, and no limit has been changed since, but to one that it is beyond."""
    if not run.summary.exists() or summary.read(run.summary).status not in ("completed", "stopped"):
        return False
    saved = checkpoint_file.load(newest)
    steps = config["trainer"].get("max_steps") or -1
    if 0 < steps < saved["global_step"]:
        return True
    limits = saved["lstm_lm"]["config"]["trainer"]
    return all(limits.get(limit) == config["trainer"].get(limit) for limit in LIMITS)
