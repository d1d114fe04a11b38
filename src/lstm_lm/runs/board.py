"""How TensorBoard shows a run: what each curve is, texts as Markdown, and in HPARAMS first what was typed.

TensorBoard sorts by name, so names decide what stands first: curves of training before usage and validation, and the
figures of the best weights, of one point each, behind them all.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from lstm_lm.display import spelled_out

if TYPE_CHECKING:  # TensorBoard is slow to import
    from tensorboard.compat.proto.summary_pb2 import Summary

BEST = "with_best/"
"""Before the names of what the best weights reach."""
USUAL = ("data.batch_size", "model.hidden_size", "model.name", "model.num_layers", "optimizer.lr")
"""Columns that come first where nothing was typed."""
NOT_SHOWN = ("epoch",)
"""Names that are in metrics.csv alone: a straight line."""
DESCRIPTIONS = {
    "train/loss": "Loss of this optimizer step alone, nats per token. At an epoch's end it may be of a few tokens.",
    "train/perplexity": "exp(loss): among how many equally likely tokens the model would be choosing.",
    "train/gradient_norm": "Norm of all gradients, before clipping.",
    "train/learning_rate": "What the schedule has made of optimizer.lr.",
    "train/step_ms": "Milliseconds from one step's start to the next one's, median since the last point.",
    "train/tokens_per_second": "Tokens of training text per second, median since the last point.",
    "train/seconds": "Wall time of training so far.",
    "train/epoch_seconds": "Wall time of an epoch, its validations included.",
    "train/averaged_steps": "Steps that the average of the weights is of.",
    "val/loss": "Loss over the whole validation text, nats per token. The lowest is what best.ckpt holds.",
    "val/perplexity": "exp(loss) of the validation text.",
    "val/bits_per_byte": "Loss in bits, per byte of the text: compares whatever the tokenizer.",
    "val/bits_per_character": "Loss in bits, per character of the text: compares whatever the tokenizer.",
    "test/loss": "Loss of the best weights over the test text, nats per token.",
    "usage/cpu_percent": "Use of all cores of the machine, by whatever runs there.",
    "usage/ram_bytes": "Memory of this process.",
}
"""By name of a scalar, what its card says of it, in Markdown."""

_MARKUP = re.compile(r"([\\`*_{}\[\]()#+.!-])")
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}
_INDENT = re.compile(r"^[ \t]+")
_OVERRIDE = re.compile(r"^- '?[+~]*([\w.]+)=", re.MULTILINE)


def as_markdown(text: str) -> str:
    """A quotation that wraps, with its own lines and indents, in which nothing is taken for Markdown.

    TensorBoard keeps the ends of lines by itself; Markdown's own, two spaces, would double them.
    """
    return "\n".join(f"> {_line(line)}" for line in spelled_out(text).splitlines())


def typed_keys(overrides: str) -> set[str]:
    """Keys of the configuration, as HPARAMS has them, that stand in a run's `.hydra/overrides.yaml`."""
    return {name for key in _OVERRIDE.findall(overrides) for name in (key, f"{key}.name", f"trainer.{key}")}


def hparams(
    hyperparameters: Mapping[str, bool | float | str], metrics: Mapping[str, float], typed: Collection[str]
) -> Iterator["Summary"]:
    """The run's row in HPARAMS; `typed` are the names whose columns come first, and are shown."""
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
    from torch.utils.tensorboard.summary import hparams as three

    experiment, *row = three(dict(hyperparameters), dict(metrics))  # type: ignore[no-untyped-call]
    holder = experiment.value[0].metadata.plugin_data
    content = HParamsPluginData.FromString(holder.content)
    for info in content.experiment.hparam_infos:
        info.differs = info.name in (typed or USUAL)
    holder.content = content.SerializeToString()
    yield experiment
    yield from row


def _line(line: str) -> str:
    indent = _INDENT.match(line)
    spaces = len(indent[0].expandtabs(4)) if indent else 0
    escaped = _MARKUP.sub(r"\\\1", line.lstrip(" \t"))
    return "\N{NO-BREAK SPACE}" * spaces + "".join(_ENTITIES.get(letter, letter) for letter in escaped)
