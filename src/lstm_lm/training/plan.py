"""What will run: everything is read and resolved once, and whatever can be refused is refused here. Writes nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from lstm_lm import hardware
from lstm_lm.errors import UserError
from lstm_lm.hardware import Hardware
from lstm_lm.runs import checkpoint_file, checkpoint_form, rotation, summary
from lstm_lm.runs.code_version import code_differences, code_version
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.writer import Resumed
from lstm_lm.training import identity
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.validation import Validation

COMPLETE = "complete, nothing left to do"
MOST_DIFFERENCES_SHOWN = 2


@dataclass(frozen=True)
class Checkpoint:
    """One that a run resumes from, as it was read."""

    path: Path
    content: dict[str, Any]

    @property
    def section(self) -> dict[str, Any]:
        """This project's own part."""
        section: dict[str, Any] = self.content[checkpoint_file.SECTION]
        return section

    @property
    def step(self) -> int:
        """Optimizer steps behind it."""
        return int(self.content["global_step"])


@dataclass(frozen=True)
class Plan:
    """What rank 0 has found out, and what other processes are given."""

    config: TrainConfig
    run: RunDirectory
    hardware: Hardware
    checkpoint: Checkpoint | None = None
    """What is resumed; None: the run starts from the first step."""
    is_empty: bool = True
    """Whether nothing is there of an earlier run."""
    complete: str | None = None
    """Why nothing is left to do, and in what the finished run differs from what is asked for now; for people."""
    passed_over: tuple[str, ...] = ()
    """Newer checkpoints that are damaged: what is wrong with each."""
    changed: tuple[str, ...] = ()
    """What is done in another way than before, as `forward.name: fused then, pipelined now`."""
    best: Validation | None = None
    """Of best.ckpt, where a run is resumed."""
    warnings: tuple[str, ...] = field(default=())

    @classmethod
    def read(cls, config: TrainConfig, run: RunDirectory) -> Self:
        """What `resume=` and `ckpt_path=` mean for `run`, as it is now.

        Raises:
            UserError: the directory holds a run that nothing was said about; a checkpoint is missing or damaged, or
                what it trained differs from `config` (unless `resume=force`); a device or precision is not there.
        """
        plain = config.plain
        asked, named = plain["resume"], plain["ckpt_path"]
        if named is None and asked == "never" and not run.is_empty():
            raise UserError(
                f"{run.path}: holds a run already, and resume=never\n"
                "continue it with resume=auto, or choose another hydra.run.dir"
            )
        found = None if named is None and asked == "never" else _find(run, named)
        checkpoint, passed_over = (None, ()) if found is None else found
        complete = None
        changed: tuple[str, ...] = ()
        if checkpoint is not None:
            changed = _check_resumable(config, checkpoint)
            if named is None and not passed_over:  # steps that are lost are taken again
                complete = _why_complete(config, run, checkpoint)
        machine = hardware.resolve(config.trainer)
        plan = cls(config, run, machine, checkpoint, run.is_empty(), complete, passed_over, changed)
        if checkpoint is None or complete is not None or not run.best.exists():
            return plan
        return plan._with_best(checkpoint)

    def with_config(self, config: TrainConfig) -> Self:
        """The same with another configuration: what tuning has chosen, say."""
        return replace(self, config=config, hardware=hardware.resolve(config.trainer))

    @property
    def resumed(self) -> Resumed | None:
        """What the run's writer has to know of it."""
        if self.checkpoint is None:
            return None if self.is_empty else Resumed(0)
        row = self.checkpoint.section.get("row", {})
        return Resumed(self.checkpoint.step, self.checkpoint.path, row, newer_are_damaged=bool(self.passed_over))

    def _with_best(self, checkpoint: Checkpoint) -> Self:
        """A run that is resumed must not replace its best by a worse one."""
        try:
            best = checkpoint.content if checkpoint.path == self.run.best else checkpoint_file.load(self.run.best)
            checkpoint_form.check_whole(best, self.run.best)
        except UserError as error:
            warning = f"{str(error).splitlines()[0]}; the next validation writes a new one"
            return replace(self, warnings=(*self.warnings, warning))
        return replace(self, best=Validation.from_plain(best[checkpoint_file.SECTION]["validation"]))


def _find(run: RunDirectory, named: str | None) -> tuple[Checkpoint, tuple[str, ...]] | None:
    """The checkpoint to resume, and what is wrong with newer ones; None: the run starts from scratch."""
    if named in (None, "last"):
        path, content, problems = rotation.newest_usable(run)
        if path is None or content is None:
            if named is None:
                return None
            checkpoint_file.load(run.last)  # says that it is missing
            raise AssertionError(run.last)
        if named is None and path == run.best and not problems and _lacks_gradients(run, content):
            return None
        return Checkpoint(path, content), tuple(problems)
    path = run.best if named == "best" else Path(str(named))
    if not _belongs_to(run, path) and not run.is_empty():
        raise UserError(
            f"{run.path}: holds a run already, and ckpt_path={named} is not of it\n"
            "continue the run with ckpt_path=last, or choose another hydra.run.dir for what begins at that file"
        )
    return Checkpoint(path, checkpoint_file.load(path)), ()


