"""`format=html`: what a page is made of, what it is refused for, and whether its file holds the model."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lstm_lm.errors import UserError
from lstm_lm.exporting.export import export
from lstm_lm.exporting.formats.html import Html
from lstm_lm.exporting.page.characters import token_classes
from lstm_lm.exporting.page.document import Contents, page, read_page
from lstm_lm.exporting.page.units import activations, areas, separating
from lstm_lm.exporting.page.weights import MOST_BYTES, packed, refuse_too_large, rounded, unpacked
from lstm_lm.models.build import build_model
from lstm_lm.models.loading import Loaded
from lstm_lm.tokenizers.byte import ByteTokenizer
from lstm_lm.tokenizers.char import CharTokenizer

SOURCE = Path(__file__).parents[3] / "src" / "lstm_lm" / "exporting" / "page" / "source"
ALPHABET = '\n !"</>abcdeiorst'

Make = Callable[..., Loaded]


@pytest.fixture
def make(small_config: Callable[..., dict[str, Any]], tmp_path: Path) -> Make:
    """A model as `load` gives it, of a run whose text is gone."""

    def made(*overrides: str) -> Loaded:
        config = small_config(*overrides)
        tokenizer = CharTokenizer(ALPHABET)
        torch.manual_seed(0)
        loaded = Loaded(build_model(config["model"], tokenizer.vocabulary_size).eval(), tokenizer)
        loaded.config = {"model": config["model"], "data": {**config["data"], "path": str(tmp_path / "gone.txt")}}
        loaded.checkpoint, loaded.run = tmp_path / "best.ckpt", None
        return loaded

    return made


def html(**values: Any) -> Html:
    return Html.parse({"name": "html", "weights": "float16", "title": None, "prompt": "", **values}, "format")


@pytest.mark.parametrize("weights", ["float16", "float32"])
def test_the_file_holds_the_model_that_it_says_it_holds(make: Make, tmp_path: Path, weights: str) -> None:
    loaded = make("model.num_layers=2")
    done = export(loaded, html(weights=weights, title="A <b>", prompt="\nrat"), tmp_path / "page.html")
    assert done.files.keys() == {"page.html"}
    assert (done.comparison.difference == 0) == (weights == "float32")
    assert [path.name for path in tmp_path.iterdir() if path.suffix in (".html", ".tmp")] == ["page.html"]
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<title>A &lt;b&gt;</title>" in text
    assert ">\n\nrat</textarea>" in text
    assert "own writing" in text, "the text is gone: the units were measured on another one, and the page says so"


def test_what_no_file_can_hold_is_escaped_in_a_title_and_refused_in_a_prompt(make: Make, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    export(make(), html(weights="float32", title="caf\udce9"), out)
    assert r"<title>caf\udce9</title>" in out.read_text(encoding="utf-8")
    with pytest.raises(UserError, match="prompt: "):
        export(make(), html(weights="float32", prompt="caf\udce9"), tmp_path / "other.html")


def test_a_page_keeps_its_data_whatever_that_is() -> None:
    data = {"tokens": ["</script><script>alert(1)</script>", "<!--", "@WEIGHTS@", "\x00\xff"]}
    text = page(Contents("@MODEL@ </title>", "s", "</textarea>", ("<i>",), data, "AAAA"))
    assert read_page(text) == (data, "AAAA")
    assert text.count("<script") == 3, "the data, the weights, and the program"
    with pytest.raises(ValueError, match="no page"):
        read_page("<html></html>")


def test_weights_come_back() -> None:
    tensors = {"a": torch.randn(3, 4), "b": torch.randn(5)}
    shapes = [(name, tuple(tensor.shape)) for name, tensor in tensors.items()]
    for number, kept in (("float32", torch.float32), ("float16", torch.float16)):
        found = unpacked(packed(tensors.values(), number), number, shapes)  # type: ignore[arg-type]
        assert all(torch.equal(found[name], tensor.to(kept).float()) for name, tensor in tensors.items())
    with pytest.raises((ValueError, RuntimeError)):
        unpacked(packed(tensors.values(), "float16"), "float32", shapes)


@pytest.mark.parametrize("model", ["transformer", "ffn"])
def test_a_model_that_a_page_has_no_program_for_is_refused_by_name(make: Make, tmp_path: Path, model: str) -> None:
    with pytest.raises(UserError, match=f"model={model}"):
        export(make(f"model={model}", "model.hidden_size=16"), html(), tmp_path / "page.html")
    assert not list(tmp_path.glob("*.html"))


def test_a_model_too_large_is_told_what_would_fit() -> None:
    refuse_too_large(MOST_BYTES // 2, "float16")
    with pytest.raises(UserError, match=f"{MOST_BYTES // 2:,} weights as float16"):
        refuse_too_large(MOST_BYTES // 2 + 1, "float16")
    with pytest.raises(UserError, match="choose weights=float16"):
        refuse_too_large(MOST_BYTES // 2, "float32")


def test_a_weight_that_float16_has_no_number_for_is_refused(make: Make) -> None:
    model = make().model
    with torch.no_grad():
        model.head.bias[0] = 1e5
    with pytest.raises(UserError, match=r"head\.bias"):
        rounded(model)
    assert model.head.bias[0].item() == 1e5, "the model itself stays as it is"


@pytest.mark.parametrize("out", ["page.txt", "there.html"])
def test_another_ending_and_a_file_that_is_there_are_refused(make: Make, tmp_path: Path, out: str) -> None:
    (tmp_path / "there.html").write_text("mine")
    with pytest.raises(UserError, match="out="):
        export(make(), html(), tmp_path / out)
    assert (tmp_path / "there.html").read_text() == "mine"


# Units


def test_an_area_is_the_share_of_pairs_in_the_right_order() -> None:
    values = np.array([[1, 4, 0], [2, 3, 0], [3, 2, 0], [4, 1, 0]], np.float32)
    marks = np.array([[False], [False], [True], [True]])
    assert areas(values, marks)[:, 0].tolist() == [1.0, 0.0, 0.5]


def test_units_are_listed_by_what_they_separate_and_not_by_chance() -> None:
    chance = np.random.default_rng(0)
    spaces = chance.random(2000) < 0.2
    values = chance.normal(size=(2000, 40)).astype(np.float32)
    values[:, 7] = spaces + 0.1 * chance.normal(size=2000)
    values[:, 9] = -values[:, 7]
    values[:1000, 11] = spaces[:1000]  # what it does in the first half, it does not in the second
    found = separating(values, {"spaces": spaces, "never": np.zeros(2000, np.bool_)})
    assert [(unit.place, unit.label) for unit in found] == [(7, "fires on spaces"), (9, "drops on spaces")]
    assert min(unit.area for unit in found) > 0.99


def test_a_text_of_one_kind_lists_nothing() -> None:
    assert separating(np.zeros((50, 3), np.float32), {"spaces": np.ones(50, np.bool_)}) == []


def test_kinds_of_characters() -> None:
    text = 'He said "go (on)".\n  NO 5'
    classes = token_classes(list(text.encode()), ByteTokenizer())

    def marked(kind: str) -> str:
        return "".join(character for character, mark in zip(text, classes[kind], strict=True) if mark)

    assert marked("digits") == "5"
    assert marked("words in capitals") == "NO"
    assert marked("text in quotation marks") == '"go (on)'
    assert marked("text in brackets") == "(on"
    assert marked("indentation") == "  "
    assert marked("first letters of words") == "HsgoN"
    assert marked("ends of lines") == "\n"


def test_a_token_that_ends_inside_a_character_is_of_no_kind() -> None:
    classes = token_classes(list("é".encode()), ByteTokenizer())
    assert classes["letters beyond ASCII"].tolist() == [False, True]
    assert classes["first letters of words"].tolist() == [False, True]


def test_activations_are_those_of_the_model_forgotten_where_they_should_be(make: Make) -> None:
    model = make("model=gru", "model.num_layers=2").model
    tokens = np.arange(8 * 6) % len(ALPHABET)
    fresh = np.zeros(len(tokens), np.bool_)
    fresh[3] = True
    found = activations(model, tokens, fresh)
    with torch.inference_mode():
        state = model.initial_state(1)
        for token in tokens[3:6]:
            _, state = model(torch.tensor([[token]]), state)
    assert np.allclose(found[5], torch.cat([layer[0][0] for layer in state]).numpy(), atol=1e-6)


# Looks


def colours(theme: str) -> dict[str, tuple[float, ...]]:
    css = (SOURCE / "page.css").read_text(encoding="utf-8")
    light, _, dark = css.partition("prefers-color-scheme: dark")
    found = re.findall(r"--([\w-]+): #([0-9a-f]{6})", dark if theme == "dark" else light)
    return {name: tuple(int(value[at : at + 2], 16) / 255 for at in (0, 2, 4)) for name, value in found}


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """By WCAG 2: from 1 to 21."""

    def luminance(colour: tuple[float, ...]) -> float:
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_suffices_for_text_and_for_what_is_no_text(theme: str) -> None:
    found = colours(theme)
    shares = {float(share) / 100 for share in re.findall(r"var\(--much\) \* (\d+)%", (SOURCE / "page.css").read_text())}
    (share,) = shares
    for paper in ("paper", "field"):
        assert min(contrast(found[ink], found[paper]) for ink in ("ink", "soft", "accent")) >= 4.5
        assert contrast(found["edge"], found[paper]) >= 3
    assert contrast(found["on-accent"], found["accent"]) >= 4.5
    for tint in ("hot", "plus", "minus"):
        mixed = tuple(share * a + (1 - share) * b for a, b in zip(found[tint], found["field"], strict=True))
        assert contrast(found["ink"], mixed) >= 4.5


def test_all_that_a_page_asks_for_by_its_name_is_there() -> None:
    scripts = "".join((SOURCE / name).read_text(encoding="utf-8") for name in ("view.js",))
    asked = set(re.findall(r'\$\("([\w-]+)"\)', scripts))
    there = set(re.findall(r'id="([\w-]+)"', (SOURCE / "page.html").read_text(encoding="utf-8")))
    assert asked <= there
    assert json.dumps(sorted(asked))
