"""The keys of every command that takes a trained model: which one, and how it is run."""

from typing import TYPE_CHECKING, Any

from lstm_lm.cli.text_output import note, note_path
from lstm_lm.errors import UserError
from lstm_lm.options import Options

if TYPE_CHECKING:
    from lstm_lm.models.loading import Loaded


class RunChoice(Options):
    """Which model it is."""

    run: str | None
    ckpt_path: str | None
    runs_dir: str

    def load(self) -> "Loaded":
        """The model, in float32 on the CPU; what was passed over on the way to it is noted on standard error.

        Raises:
            UserError: as `lstm_lm.load`.
        """
        from lstm_lm.models.loading import load

        return load(self.run, ckpt_path=self.ckpt_path, runs_dir=self.runs_dir, warn=note)


class ModelChoice(RunChoice):
    """What the configurations of `generate`, `evaluate`, `score` and `embed` have in common."""

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
        """The model, as the groups say; the rest as above.

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


class TextOptions(Options):
    """The section `data` of `score` and `embed`."""

    path: str | list[str] | None
    encoding: str
    column: str | None


def note_checkpoint(loaded: "Loaded") -> None:
    """Tell which checkpoint is used, and, of a run that is still training, that it is."""
    from lstm_lm.runs import summary

    try:
        running = loaded.run is not None and summary.read(loaded.run.summary).status == "running"
    except UserError:  # there is none, or it is damaged: the checkpoint stands for itself
        running = False
    note_path(loaded.checkpoint, "its run has not ended: this is how far it has come" if running else "")
