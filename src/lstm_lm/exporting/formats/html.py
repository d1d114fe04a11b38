"""`format=html`: one page that writes in a browser, opened from the disk, and shows what the model expects and sees."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lstm_lm.data.lines import opening_token
from lstm_lm.data.units import separator_of
from lstm_lm.exporting.comparison import logits
from lstm_lm.exporting.formats.interface import Format, Logits
from lstm_lm.exporting.page.characters import token_classes
from lstm_lm.exporting.page.description import model_description, refuse_unknown, tensors, tokenizer_description
from lstm_lm.exporting.page.document import Contents, page, read_page
from lstm_lm.exporting.page.held_text import held_text
from lstm_lm.exporting.page.units import activations, separating
from lstm_lm.exporting.page.weights import Number, packed, refuse_too_large, rounded, unpacked
from lstm_lm.generation.prompt import encode_prompt, opening
from lstm_lm.generation.text import sample_text
from lstm_lm.models.build import blank_model
from lstm_lm.models.interface import LanguageModel
from lstm_lm.models.loading import Loaded
from lstm_lm.printable import printable
from lstm_lm.runs import summary

PAGE = "page.html"
GREEDY_TOKENS = 200


class Html(Format):
    """One file, with the weights inside."""

    weights: Number
    title: str | None
    prompt: str

    ending: ClassVar[str | None] = ".html"

    def refuse(self, loaded: Loaded) -> None:
        refuse_unknown(loaded.model, loaded.config["model"]["name"], loaded.tokenizer)
        refuse_too_large(loaded.model.num_parameters(), self.weights)
        encode_prompt(loaded.tokenizer, self.prompt, "skip")  # a lone surrogate cannot be written into a file

    def rounded(self, loaded: Loaded) -> LanguageModel:
        return loaded.model if self.weights == "float32" else rounded(loaded.model)

    def write(self, loaded: Loaded, model: LanguageModel, folder: Path) -> list[str]:
        description = model_description(model)
        separator = separator_of(_data(loaded))
        text = held_text(loaded, sum(description["hidden_sizes"]), separator)
        values = activations(model, text.tokens, text.fresh)
        units = separating(values, token_classes(text.tokens[: len(values)].tolist(), loaded.tokenizer))
        said = self._compared(loaded, model)
        data = {
            **description,
            "model": loaded.config["model"],
            "weights": self.weights,
            "tokenizer": tokenizer_description(loaded.tokenizer),
            "opening": _opening(loaded, separator),
            "separator": separator,
            "units": [[unit.place, unit.label, round(unit.area, 3)] for unit in units],
        }
        about = (
            f"The model runs in this page: the file holds its {model.num_parameters():,} weights as {self.weights}, and"
            f" loads nothing. {said}",
            "Percentages and bits are the model's own, at temperature 1: a character of 3 bits had a chance of 1 in 8."
            " Bold text was given.",
            f"Units were measured on {len(values):,} tokens of the model's {text.name}. The number beside one is the"
            " area under its ROC curve on the second half: 1 separates such characters from all others, 0.5 does not."
            " Shown is an LSTM's memory, tanh(c); of other cells, the output.",
            "Keys: Ctrl and Enter in the beginning write; Escape stops. In the text, arrows move from character to"
            " character, and Escape lets go of it.",
        )
        contents = Contents(
            title=printable(self.title or _title(loaded)),
            summary=_summary(loaded, description["hidden_sizes"]),
            prompt=self.prompt,
            about=about,
            data=data,
            weights=packed(tensors(model).values(), self.weights),
        )
        (folder / PAGE).write_bytes(page(contents).encode("utf-8"))
        return [said]

    def computed(self, folder: Path, tokens: npt.NDArray[np.int64]) -> Mapping[str, Logits]:
        data, weights = read_page((folder / PAGE).read_text(encoding="utf-8"))
        model = blank_model(data["model"], len(data["tokenizer"]["tokens"]))
        found = unpacked(weights, data["weights"], data["tensors"])
        model.load_state_dict({"head.weight": found["embedding.weight"], **found})
        return {PAGE: logits(model.eval(), tokens)}

    def _compared(self, loaded: Loaded, model: LanguageModel) -> str:
        """How far the page's model and the run's write the same, where they always take the likeliest token."""
        if model is loaded.model:
            return "These are the run's own weights."
        texts = []
        for one in (loaded.model, model):
            texts.append(
                sample_text(
                    one, loaded.tokenizer, self.prompt, max_new_tokens=GREEDY_TOKENS, temperature=0, unknown="skip"
                )
            )
        same = next((place for place, pair in enumerate(zip(*texts, strict=False)) if pair[0] != pair[1]), None)
        if same is None:
            return f"At temperature 0 its first {GREEDY_TOKENS} tokens are those of the run's float32 weights."
        return (
            f"At temperature 0 it writes what the run's float32 weights write for {same} characters, then another text."
        )


def _opening(loaded: Loaded, separator: str | None) -> list[int]:
    if separator is None:
        return [int(token) for token in opening(loaded.tokenizer)]
    return [opening_token(loaded.tokenizer, separator)]


def _data(loaded: Loaded) -> Mapping[str, Any]:
    """The run's `data` section."""
    return loaded.config.get("data") or {}


def _title(loaded: Loaded) -> str:
    """What the run's text is called: the corpus, or the file."""
    section = _data(loaded)
    name, path = str(section.get("name", "lstm-lm")), section.get("path")
    return Path(path).stem or name if name == "text" and isinstance(path, str) else name


def _summary(loaded: Loaded, hidden_sizes: list[int]) -> str:
    layers = f"{len(hidden_sizes)} layer{'s' if len(hidden_sizes) > 1 else ''}"
    widths = "/".join(map(str, dict.fromkeys(hidden_sizes)))
    found = None if loaded.run is None else summary.read_if_whole(loaded.run.summary)
    loss = None if found is None or found.val is None else found.val.loss
    reached = "" if loss is None else f", validation loss {loss:.3f} nats a token"
    name = str(loaded.config["model"]["name"]).upper()
    return f"{name} of {layers}, {widths} units wide, {loaded.model.num_parameters():,} weights{reached}"


FORMAT = Html
