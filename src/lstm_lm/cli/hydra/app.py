"""Hydra under one roof: flags, free text, resolvers and errors are this project's, composition and sweeps Hydra's."""

import contextlib
import io
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import hydra.version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import _run_hydra, get_args_parser
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from lstm_lm import __version__, plugins
from lstm_lm.cli.help import help_of
from lstm_lm.cli.hydra import resolvers
from lstm_lm.cli.hydra.conf import conf_dir, keys_of, search_further, top_level_names
from lstm_lm.cli.hydra.errors import check_overrides, explain
from lstm_lm.cli.hydra.free_text import FREE_TEXT, quote_overrides
from lstm_lm.cli.hydra.guard import only_allowed_targets
from lstm_lm.cli.hydra.meant import flag_meant
from lstm_lm.errors import Interrupted, UserError
from lstm_lm.printable import shown

Task = Callable[[DictConfig], object]

MOST_NAMED = 3

_FULL_ERROR = "HYDRA_FULL_ERROR"


class Refused(BaseException):
    """Carries `error` out of a Hydra callback. Not an `Exception`: of those, Hydra makes a warning and continues."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


def run_app(
    config_name: str,
    task: Task,
    argv: Sequence[str],
    program: Sequence[str],
    *,
    no_multirun: str | None = None,
) -> int:
    """Do what `argv` says: run `task` with the configuration, or, with -m, with each of several; or show something.

    Gives the exit status of what went well, 0: all else is raised.

    Args:
        config_name: the configuration to compose, a file of `conf/`.
        task: is given the composed configuration, without Hydra's own section.
        argv: the command line without the program's name.
        program: what was typed before `argv`.
        no_multirun: what to say to -m; None: it works.

    Raises:
        UserError: wrong flags, a configuration that cannot be composed, or whatever a hook or `task` refused.
        Exception: what `task` raised, as it was.
    """
    if "--version" in argv:
        print(f"lstm-lm {__version__}")
        return 0
    parser = flags_parser()
    args = parse_flags(parser, argv, config_name)
    if args.help:
        print(help_of(config_name, program))
        return 0
    if args.config_name in set(top_level_names()) - {config_name}:
        raise UserError(
            f"--config-name={args.config_name}: is another command's; this one's is {config_name}\n"
            f"to run that command: python -m lstm_lm {args.config_name}"
        )
    if args.multirun and no_multirun is not None:
        raise UserError(no_multirun)
    overrides = quote_overrides(args.overrides, FREE_TEXT[config_name], multirun=args.multirun)
    if not args.shell_completion:  # else they are commands to the completion, and stay as they were typed
        args.overrides = list(overrides)  # Hydra appends its own
        check_overrides(config_name, overrides)

    failure: list[BaseException] = []

    def guarded(config: DictConfig) -> None:
        # Hydra would print the overrides, and its own frames would be in the traceback.
        try:
            if args.config_name not in (None, config_name):
                _check_complete(config, config_name, str(args.config_name))
            task(config)
        except OmegaConfBaseException as error:  # a value that cannot be resolved, found when it is read
            failure.append(explain(error, config_name, overrides) or error)
        except Exception as error:
            failure.append(error)
        except (Interrupted, KeyboardInterrupt) as stop:  # of a sweep it ends all; of one run, hooks tidy up after it
            if args.multirun:
                raise
            failure.append(stop)

    for problem in plugins.found().problems:
        print(f"warning: {problem}", file=sys.stderr)
    search_further(config_name)
    fresh = resolvers.FreshDirectories()
    resolvers.register(fresh)
    hydra.version.setbase("1.3")
    # The other commands make no directory: what asks for one there comes from another's run, which they read.
    claimed = fresh.claiming() if config_name == "train" and not _shows(args) else contextlib.nullcontext()
    # Its completion adds its flags once more.
    with _raising_hydra(), _unread_help(), _composing_once(), only_allowed_targets(), claimed:
        try:
            _run_hydra(
                args=args,
                args_parser=parser,
                task_function=guarded,
                config_path=str(conf_dir()),
                config_name=config_name,
            )
        except SystemExit as stop:
            if stop.code:  # Hydra has said why
                raise SystemExit(UserError.exit_status) from None
            return 0
        except Refused as refused:
            raise explain(refused.error, config_name, overrides) or refused.error from None
        except Exception as error:
            if (explained := explain(error, config_name, overrides)) is not None:
                raise explained from error
            raise
        if failure:
            raise failure[0]
    return 0


def _check_complete(config: DictConfig, config_name: str, named: str) -> None:
    """Refuse a user's own configuration, from --config-dir, that lacks what this command reads."""
    missing = [key for key in keys_of(config_name) if key not in config]
    if missing:
        raise UserError(
            f"--config-name={shown(named)}: lacks what this command reads: {', '.join(missing[:MOST_NAMED])}\n"
            f"let its defaults begin with {config_name}, which has all of it"
        )


