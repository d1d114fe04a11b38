"""What the reports of batch_device, architectures and tuning say of figures that are known."""

from pathlib import Path
from typing import Any

import pytest
from made_up_study import results
from tiers import smallest

from lstm_lm.errors import UserError
from lstm_lm.sweeps.barely_trained import FEWEST_STEPS, MARK, NOTE
from lstm_lm.sweeps.page import claim_folder, find_report, write_report
from lstm_lm.sweeps.rows import Row

NO_GPU = "trainer.accelerator=gpu: PyTorch finds no GPU on this machine"


def batch(row: Row) -> float:
    return float(row.config["data"]["batch_size"])


def test_batch_device_says_where_the_lines_cross(tmp_path: Path) -> None:
    """The GPU takes 10 ms a step, whatever the batch; the CPU 1 ms a stream: they meet at 10."""

    def speed(row: Row, repetition: int) -> dict[str, Any]:
        noise = 1 + 0.01 * repetition
        step = 10.0 if row.config["device"]["accelerator"] == "gpu" else batch(row) * noise
        return {"train": {"tokens_per_second": 32 * batch(row) / step}}

    found = results("batch_device", tmp_path, speed, arms=["vendor"])
    text = "\n".join(find_report("batch_device").meaning(found))
    assert "GPU, vendor kernel is faster at batch size 16, 64, 256, 1,024 (1.63 to 104.45 times)" in text
    assert "CPU, vendor kernel is faster at batch size 1, 4 (2.45 to 9.80 times)" in text
    assert "The lines cross near batch size 10." in text
    assert list(find_report("batch_device").plots(found)) == ["batch_device"]


def test_batch_device_says_what_was_skipped_and_concludes_nothing_of_it(tmp_path: Path) -> None:
    def speed(row: Row, repetition: int) -> dict[str, Any] | str:
        if row.config["device"]["accelerator"] == "gpu":
            return NO_GPU
        slower = 3 if row.config["forward"]["name"] == "stepwise" else 1
        return {"train": {"tokens_per_second": 1000 * batch(row) * (1 + 0.01 * repetition) / slower}}

    found = results("batch_device", tmp_path, speed)
    blocks = find_report("batch_device").findings(found)
    assert blocks[0] == f"**Skipped: GPU, vendor kernel** (6 batch sizes): {NO_GPU}. Nothing is said of it here."
    text = "\n".join(find_report("batch_device").meaning(found))
    assert "GPU" not in text
    assert "CPU, vendor kernel is faster at batch size 1, 4, 16, 64, 256, 1,024 (3.00 times)" in text
    assert "cross" not in text


def tuned(row: Row, repetition: int) -> dict[str, Any] | str:
    """On a CPU: fresh states cost loss, one thread half the speed; the rest is noise."""
    runtime, device = row.config["runtime"], row.config["device"]["accelerator"]
    if device == "gpu":
        return NO_GPU
    noise = 0.0002 * (-1) ** repetition * (row.arm != "default")  # to and fro: every interval covers 1
    threads = runtime["threads"] or 2
    loss = 1.1 if not row.config["data"]["carry_state"] else 1.0
    return {
        "train": {"tokens_per_second": 1000 * threads * (1 + noise), "seconds": 5.0, "steps": 1000},
        "val": {"loss": (1.5 + 0.1 * repetition) * loss},
        "runtime": {
            "device": "cpu (a CPU)",
            "peak_memory_bytes": 10**9,
            "settings": {
                "allocator": False,  # a machine without glibc
                "threads": threads,
                "cudnn_benchmark": bool(runtime["cudnn_benchmark"]),
            },
        },
    }


def test_tuning_tells_what_differs_what_does_not_and_what_cannot(tmp_path: Path) -> None:
    arms = ["default", "threads", "fresh_state", "batch", "cudnn_benchmark", "allocator"]
    found = results("tuning", tmp_path, tuned, arms=arms)
    text = "\n".join(find_report("tuning").findings(found))
    assert "- `runtime.threads=1`: **0.50 times** the speed (0.50 to 0.50)." in text
    assert "- `data.carry_state=false`: 1.100 times the validation loss (1.100 to 1.100)." in text
    assert "| data.batch_size=16 | no difference measured (1.00..1.00) | no difference measured (1.00..1.00) |" in text
    assert "Not measured, because this machine cannot run them: `device=gpu runtime.cudnn_benchmark=true`." in text
    meaning = "\n".join(find_report("tuning").meaning(found))
    assert "worse in neither" not in meaning
    assert "better in neither: `runtime.threads=1`, `data.carry_state=false`" in meaning
    idle = text.partition("No effect by construction")[2]
    assert "`runtime.allocator`: asked for false, in force False, as by default" in idle


def test_tuning_calls_a_gpus_setting_idle_on_a_cpu(tmp_path: Path) -> None:
    found = results("tuning", tmp_path, tuned, arms=["default", "cudnn_benchmark"], device="cpu")
    text = "\n".join(find_report("tuning").findings(found))
    assert "- `runtime.cudnn_benchmark=true`: `runtime.cudnn_benchmark` means nothing on a CPU" in text


