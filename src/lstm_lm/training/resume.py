"""Whether a run starts, continues, or is complete; and whether continuing would silently change what is trained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from lstm_lm import hardware
from lstm_lm.errors import UserError
from lstm_lm.runs import checkpoint_file, checkpoint_form, rotation, summary
from lstm_lm.runs.code_version import code_differences, code_version
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training import cluster, identity

COMPLETE = "complete, nothing left to do"
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
    said: str = ""
    """Of a complete run: that it is, why, and in what it differs from what is asked for now; for people."""
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
    if newest is None or (newest == run.best and not passed_over and _has_nothing_to_go_on_from(run)):
        return Start(None, step=None if run.is_empty() else 0)
    start = replace(_continue(config, newest), passed_over=tuple(passed_over))
    if passed_over:  # steps that are lost are taken again
        return start
    checkpoint = checkpoint_file.load(newest)
    why = _nothing_left(config, run, checkpoint)
    if why is None:
        return start
    other = identity.other_texts(checkpoint["lstm_lm"], config)
    if asked != "force":
        _refuse_text(other, newest)
    other += [*identity.result_differs(checkpoint["lstm_lm"], config), *identity.beyond(checkpoint, config)]
    if other:
        why += f"\nit is not what is asked for now: {shown(other)}\nfor that, choose another hydra.run.dir"
    return replace(start, complete=True, said=why)


def another_run(config: Mapping[str, Any], run_dir: Path) -> list[str]:
    """Why the run in `run_dir` is not the one that `config` describes, finished or not; none: it is that one.

    A directory that holds no checkpoint holds no other run: what is there begins anew.

    Raises:
        UserError: all checkpoints are damaged; or the text of `config` cannot be read.
    """
    newest, _ = rotation.newest_whole(RunDirectory(run_dir))
    if newest is None:
        return []
    checkpoint = checkpoint_file.load(newest)
    checkpoint_form.check_whole(checkpoint, newest)
    saved = checkpoint["lstm_lm"]
    then, now = saved["config"].get("init_from"), config["init_from"]
    origin = [] if then == now else [f"init_from: {then} then, {now} now"]
    limits = [*identity.beyond(checkpoint, config), *identity.limits_differ(saved, config)]
    found = [*origin, *identity.result_differs(saved, config), *dict.fromkeys(limits)]
    return found or identity.other_texts(saved, config)


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


def _has_nothing_to_go_on_from(run: RunDirectory) -> bool:
    """Whether a run was interrupted before its first last.ckpt, with a best.ckpt that lacks half summed gradients.

    A finished run whose last.ckpt somebody has removed is none: nothing begins anew over it.
    """
    said = summary.read_if_whole(run.summary)
    finished = said is not None and said.status in ("completed", "stopped")
    return not finished and bool(checkpoint_file.load(run.best)["lstm_lm"].get("within_a_step"))


def _continue(config: Mapping[str, Any], path: Path) -> Start:
    checkpoint = checkpoint_file.load(path)
    checkpoint_form.check_whole(checkpoint, path)
    saved = checkpoint["lstm_lm"]
    if saved["within_a_step"]:
        raise UserError(
            f"{path}: was written between the windows of one optimizer step, and lacks their gradients\n"
            "continue from another one (ckpt_path=last), or use init_from= to start from its weights alone"
        )
    changed = identity.what_differs(saved, config)
    other_tokens = [line for line in changed if line.startswith("tokenizer.")]
    if other_tokens and config["resume"] == "force":
        raise UserError(
            f"{path}: was trained with another tokenizer: {other_tokens[0]}\n"
            "its weights belong to its tokens, whatever resume= says: bring back that tokenizer, or start a new run"
        )
    if changed and config["resume"] != "force":
        raise UserError(
            f"{path}: was trained with other settings\n"
            + shown(changed, "\n")
            + "\nuse resume=force to continue all the same, or init_from= to start a new run from its weights"
        )
    code = code_differences(saved["code"], code_version())
    how = identity.how_differs(saved, config)
    return Start(path, step=int(checkpoint["global_step"]), changed=(*changed, *how, *code))


def shown(differences: Sequence[str], separator: str = "; ") -> str:
    """The first few, and how many more there are."""
    first = separator.join(differences[:MOST_DIFFERENCES_SHOWN])
    more = len(differences) - MOST_DIFFERENCES_SHOWN
    return f"{first}; and {more} more" if more > 0 else first


def refuse_other_text(
    then: Mapping[str, Any], now: Mapping[str, Any], checkpoint: Path, config: Mapping[str, Any]
) -> None:
    """Compare the manifests of the text that was trained on and of the one that is there.

    Raises:
        UserError: they differ, and `config` does not say resume=force.
    """
    if config["resume"] == "force":
        return
    _refuse_text(identity.text_differences(then, now), checkpoint)


def _refuse_text(found: Sequence[str], checkpoint: Path) -> None:
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


def _nothing_left(config: Mapping[str, Any], run: RunDirectory, checkpoint: Mapping[str, Any]) -> str | None:
    """Why the run has ended, where nothing has been changed since that lets it go on; None: it goes on.

    A summary that is damaged says nothing: the run goes on from its checkpoint, and writes a new one.
    """
    said = summary.read_if_whole(run.summary)
    if said is None or said.status not in ("completed", "stopped"):
        return None
    then, now, step = checkpoint["lstm_lm"]["config"], config["trainer"], checkpoint["global_step"]
    same = all(then["trainer"].get(limit) == now.get(limit) for limit in identity.LIMITS if limit != "max_time")
    if 0 < (now.get("max_steps") or -1) <= step or (same and said.status == "completed"):
        return COMPLETE
    if identity.time_is_up(checkpoint, config):
        return f"stopped by trainer.max_time={now['max_time']} at step {step:,}; to go on, set a larger one"
    if identity.beyond(checkpoint, config):
        return COMPLETE
    giving_up = config["callbacks"]["early_stopping"]
    gave_up = giving_up["patience"] is not None and not identity.time_is_up(checkpoint, then)
    if same and said.status == "stopped" and gave_up and giving_up == then["callbacks"]["early_stopping"]:
        return (
            f"stopped at step {step:,}, for val/loss got no better; "
            "to go on, set a larger callbacks.early_stopping.patience"
        )
    return None
