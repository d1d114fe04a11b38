"""Finding a run and its checkpoint again: the newest usable one, or the one that the user names."""

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from lstm_lm.errors import UserError
from lstm_lm.printable import printable_text
from lstm_lm.runs import checkpoint_file, rotation
from lstm_lm.runs.directory import RunDirectory

BEST = "best"
LAST = "last"

Warn = Callable[[str], None]
"""Takes one line for the user."""

_TRIES = 5
_SECONDS_BETWEEN_TRIES = 0.05
_MOST_NAMED = 2
_MOST_SUGGESTED = 3


def to_standard_error(line: str) -> None:
    """Print `line` where it does not mix with generated text."""
    print(printable_text(line), file=sys.stderr)


def all_runs(runs_dir: Path) -> list[RunDirectory]:
    """All run directories below `runs_dir`, at any depth, with or without checkpoints, newest first.

    A run is as new as its newest checkpoint; one without is as new as its summary, or else its directory.
    """
    dated: list[tuple[int, str, RunDirectory]] = []
    for folder, folders, files in os.walk(runs_dir):
        run = RunDirectory(Path(folder))
        if run.checkpoints.name in folders or run.summary.name in files:
            dated.append((_modified(run), folder, run))
        folders[:] = [name for name in folders if name not in (run.checkpoints.name, run.tensorboard.name, ".hydra")]
    return [run for _, _, run in sorted(dated, key=lambda entry: entry[:2], reverse=True)]


def resolve(
    run: str | None, ckpt_path: str | None, runs_dir: Path, warn: Warn = to_standard_error
) -> tuple[Path, RunDirectory | None]:
    """The checkpoint that a user means, and its run directory (None for a file that lies outside of any).

    Args:
        run: a run directory; or its name, or the last parts of its path, where that is unique below `runs_dir`;
            None: the newest one that has what is asked for, and is no row of a study.
        ckpt_path: "best" or "last" of the run directory, or a checkpoint file; None: best, or last where best is
            missing or damaged.
        runs_dir: the folder below which all runs lie.
        warn: is called with each checkpoint and run that was passed over.

    Raises:
        UserError: there is no such run or no usable checkpoint. (A checkpoint *file* is looked at when it is loaded.)
    """
    if ckpt_path not in (None, BEST, LAST):
        return _file(ckpt_path, None if run is None else named_run(run, runs_dir), runs_dir)
    names = (BEST, LAST) if ckpt_path is None else (ckpt_path,)
    if run is None:
        return _newest(runs_dir, names, warn)
    directory = named_run(run, runs_dir)
    checkpoint, problems = _usable(directory, names, warn)
    if checkpoint is not None:
        return checkpoint, directory
    if problems:
        raise UserError("\n".join([*problems[:3], "use another run, or a good copy of the file: ckpt_path=FILE"]))
    missing = " or ".join(f"{name}.ckpt" for name in names)
    text = f"{directory.path}: no checkpoint there ({missing} in its folder {directory.checkpoints.name})"
    if below := [found for found in all_runs(directory.path) if found != directory]:
        raise UserError(f"{text}\nname one of the {len(below)} runs below it: run=DIR")
    raise UserError(f"{text}\nname another run with run=DIR, or train: python train.py")


class Usable(NamedTuple):
    """A checkpoint that a run can resume from."""

    path: Path
    content: dict[str, Any]
    """What the file holds, tensors on the CPU."""
    digest: str
    """SHA-256 of that content, in hexadecimal."""
    problems: tuple[str, ...]
    """What is wrong with each newer one, which was passed over; a line each."""


def newest_usable(run: RunDirectory) -> Usable | None:
    """The newest of last.ckpt and those before it that is whole, else best.ckpt. Opens each file once.

    None where there is no checkpoint at all.

    Raises:
        UserError: there are checkpoints, but all are damaged: what is wrong with each. Or one is refused (see
            `checkpoint_file.load_with_digest`), or cannot be read, which may be the disk's fault, and pass.
    """
    problems: list[str] = []
    for path in [*rotation.existing(run.last), *([run.best] if run.best.exists() else [])]:
        try:
            content, digest = checkpoint_file.load_with_digest(path)
        except checkpoint_file.DamagedCheckpoint as error:
            problems.append(str(error).splitlines()[0])
        else:
            return Usable(path, content, digest, tuple(problems))
    if not problems:
        return None
    hint = "bring a good copy of one of these files, or begin again in another folder: hydra.run.dir=DIR"
    raise UserError("\n".join([*problems[:3], hint]))


