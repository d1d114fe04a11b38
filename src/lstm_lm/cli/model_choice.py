"""The keys of every command that takes a trained model: which one, and how it is run."""

from typing import Any

from lstm_lm.options import Options


class ModelChoice(Options):
    """What `conf/generate.yaml`, `conf/evaluate.yaml` and `conf/embed.yaml` have in common."""

    run: str | None
    ckpt_path: str | None
    runs_dir: str
    device: dict[str, Any]
    precision: dict[str, Any]
    forward: dict[str, Any]
