"""What `lstm_lm.train` shows in a notebook's cell, and what interrupting the kernel does: in a real kernel."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from notebook_cells import Outputs, execute, shown

Config = Callable[..., dict[str, Any]]

PREPARE = """
import copy, os, signal, sys
sys.modules["ipywidgets"] = None  # as if it were not installed
import lightning.pytorch as pl
import lstm_lm
config = {config!r}
long = copy.deepcopy(config)
long["trainer"].update(max_epochs=-1, max_steps=100000)

class Interrupt(pl.Callback):
    "What the button does, `times` times in the third step."
    def __init__(self, times):
        self.times, self.after = times, None
    def on_train_batch_end(self, trainer, *rest):
        if trainer.global_step == 3 and self.times:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)
            self.times = 0
"""
CELLS = {
    "prepare": PREPARE,
    "train": 'summary = lstm_lm.train(config, "run")',
    "summary": "summary",
    "silent": 'lstm_lm.train(config, "silent", console=None).status',
    "again": 'lstm_lm.train(config, "run")',
    "interrupt": 'lstm_lm.train(long, "interrupted", callbacks=[Interrupt(1)])',
    "resume": 'lstm_lm.train(dict(config, resume="force"), "interrupted", console=None).status',
    "interrupt twice": 'lstm_lm.train(long, "twice", callbacks=[Interrupt(2)])',
    "afterwards": "signal.getsignal(signal.SIGINT) is signal.default_int_handler",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def cells(folder: Path, small_text: str, small_overrides: tuple[str, ...]) -> dict[str, Outputs]:
    """By its name in CELLS, what each left behind."""
    import lstm_lm

    (folder / "small.txt").write_text(small_text, encoding="utf-8")
    config = lstm_lm.compose(
        *small_overrides,
        "data.path=small.txt",
        "trainer.max_steps=25",
        "trainer.val_check_interval=1",
        "callbacks.progress.refresh_seconds=0.001",
    )
    sources = [source.replace("{config!r}", repr(config)) for source in CELLS.values()]
    return dict(zip(CELLS, execute(sources, folder), strict=True))


def test_progress_is_one_output_however_many_validations_there_are(cells: dict[str, Outputs]) -> None:
    plan, progress, results = cells["train"]
    assert "parameters" in shown([plan])
    rows = [line.split() for line in shown([progress]).splitlines() if line.strip()[:1].isdigit()]
    assert [row[0] for row in rows[-20:]] == [str(step) for step in range(6, 26)]
    assert "25/25" not in shown([progress])
    assert "sample at step" not in shown([progress])
    assert "lstm_lm.generate" in shown([results])


def test_what_is_shown_sets_no_color_of_the_page(cells: dict[str, Outputs]) -> None:
    """Notebooks are light or dark: text has the page's colour, or one in the middle."""
    for output in cells["train"]:
        page = "".join(output["data"]["text/html"])
        assert "<pre" in page
        assert "background" not in page
        assert {color for color in ("#000000", "#ffffff") if color in page} == set()


def test_a_summary_is_a_small_table_without_paths(cells: dict[str, Outputs], folder: Path) -> None:
    (output,) = cells["summary"]
    assert "<table>" in "".join(output["data"]["text/html"])
    assert "25 steps" in shown([output])
    assert "ipykernel" not in json.dumps(output)
    assert str(folder) not in json.dumps(output)


def test_without_a_console_a_cell_shows_nothing(cells: dict[str, Outputs]) -> None:
    assert shown(cells["silent"]) == "'completed'"


def test_an_error_that_a_user_can_mend_has_no_traceback(cells: dict[str, Outputs]) -> None:
    (error,) = cells["again"]
    assert error["ename"] == "UserError"
    assert "resume=auto" in "\n".join(error["traceback"])
    assert "Traceback" not in "\n".join(error["traceback"])


@pytest.mark.posix
def test_an_interrupted_kernel_saves_the_run_and_goes_on(cells: dict[str, Outputs]) -> None:
    *before, error = cells["interrupt"]
    assert (error["ename"], len(error["traceback"])) == ("Interrupted", 1)
    assert "step 3" in shown(before)
    assert "resume=auto" in shown(before)
    assert shown(cells["resume"]) == "'completed'"


@pytest.mark.posix
def test_a_second_interrupt_ends_the_cell_and_not_the_kernel(cells: dict[str, Outputs], folder: Path) -> None:
    assert cells["interrupt twice"][-1]["ename"] == "Interrupted"
    assert json.loads((folder / "twice" / "summary.json").read_text(encoding="utf-8"))["status"] == "interrupted"
    assert shown(cells["afterwards"]) == "True"