def _newest(runs_dir: Path, names: tuple[str, ...], warn: Warn) -> tuple[Path, RunDirectory]:
    found = all_runs(runs_dir)
    runs = [run for run in found if not run.is_of_a_study]
    for run in runs:
        checkpoint, problems = _usable(run, names, warn)
        if checkpoint is not None:
            return checkpoint, run
        missing = " or ".join(f"{name}.ckpt" for name in names)
        warn(f"{'; '.join(problems) or f'{run.path}: no {missing}'}; this run is passed over")
    remedy = "train first: python train.py\nor name a checkpoint: run=DIR or ckpt_path=FILE"
    if found and not runs:
        named = f"or name one of these: run={found[0].path}"
        raise UserError(
            f"{runs_dir}: no runs there yet but the {len(found)} of studies\ntrain: python train.py\n{named}"
        )
    if not runs:
        raise UserError(f"{runs_dir}: no runs there yet\n{remedy}")
    raise UserError(f"{runs_dir}: none of the {len(runs)} runs there has a usable checkpoint\n{remedy}")


def _usable(run: RunDirectory, names: tuple[str, ...], warn: Warn) -> tuple[Path | None, list[str]]:
    """The first usable checkpoint among `names`, and what is wrong with those before it (missing ones: nothing)."""
    problems: list[str] = []
    paths = [path for name in names for path in (rotation.existing(run.last) if name == LAST else [run.best])]
    for path in paths:
        problem = _problem(path)
        if problem is None:
            for passed_over in problems:
                warn(f"{passed_over}; using {path.name} instead")
            return path, problems
        if problem:
            problems.append(problem)
    return None, problems


def _problem(path: Path) -> str | None:
    """None: `path` is a whole checkpoint; "": there is no such file; else the line that says what is wrong."""
    for _ in range(_TRIES):
        there = os.path.exists(path)
        try:
            checkpoint_file.verify(path)
        except checkpoint_file.MissingCheckpoint:
            if not there:
                break
            time.sleep(_SECONDS_BETWEEN_TRIES)  # its run is still training, and just now puts a newer one there
        except UserError as error:
            return str(error).splitlines()[0]
        else:
            return None
    return ""


def _modified(run: RunDirectory) -> int:
    """When `run` last changed, in nanoseconds."""
    for paths in ((run.best, run.last), (run.summary,), (run.path,)):
        times: list[int] = []
        for path in paths:
            with contextlib.suppress(OSError):  # not there, or no longer
                times.append(path.stat().st_mtime_ns)
        if times:
            return max(times)
    return 0


def named_run(name: str, runs_dir: Path, key: str = "run") -> RunDirectory:
    """The run directory that `name` is, or the only run below `runs_dir` whose path ends with it.

    Args:
        name: a path, a name, or the last parts of a path.
        runs_dir: the folder below which all runs lie.
        key: of the configuration, to begin messages with.

    Raises:
        UserError: there is none, or there are several.
    """
    # os.path's questions, unlike Path's, answer False for a text that cannot be a path at all (too long, say).
    path = Path(os.path.expanduser(name))
    if os.path.isdir(path):
        return RunDirectory(path)
    if os.path.isfile(path):
        hint = f"\nfor a checkpoint file use ckpt_path={name}" if key == "run" else ""
        raise UserError(f"{key}={name}: a file, not a run directory{hint}")
    wanted = path.parts
    runs = all_runs(runs_dir)
    matches = [known for known in runs if known.path.parts[-len(wanted) :] == wanted]
    if not matches:
        raise UserError(
            f"{key}={name}: no such directory, and no run of that name below {runs_dir}\n{_newest_named(runs)}"
        )
    if len(matches) > 1:
        shown = [str(known.path) for known in matches[:_MOST_NAMED]]
        raise UserError("\n".join([f"{key}={name}: {len(matches)} runs have that name; give the whole path", *shown]))
    return matches[0]


def _newest_named(runs: list[RunDirectory]) -> str:
    """The line that says which runs there are: the newest, as `run=` takes them."""
    if not runs:
        return "there are no runs yet; train first: python train.py"
    names = ", ".join(str(run.path) for run in runs[:_MOST_SUGGESTED])
    more = f" and {len(runs) - _MOST_SUGGESTED:,} older" if len(runs) > _MOST_SUGGESTED else ""
    return f"run=DIR names a run; the newest: {names}{more}"


def _file(ckpt_path: str, run: RunDirectory | None, runs_dir: Path) -> tuple[Path, RunDirectory | None]:
    path = Path(os.path.expanduser(ckpt_path))
    if os.path.isdir(path):
        raise UserError(f"ckpt_path={ckpt_path}: a directory\nfor a run directory use run={ckpt_path}")
    if not os.path.exists(path):
        raise UserError(
            f"ckpt_path={ckpt_path}: no such file, nor one of: best, last\n{_newest_named(all_runs(runs_dir))}"
        )
    folder = Path(os.path.abspath(path)).parent
    parent = RunDirectory(folder.parent)
    owner = parent if parent.checkpoints == folder else None
    if run is not None and (owner is None or not owner.path.samefile(run.path)):
        raise UserError(
            f"run={run.path}: ckpt_path={ckpt_path} is not one of its checkpoints\ngive only one of the two"
        )
    return path, owner
