"""The notebook in `examples/` runs, and what is committed is what its cells make.

To make it anew, on a quiet machine and without `examples/outputs/`:
`jupyter execute --inplace examples/first_steps.ipynb`.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from notebook_cells import ROOT, Outputs, execute, kinds, shown

NOTEBOOK = ROOT / "examples" / "first_steps.ipynb"
EPOCHS = "trainer.max_epochs=4"
MOST_BYTES = 100_000
OF_A_MACHINE = re.compile(r"/(home|tmp|Users|root|usr|opt|work|mnt|var|private)/|[A-Z]:\\\\|ipykernel_")


def parts(kind: str) -> list[dict[str, Any]]:
    """Cells of the committed notebook: `code` or `markdown`."""
    return [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


@pytest.fixture(
    scope="module", params=[pytest.param("trainer.max_epochs=1"), pytest.param(EPOCHS, marks=pytest.mark.matrix)]
)
def executed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Outputs]:
    """What each code cell leaves behind here."""
    sources = [source(cell) for cell in parts("code")]
    assert EPOCHS in "".join(sources)
    cells = [cell.replace(EPOCHS, request.param) for cell in sources]
    return execute(cells, tmp_path_factory.mktemp("notebook"))


def test_each_cell_leaves_what_the_committed_one_shows(executed: list[Outputs]) -> None:
    assert [kinds(outputs) for outputs in executed] == [kinds(cell["outputs"]) for cell in parts("code")]
    assert "error" not in {kind for outputs in executed for kind, _ in kinds(outputs)}


def test_it_trains_samples_scores_and_compares(executed: list[Outputs]) -> None:
    by_source = dict(zip(map(source, parts("code")), map(shown, executed), strict=True))

    def outcome(call: str) -> list[str]:
        return next(text for cell, text in by_source.items() if call in cell).splitlines()

    assert "completed after" in "\n".join(outcome('lstm_lm.train(config, "outputs/lstm")'))
    names = outcome("lstm_lm.generate(")
    assert len(names) == len(set(names)) == 8
    assert all(name.startswith("get_") for name in names)
    bits = [float(line.split()[0]) for line in outcome("lstm_lm.score(")]
    assert bits == sorted(bits, reverse=True)
    assert "xqzj" in outcome("lstm_lm.score(")[0]
    assert [line.split()[0] for line in outcome("summary.val.bits_per_character")] == ["lstm", "gru"]


def test_the_committed_one_is_whole_small_and_of_no_machine() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text.encode("utf-8")) < MOST_BYTES
    assert len(parts("code")) <= 10
    assert [cell["execution_count"] for cell in parts("code")] == list(range(1, len(parts("code")) + 1))
    outputs = json.dumps([cell["outputs"] for cell in parts("code")])
    assert OF_A_MACHINE.findall(re.sub(r'"image/png": "[^"]*"', "", outputs)) == []


def test_its_links_lead_into_the_project() -> None:
    links = re.findall(r"\]\(([^)]+)\)", "".join(map(source, parts("markdown"))))
    assert links
    assert [link for link in links if not (NOTEBOOK.parent / Path(link)).exists()] == []
