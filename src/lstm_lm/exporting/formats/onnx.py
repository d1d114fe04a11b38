"""`format=onnx`: two graphs, of a step and of a whole window, each with the state as inputs and outputs."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from lstm_lm.errors import UserError
from lstm_lm.exporting.formats.interface import Format, Logits
from lstm_lm.exporting.hugging_face import write_tokenizer
from lstm_lm.models.backbones.ffn import FFNLanguageModel
from lstm_lm.models.backbones.transformer import TransformerLanguageModel
from lstm_lm.models.build import blank_model
from lstm_lm.models.interface import LanguageModel
from lstm_lm.models.loading import Loaded
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel

if TYPE_CHECKING:
    from onnx import ModelProto

STEP, WINDOW = "step.onnx", "window.onnx"
MOST_BYTES = 2**31 - 2**20
"""Of a file of ONNX, a message of Google's protocol buffers."""


class Onnx(Format):
    """Graphs of operators that every onnxruntime has."""

    quantize: Literal["none", "int8"]
    packages: ClassVar[tuple[str, ...]] = ("onnx", "onnxruntime")

    def refuse(self, loaded: Loaded) -> None:
        model = loaded.model
        name = loaded.config["model"]["name"]
        expressible = (FFNLanguageModel, TransformerLanguageModel)
        if isinstance(model, RecurrentLanguageModel):
            from lstm_lm.exporting.onnx_graphs.recurrent import why_not

            if (cell := why_not(model)) is not None:
                raise UserError(f"format=onnx: model={name}: there is no graph of its cell, {cell}")
        elif not isinstance(model, expressible):
            raise UserError(
                f"format=onnx: model={name}: there is no graph of it\n"
                "those of lstm, gru, rnn, ffn and transformer can be written"
            )
        size = 4 * model.num_parameters()
        if size > MOST_BYTES:
            raise UserError(
                f"format=onnx: {size / 2**30:.1f} GiB of weights; a file of ONNX holds less than 2\n"
                "use format=safetensors, or a smaller model"
            )

    def rounded(self, loaded: Loaded) -> LanguageModel:
        if self.quantize == "none":
            return loaded.model
        from lstm_lm.exporting.onnx_graphs.int8 import round_weights

        model = blank_model(loaded.config["model"], loaded.tokenizer.vocabulary_size).eval()
        model.load_state_dict(loaded.model.state_dict())
        round_weights(model)
        return model

    def write(self, loaded: Loaded, model: LanguageModel, folder: Path) -> list[str]:
        from lstm_lm.exporting.onnx_graphs.int8 import store_in_int8

        lines = write_tokenizer(loaded.tokenizer, folder)
        for name in (STEP, WINDOW):
            graph = _graph(model, one_step=name == STEP)
            whole = graph.ByteSize()
            if self.quantize == "int8":
                store_in_int8(graph)
                lines.append(f"{name}: {graph.ByteSize() / whole:.2f} of its size in float32")
            (folder / name).write_bytes(graph.SerializeToString())
        return lines

    def computed(self, folder: Path, tokens: npt.NDArray[np.int64]) -> Mapping[str, Logits]:
        window, _ = run(session(folder / WINDOW), tokens[:, None], {})
        step, steps = session(folder / STEP), []
        state: dict[str, npt.NDArray[Any]] = {}
        for token in tokens:
            logits, state = run(step, np.array([token]), state)
            steps.append(logits)
        return {WINDOW: window[:, 0], STEP: np.concatenate(steps)}


def session(path: Path) -> Any:
    """Onnxruntime's, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(
    session: Any, tokens: npt.NDArray[np.int64], state: Mapping[str, npt.NDArray[Any]]
) -> tuple[Logits, dict[str, npt.NDArray[Any]]]:
    """The logits of `tokens`, `[T, B]` for a window and `[B]` for a step, and the state after them; {}: a fresh one."""
    kinds = {"tensor(int64)": np.int64, "tensor(float)": np.float32}
    given = {"tokens": tokens}
    for part in session.get_inputs()[1:]:
        shape = [tokens.shape[-1] if isinstance(size, str) else size for size in part.shape]
        given[part.name] = state.get(part.name, np.zeros(shape, kinds[part.type]))
    logits, *after = session.run(None, given)
    names = (part.name.removeprefix("next_") for part in session.get_outputs()[1:])
    return logits, dict(zip(names, after, strict=True))


def _graph(model: LanguageModel, *, one_step: bool) -> "ModelProto":
    from lstm_lm.exporting.onnx_graphs import ffn, recurrent, transformer
    from lstm_lm.exporting.onnx_graphs.graph import BATCH, TIME, Graph

    graph = Graph()
    shape = (BATCH,) if one_step else (TIME, BATCH)
    tokens = graph.arguments("tokens", shape, np.int64)
    if one_step:
        tokens = graph.op("Unsqueeze", tokens, graph.constant([0]))
    if isinstance(model, RecurrentLanguageModel):
        logits = recurrent.add(graph, model, tokens)
    elif isinstance(model, FFNLanguageModel):
        logits = ffn.add(graph, model, tokens)
    else:
        assert isinstance(model, TransformerLanguageModel)
        logits = transformer.add(graph, model, tokens)
    if one_step:
        logits = graph.op("Squeeze", logits, graph.constant([0]))
    graph.result("logits", logits, (*shape, model.vocabulary_size), first=True)
    return graph.model("step" if one_step else "window")


FORMAT = Onnx
