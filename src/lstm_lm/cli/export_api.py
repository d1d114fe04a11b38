"""`lstm_lm.export`: a model into files that work without this project, in one call."""

from pathlib import Path
from typing import Any

from lstm_lm.cli.hydra.compose import section_with
from lstm_lm.exporting.export import Exported
from lstm_lm.exporting.export import export as export_loaded
from lstm_lm.exporting.formats import format_of
from lstm_lm.models.loading import load


def export(
    run: str | Path | None = None,
    format: str = "safetensors",
    *,
    out: str | Path,
    ckpt_path: str | Path | None = None,
    runs_dir: str | Path = "outputs",
    **options: Any,
) -> Exported:
    """Write the model of a run to `out`; it is there once it has computed what the model does.

    Args:
        run: a run directory or its name; None: the newest below `runs_dir`.
        format: safetensors, onnx, ...: the files of conf/export/format.
        out: the folder, which is not there yet, or empty; of html the file, which is not there yet.
        ckpt_path: a checkpoint file, or `best` or `last` of the run.
        runs_dir: the folder below which runs are looked for.
        options: keys of conf/export/format/FORMAT.yaml; those left out are as there.

    Raises:
        UserError: no such run, checkpoint or format; the format cannot express this model; `out` is taken; ...
        RunError: what was written computes something else than the model; the disk is full.
    """
    chosen = format_of(section_with("format", format, options, "export"))
    return export_loaded(load(run, ckpt_path=ckpt_path, runs_dir=runs_dir), chosen, Path(out))