def _belongs_to(run: RunDirectory, file: Path) -> bool:
    folders = run.path.resolve(), run.checkpoints.resolve()  # which may be a link to a larger disk
    return any(file.parent.resolve().is_relative_to(folder) for folder in folders)


def _lacks_gradients(run: RunDirectory, best: Mapping[str, Any]) -> bool:
    """Whether a run was interrupted before its first last.ckpt, with a best.ckpt that lacks half summed gradients.

    A finished run whose last.ckpt somebody has removed is none: nothing starts from scratch over it.
    """
    ended = summary.read_if_whole(run.summary)
    finished = ended is not None and ended.status in ("completed", "stopped")
    return not finished and bool(best[checkpoint_file.SECTION].get("within_a_step"))


def _check_resumable(config: TrainConfig, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Refuse what would silently change what is trained; gives what is done in another way than before."""
    path, plain = checkpoint.path, config.plain
    checkpoint_form.check_whole(checkpoint.content, path)
    saved = checkpoint.section
    if saved["within_a_step"]:
        raise UserError(
            f"{path}: was written between the windows of one optimizer step, and lacks their gradients\n"
            "continue from another one (ckpt_path=last), or use init_from= to start from its weights alone"
        )
    changed = identity.what_differs(saved, plain)
    other_tokens = [line for line in changed if line.startswith("tokenizer.")]
    if other_tokens and plain["resume"] == "force":
        raise UserError(
            f"{path}: was trained with another tokenizer: {other_tokens[0]}\n"
            "its weights belong to its tokens, whatever resume= says: bring back that tokenizer, or start a new run"
        )
    if changed and plain["resume"] != "force":
        raise UserError(
            f"{path}: was trained with other settings\n"
            + shown(changed, "\n")
            + "\nuse resume=force to continue all the same, or init_from= to start a new run from its weights"
        )
    return (*changed, *identity.how_differs(saved, plain), *code_differences(saved["code"], code_version()))


def _why_complete(config: TrainConfig, run: RunDirectory, checkpoint: Checkpoint) -> str | None:
    why = _nothing_left(config.plain, run, checkpoint)
    if why is None:
        return None
    saved, plain = checkpoint.section, config.plain
    other = identity.other_texts(saved, plain)
    if plain["resume"] != "force":
        refuse_other_text(other, checkpoint.path)
    other += [*identity.result_differs(saved, plain), *identity.beyond(checkpoint.content, plain)]
    if other:
        why += f"\nit is not what is asked for now: {shown(other)}\nfor that, choose another hydra.run.dir"
    return why


def _nothing_left(config: Mapping[str, Any], run: RunDirectory, checkpoint: Checkpoint) -> str | None:
    """Why the run has ended, where nothing has been changed since that lets it continue; None: it continues.

    A summary that is damaged says nothing: the run continues from its checkpoint, and writes a new one.
    """
    ended = summary.read_if_whole(run.summary)
    if ended is None or ended.status not in ("completed", "stopped"):
        return None
    then, now, step = checkpoint.section["config"], config["trainer"], checkpoint.step
    same = all(then["trainer"].get(limit) == now.get(limit) for limit in identity.LIMITS if limit != "max_time")
    if 0 < (now.get("max_steps") or -1) <= step or (same and ended.status == "completed"):
        return COMPLETE
    if identity.time_is_up(checkpoint.content, config):
        return f"stopped by trainer.max_time={now['max_time']} at step {step:,}; to continue, set a larger one"
    if identity.beyond(checkpoint.content, config):
        return COMPLETE
    stopping = config["callbacks"]["early_stopping"]
    stopped_early = stopping["patience"] is not None and not identity.time_is_up(checkpoint.content, then)
    if same and ended.status == "stopped" and stopped_early and stopping == then["callbacks"]["early_stopping"]:
        return (
            f"stopped at step {step:,}, for val/loss got no better; "
            "to continue, set a larger callbacks.early_stopping.patience"
        )
    return None


def refuse_other_text(differences: Sequence[str], checkpoint: Path) -> None:
    """Refuse to resume a run on another text than it was trained on.

    Raises:
        UserError: there are `differences`.
    """
    if differences:
        raise UserError(
            f"{checkpoint}: was trained on another text\n{differences[0]}\n"
            "bring back that text, use resume=force to continue on this one, or init_from= to start a new run"
        )


def shown(differences: Sequence[str], separator: str = "; ") -> str:
    """The first few, and how many more there are."""
    first = separator.join(differences[:MOST_DIFFERENCES_SHOWN])
    more = len(differences) - MOST_DIFFERENCES_SHOWN
    return f"{first}; and {more} more" if more > 0 else first
