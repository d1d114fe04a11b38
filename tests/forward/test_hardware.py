"""`auto` resolved, the impossible refused."""

from typing import Any

import pytest
import torch

from lstm_lm.errors import UserError
from lstm_lm.forward import hardware, trials
from lstm_lm.forward.trials import Trial


def trainer(**changes: Any) -> dict[str, Any]:
    return {"accelerator": "cpu", "devices": 1, "precision": "auto"} | changes


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_precision_on_a_cpu_is_what_it_computes_natively(
    native: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "cpu_has_bfloat16", lambda: native)
    found = hardware.resolve(trainer())
    assert found.precision == expected
    assert "bfloat16" in found.precision_reason


@pytest.mark.parametrize(
    ("flags", "tried", "native"),
    [
        ({"avx512_bf16": True}, True, True),
        ({"amx_bf16": True}, True, True),
        ({"avx512_f": True, "avx512_bf16": False}, True, False),  # oneDNN runs it there, slower than float32
        ({"avx512_bf16": True}, False, False),  # a hypervisor keeps the instructions back, or ONEDNN_MAX_CPU_ISA does
    ],
)
def test_bfloat16_is_native_where_the_cpu_says_so_and_a_trial_agrees(
    flags: dict[str, bool], tried: bool, native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)
    monkeypatch.setattr(trials, "run_once", lambda cell, device, dtype: Trial("oneDNN" if tried else None, None))
    assert hardware.cpu_has_bfloat16() == native


@pytest.mark.parametrize("native", [True, False])
def test_a_type_in_software_is_trained_in_and_said_to_be_slow(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cpu_has_bfloat16", lambda: native)
    found = hardware.resolve(trainer(precision="bf16-mixed"))
    assert found.precision == "bf16-mixed"
    assert ("in software" in found.precision_reason) != native
    assert "software" not in hardware.resolve(trainer(precision="32-true")).precision_reason


def test_auto_takes_the_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 0))
    monkeypatch.setattr(trials, "run_once", lambda cell, device, dtype: Trial("cuDNN", None))
    found = hardware.resolve(trainer(accelerator="auto", devices=[1]))
    assert (found.accelerator, str(found.device), found.precision) == ("cuda", "cuda:1", "16-mixed")
    with pytest.raises(UserError, match="no GPU number 2: this machine has 2"):
        hardware.resolve(trainer(accelerator="gpu", devices=[2]))


@pytest.mark.parametrize("accelerator", ["gpu", "cuda"])
def test_a_gpu_that_is_not_there_is_one_line_with_the_way_out(
    accelerator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match="device=cpu") as caught:
        hardware.resolve(trainer(accelerator=accelerator, precision="16-mixed"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"precision": "16-mixed"}, "use bf16-mixed or 32-true"),
        ({"precision": "8-true"}, "choose one of: auto, 32-true"),
        ({"accelerator": "tpu"}, "choose one of: auto, cpu, gpu"),
    ],
)
def test_what_lightning_would_swap_or_not_know_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        hardware.resolve(trainer(**changes))


@pytest.mark.parametrize(
    ("precision", "products", "weights"),
    [
        ("32-true", torch.float32, torch.float32),
        ("bf16-mixed", torch.bfloat16, torch.float32),
        ("bf16-true", torch.bfloat16, torch.bfloat16),
        ("64-true", torch.float64, torch.float64),
    ],
)
def test_a_precision_names_two_types(precision: str, products: torch.dtype, weights: torch.dtype) -> None:
    found = hardware.resolve(trainer(precision=precision))
    assert (found.dtype, found.parameter_dtype) == (products, weights)


@pytest.mark.parametrize(
    ("devices", "read"),
    [
        (1, 1),
        (-1, -1),
        ("2", 2),
        ("-1", -1),
        ("auto", "auto"),
        ([1], [1]),
        ([0, 2], [0, 2]),
        ("1,", [1]),
        ("0, 1", [0, 1]),
    ],
)
def test_devices_are_read_as_lightning_reads_them(devices: Any, read: Any) -> None:
    assert hardware.read_devices(devices) == read


@pytest.mark.parametrize(
    "devices", [0, -2, "foo", "", ",", [], [-1], [1, 1], ["0"], [True], True, 1.0, None, "0,x", {}]
)
def test_devices_that_mean_nothing_are_refused_by_name(devices: Any) -> None:
    with pytest.raises(UserError, match=r"^trainer\.devices=.*: must be how many"):
        hardware.resolve(trainer(devices=devices))


def test_the_index_of_a_gpu_may_be_typed_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")
    for devices, first in [("1,", 1), ("0,1", 0), ("2", 0), ([1], 1), ("auto", 0), (-1, 0)]:
        found = hardware.resolve(trainer(accelerator="gpu", devices=devices, precision="32-true"))
        assert str(found.device) == f"cuda:{first}"


@pytest.mark.parametrize("devices", [[0], "0,", -1, "-1"])
def test_a_cpu_has_no_indices(devices: Any) -> None:
    with pytest.raises(UserError, match="say how many processes"):
        hardware.resolve(trainer(devices=devices))
