"""What a kernel can do is tried, and what it cannot is computed in float32 with a line that says so, or refused."""

import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rounding import assert_close, bound
from test_parity import PLAIN, SHAPES, example, reference, run

from lstm_lm.cells.gru import GRU
from lstm_lm.cells.interface import Cell
from lstm_lm.cells.lstm import LSTM
from lstm_lm.cells.rnn import RNN
from lstm_lm.errors import UserError
from lstm_lm.forward import trials
from lstm_lm.forward.choose import choose
from lstm_lm.forward.grid.kernels import OneDNN
from lstm_lm.forward.interface import StackSpec, Workload
from lstm_lm.forward.strategies.fused import Fused
from lstm_lm.forward.strategies.pipelined import Pipelined
from lstm_lm.forward.trials import Trial

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
FLOAT32, BFLOAT16, FLOAT16, FLOAT64 = torch.float32, torch.bfloat16, torch.float16, torch.float64
Kernels = dict[tuple[str, torch.dtype], Trial]
NOT_THERE = Trial(None, "could not create a primitive descriptor")
BY_A_LOOP = Trial(None, None)
ONEDNN = Trial("oneDNN", None)

ORDINARY: Kernels = {("lstm", FLOAT32): ONEDNN}
"""A CPU of AVX2; all else by PyTorch's loop."""
NEWER: Kernels = {**ORDINARY, ("lstm", BFLOAT16): ONEDNN}
"""One with bfloat16."""
WITHOUT_INSTRUCTIONS: Kernels = dict(NEWER)
"""One of AVX-512 without bfloat16, where oneDNN computes it all the same, slower than float32."""
FAILING: Kernels = {**ORDINARY, ("lstm", BFLOAT16): NOT_THERE}
"""One where PyTorch hands oneDNN what it cannot do, instead of looping."""
GPU: Kernels = {(cell, kind): Trial("cuDNN", None) for cell in PLAIN for kind in (FLOAT32, FLOAT16, FLOAT64)}
NO_DEVICE: Kernels = {(cell, kind): NOT_THERE for cell in PLAIN for kind in (FLOAT32, FLOAT16, FLOAT64, BFLOAT16)}


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Callable[[Kernels], None]:
    """Have the trials come out as on another machine."""

    def apply(kernels: Kernels) -> None:
        monkeypatch.setattr(trials, "run_once", lambda cell, device, dtype: kernels.get((cell.name, dtype), BY_A_LOOP))
        flags = {"avx512_bf16": kernels is not WITHOUT_INSTRUCTIONS}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)

    return apply


@pytest.mark.parametrize("cell", PLAIN.values(), ids=PLAIN)
@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64, BFLOAT16, FLOAT16], ids=str)
def test_a_trial_ends_with_an_answer_draws_nothing_and_is_made_once(
    cell: Cell, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "_tried", {})
    state, windows = torch.get_rng_state(), list[int]()
    window = trials._window
    monkeypatch.setattr(trials, "_window", lambda *arguments: windows.append(1) or window(*arguments))
    answers = {trials.run_once(cell, CPU, dtype) for _ in range(3)}
    assert len(answers) == len(windows) == 1
    assert torch.equal(torch.get_rng_state(), state)
    if dtype in (FLOAT32, FLOAT64):
        assert answers.pop().error is None, "these run everywhere"


def test_it_is_the_vendors_kernel_that_is_recognised() -> None:
    """By the operation that autograd recorded, not by a list of what should be there."""
    assert trials.run_once(GRU, CPU, FLOAT32).kernel is None, "oneDNN has no GRU for PyTorch"
    torch._C._set_mkldnn_enabled(False)
    try:
        assert trials.run_once(LSTM, CPU, FLOAT32) == BY_A_LOOP, "what is switched off is not there"
    finally:
        torch._C._set_mkldnn_enabled(True)
    if torch.backends.mkldnn.is_available():
        assert trials.run_once(LSTM, CPU, FLOAT32) == ONEDNN


