"""Every run gets a directory of its own, with a name that tells what it is."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.cli.hydra.resolvers import FreshDirectories, readable_name
from lstm_lm.sweeps.names import LONGEST


def test_the_same_base_is_the_same_directory_within_a_command(own_folder: Path) -> None:
    fresh = FreshDirectories()
    with fresh.claiming():
        assert fresh("outputs/now") == "outputs/now"
        assert fresh("outputs/now") == "outputs/now"
        assert fresh("outputs/other") == "outputs/other"
    assert sorted(path.name for path in (own_folder / "outputs").iterdir()) == ["now", "other"]


def test_two_commands_in_the_same_second_never_share_a_directory(own_folder: Path) -> None:
    def one_command(_: int) -> str:
        fresh = FreshDirectories()
        with fresh.claiming():
            return fresh("outputs/2026-01-31_12-00-00")

    with ThreadPoolExecutor(8) as pool:
        directories = list(pool.map(one_command, range(24)))
    assert len(set(directories)) == 24
    assert "outputs/2026-01-31_12-00-00-24" in directories


def test_who_only_looks_claims_nothing(own_folder: Path) -> None:
    assert FreshDirectories()("outputs/now") == "outputs/now"
    assert list(own_folder.iterdir()) == []


def failing_command(base: str, *files: str) -> None:
    fresh = FreshDirectories()
    with fresh.claiming():
        for file in files:
            (Path(fresh(base)) / file).touch()
        fresh(base)
        raise ZeroDivisionError


def test_what_is_refused_leaves_no_empty_directory(own_folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        failing_command("outputs/deep/now")
    assert list(own_folder.iterdir()) == []


def test_what_failed_after_it_had_begun_stays(own_folder: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        failing_command("outputs/now", "summary.json")
    assert (own_folder / "outputs" / "now" / "summary.json").exists()


def test_absolute_stays_absolute(tmp_path: Path) -> None:
    fresh = FreshDirectories()
    with fresh.claiming():
        assert fresh(str(tmp_path / "now")) == str(tmp_path / "now")


def test_a_readable_name() -> None:
    assert readable_name(3, ["model.hidden_size=64", "+seed=2"]) == "3_model.hidden_size=64_+seed=2"
    assert readable_name(1, ["model.hidden_size=[64,32]"]) == "1_model.hidden_size=-64-32"
    assert readable_name(1, ["data.path='my books/a b.txt'"]) == "1_data.path=my-books-a-b.txt"
    assert readable_name(1, []) == "1"


@given(st.integers(1, 10**6), st.lists(st.text()))
def test_any_overrides_make_a_name_that_every_file_system_takes(number: int, overrides: list[str]) -> None:
    name = readable_name(number, overrides)
    assert re.fullmatch(r"\d[\w.=+-]*", name, re.ASCII)
    assert len(name) <= LONGEST
    assert not name.endswith(".")
