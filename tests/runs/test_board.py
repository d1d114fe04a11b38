"""How TensorBoard shows a run."""

from pathlib import Path

import markdown
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from lstm_lm.runs import board
from lstm_lm.runs.event_files import Events

OVERRIDES = "- model.hidden_size=16\n- optimizer.lr=0.003\n- model=gru\n- '+trainer.x=1'\n- precision=32-true\n"


def shown(text: str) -> str:
    return markdown.markdown(board.as_markdown(text), extensions=["markdown.extensions.tables"])


@given(st.text(st.sampled_from("ab #*_`<>&|[]()!-+1.\\\n"), max_size=40))
def test_nothing_that_a_model_writes_is_markup(text: str) -> None:
    html = shown(text)
    for tag in ("<h", "<em>", "<strong>", "<code>", "<li>", "<a ", "<img", "<table", "<hr"):
        assert tag not in html


def test_lines_and_indents_stay() -> None:
    assert "def f():\n" + "\N{NO-BREAK SPACE}" * 4 + "return 1" in shown("def f():\n    return 1")


def test_what_was_typed_is_known_by_the_names_of_the_table() -> None:
    typed = board.typed_keys(OVERRIDES)
    assert {"model.hidden_size", "optimizer.lr", "model.name", "trainer.x", "trainer.precision"} <= typed


@pytest.mark.parametrize(("typed", "first"), [({"b"}, {"b"}), (set(), {"model.name"})])
def test_columns_of_what_was_typed_come_first(typed: set[str], first: set[str]) -> None:
    """TensorBoard shows those of which it is said that they differ."""
    experiment, *_ = board.hparams({"a": 1, "b": 2, "model.name": "gru"}, {"with_best/val/loss": 1.0}, typed)
    content = plugin_data_pb2.HParamsPluginData.FromString(experiment.value[0].metadata.plugin_data.content)
    assert {info.name for info in content.experiment.hparam_infos if info.differs} == first


def test_a_scalar_says_what_it_is() -> None:
    events = Events()
    events.add_scalar("val/loss", 1.0, 1, board.DESCRIPTIONS["val/loss"])
    assert board.DESCRIPTIONS["val/loss"].encode() in bytes(events.waiting)


def test_a_described_scalar_is_one_of_tensorboards_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A description that belongs to no plugin of its is warned of, once a tag, on the terminal."""
    events = Events()
    events.add_scalar("val/loss", 1.0, 1, "what it is")
    (tmp_path / "events.out.tfevents.1").write_bytes(bytes(events.waiting))
    shown = EventAccumulator(str(tmp_path)).Reload()
    assert [(point.step, point.value) for point in shown.Scalars("val/loss")] == [(1, 1.0)]
    assert shown.SummaryMetadata("val/loss").summary_description == "what it is"
    assert not caplog.records