def test_a_trial_is_made_outside_of_what_surrounds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "_tried", {})
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert trials.run_once(LSTM, CPU, FLOAT32).error is None
        assert trials.run_once(LSTM, CPU, FLOAT64).error is None


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_a_short_reason() -> None:
    for device in ("cuda", "mps"):
        reason = str(trials.refusal(LSTM, torch.device(device), BFLOAT16))
        assert device in reason
        assert len(reason) < 250
        assert "\n" not in reason


@pytest.mark.parametrize(
    ("kernels", "cell", "asked", "computed"),
    [
        (ORDINARY, LSTM, FLOAT32, FLOAT32),
        (ORDINARY, LSTM, FLOAT64, FLOAT64),
        (ORDINARY, LSTM, BFLOAT16, FLOAT32),
        (ORDINARY, GRU, BFLOAT16, FLOAT32),
        (ORDINARY, RNN, FLOAT16, FLOAT32),
        (FAILING, LSTM, BFLOAT16, FLOAT32),
        (WITHOUT_INSTRUCTIONS, LSTM, BFLOAT16, FLOAT32),
        (WITHOUT_INSTRUCTIONS, GRU, BFLOAT16, FLOAT32),
        (NEWER, LSTM, BFLOAT16, BFLOAT16),
        (NEWER, GRU, BFLOAT16, BFLOAT16),  # the loop's products are oneDNN's
        (NEWER, LSTM, FLOAT16, FLOAT32),
        (GPU, LSTM, FLOAT16, FLOAT16),
        (GPU, LSTM, BFLOAT16, FLOAT32),
        (GPU, GRU, BFLOAT16, FLOAT32),
        (NO_DEVICE, LSTM, BFLOAT16, None),
        (NO_DEVICE, LSTM, FLOAT64, None),
    ],
)
def test_a_16_bit_type_is_computed_by_a_kernel_or_in_float32(
    pretend: Callable[[Kernels], None], kernels: Kernels, cell: Cell, asked: torch.dtype, computed: torch.dtype | None
) -> None:
    pretend(kernels)
    assert computed is None or trials.computed_in(cell, [CPU], asked) == computed
    assert (trials.refusal(cell, CPU, asked) is None) == (computed is not None)
    said = trials.said(cell, [CPU], asked)
    if computed is not None:
        assert bool(said) == (computed != asked)
    assert not said or said.startswith("computes in float32")


