"""Whether a run starts, continues, or is complete; and whether continuing would silently change what is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lstm_lm import hardware
from lstm_lm.data.corpora.interface import YOUNGER_KEYS
from lstm_lm.errors import UserError
from lstm_lm.runs import checkpoint_file, summary
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training import distributed
from lstm_lm.training.tuning.choice import chosen_config, of_before

WHAT = ("model", "tokenizer", "data", "objective", "optimizer", "scheduler", "averaging")
"""Sections that say what is computed: the same function of the same text, or it is another run."""
WHAT_OF_TRAINER = ("accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm", "overfit_batches")
"""Keys of `trainer` that do; the others are limits, logging, and how it is computed."""
NOT_WHAT = frozenset({"data.cache_dir"})
WHAT_IT_WAS = {
    "objective.name": "language_modelling",
    "objective.label_smoothing": 0.0,
    "objective.activation_regularisation": 0.0,
    "objective.temporal_activation_regularisation": 0.0,
    "averaging.name": "none",
    **{f"data.{key}": value for key, value in YOUNGER_KEYS.items()},
}
"""Keys that are younger than some checkpoints, with what those did."""
LIMITS = ("max_epochs", "max_steps", "max_time", "min_epochs", "min_steps")
MOST_DIFFERENCES_SHOWN = 2


@dataclass(frozen=True)
class Start:
    """How a run begins."""

    checkpoint: Path | None
    """Continue from this file; None: from the first step."""
    complete: bool = False
    """There is nothing left to do."""


def plan(config: Mapping[str, Any], run_dir: Path) -> Start:
    """What `resume=` and `ckpt_path=` mean for `run_dir`, as it is now; reads, writes nothing.

    Raises:
        UserError: the directory holds a run that nothing was said about, a checkpoint is missing or damaged, or what
            it trained differs from `config` (unless `resume=force`).
    """
    run = RunDirectory(run_dir)
    asked, named = config["resume"], config["ckpt_path"]
    if named is not None:
        path = {"last": run.last, "best": run.best}.get(named, Path(named))
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
    if not run.last.exists():
        return Start(None)
    start = _continue(config, run.last)
    return Start(start.checkpoint, complete=_is_complete(config, run))


def refuse_early(config: Mapping[str, Any], run_dir: Path) -> None:
    """Refuse what `plan` would refuse, and devices and precisions that are not there, before anything is written.

    Raises:
        UserError: as `plan`, `hardware.resolve` and `distributed.lead`.
    """
    if not plan(config, run_dir).complete:
        hardware.resolve(config["trainer"])
        distributed.lead(config["trainer"])


def _belongs_to(run: RunDirectory, file: Path) -> bool:
    folders = run.path.resolve(), run.checkpoints.resolve()  # which may be a link to a larger disk
    return any(file.parent.resolve().is_relative_to(folder) for folder in folders)


def _continue(config: Mapping[str, Any], path: Path) -> Start:
    saved = checkpoint_file.load(path)["lstm_lm"]
    tuning = of_before(saved, config)
    if tuning is not None:  # what was chosen then is chosen again
        config = chosen_config(config, tuning["chosen"])
    changed = differences(saved["config"], config)
    if changed and config["resume"] != "force":
        shown = changed[:MOST_DIFFERENCES_SHOWN]
        if len(changed) > len(shown):
            shown = [*shown[:-1], f"{shown[-1]}; and {len(changed) - len(shown)} more"]
        raise UserError(
            f"{path}: was trained with other settings\n"
            + "\n".join(shown)
            + "\nuse resume=force to continue all the same, or init_from= to start a new run from its weights"
        )
    return Start(path)


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
    return found


def _value(config: Mapping[str, Any], path: Sequence[str], absent: Any) -> Any:
    value: Any = config
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return absent
        value = value[key]
    return value


def _is_complete(config: Mapping[str, Any], run: RunDirectory) -> bool:
    """Finished, and no limit has been changed since, but to one that it is beyond."""
    if not run.summary.exists() or summary.read(run.summary).status not in ("completed", "stopped"):
        return False
    saved = checkpoint_file.load(run.last)
    steps = config["trainer"].get("max_steps") or -1
    if 0 < steps < saved["global_step"]:
        return True
    limits = saved["lstm_lm"]["config"]["trainer"]
    return all(limits.get(limit) == config["trainer"].get(limit) for limit in LIMITS)
