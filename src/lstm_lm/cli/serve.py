"""`serve`: a trained model that answers over HTTP; where it listens, on standard error."""

import importlib.util
import socket
from collections.abc import Sequence

from omegaconf import DictConfig

from lstm_lm.cli.hydra.app import run_app
from lstm_lm.cli.hydra.plain_config import plain_config
from lstm_lm.cli.model_choice import ModelChoice, note_checkpoint
from lstm_lm.cli.text_output import note
from lstm_lm.errors import UserError
from lstm_lm.evaluation.language_model import require_language_model
from lstm_lm.heavy_imports import heavy_imports
from lstm_lm.serving.options import ServeOptions

NO_SWEEP = "serve answers with one model, and has no sweeps (-m)\nrun it once for each model, with a port each"
PACKAGES = ("starlette", "uvicorn")


def run(argv: Sequence[str], program: Sequence[str]) -> int:
    """`serve`, as `main.Verb` has it."""
    return run_app("serve", _serve, argv, program, no_multirun=NO_SWEEP)


def _serve(config: DictConfig) -> None:
    plain = plain_config(config)
    keys = set(ServeOptions.model_fields)
    options = ServeOptions.parse({key: value for key, value in plain.items() if key in keys}, "")
    command = ModelChoice.parse({key: value for key, value in plain.items() if key not in keys}, "")
    if missing := [package for package in PACKAGES if importlib.util.find_spec(package) is None]:
        raise UserError(
            f'not installed here: {", ".join(missing)}\ninstall what serve needs: pip install -e ".[serve]"'
        )

    with heavy_imports():
        from lstm_lm.serving.guard import is_own
        from lstm_lm.serving.server import listening, serve

    at = listening(options.host, options.port)
    try:
        loaded = command.load()
        require_language_model(loaded, "serve")
        note_checkpoint(loaded)
        if not is_own(options.host):
            note("everybody who can reach this machine can use it: it asks for no password")
        serve(loaded, options, at, lambda: note(f"{_address(options.host, at)}   (Ctrl-C ends)"))
    finally:
        at.close()


def _address(host: str, at: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{at.getsockname()[1]}"