@pytest.mark.parametrize("make", [Fused, lambda: Pipelined(chunk=3, workers=2)], ids=["fused", "pipelined"])
@pytest.mark.parametrize("autocast", [True, False], ids=["bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("cell", PLAIN.values(), ids=PLAIN)
def test_what_is_computed_in_float32_is_as_exact_as_float32(
    pretend: Callable[[Kernels], None],
    make: Callable[[], Fused | Pipelined],
    autocast: bool,
    cell: Cell,
) -> None:
    """Under autocast no rounding is left but float32's; bfloat16 results are rounded where they are kept."""
    pretend(ORDINARY)
    stack, x, state, masks = example(SHAPES[0], FLOAT32 if autocast else BFLOAT16, dropout=0.4, cell=cell)
    expected = reference(stack, x, state, masks)
    stack.use(make())
    stack.forward = torch.autocast("cpu", BFLOAT16, enabled=autocast)(stack.forward)  # type: ignore[method-assign]
    found = run(stack, x, state, masks)
    stack.strategy.close()
    assert found.values[0].dtype == (FLOAT32 if autocast else BFLOAT16)
    assert_close(found, expected, bound(stack.spec, x, FLOAT32 if autocast else BFLOAT16))


def test_a_line_says_what_is_computed_instead(pretend: Callable[[Kernels], None]) -> None:
    work = Workload(batch_size=2, steps=64, dtype=BFLOAT16, training=True)
    spec = StackSpec(LSTM, 8, (8, 8))
    pretend(ORDINARY)
    for forward in ("auto", "fused", "pipelined"):
        assert (
            "computes in float32: no kernel here computes LSTM in bfloat16" in choose(forward, spec, CPU, work).reason
        )
    pretend(NEWER)
    assert "float32" not in choose("fused", spec, CPU, work).reason


def test_where_nothing_runs_it_is_refused_and_auto_passes_it_over(pretend: Callable[[Kernels], None]) -> None:
    work = Workload(batch_size=2, steps=64, dtype=FLOAT64, training=True)
    spec = StackSpec(LSTM, 8, (8, 8))
    pretend(NO_DEVICE)
    with pytest.raises(UserError, match="LSTM in float64 does not run on cpu here: could not create") as caught:
        choose("fused", spec, CPU, work)
    assert "use forward=auto, or one of: stepwise, wavefront" in str(caught.value)
    reason = choose("auto", spec, CPU, work).reason
    assert "not fused or pipelined: LSTM in float64 does not run" in reason


def test_the_grids_own_operators_are_tried_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are private to PyTorch: another version may call them otherwise."""
    from lstm_lm.forward.grid import kernels

    kernels._operators_run.cache_clear()
    if trials.run_once(LSTM, CPU, FLOAT32).kernel == "oneDNN":
        assert OneDNN.takes(LSTM, CPU, FLOAT32)
    assert not OneDNN.takes(GRU, CPU, FLOAT32)
    assert not OneDNN.takes(LSTM, CPU, FLOAT64)
    kernels._operators_run.cache_clear()
    monkeypatch.setattr(OneDNN, "_pack", lambda self, x: (_ for _ in ()).throw(TypeError("takes 8 arguments, not 7")))
    assert not OneDNN.takes(LSTM, CPU, FLOAT32)
    kernels._operators_run.cache_clear()


AS_AN_ORDINARY_CPU = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
}
ALL_WAYS = """
import sys, torch, lstm_lm
from lstm_lm.cells.lstm import LSTM
from lstm_lm.forward import trials
folder, text, told = sys.argv[1:]
if told == "told":
    kernel = trials.run_once(LSTM, torch.device("cpu"), torch.bfloat16).kernel
    assert kernel is None, f"it still has a kernel for bfloat16: {kernel}"
for precision in ("bf16-mixed", "bf16-true", "auto"):
    for forward in ("fused", "pipelined", "wavefront"):
        run = f"{folder}/{precision}-{forward}"
        summary = lstm_lm.train(lstm_lm.compose(
            "data=text", f"data.path={text}", f"data.cache_dir={folder}/cache", f"precision={precision}",
            f"forward={forward}", "device=cpu", "model.hidden_size=8", "model.embedding_size=8", "data.batch_size=2",
            "data.seq_len=8", "trainer.max_steps=3", "callbacks.samples.length=0",
        ), run)
        if told == "told" and (precision, forward) == ("bf16-mixed", "fused"):
            assert "computes in float32" in str(summary.runtime.forward_reason), summary.runtime.forward_reason
    lstm_lm.evaluate(f"{folder}/bf16-mixed-fused", method="static", precision=precision)
"""


@pytest.mark.matrix
def test_every_precision_trains_on_a_cpu_without_bfloat16(tmp_path: Path) -> None:
    """A newer x86 CPU is told to be one of AVX2, and must say so; others take no notice, and are what they are."""
    text = tmp_path / "text.txt"
    text.write_text("the quick brown fox jumps over the lazy dog. " * 40)
    told = sys.platform.startswith("linux") and platform.machine() in ("x86_64", "AMD64")
    command = [sys.executable, "-c", ALL_WAYS, str(tmp_path), str(text), "told" if told else "not told"]
    ended = subprocess.run(command, env=os.environ | AS_AN_ORDINARY_CPU, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
