"""The page in a real browser: it writes what Python writes, shows what it should, and asks the network for nothing."""

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiers import first, smallest

import lstm_lm
from lstm_lm.exporting.export import export
from lstm_lm.exporting.formats.html import Html
from lstm_lm.exporting.page.weights import rounded
from lstm_lm.generation.text import sample_text
from lstm_lm.models.build import build_model
from lstm_lm.models.loading import Loaded
from lstm_lm.tokenizers import Tokenizer, tokenizer_class
from lstm_lm.tokenizers.char import CharTokenizer
from lstm_lm.tokenizers.interface import ROW_END

pytestmark = pytest.mark.posix
ROOT = Path(__file__).parents[3]
RESTING = "document.body.dataset.state === 'resting'"
Config = Callable[..., dict[str, Any]]


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens a page, at rest unless it may write; at the end nothing was complained of, or asked of a network."""
    files: list[Path] = []
    browser.complaints.clear()
    browser.requests.clear()

    def do(file: Path, *, motion: str = "reduce") -> Any:
        files.append(file)
        browser.size(1280, 800)
        browser.open(file, media={"prefers-reduced-motion": motion})
        return browser

    yield do
    assert browser.complaints == []
    assert browser.requests == [file.as_uri() for file in files]


def made(config: dict[str, Any], tokenizer: Tokenizer) -> Loaded:
    """An untrained model with large weights, so that no two scores are close."""
    torch.manual_seed(1)
    model = build_model(config["model"], tokenizer.vocabulary_size).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    loaded = Loaded(model, tokenizer)
    loaded.config, loaded.checkpoint, loaded.run = {"model": config["model"], "data": {}}, Path("best.ckpt"), None
    return loaded


def exported(loaded: Loaded, out: Path, **values: Any) -> Path:
    section = {"name": "html", "weights": "float32", "title": None, "prompt": "", **values}
    export(loaded, Html.parse(section, "format"), out)
    return out


class Corpus:
    def __init__(self, text: str) -> None:
        self._text = text

    def training(self) -> Iterator[str]:
        yield self._text

    everything = training


FITTED = {
    "byte": {"name": "byte"},
    "char": {"name": "char"},
    "bpe": {"name": "bpe", "vocabulary_size": 300, "min_frequency": 2},
    "word": {"name": "word", "vocabulary_size": 60, "min_frequency": 1},
    "whitespace": {"name": "whitespace", "vocabulary_size": 60, "min_frequency": 1},
}


def fitted(name: str, text: str) -> Tokenizer:
    kind = tokenizer_class(name)
    return kind.fit(kind.OptionsType.parse(FITTED[name], "tokenizer"), Corpus(text))


def test_every_tokenizer_has_a_case() -> None:
    assert FITTED.keys() == {path.stem for path in (ROOT / "conf" / "tokenizer").glob("*.yaml")}


@pytest.mark.parametrize("weights", smallest(["float16", "float32"], "float16"))
@pytest.mark.parametrize("tokenizer", first(["char", "byte", "bpe"]))
def test_it_writes_what_python_writes(
    opened: Callable[..., Any],
    small_config: Config,
    small_file: Path,
    small_text: str,
    tmp_path: Path,
    tokenizer: str,
    weights: str,
) -> None:
    """Greedy, 200 characters at least, of a model that has learnt some language."""
    small_file.write_text(small_text.replace("cat", "ć☃t").replace("and", "“and”"), encoding="utf-8")
    size = ["tokenizer.vocabulary_size=280"] if tokenizer == "bpe" else []
    lstm_lm.train(small_config(f"tokenizer={tokenizer}", *size, "trainer.max_epochs=3"), tmp_path / "run")
    loaded = lstm_lm.load(tmp_path / "run")
    page = opened(exported(loaded, tmp_path / "page.html", weights=weights))
    page.evaluate("$('prompt').value = 'the ć☃t \\nsaw'; $('temperature').value = 0; $('length').value = 250")
    page.evaluate("$('write').click()")
    page.wait(RESTING)

    model = loaded.model if weights == "float32" else rounded(loaded.model)
    prompt = "the ć☃t \nsaw"
    expected = prompt + sample_text(model, loaded.tokenizer, prompt, max_new_tokens=250, temperature=0)
    assert len(expected) >= 200
    assert len(set(expected)) > 8, "it is not one character again and again"
    assert page.evaluate("$('text').textContent") == expected
    assert "tokens a second" in page.evaluate("$('status').textContent")


CELLS = {
    "lstm of three widths": ("model.num_layers=3", "model.hidden_size=[16,9,13]"),
    "tied": ("model.tie_weights=true", "model.hidden_size=8"),
    "other activations": ("model.activation=leaky_relu", "model.gate_activation=hard_sigmoid"),
    "relu": ("model.activation=relu", "model.num_layers=2"),
    "norm and zoneout": ("model.layer_norm=true", "model.zoneout_hidden=0.1", "model.zoneout_cell=0.2"),
    "gru": ("model=gru", "model.num_layers=2", "model.zoneout_hidden=0.1"),
    "rnn": ("model=rnn", "model.num_layers=2"),
    "rnn of relu": ("model=rnn", "model.activation=relu", "model.zoneout_hidden=0.1"),
}


@pytest.mark.parametrize("cell", smallest(CELLS, *(cell for cell in CELLS if cell not in ("tied", "relu", "rnn"))))
def test_it_computes_what_the_model_computes(
    opened: Callable[..., Any], small_config: Config, tmp_path: Path, cell: str
) -> None:
    loaded = made(small_config(*CELLS[cell]), CharTokenizer("\n abcdefg"))
    tokens = [4, 8, 1, 0, 3, 3, 3, 7, 6, 5, 2, 4]
    page = opened(exported(loaded, tmp_path / "page.html"))
    found = page.evaluate(f"model.reset(), {tokens}.map((id) => (model.step(id), Array.from(model.scores)))")
    with torch.inference_mode():
        logits, state = loaded.model(torch.tensor(tokens).unsqueeze(1), loaded.model.initial_state(1))
    assert np.abs(logits[:, 0].numpy() - np.array(found)).max() < 1e-4 * max(1.0, float(logits.abs().max()))
    shown = torch.cat([layer[-1].tanh() if len(layer) == 2 else layer[0] for layer in state], dim=-1)[0]
    found = page.evaluate("Array.from(text.activations())")
    seen = shown.tanh() if "rnn" in cell else shown
    assert np.abs(np.array(found) / 127 - seen.numpy()).max() < 0.01


def texts(count: int) -> list[str]:
    """Of pieces that tokenizers treat in different ways, in a random order."""
    chance = random.Random(0)
    pieces = [
        *" \n\t\r",
        "\x0b",
        "\x1c",
        "\x85",
        "\xa0",
        "\u2003",
        "\u2028",
        "\u3000",
        "  ",
        "\n\n",
        "the",
        "cats",
        "'s",
    ]
    pieces += [
        "'LL",
        "'ll",
        "It's",
        "42",
        "٣",
        "½",
        "é",
        "e\u0301",
        "ß",
        "中文",
        "😀",
        "👩‍👩‍👧",
        "_",
        "...",
        "—",
        "\ufeff",
        "\0",
        "ǅ",
        "ª",
    ]
    return ["".join(chance.choices(pieces, k=chance.randint(0, 12))) for _ in range(count)]


@pytest.mark.parametrize("name", FITTED)
def test_it_has_the_tokens_that_python_has(
    opened: Callable[..., Any], small_config: Config, small_text: str, tmp_path: Path, name: str
) -> None:
    tokenizer = fitted(name, small_text + "".join(texts(60)))
    page = opened(exported(made(small_config(), tokenizer), tmp_path / "page.html"))
    more = [*texts(300), small_text[:500]]
    found = page.evaluate(f"{json.dumps(more)}.map((text) => tokenizer.encode(text).ids)")
    unknown = "replace" if tokenizer.always_replaces else "skip"
    assert found == [tokenizer.encode(text, unknown).ids.tolist() for text in more]
    # tokens as a model may write them: characters that are cut off, begun, never ended
    chance = np.random.default_rng(0)
    written = [chance.integers(tokenizer.vocabulary_size, size=20).tolist() for _ in range(100)]
    program = "{const made = tokenizer.decoder(); return ids.map(made.push).join('') + made.flush()}"
    assert page.evaluate(f"{written}.map((ids) => {program})") == [tokenizer.decode(ids) for ids in written]


def test_a_model_of_lines_begins_each_one_fresh(
    opened: Callable[..., Any], small_config: Config, tmp_path: Path
) -> None:
    loaded = made(small_config(), CharTokenizer("\n abcdefg"))
    loaded.config["data"] = {"unit": "line"}
    page = opened(exported(loaded, tmp_path / "page.html"))
    with torch.inference_mode():
        logits, _ = loaded.model(torch.zeros(1, 1, dtype=torch.int64), loaded.model.initial_state(1))
    page.evaluate("text.restart('ab' + String.fromCharCode(10), {temperature: 0, most: 0, seed: 0})")
    assert np.allclose(page.evaluate("Array.from(model.scores)"), logits[0, 0].numpy(), atol=1e-4), "before a line"
    page.evaluate("text.step()")
    assert not np.allclose(page.evaluate("Array.from(model.scores)"), logits[0, 0].numpy(), atol=1e-4)
    page.evaluate("text.step(), text.step()")
    assert np.allclose(page.evaluate("Array.from(model.scores)"), logits[0, 0].numpy(), atol=1e-4), (
        "and before the next"
    )


def test_rows_of_a_table_are_set_apart_by_a_blank_line(
    opened: Callable[..., Any], small_config: Config, tmp_path: Path
) -> None:
    loaded = made(small_config(), CharTokenizer(f"{ROW_END} abcdefg"))
    loaded.config["data"] = {"column": "text"}
    with torch.no_grad():
        loaded.model.get_parameter("head.bias")[0] += 3  # rows are short
    page = opened(exported(loaded, tmp_path / "page.html"))
    page.evaluate("$('length').value = 100; $('seed').value = 1; $('write').click()")
    page.wait(RESTING)
    written = page.evaluate("$('text').textContent")
    assert ROW_END not in written
    assert 0 < written.count("\n\n") == page.evaluate("text.tokens.filter(({ id }) => id === 0).length")


@pytest.fixture
def page_of_letters(opened: Callable[..., Any], small_config: Config, tmp_path: Path) -> Any:
    """At rest, with 60 tokens written."""
    page = opened(exported(made(small_config(), CharTokenizer("\n abcdefg")), tmp_path / "page.html"))
    page.evaluate("$('prompt').value = 'aßb'; $('length').value = 58; $('seed').value = 1; $('write').click()")
    page.wait(RESTING)
    return page


def test_the_same_seed_is_the_same_text_and_unknown_characters_are_named(page_of_letters: Any) -> None:
    page = page_of_letters
    first = page.evaluate("$('text').textContent")
    assert first.startswith("ab")
    assert len(first) == 60
    assert "left out: ß" in page.evaluate("$('status').textContent")
    page.evaluate("$('write').click()")
    page.wait(RESTING)
    assert page.evaluate("$('text').textContent") == first
    page.evaluate("$('on').click()")
    page.wait(RESTING)
    longer = page.evaluate("$('text').textContent")
    assert longer.startswith(first)
    assert len(longer) == 118


def test_a_character_shows_the_five_likeliest_next_ones(page_of_letters: Any) -> None:
    page = page_of_letters
    shown = "Array.from($('likeliest').children, (row) => row.querySelector('b').textContent)"
    box = page.evaluate("(({x, y, width, height}) => [x + width / 2, y + height / 2])"
                        "(document.querySelectorAll('#text > span')[1].getBoundingClientRect())")  # fmt: skip
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])
    page.wait("at === 1")
    assert len(page.evaluate(shown)) == 5
    expected = page.evaluate("text.tokens[1].likeliest.map(([id]) => tokenizer.shown(id))")
    assert page.evaluate(shown) == expected
    shares = page.evaluate("text.tokens[1].likeliest.map(([, probability]) => probability)")
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) <= 1 + 1e-9

    page.evaluate("$('text').focus()")
    for key, place in (("ArrowRight", 2), ("ArrowLeft", 1), ("End", 59), ("Home", 0)):
        page.call("Input.dispatchKeyEvent", type="keyDown", key=key)
        page.wait(f"at === {place}")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Escape")
    page.wait("at === -1 && $('likeliest').children.length === 0")


def test_text_is_coloured_by_surprise_and_by_any_unit(page_of_letters: Any) -> None:
    page = page_of_letters
    kinds = "Array.from(new Set(pieces.flatMap(({span}) => Array.from(span.classList)))).sort().join(' ')"
    assert "s" in page.evaluate(kinds).split()
    signs = "(index) => new Set(text.tokens.map(({units}) => units[index] > 0)).size"
    both = page.evaluate(f"[...Array(model.units).keys()].findIndex((index) => ({signs})(index) === 2)")
    page.evaluate(f"$('unit').value = {both + 1}; $('unit').dispatchEvent(new Event('change'))")
    assert page.evaluate("unit") == both
    assert {"p", "n"} <= set(page.evaluate(kinds).split())
    page.evaluate("document.querySelector('input[value=none]').click()")
    assert not {"s", "p", "n"} & set(page.evaluate(kinds).split())


def test_it_begins_by_itself_and_stops_when_told(
    opened: Callable[..., Any], small_config: Config, tmp_path: Path
) -> None:
    file = exported(made(small_config(), CharTokenizer("\n abcdefg")), tmp_path / "page.html")
    page = opened(file)
    assert page.evaluate("text.tokens.length") == 0, "not where motion is to be reduced"
    page = opened(file, motion="no-preference")
    page.wait("text.tokens.length > 0")
    page.evaluate("limit = 1e9")
    page.call("Input.dispatchKeyEvent", type="keyDown", key="Escape")
    page.wait(RESTING)
    assert page.evaluate("$('text').textContent.length") == page.evaluate("text.tokens.length")


def test_nothing_is_wider_than_the_window(page_of_letters: Any) -> None:
    for width in (320, 390, 700, 1280):
        page_of_letters.size(width, 800, touch=width < 600)
        assert page_of_letters.evaluate("document.documentElement.scrollWidth") <= width
