"""A model into files that work without this project, which are there once they have computed what the model does.

They are written into a folder beside `out`, tried, and renamed; what differs leaves nothing, and what a killed export
left is removed by the next one to the same `out`.
"""

import contextlib
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from lstm_lm.errors import RunError, UserError
from lstm_lm.evaluation.language_model import require_language_model
from lstm_lm.exporting.comparison import Comparison, compare
from lstm_lm.exporting.formats.interface import Format, refuse_missing
from lstm_lm.models.loading import Loaded
from lstm_lm.renaming import rename
from lstm_lm.runs import atomic
from lstm_lm.runs.outputs import check_folder_of, claim_output

ELSEWHERE = "another folder: out=DIR"


class Exported(NamedTuple):
    """What was written."""

    folder: Path
    """Where the files lie."""
    files: dict[str, int]
    """Their names, sorted, and bytes."""
    comparison: Comparison
    told: tuple[str, ...]
    """What the format has to say."""


def claim(out: Path, chosen: Format) -> None:
    """Refuse, before any work, a folder that holds something, or that cannot be made; a file that is there.

    Raises:
        UserError: it does, or cannot; it is.
    """
    if chosen.ending is not None:
        if os.path.lexists(out) and not os.path.isdir(out):
            raise UserError(f"out={out}: is there already\nname another file: out=NAME{chosen.ending}")
        claim_output(out, "out", chosen.ending, overwrite=False)
        return
    if os.path.lexists(out) and not os.path.isdir(out):
        raise UserError(f"out={out}: is there already, and is no folder\nname another folder: out=DIR")
    if os.path.islink(out):
        raise UserError(f"out={out}: a link, and is not replaced\nname another folder: out=DIR")
    if os.path.isdir(out) and os.listdir(out):
        raise UserError(f"out={out}: is there already, and not empty\nempty it, or name another folder: out=DIR")
    if Path(os.path.abspath(out)) == Path.cwd():  # which cannot be taken away, for the finished one to have its name
        raise UserError(f"out={out}: the folder that this runs in\nname another folder: out=DIR")
    check_folder_of(out, f"out={out}")


def export(loaded: Loaded, chosen: Format, out: Path) -> Exported:
    """Write the model of `loaded` to `out`, in a format.

    Args:
        loaded: what `lstm_lm.load` gave, in float32, on the CPU.
        chosen: the format.
        out: the folder, which is not there yet, or empty; of a format that is one file, that file, not there yet.

    Raises:
        UserError: the format cannot express this model, or its packages are not there; `out` is taken.
        RunError: what was written computes something else than the model; the disk is full.
    """
    refuse_missing(chosen)
    claim(out, chosen)
    require_language_model(loaded, "export")
    chosen.refuse(loaded)
    try:
        with atomic.beside(out.absolute()) as temporary:
            model = chosen.rounded(loaded)
            told = tuple(chosen.write(loaded, model, temporary))
            comparison = compare(loaded.model, model, lambda tokens: chosen.computed(temporary, tokens))
            if (name := comparison.wrong) is not None:
                raise RunError(
                    f"{name}: computes something else than the model: "
                    f"a logit differs by {comparison.between[name]:.3g}\n"
                    "nothing was written; please report this, with the run's model section"
                )
            files = {path.name: path.stat().st_size for path in sorted(temporary.iterdir())}
            if chosen.ending is not None:
                (name,) = files
                _place(temporary / name, out, chosen)
                return Exported(out.parent, {out.name: files[name]}, comparison, told)
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(out)  # empty, or it would not be removed; Windows renames to no name that is there
            rename(temporary, out)
    except OSError as error:
        raise atomic.write_error(out, error, ELSEWHERE) from error
    return Exported(out, files, comparison, told)


def _place(file: Path, out: Path, chosen: Format) -> None:
    """Give a finished file its name, which nothing may have taken meanwhile."""
    try:
        with file.open("rb") as source, atomic.replacing(out, ELSEWHERE, new=True) as target:
            shutil.copyfileobj(source, target)
    except RunError as error:
        if isinstance(error.__cause__, FileExistsError):
            claim(out, chosen)
        raise
