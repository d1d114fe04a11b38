"""Of runs' paths, what differs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.reports.run_labels import run_labels

JOB = "sweeps/2026/{}_model.hidden_size={}_optimizer.lr={}"


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["sweeps/x/1_a", "sweeps/x/2_b"], ["1_a", "2_b"]),
        (["sweeps/x/1", "2026"], ["sweeps/x/1", "2026"]),
        (["sweeps/x/1"], ["1"]),
        (["a/b", "a/b/c"], ["b", "b/c"]),
        (["rows/lstm_1/1", "rows/gru_2/1"], ["lstm_1", "gru_2"]),
        ([JOB.format(0, 16, 0.1), JOB.format(1, 32, 0.1)], ["hidden_size=16", "hidden_size=32"]),
        ([JOB.format(0, 16, 0.1), JOB.format(1, 16, 0.2)], ["lr=0.1", "lr=0.2"]),
        (
            ["0_model.hidden_size=16_data.seq_len=4", "1_model.hidden_size=32_data.seq_len=8"],
            ["hidden_size=16 seq_len=4", "hidden_size=32 seq_len=8"],
        ),
        (["0_model.x=1", "1_data.x=1"], ["model.x=1", "data.x=1"]),
        (["0_seed=1", "1_seed=1"], ["0", "1"]),
    ],
)
def test_a_label_is_what_differs(paths: list[str], labels: list[str]) -> None:
    assert run_labels(paths) == labels


@given(
    st.lists(st.from_regex(r"[a-c]{1,2}(/[0-3](_[ab]\.[cd]=[01]){0,2}){0,2}", fullmatch=True), unique=True, min_size=1)
)
def test_different_paths_have_different_labels(paths: list[str]) -> None:
    labels = run_labels(paths)
    assert len(set(labels)) == len(paths)
    assert all(labels)
