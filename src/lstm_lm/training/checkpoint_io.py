"""Lightning writes and reads every checkpoint through `lstm_lm.runs`: atomically, with a digest, never a pickle."""

from pathlib import Path
from typing import Any

from lightning.pytorch.plugins.io import CheckpointIO

from lstm_lm.errors import RunError
from lstm_lm.renaming import remove
from lstm_lm.runs import checkpoint_file, rotation


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
        remove(Path(path))


class PatientCheckpointIO(GuardedCheckpointIO):
    """Keeps some of those before the last one, and bears a disk that is full.

    With several processes all meet after one has written. An error must not keep that one away, so it is not raised
    but kept, for `Checkpoints` to tell.
    """

    def __init__(self, last: Path, keep: int) -> None:
        """`last`: of this one, as many as `keep` remain, each time it is written."""
        self._last = last
        self._keep = keep
        self.failure: RunError | None = None
        """Why the checkpoint that was to be written last is not there."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ARG002
        """Write `checkpoint`, or say in `failure` why that cannot be done; what was there before is whole then."""
        before = (lambda: rotation.make_room(self._last, self._keep)) if Path(path) == self._last else None
        self.failure = None
        try:
            checkpoint_file.save(checkpoint, Path(path), before=before)
        except RunError as error:
            self.failure = error
