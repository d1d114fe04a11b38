"""Lightning writes and reads every checkpoint through `lstm_lm.runs`: atomically, with a digest, never a pickle."""

from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import CheckpointIO

from lstm_lm.runs import checkpoint_file


class GuardedCheckpointIO(CheckpointIO):
    """Lightning's interface over `runs.checkpoint_file`."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ARG002
        """Write `checkpoint`.

        Raises:
            RunError: the file cannot be written.
        """
        checkpoint_file.save(checkpoint, Path(path))

    def load_checkpoint(
        self,
        path: Any,
        map_location: Any = None,
        weights_only: bool | None = None,  # noqa: ARG002  (it always is)
    ) -> dict[str, Any]:
        """Read and verify a checkpoint.

        Raises:
            UserError: the file is missing, damaged, or not one of this project's checkpoints.
        """
        return checkpoint_file.load(Path(path), map_location=map_location or "cpu")

    def remove_checkpoint(self, path: Any) -> None:
        """Delete the file, if there is one."""
        Path(path).unlink(missing_ok=True)
