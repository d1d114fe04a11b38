"""What a person should know before the first step."""

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstm_lm.data.token_stream import Placement

BYTES_PER_GIB = 2**30


@dataclass(frozen=True)
class Preflight:
    """The facts, formatted by `show`."""

    corpus: str
    tokens: dict[str, int]
    """Tokens of each split."""
    tokenizer: str
    vocabulary_size: int
    model: str
    parameters: int
    batch_size: int
    seq_len: int
    processes: int
    accumulate: int
    steps_per_epoch: int
    tokens_per_epoch: int
    total_steps: int | None
    device: str
    precision: str
    precision_reason: str
    forward: str
    forward_reason: str
    token_stream: Placement
    compiled: str
    memory_bytes: int
    run_dir: str
    start: str
    changed: str
    """What is done in another way than before the run was continued."""
    warnings: list[str]

    def rows(self) -> list[tuple[str, str]]:
        """(what, how much), in the order in which they are shown."""
        length = "no limit of steps" if self.total_steps is None else f"{self.total_steps:,} steps"
        splits = ", ".join(f"{name} {count:,}" for name, count in self.tokens.items())
        many = "" if self.processes == 1 else f" x {self.processes} processes"
        accumulated = "" if self.accumulate == 1 else f" x {self.accumulate} accumulated"
        return [
            ("text", f"{self.corpus}: {splits} tokens"),
            ("tokenizer", f"{self.tokenizer}, vocabulary {self.vocabulary_size:,}"),
            ("model", f"{self.model}, {self.parameters:,} parameters"),
            ("batch", f"{self.batch_size} streams x {self.seq_len} tokens a window{many}{accumulated}"),
            (
                "length",
                f"{length}; an epoch has {self.steps_per_epoch:,}, of {self.tokens_per_epoch:,} tokens in all",
            ),
            ("device", self.device),
            ("precision", f"{self.precision} ({self.precision_reason})"),
            ("forward", f"{self.forward} ({self.forward_reason}), compile {self.compiled}"),
            *self._where_the_text_lies(),
            ("memory", f"about {gib(self.memory_bytes)} for weights, gradients, optimizer and one window"),
            ("run", f"{self.run_dir}{self.start}"),
            *([("changed", self.changed)] if self.changed else []),
        ]

    def _where_the_text_lies(self) -> list[tuple[str, str]]:
        """Nothing to tell on a CPU."""
        if self.token_stream.device.type == "cpu":
            return []
        where = f"on {self.token_stream.device}" if self.token_stream.on_device else "in the host's memory"
        return [("text lies", f"{where} ({self.token_stream.reason})")]

    def show(self, console: Console) -> None:
        """Print it as two aligned columns, warnings below them."""
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for what, value in self.rows():
            table.add_row(Text(what, style="dim"), Text(value))
        console.print(table)
        for warning in self.warnings:
            console.print(Text(f"warning: {warning}", style="yellow"))


def estimate_memory(
    *, parameters: int, parameter_bytes: int, optimizer_tensors: int, activation_floats: int, activation_bytes: int
) -> int:
    """Bytes for weights, their gradients, the optimizer's averages, and one window's activations."""
    return parameters * parameter_bytes * (2 + optimizer_tensors) + activation_floats * activation_bytes


def gib(count: float) -> str:
    """A number of bytes, as a person reads it."""
    gib = count / BYTES_PER_GIB
    return f"{gib:,.1f} GiB" if gib >= 1 else f"{count / 2**20:.0f} MiB"
