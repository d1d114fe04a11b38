"""One evaluation from beginning to end: a loaded model, its text, a method, and what is kept of the result."""

import logging
import shlex
import sys
import time
from collections.abc import Mapping
from typing import Any

import torch

from lstm_lm.data.corpora.interface import Split
from lstm_lm.data.token_stream import TokenStreamOption, choose
from lstm_lm.errors import UserError
from lstm_lm.evaluation.language_model import require_language_model
from lstm_lm.evaluation.methods import method_of
from lstm_lm.evaluation.methods.interface import Report, Subject, Windows
from lstm_lm.evaluation.text import EvaluationText, data_section, read_text
from lstm_lm.evaluation.token_sizes import TokenSizes
from lstm_lm.evaluation.trained_on import changed_since, trained_on
from lstm_lm.forward.choose import ForwardPath
from lstm_lm.forward.interface import Workload
from lstm_lm.models.loading import Loaded
from lstm_lm.options import Options
from lstm_lm.runs.summary import git_commit, versions

log = logging.getLogger(__name__)


def evaluate_loaded(
    loaded: Loaded,
    method: Mapping[str, Any],
    data: Mapping[str, Any] | None = None,
    *,
    forward: str | Mapping[str, Any] = "auto",
    precision: str = "auto",
    token_stream: TokenStreamOption = "auto",
    command: str | None = None,
    report: Report = lambda *_: None,
) -> dict[str, Any]:
    """Evaluate the model of `loaded`; gives the section that evaluation.json has of it. Writes nothing.

    Args:
        loaded: what `lstm_lm.load` gave.
        method: a whole `method` section.
        data: a whole `data` section, or the keys of the run's own that are to be different; None: the run's own.
        forward: the forward strategy, or auto; or a whole `forward` section.
        precision: as it was loaded in.
        token_stream: where the text lies.
        command: what was typed.
        report: called with how far the work is.

    Raises:
        UserError: an option, the text or the model is not as it must be.
    """
    began = time.perf_counter()
    model = loaded.model
    require_language_model(loaded, "evaluate")
    chosen = method_of(method)
    text = read_text(data_section(data, loaded.config.get("data")), loaded.tokenizer)
    parameter = next(model.parameters())
    device, splits = parameter.device, text.corpus.manifest.splits

    def use_forward(workload: Workload) -> ForwardPath:
        return model.use_forward(forward, device, workload)

    if text.lines and chosen.no_units is not None:
        raise UserError(
            f"method={method['name']}: {chosen.no_units}\nfor this run of data.unit={text.options.unit} use "
            "method=static"
        )
    known = trained_on(_scored(chosen.options, text), text.corpus.manifest, loaded.text)
    changed = changed_since(data, text.corpus.manifest, loaded.text)
    for line in (*known.values(), *([] if changed is None else [changed])):
        log.warning("%s", line)
    tokens = sum(split.tokens for split in splits.values())
    placement = choose(token_stream, device, tokens, loaded.tokenizer.vocabulary_size)
    subject = Subject(
        model=model,
        tokens={name: placement.place(text.corpus.tokens(name)) for name in splits},
        replaced={name: split.replaced for name, split in splits.items()},
        sizes=TokenSizes(loaded.tokenizer),
        tokenizer=loaded.tokenizer,
        windows=Windows(text.options.eval_batch_size, text.options.seq_len, text.options.eval_context),
        device=device,
        dtype=parameter.dtype,
        autocast=loaded.autocast,
        use_forward=use_forward,
        report=report,
        lines=text.lines,
        separator=text.options.unit_end(),
        dealt=text.corpus.manifest.units is not None,
    )
    try:
        outcome = chosen.evaluate(subject)
    finally:
        model.close()
    return {
        "method": str(method["name"]),
        "command": shlex.join(sys.argv) if command is None else command,
        "git_commit": git_commit(),
        "versions": versions(),
        "device": str(device),
        "precision": "32-true" if precision == "auto" else precision,
        "forward": outcome.choice.name,
        "forward_reason": outcome.choice.reason,
        "threads": torch.get_num_threads(),
        "checkpoint": {"file": loaded.checkpoint.name, "sha256": loaded.digest},
        "data": {**text.identity(), "trained_on": known},
        "options": chosen.options.model_dump(mode="json"),
        **outcome.figures,
        "seconds": time.perf_counter() - began,
    }


def _scored(options: Options, text: EvaluationText) -> list[Split]:
    """The splits that a method with these options looks at; all, where it does not say."""
    there = list(text.corpus.manifest.splits)
    asked = getattr(options, "splits", None) or [getattr(options, "split", None)]
    return [split for split in there if split in asked] or there
