"""What was typed is what arrives: through Hydra's real parser, twice in a sweep, and OmegaConf's interpolations."""

from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from lstm_lm.cli.hydra.free_text import FreeText, quote_overrides, unquote_text

PARSER = OverridesParser.create()

anything = st.text(st.characters(blacklist_characters="\0"))
awkward = st.text(st.sampled_from("\\'\"$${}[](),=:? \t\n~+-#%&!*|<>@aé😀"), max_size=15)
texts = st.one_of(anything, awkward, st.from_regex(r"-?\d+(\.\d+)?|null|true|\?\?\?|\$\{now:%Y\}", fullmatch=True))


def quoted(value: str, kind: FreeText, *, multirun: bool = False, prefix: str = "") -> str:
    [override] = quote_overrides([f"{prefix}key={value}"], {"key": kind}, multirun=multirun)
    return override


def arrives(override: str) -> Any:
    """The value in the configuration that the application is given."""
    parsed = PARSER.parse_override(override)
    # A sweep writes what it has parsed down again, for each of its jobs to parse.
    parsed = PARSER.parse_override(f"key={parsed.get_value_element_as_str()}")
    config = OmegaConf.create({"key": "default", "now": "wrong"})
    OmegaConf.update(config, "key", parsed.value())
    container = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(container, dict)
    return container["key"]


@given(texts)
@example("To be, or not to be")
@example("What's this")
@example("f(x")
@example(" blanks at both ends ")
@example("42")
@example("null")
@example("true")
@example("???")
@example("a\\${b}\\\\${c}\\")
@example("'already quoted'")
@example("[a,b]")
@example("")
def test_a_prompt_arrives_as_it_was_typed(text: str) -> None:
    assert arrives(quoted(text, FreeText.TEXT)) == text
    assert arrives(quoted(text, FreeText.TEXT, multirun=True)) == text


@given(awkward)
@example("???")
def test_a_quoted_text_can_be_shown_as_it_was_typed(text: str) -> None:
    assert unquote_text(str(PARSER.parse_override(quoted(text, FreeText.TEXT)).value())) == text


@given(texts.filter(lambda text: text.lower() != "null" and not text.startswith(("[", "'", '"', "~"))))
def test_a_path_and_a_stop_text_arrive_as_they_were_typed(text: str) -> None:
    assert arrives(quoted(text, FreeText.PATH)) == text
    assert arrives(quoted(text, FreeText.TEXTS)) == text


@pytest.mark.parametrize("kind", [FreeText.TEXTS, FreeText.PATH, FreeText.HYDRA_PATH])
def test_null_is_no_path_and_no_stop_text(kind: FreeText) -> None:
    assert arrives(quoted("null", kind)) is None


@pytest.mark.parametrize("kind", [FreeText.TEXTS, FreeText.PATH])
@pytest.mark.parametrize(
    ("value", "items"),
    [
        ("[a.txt,b.txt]", ["a.txt", "b.txt"]),
        ("[a.txt, b.txt ]", ["a.txt", "b.txt"]),
        ("[What's new (1).txt,x=${y}.txt]", ["What's new (1).txt", "x=${y}.txt"]),
        ("""['a,b.txt'," c "]""", ["a,b.txt", " c "]),
        ("[7,null]", ["7", "null"]),
        ("[]", []),
    ],
)
def test_brackets_make_a_list_of_texts(kind: FreeText, value: str, items: list[str]) -> None:
    assert arrives(quoted(value, kind)) == items


@given(st.lists(texts.map(lambda text: text.strip()).filter(lambda text: text and text[0] not in "'\"[~")))
def test_any_texts_without_commas_and_brackets_make_a_list(items: list[str]) -> None:
    items = [item for item in items if not set(item) & set(",[]")]
    assert arrives(quoted(f"[{','.join(items)}]", FreeText.PATH)) == items


@pytest.mark.parametrize("name", ["[a,b]", "a,b", "'a'"])
@pytest.mark.parametrize("multirun", [False, True])
def test_a_file_of_just_that_name_is_that_file(name: str, multirun: bool, own_folder: Path) -> None:
    (own_folder / name).touch()
    assert arrives(quoted(name, FreeText.PATH, multirun=multirun)) == name


def test_quotes_around_a_whole_path_are_hydras() -> None:
    assert arrives(quoted("'my novel.txt'", FreeText.PATH)) == "my novel.txt"
    assert arrives(quoted('"my novel.txt"', FreeText.PATH)) == "my novel.txt"
    assert arrives(quoted("'it's'.txt", FreeText.PATH)) == "'it's'.txt"


@pytest.mark.parametrize(
    ("value", "each"),
    [
        ("a.txt,b (1).txt", ["a.txt", "b (1).txt"]),
        ("[a,b],c", [["a", "b"], "c"]),
        ("last, null", ["last", None]),
        ("'a,b',c", ["a,b", "c"]),
    ],
)
def test_a_sweep_over_paths(value: str, each: list[Any]) -> None:
    override = PARSER.parse_override(quoted(value, FreeText.PATH, multirun=True))
    assert isinstance(override.value(), ChoiceSweep)
    assert [arrives(f"key={text}") for text in override.sweep_string_iterator()] == each


def test_a_hydra_path_keeps_its_interpolations() -> None:
    assert arrives(quoted("runs (old)/${now}, 1", FreeText.HYDRA_PATH)) == "runs (old)/wrong, 1"
    assert arrives(quoted("'runs/${now}'", FreeText.HYDRA_PATH)) == "runs/wrong"


@pytest.mark.parametrize("kind", [FreeText.PATH, FreeText.HYDRA_PATH])
@pytest.mark.parametrize(
    ("value", "arrived"),
    [("~/runs", "/home/me/runs"), ("'~/runs'", "/home/me/runs"), ("runs/~/x", "runs/~/x"), ("./~", "./~")],
)
def test_a_tilde_is_the_users_home(kind: FreeText, value: str, arrived: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of `KEY=~/runs` no shell sees that it is a path."""
    monkeypatch.setattr(
        "os.path.expanduser", lambda path: path.replace("~", "/home/me", 1) if path[:2] == "~/" else path
    )
    assert arrives(quoted(value, kind)) == arrived


def test_a_tilde_in_a_list_is_the_users_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path.replace("~", "/home/me", 1))
    assert arrives(quoted("[~/a,b]", FreeText.PATH)) == ["/home/me/a", "b"]


def test_a_tilde_in_a_text_is_text() -> None:
    assert arrives(quoted("~/runs", FreeText.TEXT)) == "~/runs"


@pytest.mark.parametrize("prefix", ["+", "++", "~"])
def test_prefixes_stay(prefix: str) -> None:
    override = PARSER.parse_override(quoted("it's", FreeText.TEXT, prefix=prefix))
    assert override.get_key_element() == f"{prefix}key"
    assert override.value() == "it's"


def test_everything_else_is_left_to_hydra() -> None:
    untouched = ["model.hidden_size=[64,32]", "~key", "other='x'", "keyword=1", "key", "", "=x"]
    assert quote_overrides(untouched, {"key": FreeText.TEXT}, multirun=True) == untouched
