"""`train -m study=NAME`: from the command line to the rows of a study, and to its report."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from rich.console import Console

from lstm_lm.cli.hydra.compose import compose
from lstm_lm.cli.hydra.errors import check_overrides, explain
from lstm_lm.cli.hydra.free_text import FREE_TEXT, quote_overrides
from lstm_lm.cli.hydra.resolvers import key_of
from lstm_lm.cli.shell import FAILED
from lstm_lm.cli.sweep_plan import as_typed
from lstm_lm.errors import UserError
from lstm_lm.heavy_imports import heavy_imports
from lstm_lm.runs.directory import make_writable
from lstm_lm.runs.lock import only_one

if TYPE_CHECKING:
    from lstm_lm.sweeps.rows import Plan

_GROUP = "study"
_DIR = "hydra.sweep.dir"
_SIZES = ("small", "full")


def is_asked_for(args: Namespace, program: Sequence[str]) -> bool:
    """Whether the command line runs a study.

    Raises:
        UserError: it names one, but without -m.
    """
    names = [line.partition("=")[2] for line in args.overrides if key_of(line) == _GROUP]
    shows = args.help or args.hydra_help or args.cfg or args.info or args.shell_completion
    if not names or names[-1].lower() in ("", "null") or shows:
        return False
    if not args.multirun:
        command = " ".join([*program, "-m", f"{_GROUP}={names[-1]}"])
        raise UserError(f"{_GROUP}={names[-1]}: a study is a sweep: it needs -m\ntype: {command}")
    return True


def run(args: Namespace, console: Console) -> int:
    """Run the study that `args` name, or what is missing of it, and write its report; gives the exit status.

    Raises:
        UserError: something is not as it must be; nothing was run.
        Interrupted: a signal came; the report covers what was done.
    """
    about, typed, folder = _sort(args.overrides)
    section = compose(*about)[_GROUP]

    with heavy_imports():  # seconds: not before it is clear what is asked
        from lstm_lm.cli.study_lines import StudyLines
        from lstm_lm.sweeps.machine import machine
        from lstm_lm.sweeps.options import StudyOptions
        from lstm_lm.sweeps.page import claim_folder, find_report, write_report
        from lstm_lm.sweeps.results import NOT_DONE, Results
        from lstm_lm.sweeps.rows import make_plan
        from lstm_lm.sweeps.stopping import StopRequest
        from lstm_lm.sweeps.study import Study

    options = StudyOptions.read(section)
    report = find_report(options.name)
    plan = make_plan(options, typed, lambda lines, config_name="train": compose(*lines, config_name=config_name))
    _check(plan)
    directory = Path(folder or options.dir)
    make_writable(directory, _DIR)
    claim_folder(directory, options.name)
    study = Study(
        folder=directory,
        rows=plan.rows,
        repetitions=options.repetitions,
        order_seed=options.order_seed,
        timeout=60 * options.timeout_minutes,
        machine=machine(),
    )
    with only_one(directory, _DIR), StopRequest() as stop:
        lines = StudyLines(console, study, report.columns[0])
        lines.title(options.name, options.size)
        try:
            study.run(stop, lines)
        finally:
            lines.close()
            results = Results.gather(study, plan)
            page = write_report(options.name, options.size, results)
        lines.conclude(results, page)
        stop.check()
    return FAILED if any(outcome.status in ("failed", NOT_DONE) for outcome in results.outcomes) else 0


def _sort(overrides: Sequence[str]) -> tuple[list[str], Mapping[str, list[str]], str | None]:
    """What is said about the study itself; by key, what is said about its rows; and its folder, if one is named."""
    _check_form(overrides)
    about: list[str] = []
    typed: dict[str, list[str]] = {}
    folder: str | None = None
    for line in overrides:
        key = key_of(line)
        if key == _GROUP or key.startswith(f"{_GROUP}."):
            if key == _GROUP and "," in line:
                raise UserError(f"{line}: one study at a time\ntype a command for each")
            if key == f"{_GROUP}.size" and (size := line.partition("=")[2]) not in _SIZES:
                raise UserError(f"{key}={size}: no such size\nchoose one of: {', '.join(_SIZES)}")
            about.append(line)
        elif key == _DIR:
            folder = _folder(line)
        elif key == "hydra" or key.startswith("hydra."):
            raise UserError(f"{key}: a study takes no other key of Hydra than {_DIR}=DIR, the folder of all of it")
        else:
            typed[key] = _values(line)
    return about, typed, folder


def _check_form(overrides: Sequence[str]) -> None:
    """Refuse what is no override at all, as `train` without a study does.

    Raises:
        UserError: names the first that is not.
    """
    quoted = quote_overrides(overrides, FREE_TEXT["train"], multirun=True)
    check_overrides("train", quoted)
    try:
        OverridesParser.create().parse_overrides(list(quoted))
    except Exception as error:
        if (explained := explain(error, "train", quoted)) is None:
            raise
        raise explained from None


def _folder(line: str) -> str:
    [quoted] = quote_overrides([line], FREE_TEXT["train"], multirun=False)
    value = OverridesParser.create().parse_override(quoted).value()
    return str(OmegaConf.to_container(OmegaConf.create({"dir": value}), resolve=True)["dir"])  # type: ignore[index,call-overload]


def _values(line: str) -> list[str]:
    """An override as it was typed; or several, where it gives several values."""
    [quoted] = quote_overrides([line], FREE_TEXT["train"], multirun=True)
    parsed = OverridesParser.create().parse_override(quoted)
    if not parsed.is_sweep_override():
        return [line]
    key = parsed.get_key_element()
    return [as_typed(f"{key}={value}") for value in parsed.sweep_string_iterator()]


def _check(plan: "Plan") -> None:
    """Refuse what no row can be run with; what only some are refused for, their own runs report.

    Raises:
        UserError: the first row's complaint.
    """
    from lstm_lm.training.config import TrainConfig

    complaints: list[UserError] = []
    for row in plan.rows:
        try:
            TrainConfig.parse(row.config)
        except UserError as error:
            complaints.append(error)
    if complaints and len(complaints) == len(plan.rows):
        raise complaints[0]
