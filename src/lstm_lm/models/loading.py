"""From a checkpoint back to a model that works: what generation and evaluation begin with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lstm_lm.errors import UserError
from lstm_lm.forward.hardware import ACCELERATORS, TYPES, check_precision, find_device
from lstm_lm.forward.interface import Workload
from lstm_lm.models.build import blank_model
from lstm_lm.models.interface import LanguageModel
from lstm_lm.models.weights import difference, model_weights
from lstm_lm.runs import checkpoint_file
from lstm_lm.runs.checkpoint_fields import misfit, require
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.lookup import Warn, resolve, to_standard_error
from lstm_lm.tokenizers import Tokenizer, tokenizer_from_json


class _Pair(NamedTuple):
    model: LanguageModel
    """In evaluation mode, on the device that was asked for."""
    tokenizer: Tokenizer


class Loaded(_Pair):
    """`model, tokenizer = load(run)`, with where they come from as attributes."""

    config: dict[str, Any]
    """The whole configuration that the run was trained with."""
    text: Any
    """The manifest of the text that it was trained on, as plain data that nobody has checked yet."""
    training_units: Any
    """Digests of the units of that text, as `KnownUnits` checks and takes them; None: there are none, or too many."""
    checkpoint: Path
    """The checkpoint file."""
    digest: str
    """SHA-256 of its content, in hexadecimal, as the file carries it."""
    run: RunDirectory | None
    """Its run directory; None for a file that lies outside of any."""
    autocast: torch.dtype | None
    """The type of the products in mixed precision, for `torch.autocast` and the functions of `lstm_lm.generation`."""
    forward_reason: str
    """Why the forward strategy was taken that was."""


def load(
    run: str | Path | None = None,
    *,
    ckpt_path: str | Path | None = None,
    runs_dir: str | Path = "outputs",
    device: str | torch.device = "cpu",
    precision: str = "32-true",
    forward: str | Mapping[str, Any] = "auto",
    warn: Warn = to_standard_error,
) -> Loaded:
    """Rebuild model and tokenizer from a run's checkpoint alone. Torch's generators stay as they were.

    Args:
        run: a run directory, or its name below `runs_dir`; None: the newest one with a usable checkpoint.
        ckpt_path: a checkpoint file, or `best` or `last` of the run; None: best, or last where there is none.
        runs_dir: the folder below which all runs lie.
        device: cpu, gpu, mps, auto (a GPU where there is one), or torch's name of one (`cuda:1`).
        precision: one of `lstm_lm.forward.hardware.PRECISIONS`; it need not be that of the training.
        forward: the forward strategy, or auto; or a whole `forward` section.
        warn: called with a line for each run and checkpoint that was passed over.

    Raises:
        UserError: no such run, device, precision or strategy; the checkpoint is missing or damaged, or its parts do
            not fit each other.
    """
    where = _device(device)
    weights_dtype, autocast = _types(precision, where)
    path, directory = resolve(
        None if run is None else str(run), None if ckpt_path is None else str(ckpt_path), Path(runs_dir), warn
    )
    checkpoint, digest = checkpoint_file.load_with_digest(path)
    require(checkpoint, path, "state_dict", "lstm_lm.config.model", "lstm_lm.tokenizer")
    section, weights = checkpoint[checkpoint_file.SECTION], model_weights(checkpoint)
    config = section["config"]
    description = config["model"]
    try:
        tokenizer = tokenizer_from_json(section["tokenizer"])
        with torch.device("meta"):  # shapes only: a wrong description cannot ask for more memory than the weights have
            outline = blank_model(description, tokenizer.vocabulary_size)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    problem = difference(outline.state_dict(), weights)
    if problem is not None:
        raise misfit(path, f"for its model and tokenizer, {problem}")
    model = blank_model(description, tokenizer.vocabulary_size)
    model.to(weights_dtype).load_state_dict(weights)
    model.to(where).eval()
    sampling = Workload(batch_size=1, steps=1, dtype=autocast or weights_dtype, training=False)
    choice = model.use_forward(forward, where, sampling)

    loaded = Loaded(model, tokenizer)
    loaded.config = config
    loaded.text = section.get("data")
    loaded.training_units = section.get("training_units")
    loaded.checkpoint = path
    loaded.digest = digest
    loaded.run = directory
    loaded.autocast = autocast
    loaded.forward_reason = choice.reason
    return loaded


def _device(name: str | torch.device) -> torch.device:
    """`cuda:1` as well as `gpu`."""
    kind, _, index = str(name).partition(":")
    if index and not index.isdecimal():
        raise UserError(f"device={name}: no such device\nchoose one of: {', '.join(ACCELERATORS)}, or cuda:NUMBER")
    return find_device(kind, int(index or 0))


def _types(precision: str, device: torch.device) -> tuple[torch.dtype, torch.dtype | None]:
    """The type of the weights, and that of the products where it is another (autocast)."""
    check_precision(precision, device)
    if precision == "auto":  # a token at a time waits for memory, not for arithmetic
        precision = "32-true"
    weights, products = TYPES[precision]
    return weights, None if products == weights else products
