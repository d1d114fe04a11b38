"""Units of a text, and how they are dealt to the splits: at random, alike everywhere, equal ones together."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lstm_lm
from lstm_lm.data import unit_splits as dealing
from lstm_lm.data.known_units import KnownUnits, digests_of
from lstm_lm.data.module import TextDataModule
from lstm_lm.data.text_source import StringText
from lstm_lm.data.unit_splits import unit_splits
from lstm_lm.data.units import Units, UnitText, digest_of, separator_of, units_of
from lstm_lm.errors import UserError
from lstm_lm.tokenizers.byte import ByteTokenizer

LINES = "".join(f"line {number}\n" for number in range(1000))
CHAR = {"name": "char"}


def text(content: str) -> StringText:
    return StringText(content, "my text")


def dealt(content: str, seed: int = 1, separator: str = "\n", **fractions: float) -> dict[str, list[str]]:
    found = unit_splits(text(content), Units(separator, seed), fractions or {"validation": 0.1})  # type: ignore[arg-type]
    return {split: list(part.units()) for split, part in found.items()}


def refusal(content: str, separator: str = "\n") -> str:
    with pytest.raises(UserError) as caught:
        dealt(content, separator=separator)
    assert 2 <= len(str(caught.value).splitlines()) <= 4
    return str(caught.value)


class TestUnits:
    def test_blank_ones_are_left_out_and_the_last_one_gets_its_end(self) -> None:
        assert list(UnitText(text("a\n\n \nb"), Units("\n", 1)).units()) == ["a\n", "b\n"]
        assert list(UnitText(text("a\nb\n\nc\n"), Units("\n\n", 1)).units()) == ["a\nb\n\n", "c\n\n"]
        assert list(UnitText(text("one<|end|>two"), Units("<|end|>", 1)).units()) == ["one<|end|>", "two<|end|>"]

    @given(st.text(alphabet="ab\n ", max_size=40), st.sampled_from(["\n", "\n\n", "ab", "aa"]), st.integers(1, 7))
    def test_they_do_not_hang_on_where_a_text_is_cut_into_pieces(self, content: str, separator: str, size: int) -> None:
        class Pieces(StringText):
            def pieces(self) -> Any:
                return (content[at : at + size] for at in range(0, len(content), size))

        whole = list(units_of(text(content), separator))
        assert list(units_of(Pieces(content, "x"), separator)) == whole
        assert all(separator not in unit and unit.strip() for unit in whole)

    def test_a_separator_is_typed_as_in_python(self) -> None:
        typed = {r"\n\n": "\n\n", r"a\tb": "a\tb", r"\\n": r"\n", "<|endoftext|>": "<|endoftext|>", "\n": "\n"}
        for separator, meant in typed.items():
            assert separator_of({"unit": "document", "separator": separator}) == meant
        assert separator_of({"unit": "document", "separator": None}) == "\n\n"
        assert separator_of({"unit": "line"}) == "\n"
        assert separator_of({"unit": "window"}) is None

    def test_a_separator_may_be_any_text(self) -> None:
        for typed in ("<|a,b|>", "[x, y]: ${seed} '", r"\n\n", "42"):
            section = lstm_lm.compose("data.unit=document", f"data.separator={typed}")["data"]
            assert section["separator"] == typed


class TestSplits:
    def test_each_gets_its_share_of_the_different_lines_in_the_order_of_the_text(self) -> None:
        found = dealt(LINES, validation=0.1, test=0.05)
        assert {split: len(lines) for split, lines in found.items()} == {"train": 850, "validation": 100, "test": 50}
        assert sorted(line for lines in found.values() for line in lines) == sorted(LINES.splitlines(keepends=True))
        for lines in found.values():
            assert lines == sorted(lines, key=lambda line: int(line[5:])), "in the text's order"
        early = sum(int(line[5:]) < 500 for line in found["validation"])
        assert 30 < early < 70, "from all over the text, not off its end"

    def test_it_is_the_same_on_every_machine(self) -> None:
        """These lines were drawn once; another draw is another split, in which old runs would validate on new text."""
        found = dealt("\n".join("abcdefghijklmnopqrstuvwxyz"), validation=0.3)
        assert "".join(found["validation"]).split() == list("abcmopwy")

    def test_another_seed_deals_otherwise(self) -> None:
        one, other = (set(dealt(LINES, seed)["validation"]) for seed in (1, 2))
        assert 0 <= len(one & other) < 30

    @given(st.lists(st.sampled_from(["a", "b", " a", "c", "d ", "d", "e"]), min_size=1), st.integers(0, 2**32 - 1))
    def test_equal_lines_are_never_on_both_sides(self, lines: list[str], seed: int) -> None:
        different = {line.strip() for line in lines}
        if len(different) < 2:
            return
        found = dealt("\n".join(lines), seed, validation=0.4)
        sides = [{line.strip() for line in found[split]} for split in ("train", "validation")]
        assert not sides[0] & sides[1]
        assert sides[0] | sides[1] == different
        assert len(sides[1]) == max(1, round(0.4 * len(different)))

    def test_of_more_lines_than_are_counted_each_split_gets_about_its_share(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(dealing, "MOST_COUNTED", 10)
        monkeypatch.setattr(dealing, "_AT_ONCE", 4)
        found = dealt(LINES, validation=0.2, test=0.2)
        assert sum(map(len, found.values())) == 1000
        assert all(150 < len(found[split]) < 250 for split in ("validation", "test"))

    def test_too_few_are_refused_with_what_to_do(self) -> None:
        assert "1 different line" in refusal("all alone")
        assert "1 different line" in refusal("again\n" * 50)
        assert "0 different lines" in refusal("\n \n")
        assert "data.unit=window" in refusal("again\n" * 50)
        assert "data.separator='<|end|>'" in refusal(LINES, "<|end|>")
        assert r"data.separator=\r\n\r\n" in refusal("a\r\n\r\nb\r\n\r\n", "\n\n")


class TestKnown:
    def test_it_knows_the_units_it_was_given_and_no_others(self) -> None:
        ids = ByteTokenizer().encode("one\n two \r\n\nthree").ids
        found = digests_of(ids, ByteTokenizer(), "\n")
        assert found is not None
        assert found.tolist() == sorted(found.tolist())
        known = KnownUnits(found)
        assert all(unit in known for unit in ("one", "two", " two ", "three"))
        assert not any(unit in known for unit in ("on", "", "one\ntwo", "Two"))

    def test_more_than_a_checkpoint_should_hold_are_not_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("lstm_lm.data.known_units.MOST_KNOWN", 2)
        assert digests_of(ByteTokenizer().encode("a\nb\nc\n").ids, ByteTokenizer(), "\n") is None
        assert digests_of(ByteTokenizer().encode("a\nb\na\n").ids, ByteTokenizer(), "\n") is not None

    def test_what_is_no_such_thing_is_refused(self) -> None:
        for digests in (None, "x", np.zeros(3)):
            with pytest.raises(ValueError, match="digests"):
                KnownUnits(digests)
        assert digest_of("a") != digest_of("b")


class TestModule:
    def module(self, section: Callable[..., dict[str, Any]], path: Path, **changes: Any) -> TextDataModule:
        made = TextDataModule(section("text", path=str(path), unit="line", batch_size=2, **changes), CHAR, 1)
        made.prepare()
        return made

    def test_seed_share_and_way_of_the_split_are_part_of_what_an_encoded_text_is_known_by(
        self, section: Callable[..., dict[str, Any]], tmp_path: Path
    ) -> None:
        (tmp_path / "text.txt").write_text(LINES)
        changes: list[dict[str, Any]] = [{}, {"split_seed": 2}, {"validation_fraction": 0.2}, {"split": "end"}]
        found = [self.module(section, tmp_path / "text.txt", **change) for change in changes]
        assert len({module.manifest.key for module in found}) == 4
        assert [module.manifest.units is None for module in found] == [False, False, False, True]
        assert len({module.manifest.splits["validation"].crc32 for module in found}) == 4
        again = self.module(section, tmp_path / "text.txt")
        assert again.manifest == found[0].manifest

    def test_lines_of_files_of_their_own_are_not_dealt(
        self, section: Callable[..., dict[str, Any]], tmp_path: Path
    ) -> None:
        (tmp_path / "text.txt").write_text(LINES)
        (tmp_path / "other.txt").write_text("line a\nline b")
        module = self.module(section, tmp_path / "text.txt", validation_path=str(tmp_path / "other.txt"))
        decoded = {split: module.tokenizer.decode(module.tokens(split).tolist()) for split in module.manifest.splits}
        assert decoded == {"train": LINES, "validation": "line a\nline b\n"}

    def test_no_token_reaches_from_one_line_into_the_next(
        self, section: Callable[..., dict[str, Any]], tmp_path: Path
    ) -> None:
        """Else an indented line would lose its blanks to the line before, which never were there."""
        (tmp_path / "text.txt").write_text("".join(f"    if x{number}:\n" for number in range(300)))
        bpe = {"name": "bpe", "vocabulary_size": 300, "min_frequency": 2}
        data = section("text", path=str(tmp_path / "text.txt"), unit="line", batch_size=2)
        module = TextDataModule(data, bpe, 1)
        module.prepare()
        first = next(iter(module.val_dataloader())).targets[:, 0]
        assert module.tokenizer.decode(first[first >= 0].tolist()).startswith("    if x")

    def test_text_that_the_tokenizer_does_not_know_is_named_with_its_line(
        self, section: Callable[..., dict[str, Any]], tmp_path: Path
    ) -> None:
        (tmp_path / "text.txt").write_text(LINES)
        known = self.module(section, tmp_path / "text.txt").tokenizer
        (tmp_path / "text.txt").write_text(LINES + "an odd wörd\n")
        data = section("text", path=str(tmp_path / "text.txt"), unit="line")
        with pytest.raises(UserError) as caught:
            TextDataModule(data, CHAR, 1, known).prepare()
        assert "'ö'" in str(caught.value)
        assert "an odd w" in str(caught.value)
        assert len(str(caught.value).splitlines()) <= 4

    def test_keys_that_do_not_go_together_are_refused(self, section: Callable[..., dict[str, Any]]) -> None:
        for changes in ({"separator": "x"}, {"unit": "document", "separator": ""}, {"split_seed": -1}):
            with pytest.raises(UserError, match=r"data\.s"):
                TextDataModule(section("text", path="a.txt", **changes), CHAR, 1)