def trained(row: Row, repetition: int) -> dict[str, Any]:
    """The Transformer has nine tenths of the LSTM's loss; the GRU's is the LSTM's, but for noise; the FFN is fast."""
    name = row.config["model"]["name"]
    factor = {"transformer": 0.9, "gru": (0.98, 1.0, 1.02)[repetition - 1]}.get(name, 1.0)
    loss = 1.5 * factor * (1 + 0.02 * repetition)
    speed = (5000.0 if name == "ffn" else 1000.0) * (1 + 0.1 * repetition)
    curve = [{"length": length, "loss": loss * (1 + 1 / length)} for length in (1, 2, 4, 8)]
    return {
        "model": {"parameters": 1000},
        "train": {"tokens_per_second": speed, "seconds": 5.0, "steps": 1000},
        "val": {"loss": loss, "perplexity": 4.0, "bits_per_byte": 2.0},
        "evaluation": {
            "context": {"effective_context": 4, "curve": curve},
            "sampling": {
                "tokens_per_second": 100.0 * repetition,
                "text": None if name == "rnn" else f", says the {name}.\n```\n## What it is\n",
                "text_reason": "prompt: unknown character 'T'" if name == "rnn" else None,
                "options": {"prompt": "To be or not to be"},
            },
        },
    }


def test_architectures_compares_with_the_lstm_under_both_conditions(tmp_path: Path) -> None:
    text = "\n\n".join(find_report("architectures").findings(results("architectures", tmp_path, trained)))
    tokens, _, time = text.partition("### At equal parameters, equal time")
    for part in (tokens, time):
        assert "- Transformer ends with **0.900 times** the LSTM's loss" in part
        assert "- GRU against the LSTM: no difference in the loss measured" in part
        assert "- FFN trains at 5.00 times the LSTM's speed" in part
        assert "writes" not in part
        names = [line.split("|")[1].strip() for line in part.splitlines() if line.startswith("| ")][2:]
        assert names[0] == "Transformer", "the best first"
    assert "RNN: no sample: prompt: unknown character 'T'" in text


def test_architectures_says_what_it_means_under_each_condition(tmp_path: Path) -> None:
    tokens, time, scope = find_report("architectures").meaning(results("architectures", tmp_path, trained))
    for sentence in (tokens, time):
        assert "end below the LSTM's loss: Transformer" in sentence
        assert "no difference measured: GRU" in sentence
    assert "does not tell" in scope


def test_nothing_is_concluded_of_the_loss_of_rows_of_a_few_steps(tmp_path: Path) -> None:
    """In equal time the Transformer took 20 steps."""

    def few(row: Row, repetition: int) -> dict[str, Any]:
        slow = row.config["model"]["name"] == "transformer" and row.config["trainer"]["max_time"] is not None
        figures = trained(row, repetition)
        return {**figures, "train": {**figures["train"], "steps": 20 if slow else FEWEST_STEPS}}

    found = results("architectures", tmp_path, few)
    _, time, left_out, _ = find_report("architectures").meaning(found)
    assert "below" not in time
    assert "Transformer" in left_out
    text = "\n\n".join(find_report("architectures").findings(found))
    tokens, _, rest = text.partition("### At equal parameters, equal time")
    assert "Transformer ends with **0.900 times** the LSTM's loss" in tokens
    assert "Transformer ends with" not in rest
    assert f"Transformer {MARK} |" in rest
    assert MARK not in tokens
    page = write_report("architectures", "small", found).read_text(encoding="utf-8")
    assert NOTE in page


def test_tuning_concludes_nothing_of_losses_after_a_few_steps(tmp_path: Path) -> None:
    def few(row: Row, repetition: int) -> dict[str, Any] | str:
        figures = tuned(row, repetition)
        return figures if isinstance(figures, str) else {**figures, "train": {**figures["train"], "steps": 10}}

    found = results("tuning", tmp_path, few, arms=["default", "threads", "fresh_state"])
    text = "\n".join(find_report("tuning").findings(found))
    assert "**0.50 times** the speed" in text
    assert "times the validation loss" not in text.partition("| ---")[0]
    assert "data.carry_state=false" not in "\n".join(find_report("tuning").meaning(found))


def test_nothing_that_a_model_writes_is_read_as_markdown(tmp_path: Path) -> None:
    found = results("architectures", tmp_path, trained)
    text = "\n\n".join(find_report("architectures").findings(found))
    assert "To be or not to be, says the lstm.\n    ```\n    ## What it is\n```" in text


def test_pictures_and_page_are_written(tmp_path: Path) -> None:
    write_report("architectures", "small", results("architectures", tmp_path, trained))
    names = {path.name for path in tmp_path.iterdir()}
    pictures = {"architectures_loss.png", "architectures_speed.png", "architectures_context.png"}
    assert names == {"report.md", "results.csv", *pictures}
    (tmp_path / "mine.png").write_bytes(b"mine")
    write_report("architectures", "small", results("architectures", tmp_path, lambda row, repetition: {}))
    assert {path.name for path in tmp_path.glob("*.png")} == {"mine.png"}, "those of the report before, and no others"


@pytest.mark.parametrize("name", ["report.md", "results.csv"])
def test_a_page_or_table_of_something_else_stays(name: str, tmp_path: Path) -> None:
    found = results("architectures", tmp_path, trained)
    (tmp_path / name).write_text("# My thesis\n")
    for write in (
        lambda: claim_folder(tmp_path, "architectures"),
        lambda: write_report("architectures", "small", found),
    ):
        with pytest.raises(UserError, match=rf"{name}: is there already"):
            write()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "# My thesis\n"


@pytest.mark.parametrize("name", smallest(["batch_device", "architectures", "tuning"], "architectures"))
def test_a_study_of_which_nothing_is_done_finds_and_draws_nothing(name: str, tmp_path: Path) -> None:
    found = results(name, tmp_path, lambda row, repetition: {})
    report = find_report(name)
    assert not any("times" in block for block in report.findings(found))
    assert report.plots(found) == {}
