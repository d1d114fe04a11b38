"""`lstm-lm VERB ...`, `python -m lstm_lm VERB ...`, and the scripts `train.py` and `generate.py`."""

import importlib
import sys
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from lstm_lm import __version__
from lstm_lm.cli.shell import run_in_shell
from lstm_lm.errors import UserError
from lstm_lm.heavy_imports import heavy_imports
from lstm_lm.lifeline import tie_if_asked
from lstm_lm.printable import shown


class Verb(NamedTuple):
    """A command: a module with `run(argv, program) -> exit status`, imported only when it is asked for.

    `argv` are its overrides and flags, `program` what was typed before them: `["python", "-m", "lstm_lm", "embed"]`,
    say. It raises a UserError where something is not as it must be, and a RunError where a file cannot be written.
    """

    module: str
    summary: str
    answers: bool = False
    """Whether what it is run for goes to standard output."""


VERBS = {
    "train": Verb("lstm_lm.cli.train", "train a language model, or a sweep of them"),
    "generate": Verb("lstm_lm.cli.generate", "write text with a trained model", answers=True),
    "evaluate": Verb(
        "lstm_lm.cli.evaluate", "score a trained model: static, dynamic, or over the length of context", answers=True
    ),
    "score": Verb("lstm_lm.cli.score", "say how likely a text is: each line, token, or all of it", answers=True),
    "runs": Verb("lstm_lm.cli.runs", "list runs, compare them, draw their curves", answers=True),
    "embed": Verb("lstm_lm.cli.embed", "write a vector for each line of a text with a trained model"),
    "export": Verb("lstm_lm.cli.export", "take a trained model elsewhere: a page that writes, safetensors, ONNX"),
    "serve": Verb("lstm_lm.cli.serve", "answer over HTTP with a trained model, in the form of the OpenAI API"),
}


def main(argv: Sequence[str] | None = None, program: Sequence[str] = ("lstm-lm",)) -> int:
    """Do what the command line says; gives the exit status.

    Args:
        argv: the verb and its arguments; None: those of this process.
        program: how this was called, as it should be called again.
    """
    tie_if_asked()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in VERBS:
        return run_verb(arguments[0], arguments[1:], [*program, arguments[0]])
    return run_in_shell(lambda: _without_verb(arguments, program))


def _without_verb(arguments: Sequence[str], program: Sequence[str]) -> int:
    if not arguments:
        print(usage(program), file=sys.stderr)
        return UserError.exit_status
    verb = arguments[0]
    if verb in ("-h", "--help", "help"):
        print(usage(program))
        return 0
    if verb in ("-V", "--version"):
        print(f"lstm-lm {__version__}")
        return 0
    raise UserError(f"{shown(verb)}: no such command\nchoose one of: {', '.join(VERBS)}")


def run_verb(verb: str, argv: Sequence[str], program: Sequence[str]) -> int:
    """Run one command; gives the exit status. `program` is what stands before `argv` when it is typed."""
    return run_in_shell(lambda: _run(verb, argv, program), answers=VERBS[verb].answers)


def _run(verb: str, argv: Sequence[str], program: Sequence[str]) -> int:
    if not {"-h", "--help"}.isdisjoint(argv):
        from lstm_lm.cli.help import help_of

        print(help_of(verb, program))
        return 0
    with heavy_imports():
        module = importlib.import_module(VERBS[verb].module)
    return int(module.run(list(argv), list(program)))


def run_script(verb: str) -> NoReturn:
    """What `train.py` and `generate.py` do: run the verb with this process's arguments, and exit."""
    sys.exit(run_verb(verb, sys.argv[1:], ["python", f"{verb}.py"]))


def usage(program: Sequence[str]) -> str:
    """What there is to type, one line a verb."""
    width = max(map(len, VERBS))
    name = " ".join(program)
    verbs = [f"  {verb:{width}}  {entry.summary}" for verb, entry in VERBS.items()]
    return "\n".join([f"usage: {name} VERB [GROUP=OPTION ...] [KEY=VALUE ...]", *verbs, f"more: {name} VERB --help"])
