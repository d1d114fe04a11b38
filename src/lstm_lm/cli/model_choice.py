"""The keys of every command that takes a trained model: which one, and how it is run."""

from typing import TYPE_CHECKING, Any

from lstm_lm.cli.text_output import note
from lstm_lm.options import Options

if TYPE_CHECKING:
    from lstm_lm.models.loading import Loaded


class ModelChoice(Options):
    """What the configurations of `generate`, `evaluate`, `score` and `embed` have in common."""

    run: str | None
    ckpt_path: str | None
    runs_dir: str
    device: dict[str, Any]
    precision: dict[str, Any]
    forward: dict[str, Any]

    @property
    def device_name(self) -> str:
        """Torch's name of the device, or `auto` or `gpu`: the group `device=` has Lightning's words for training."""
        accelerator, devices = str(self.device.get("accelerator")), self.device.get("devices")
        if accelerator in ("gpu", "cuda") and isinstance(devices, list) and devices:
            return f"cuda:{devices[0]}"
        return accelerator

    @property
    def precision_name(self) -> str:
        """The precision, or `auto`."""
        return str(self.precision.get("name"))

    def load(self) -> "Loaded":
        """The model; what was passed over on the way to it is noted on standard error.

        Raises:
            UserError: as `lstm_lm.load`.
        """
        from lstm_lm.models.loading import load

        return load(
            self.run,
            ckpt_path=self.ckpt_path,
            runs_dir=self.runs_dir,
            device=self.device_name,
            precision=self.precision_name,
            forward=self.forward,
            warn=note,
        )
