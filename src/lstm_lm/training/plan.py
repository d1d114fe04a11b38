"""What will run: everything is read and resolved once, and whatever can be refused is refused here. Writes nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from lstm_lm.errors import UserError
from lstm_lm.forward import hardware
from lstm_lm.forward.hardware import Hardware
from lstm_lm.runs import checkpoint_fields, checkpoint_file, summary
from lstm_lm.runs.code_version import code_differences, code_version
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.lookup import newest_usable
from lstm_lm.runs.metrics_file import STEP
from lstm_lm.runs.writer import Resumed
from lstm_lm.training import identity
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.state import Validation

COMPLETE = "complete, nothing left to do"
MOST_DIFFERENCES_SHOWN = 2


class Complete(NamedTuple):
    """Nothing is left to do."""

    reason: str
    """Why, and in what the finished run differs from what is asked for now; for people."""


class Checkpoint(NamedTuple):
    """One that a run resumes from, as it was read."""

    path: Path
    content: dict[str, Any]
    """Empty once training has taken it, so that its memory is free."""
    passed_over: tuple[str, ...] = ()
    """Newer ones that are damaged: what is wrong with each."""

    @property
    def section(self) -> dict[str, Any]:
        """This project's own part."""
        section: dict[str, Any] = self.content[checkpoint_file.SECTION]
        return section

    def take(self) -> dict[str, Any]:
        """The content, once."""
        content = dict(self.content)
        self.content.clear()
        return content

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
    checkpoint: Checkpoint | None
    """What is resumed; None: the run starts from the first step."""
    changed: tuple[str, ...]
    """What is done in another way than before, as `forward.name: fused then, pipelined now`."""
    resumed: Resumed | None
    """What the run's writer has to know of it."""
    best: Validation | None
    """Of best.ckpt, where a run is resumed."""
    warnings: tuple[str, ...]
    """For people, and for the summary."""

    @classmethod
    def read(
        cls, config: TrainConfig, run: RunDirectory, stoppers: Callable[[Mapping[str, Any]], bool] = lambda _: False
    ) -> Self | Complete:
        """What `resume=` and `ckpt_path=` mean for `run`, as it is now.

        `stoppers` says, of a checkpoint's callbacks, whether the caller's are those that may have stopped the run.

        Raises:
            UserError: the directory holds a run that nothing was said about; a checkpoint is missing or damaged, or
                what it trained differs from `config` (unless `resume=force`); a device or precision is not there.
        """
        named, is_new = config.top.ckpt_path, run.is_empty()
        if named is None and config.top.resume == "never" and not is_new:
            raise UserError(
                f"{run.path}: holds a run already, and resume=never\n"
                "continue it with resume=auto, or choose another hydra.run.dir"
            )
        checkpoint = _find(run, named, is_new)
        if checkpoint is None:
            new = cls.new(config, run)
            return new if is_new else replace(new, resumed=Resumed(0))
        changed = _check_resumable(config, checkpoint)
        if named is None and not checkpoint.passed_over:  # else the steps behind a damaged one are taken again
            reason = _why_complete(config, run, checkpoint, stoppers)
            if reason is not None:
                return Complete(reason)
        best, warnings = _read_best(run, checkpoint)
        warnings = (*(f"{line}; set aside" for line in checkpoint.passed_over), *warnings)
        row = checkpoint.section["row"] if _belongs_to(run, checkpoint.path) else {}
        resumed = Resumed(checkpoint.step, checkpoint.path, row, newer_are_damaged=bool(checkpoint.passed_over))
        return cls(config, run, hardware.resolve(config.trainer), checkpoint, changed, resumed, best, warnings)

    @classmethod
    def new(cls, config: TrainConfig, run: RunDirectory | None = None) -> Self:
        """That of a run that starts from the first step, in a directory that holds no other.

        Raises:
            UserError: a device or precision is not there; there is no vocabulary that could be extended.
        """
        if config.top.data["unknown"] == "extend" and config.top.init_from is None:
            resume = "" if config.top.resume == "never" else ", and resume=never"
            raise UserError(
                "data.unknown=extend: there is no vocabulary to extend: without init_from= one is made of this text\n"
                f"leave data.unknown out, or name the run that is to learn new characters: init_from=RUN{resume}"
            )
        directory = run or RunDirectory(Path())
        return cls(config, directory, hardware.resolve(config.trainer), None, (), None, None, ())

    def with_config(self, config: TrainConfig) -> Self:
        """The same with another configuration: what tuning has chosen, say."""
        return replace(self, config=config, hardware=hardware.resolve(config.trainer))


def _find(run: RunDirectory, named: str | None, is_new: bool) -> Checkpoint | None:
    """The checkpoint to resume; None: the run starts from scratch."""
    if named in (None, "last"):
        newest = newest_usable(run)
        if newest is None:
            return None if named is None else Checkpoint(run.last, checkpoint_file.load(run.last))
        if named is None and newest.path == run.best and not newest.problems and _lacks_gradients(run, newest.content):
            return None
        return Checkpoint(newest.path, newest.content, newest.problems)
    path = run.best if named == "best" else Path(str(named))
    if not is_new and not _belongs_to(run, path):
        raise UserError(
            f"{run.path}: holds a run already, and ckpt_path={named} is not of it\n"
            "continue the run with ckpt_path=last, or choose another hydra.run.dir for what begins at that file"
        )
    return Checkpoint(path, checkpoint_file.load(path))


