"""Which `trainer` sections mean several processes, and on which devices."""

from typing import Any

import pytest
import torch

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.training.processes.devices import asks_for_several, device_of, local_devices
from lstm_lm.training.processes.launch import launches
from lstm_lm.training.processes.started import Started

CPUS = {"accelerator": "cpu", "devices": 2, "strategy": "ddp", "precision": "32-true"}


@pytest.mark.parametrize(
    ("device_keys", "several"),
    [
        ({"devices": 1, "strategy": "auto"}, False),
        ({"devices": "auto", "strategy": "auto"}, False),
        ({"devices": [3], "strategy": "auto"}, False),
        ({"devices": "auto", "strategy": "ddp"}, True),
        ({"devices": 2, "strategy": "auto"}, True),
        ({"devices": -1, "strategy": "auto"}, True),
        ({"devices": [0, 2], "strategy": "auto"}, True),
    ],
)
def test_what_asks_for_several_devices(device_keys: dict[str, Any], several: bool) -> None:
    assert asks_for_several(device_keys) == several


def test_how_many_processes_a_run_must_start() -> None:
    assert launches(lstm_lm.compose("device=ddp", "trainer.accelerator=cpu", "trainer.devices=2")["trainer"]) == 2
    assert launches(lstm_lm.compose("device=ddp", "trainer.accelerator=cpu")["trainer"]) is None, "there is one CPU"
    assert launches(lstm_lm.compose("device=cpu")["trainer"]) is None


def test_a_process_has_the_device_of_its_number_on_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert local_devices(CPUS) == [torch.device("cpu")] * 2
    gpus = [torch.device("cuda", index) for index in range(2)]
    monkeypatch.setattr("lstm_lm.training.processes.devices.local_devices", lambda _: gpus)
    assert device_of(Started(5, 8, 1, own_devices=False), CPUS) == gpus[1]
    assert device_of(Started(5, 8, 1, own_devices=True), CPUS) == gpus[1]
    with pytest.raises(UserError, match=r"process 3 of this machine has no device: trainer\.devices=2 is 2\n"):
        device_of(Started(2, 3, 2, own_devices=True), CPUS)
    del gpus[1]  # SLURM shows each process its own only
    assert device_of(Started(5, 8, 1, own_devices=True), CPUS) == gpus[0]
    with pytest.raises(UserError, match="process 2 of this machine has no device"):
        device_of(Started(5, 8, 1, own_devices=False), CPUS)