def only_shows(argv: Sequence[str], config_name: str) -> bool:
    """Whether `argv` asks to be shown something, the configuration say, and not to run.

    Raises:
        UserError: as `parse_flags`.
    """
    return "--version" in argv or _shows(parse_flags(flags_parser(), argv, config_name))


def _shows(args: Namespace) -> bool:
    return bool(args.help or args.hydra_help or args.cfg or args.info or args.shell_completion)


def config_flags(argv: Sequence[str], config_name: str) -> list[str]:
    """The flags of `argv` that say where configurations lie, for another command line."""
    args = parse_flags(flags_parser(), argv, config_name)
    given = {"--config-path": args.config_path, "--config-name": args.config_name, "--config-dir": args.config_dir}
    return [word for flag, value in given.items() if value is not None for word in (flag, str(value))]


def flags_parser() -> ArgumentParser:
    """Hydra's, on every Python."""
    with _unread_help():
        return get_args_parser()


@contextmanager
def _unread_help() -> Iterator[None]:
    """Let Hydra add its flags.

    One of its help texts is an object that loads plugins when it is printed. Python 3.14 wants to see each help text as
    its flag is added, and refuses that one (Hydra 1.3.8; 1.4's release candidates do as is done here).
    """
    check = getattr(ArgumentParser, "_check_help", None)
    if check is None:
        yield
        return
    setattr(ArgumentParser, "_check_help", lambda *_: None)  # noqa: B010
    try:
        yield
    finally:
        setattr(ArgumentParser, "_check_help", check)  # noqa: B010


def parse_flags(parser: ArgumentParser, argv: Sequence[str], config_name: str) -> Namespace:
    """Hydra's flags and the overrides, in any order.

    Raises:
        UserError: a flag that there is not, or that is not supported; says which key of `config_name` may be meant.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            args = parser.parse_intermixed_args(list(argv))
    except SystemExit:
        problem = said.getvalue().rpartition("error: ")[2].strip()
        refused = f"{problem}\nsee the flags with --hydra-help; options and keys with --help"
        raise UserError(flag_meant(argv, config_name) or refused) from None
    if args.experimental_rerun is not None:
        raise UserError("--experimental-rerun: not supported: it would run code from the file that it reads")
    return args


@contextmanager
def _composing_once() -> Iterator[None]:
    """Let -m alone make a sweep; Hydra would compose all of the configuration first, for a `hydra.mode` in it."""
    look = Hydra.get_mode
    setattr(Hydra, "get_mode", lambda *_, **__: None)  # noqa: B010
    try:
        yield
    finally:
        setattr(Hydra, "get_mode", look)  # noqa: B010


@contextmanager
def _raising_hydra() -> Iterator[None]:
    """Let Hydra raise what goes wrong; by itself it prints long lists and exits with status 1."""
    before = os.environ.get(_FULL_ERROR)
    os.environ[_FULL_ERROR] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_FULL_ERROR]
        else:
            os.environ[_FULL_ERROR] = before
