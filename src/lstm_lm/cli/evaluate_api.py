"""`lstm_lm.evaluate`: a run's scores, in one call."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lstm_lm.cli.hydra.compose import section_with
from lstm_lm.evaluation.evaluate import evaluate_loaded
from lstm_lm.models.loading import Loaded, load
from lstm_lm.reports.evaluation_picture import draw_evaluation
from lstm_lm.runs import evaluation_file


def evaluate(
    run: str | Path | Loaded | None = None,
    method: str = "static",
    *,
    data: Mapping[str, Any] | None = None,
    ckpt_path: str | Path | None = None,
    runs_dir: str | Path = "outputs",
    device: str | torch.device = "auto",
    precision: str = "auto",
    forward: str | Mapping[str, Any] = "auto",
    save: bool = True,
    **options: Any,
) -> dict[str, Any]:
    """Evaluate the model of a run; gives the section that `method` has in its evaluation.json.

    Threads and other settings of the process stay as they are.

    Args:
        run: a run directory or its name; None: the newest below `runs_dir`; or what `lstm_lm.load` gave, and then
            `ckpt_path`, `runs_dir` and `device` are not looked at, and `precision` is only noted.
        method: static, dynamic, context or sampling.
        data: a whole `data` section, or the keys of the run's own that are to be different; None: the run's own text.
            Another text (`{"path": ...}`) is scored whole, as the split `test`, unless a key says how to cut it.
        ckpt_path: a checkpoint file, or `best` or `last` of the run.
        runs_dir: the folder below which runs are looked for.
        device: auto (a GPU where there is one), cpu, gpu, mps, or torch's name of one.
        precision: as `lstm_lm.load` takes it; auto: 32-true.
        forward: the forward strategy, or auto; or a whole `forward` section.
        save: whether the section and its picture are written into the run's directory.
        options: keys of conf/method/METHOD.yaml; those left out are as there.

    Raises:
        UserError: a value is out of its range; no such run, checkpoint or text; unknown characters in the text; ...
        RunError: the results cannot be written.
    """
    section = section_with("method", method, options, "evaluate")
    if not isinstance(run, Loaded):
        run = load(run, ckpt_path=ckpt_path, runs_dir=runs_dir, device=device, precision=precision, forward=forward)
    found = evaluate_loaded(run, section, data, forward=forward, precision=precision)
    if save and run.run is not None:
        evaluation_file.put(run.run.evaluation, method, found)
        draw_evaluation(found, run.run.evaluation_plot(method))
    return found