def _read_best(run: RunDirectory, resumed: Checkpoint) -> tuple[Validation | None, tuple[str, ...]]:
    """The validation of best.ckpt: a run that is resumed must not replace its best by a worse one."""
    if not run.best.exists():
        return None, ()
    try:
        best = resumed.content if resumed.path == run.best else checkpoint_file.load(run.best)
        checkpoint_fields.check(best, run.best, whole=True)
    except UserError as error:
        return None, (f"{str(error).splitlines()[0]}; the next validation writes a new one",)
    validation = Validation.from_plain(best[checkpoint_file.SECTION]["validation"])
    if validation is not None and validation.step > resumed.step:
        line = f"{run.best}: of step {validation.step}, which is taken again from step {resumed.step}"
        return None, (f"{line}; the next validation writes a new one",)
    return validation, ()


def _belongs_to(run: RunDirectory, file: Path) -> bool:
    folders = run.path.resolve(), run.checkpoints.resolve()  # which may be a link to a larger disk
    return any(file.parent.resolve().is_relative_to(folder) for folder in folders)


def _lacks_gradients(run: RunDirectory, best: Mapping[str, Any]) -> bool:
    """Whether a run was interrupted before its first last.ckpt, with a best.ckpt that lacks half summed gradients.

    A finished run whose last.ckpt somebody has removed is none: nothing starts from scratch over it.
    """
    ended = summary.read_if_whole(run.summary)
    finished = ended is not None and ended.ended_well
    return not finished and bool(best[checkpoint_file.SECTION].get("within_a_step"))


def _check_resumable(config: TrainConfig, checkpoint: Checkpoint) -> tuple[str, ...]:
    """Refuse what would silently change what is trained; gives what is done in another way than before."""
    path, plain = checkpoint.path, config.plain
    checkpoint_fields.check(checkpoint.content, path, whole=True)
    saved, row = checkpoint.section, checkpoint.section["row"]
    if row and not (0 <= row.get(STEP, -1) <= checkpoint.step and all(name.isprintable() for name in row)):
        raise checkpoint_fields.misfit(path, "lstm_lm.row: is no row of metrics.csv up to that step")
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
    if other_budget := identity.other_budget(saved, plain):
        raise UserError(
            f"{path}: {other_budget[0]}\n"
            "length and schedule are those of the first, whatever resume= says: start a new run, or leave budget= out\n"
            "and type what it chose (summary.json: tuning.typed), with another trainer.max_steps"
        )
    if changed and plain["resume"] != "force":
        raise UserError(
            f"{path}: was trained with other settings\n"
            + shown(changed, "\n")
            + "\nfor a new run, choose another hydra.run.dir; if the model has the same size, resume=force continues "
            "all the same, and init_from= starts from its weights"
        )
    return (*changed, *identity.how_differs(saved, plain), *code_differences(saved["code"], code_version()))


def _why_complete(
    config: TrainConfig, run: RunDirectory, checkpoint: Checkpoint, stoppers: Callable[[Mapping[str, Any]], bool]
) -> str | None:
    saved, plain = checkpoint.section, config.plain
    asked = identity.as_tuned(saved, plain)
    why = _nothing_left(asked, run, checkpoint, stoppers)
    if why is None:
        return None
    other = identity.other_texts(saved, plain)
    if plain["resume"] != "force":
        refuse_other_text(other, checkpoint.path)
    other += [*identity.result_differs(saved, plain), *identity.beyond(checkpoint.content, asked)]
    if why != COMPLETE and plain["budget"] is not None and identity.time_is_up(checkpoint.content, asked):
        why += " in place of budget=, with all else that it chose (summary.json: tuning.typed)"
    if other:
        why += f"\nit is not what is asked for now: {shown(other)}\nfor that, choose another hydra.run.dir"
    return why


def _nothing_left(
    config: Mapping[str, Any],
    run: RunDirectory,
    checkpoint: Checkpoint,
    stoppers: Callable[[Mapping[str, Any]], bool],
) -> str | None:
    """Why the run has ended, where nothing has been changed since that lets it continue; None: it continues.

    A summary that is damaged says nothing: the run continues from its checkpoint, and writes a new one.
    """
    ended = summary.read_if_whole(run.summary)
    if ended is None or not ended.ended_well:
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
    stopped_early = same and ended.status == "stopped" and not identity.time_is_up(checkpoint.content, then)
    if not stopped_early or stopping != then["callbacks"]["early_stopping"]:
        return None
    if stoppers(checkpoint.content["callbacks"]):
        return f"stopped at step {step:,} by a callback; to continue, give it more patience or leave it out"
    if stopping["patience"] is None:
        return None
    return (
        f"stopped at step {step:,}, for val/loss got no better; "
        "to continue, set a larger callbacks.early_stopping.patience"
    )


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
