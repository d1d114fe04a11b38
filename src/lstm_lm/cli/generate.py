"""`generate`: text to standard output, everything else to standard error; no run directory, no files."""

import io
import re
import sys
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from lstm_lm.cli.hydra.app import run_app
from lstm_lm.cli.hydra.plain_config import plain_config
from lstm_lm.cli.model_choice import ModelChoice, note_checkpoint
from lstm_lm.cli.text_output import note, note_lost_characters, write_text
from lstm_lm.errors import UserError
from lstm_lm.heavy_imports import heavy_imports

if TYPE_CHECKING:
    from lstm_lm.generation.options import GenerateOptions

NO_SWEEP = "generate writes one text, and has no sweeps (-m)\nfor several texts use num_samples=N"
_ESCAPE = re.compile(r"\\n(?![a-z])")  # not of \nabla
WRITES_ON = "each line is continued; an empty one: write on"


class CommandOptions(ModelChoice):
    """The keys that say which model writes, and where; the others are `GenerateOptions`."""

    interactive: bool


def run(argv: Sequence[str], program: Sequence[str]) -> int:
    """`generate`, as `main.Verb` has it."""
    return run_app("generate", _generate, argv, program, no_multirun=NO_SWEEP)


def _generate(config: DictConfig) -> None:
    from lstm_lm.generation.options import GenerateOptions

    plain = plain_config(config)
    keys = set(GenerateOptions.model_fields)
    options = GenerateOptions.parse({key: value for key, value in plain.items() if key in keys}, "")
    command = CommandOptions.parse({key: value for key, value in plain.items() if key not in keys}, "")
    if command.interactive and options.num_samples > 1:
        raise UserError(f"interactive=true: writes one text, not num_samples={options.num_samples}")
    if command.interactive and options.only_new:
        raise UserError("interactive=true: says of each text whether it is new, and leaves none out; not with only_new")
    _tell_of_escapes(options)
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")  # refused where it is read as a prompt
    _write(command, options)
    note_lost_characters()


def _tell_of_escapes(options: "GenerateOptions") -> None:
    r"""Between a shell's quotes `\n` is two characters, which a model hardly ever writes."""
    stops = [options.stop] if isinstance(options.stop, str) else options.stop or []
    for key, texts in (("prompt", [options.prompt or ""]), ("stop", stops)):
        if any(map(_ESCAPE.search, texts)):
            note(rf"{key}: \n is a backslash and an n; a line's end is {key}=$'\n' (bash, zsh)")


def _write(command: CommandOptions, options: "GenerateOptions") -> None:
    with heavy_imports():
        from lstm_lm.cli.prompt_loop import prompt_loop
        from lstm_lm.cli.written_units import write_units
        from lstm_lm.generation.api import settings_of
        from lstm_lm.generation.prompt import STANDARD_INPUT, read_prompt
        from lstm_lm.generation.run_units import unit_writer
        from lstm_lm.generation.text import TextSession, sample_texts

    if command.interactive and options.prompt_file == STANDARD_INPUT:
        raise UserError("interactive=true: standard input is for the prompts; prompt_file=- cannot have it too")
    prompt = read_prompt(options.prompt, options.prompt_file)
    loaded = command.load()
    note_checkpoint(loaded)
    settings = settings_of(options, loaded.autocast)
    count = options.max_new_tokens
    writer = unit_writer(loaded, options, settings)
    if writer is not None:
        write_units(writer, prompt, options, interactive=command.interactive)
        return
    if options.num_samples > 1:
        texts = sample_texts(
            loaded.model, loaded.tokenizer, prompt, num_samples=options.num_samples, max_new_tokens=count, **settings
        )
        for number, text in enumerate(texts, start=1):
            note(f"--- sample {number} of {options.num_samples}")
            write_text([prompt, text])
        return
    session = TextSession(loaded.model, loaded.tokenizer, **settings)
    if command.interactive:
        prompt_loop(lambda typed: chain([typed], session.write(typed, max_new_tokens=count)), prompt, WRITES_ON)
        return
    pieces = session.write(prompt, max_new_tokens=count)  # has read the prompt, or refused it
    write_text(chain([prompt], pieces))
