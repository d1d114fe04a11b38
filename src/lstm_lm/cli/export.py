"""`export`: a model into files that work without this project; what they hold and how exact, on standard error."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from lstm_lm.cli.hydra.app import run_app
from lstm_lm.cli.hydra.conf import files_of
from lstm_lm.cli.hydra.plain_config import plain_config
from lstm_lm.cli.hydra.resolvers import key_of
from lstm_lm.cli.model_choice import RunChoice, note_checkpoint
from lstm_lm.cli.text_output import note, note_path
from lstm_lm.heavy_imports import heavy_imports

if TYPE_CHECKING:
    from lstm_lm.exporting.export import Exported
    from lstm_lm.models.loading import Loaded

NO_SWEEP = "export writes one folder, and has no sweeps (-m)\nrun it once for each format"


class CommandOptions(RunChoice):
    """The keys and groups of `conf/export.yaml`."""

    format: dict[str, Any]
    out: str | None


def run(argv: Sequence[str], program: Sequence[str]) -> int:
    """`export`, as `main.Verb` has it."""
    own = _keys_of_formats()
    typed = [f"format.{word}" if "=" in word and key_of(word) in own else word for word in argv]
    return run_app("export", _export, typed, program, no_multirun=NO_SWEEP)


def _keys_of_formats() -> set[str]:
    """What may be typed without `format.` before it: `quantize=int8`."""
    return {str(key) for file in files_of("format") for key in OmegaConf.load(file)} - {"name"}


def _export(config: DictConfig) -> None:
    with heavy_imports():
        from lstm_lm.exporting.export import claim, export
        from lstm_lm.exporting.formats import format_of
        from lstm_lm.exporting.formats.interface import refuse_missing

    options = CommandOptions.parse(plain_config(config), "")
    chosen = format_of(options.format)
    refuse_missing(chosen)
    if options.out is not None:
        claim(Path(options.out).expanduser(), chosen)
    loaded = options.load()
    note_checkpoint(loaded)
    own = f"{_name(loaded)}{chosen.ending or f'-{chosen.name}'}"
    out = Path(own if options.out is None else options.out).expanduser()
    done = export(loaded, chosen, out)
    for name, size in done.files.items():
        note_path(done.folder / name, f"{size:,} bytes")
    for line in _told(done):
        note(line)


def _name(loaded: "Loaded") -> str:
    """What a folder can be called after."""
    path = loaded.checkpoint.with_suffix("") if loaded.run is None else loaded.run.path
    return re.sub(r"[^\w.-]", "_", path.absolute().name) or "model"


def _told(done: "Exported") -> Iterator[str]:
    """What is said at the end."""
    comparison = done.comparison
    yield from done.told
    difference = f"no logit differs by more than {comparison.difference:.2g}"
    yield f"tried on {comparison.tokens} tokens against the run's model: {difference}"
    if comparison.cost is not None:
        yield f"the rounded weights add {comparison.cost:.2g} nats a token to the loss (on text that the model wrote)"
