"""What is known of a run before its first step: into its summary, and for a person to read."""

from collections.abc import Sequence
from pathlib import Path

from lstm_lm.runs.summary import Summary
from lstm_lm.training import vendor_cost
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.parts import Parts, windows_per_epoch
from lstm_lm.training.preflight import Preflight
from lstm_lm.training.resume import Start
from lstm_lm.training.runtime import memory_advice
from lstm_lm.training.runtime.settings import in_force
from lstm_lm.training.tuning import table


def fill_in(summary: Summary, config: TrainConfig, parts: Parts, damaged: Sequence[str] = ()) -> None:
    """Note in `summary` what is trained, on what, and how; `damaged`: checkpoints that could not be continued."""
    manifest, machine = parts.data.manifest, parts.hardware
    summary.model.name, summary.model.parameters = str(config.top.model["name"]), parts.model.num_parameters()
    summary.data.name, summary.data.tokens = parts.data.options.name, manifest.splits["train"].tokens
    summary.data.vocabulary_size = parts.data.tokenizer.vocabulary_size
    summary.runtime.device, summary.runtime.precision = str(machine.device), machine.precision
    summary.runtime.forward, summary.runtime.forward_reason = parts.choice.name, parts.choice.reason
    summary.runtime.settings = {**in_force(config.runtime), "token_stream": parts.data.placement.name}
    summary.tuning = table.summary(config.tuned)
    busy = [config.threads_warning] if config.threads_warning else []
    summary.runtime.warnings = [
        *(f"{line}; set aside" for line in damaged),
        *busy,
        *memory_advice.warnings_before(parts),
        *vendor_cost.warnings_before(parts),
    ]


def _where_from(config: TrainConfig, start: Start) -> str:
    if start.checkpoint is not None:
        return f", continued from {start.checkpoint}"
    return "" if config.top.init_from is None else f", from the weights of {config.top.init_from}"


def _tokens_per_epoch(config: TrainConfig, parts: Parts) -> int:
    """Tokens that an epoch trains on; of lines under a limit, about."""
    data = parts.data
    windows = windows_per_epoch(config.trainer, data.windows_per_epoch)
    if data.options.unit == "line":
        return data.predicted("train") * windows // data.windows_per_epoch
    streams = data.options.batch_size * parts.team.size
    return min(data.manifest.splits["train"].tokens // streams, windows * data.options.seq_len) * streams


def preflight(summary: Summary, config: TrainConfig, parts: Parts, run_dir: Path, start: Start) -> Preflight:
    """The same and more, to be shown.

    Args:
        summary: what `fill_in` has filled in.
        config: the run's configuration.
        parts: what it made.
        run_dir: where the run lies.
        start: how it begins.
    """
    manifest, options, machine = parts.data.manifest, parts.data.options, parts.hardware
    parameters = parts.model.num_parameters()
    return Preflight(
        corpus=options.name,
        tokens={name: split.tokens for name, split in manifest.splits.items()},
        tokenizer=str(config.top.tokenizer["name"]),
        vocabulary_size=parts.data.tokenizer.vocabulary_size,
        model=str(config.top.model["name"]),
        parameters=parameters,
        batch_size=options.batch_size,
        seq_len=options.seq_len,
        processes=parts.team.size,
        accumulate=config.trainer["accumulate_grad_batches"],
        steps_per_epoch=parts.steps_per_epoch,
        tokens_per_epoch=_tokens_per_epoch(config, parts),
        total_steps=parts.total_steps,
        device=machine.label,
        precision=machine.precision,
        precision_reason=machine.precision_reason,
        forward=parts.choice.name,
        forward_reason=parts.choice.reason,
        token_stream=parts.data.placement,
        compiled=config.compile.mode if config.compile.enabled else "none",
        memory_bytes=memory_advice.estimate(parts),
        run_dir=str(run_dir),
        start=_where_from(config, start),
        changed="; ".join(start.changed),
        warnings=summary.runtime.warnings or [],
    )
