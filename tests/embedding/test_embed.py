"""Vectors of lines and windows: which row is whose, what they are, and that near ones mean the same."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from rounding import Results, assert_close, bound
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

import lstm_lm
from lstm_lm.data.text_source import StringText
from lstm_lm.embedding.embed import Embedded, embed
from lstm_lm.embedding.npy_file import npy_rows
from lstm_lm.embedding.projector import CONFIG, LABELS, VECTORS
from lstm_lm.embedding.texts import lines, windows
from lstm_lm.errors import UserError
from lstm_lm.forward.interface import StackSpec
from lstm_lm.models.backbones.autoencoder import Autoencoder
from lstm_lm.models.loading import Loaded
from lstm_lm.tokenizers.char import CharTokenizer

Config = Callable[..., dict[str, Any]]
SMALL = ("experiment=autoencoder", "data=text", "data.seq_len=16", "model.latent_size=12", "trainer.max_steps=3")
TOKENIZER = CharTokenizer("\n abc")


@pytest.fixture
def autoencoder(small_config: Config, tmp_path: Path) -> Loaded:
    lstm_lm.train(small_config(*SMALL), tmp_path / "run")
    return lstm_lm.load(tmp_path / "run")


def vectors(loaded: Loaded, text: str, tmp_path: Path, **how: Any) -> tuple[np.ndarray, Embedded]:
    done = embed(loaded, StringText(text, "the text"), tmp_path / "out.npy", overwrite=True, **how)
    return np.load(tmp_path / "out.npy"), done


def assert_same(found: np.ndarray | torch.Tensor, expected: np.ndarray | torch.Tensor, spec: StackSpec) -> None:
    """But for rounding: one line alone and several beside each other take other kernels."""
    allowed = bound(spec, torch.empty(16, 1), torch.float32, reference=torch.float32, beside=1)  # what makes a vector
    assert_close(Results((torch.as_tensor(found),)), Results((torch.as_tensor(expected),)), allowed)


# Which row is whose


@given(st.text(alphabet="abc\n ", max_size=40))
def test_piece_i_is_line_i(text: str) -> None:
    expected = text.split("\n")[:-1] if text.endswith("\n") or not text else text.split("\n")
    found = list(lines(StringText(text, "the text"), TOKENIZER, "error"))
    assert [piece.text.strip() for piece in found] == [line.strip() for line in expected]
    for piece, line in zip(found, expected, strict=True):
        assert TOKENIZER.decode(piece.ids) == (line + "\n" if line.strip() else "")


@given(st.text(alphabet="abc\n ", max_size=40), st.integers(1, 7))
def test_windows_are_the_text_cut_every_so_many_tokens(text: str, size: int) -> None:
    found = list(windows(StringText(text, "the text"), TOKENIZER, "error", size))
    assert "".join(piece.text for piece in found) == text
    assert all(len(piece.ids) == size for piece in found[:-1])


def test_unknown_text_is_an_error_that_names_the_line_or_left_out() -> None:
    source = StringText("ab\ncxa\nxx\n", "the text")
    with pytest.raises(UserError, match="the text, line 2: the char tokenizer does not know 'x'") as caught:
        list(lines(source, TOKENIZER, "error"))
    assert "unknown=skip" in str(caught.value)
    skipped = list(lines(source, TOKENIZER, "skip"))
    assert [TOKENIZER.decode(piece.ids) for piece in skipped] == ["ab\n", "ca\n", ""]
    assert [piece.replaced for piece in skipped] == [0, 1, 2]
    assert len(list(lines(source, TOKENIZER, "replace"))[2].ids) == 3


# What they are


def test_a_line_has_the_vector_of_its_tokens_whatever_is_beside_it(autoencoder: Loaded, tmp_path: Path) -> None:
    model, tokenizer = autoencoder
    assert isinstance(model, Autoencoder)
    text = "the cat sat\n\non a mat\nrun\n"
    found, done = vectors(autoencoder, text, tmp_path)
    assert found.dtype == np.float32
    assert found.shape == (4, 12) == (done.rows, done.size)
    assert done.blank == 1
    assert not found[1].any(), "row i stays line i"
    for row, line in zip(found, text.splitlines(keepends=True), strict=True):
        if line.strip():
            ids = torch.from_numpy(tokenizer.encode(line).ids).unsqueeze(1)
            alone = model.encode(ids, torch.tensor([len(ids)]))[0]
            assert_same(row, alone, model.encoder.spec)
    for batch_size in (1, 2):
        assert_same(vectors(autoencoder, text, tmp_path, batch_size=batch_size)[0], found, model.encoder.spec)


def test_a_line_longer_than_the_models_windows_is_the_mean_of_its_pieces(autoencoder: Loaded, tmp_path: Path) -> None:
    """29 characters and the newline, windows of 16: two pieces of 15."""
    model, tokenizer = autoencoder
    line = "the cat sat on a mat and saw.\n"
    found, done = vectors(autoencoder, line, tmp_path)
    assert done.longer == 1
    ids = torch.from_numpy(tokenizer.encode(line).ids).view(2, 15).T
    mean = model.encode(ids, torch.tensor([15, 15])).mean(dim=0)  # type: ignore[operator]
    assert_same(found[0], mean, model.encoder.spec)  # type: ignore[attr-defined]


def test_windows_have_vectors_too(autoencoder: Loaded, tmp_path: Path) -> None:
    found, done = vectors(autoencoder, "the cat sat on a mat and saw.\n", tmp_path, unit="window")
    assert found.shape == (2, 12)
    assert done.longer == 0


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_a_language_model_gives_the_mean_of_its_hidden_states(name: str, small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config(f"model={name}", "model.hidden_size=6", "trainer.max_steps=2"), tmp_path / "run")
    loaded = lstm_lm.load(tmp_path / "run")
    text = "the cat sat on a mat and saw the dogs run.\nrun\n"
    found, done = vectors(loaded, text, tmp_path)
    assert found.shape == (2, 6)
    assert "mean of the last layer's hidden states" in done.how
    for row, line in zip(found, text.splitlines(keepends=True), strict=True):
        ids = torch.from_numpy(loaded.tokenizer.encode(line).ids).unsqueeze(1)
        hidden = loaded.model.forward_with_hidden(ids, loaded.model.initial_state(1)).hidden
        assert_same(row, hidden.mean(dim=0)[0], loaded.model.stack.spec)


def test_a_model_without_hidden_states_is_refused_by_name(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lstm_lm.train(small_config("trainer.max_steps=1"), tmp_path / "run")
    loaded = lstm_lm.load(tmp_path / "run")
    monkeypatch.setattr(type(loaded.model), "hands_out_hidden", False)
    with pytest.raises(UserError, match="model=lstm: hands out no hidden states"):
        vectors(loaded, "run\n", tmp_path)


# The files


@given(st.lists(st.integers(1, 5), max_size=5), st.integers(1, 9))
def test_rows_can_be_appended_without_knowing_how_many(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], size: int
) -> None:
    path = tmp_path_factory.mktemp("rows") / "out.npy"
    parts = [np.full((count, size), number, np.float32) for number, count in enumerate(counts)]
    with npy_rows(path) as file:
        for part in parts:
            file.append(part)
    expected = np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
    np.testing.assert_array_equal(np.load(path), expected)
    assert not counts or np.load(path, mmap_mode="r").shape == (sum(counts), size)


def test_what_goes_wrong_halfway_leaves_the_file_as_it_was(autoencoder: Loaded, tmp_path: Path) -> None:
    (tmp_path / "out.npy").write_bytes(b"before")
    with pytest.raises(UserError, match="line 3"):
        vectors(autoencoder, "the cat\nsat\n¤\n", tmp_path, batch_size=1, projector=True)
    assert (tmp_path / "out.npy").read_bytes() == b"before"
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".tmp", ".tsv", ".pbtxt")]


def test_tensorboards_projector_finds_vectors_and_labels(autoencoder: Loaded, tmp_path: Path) -> None:
    found, done = vectors(autoencoder, "the cat\n\n\ta mat\n", tmp_path, projector=True, unknown="skip")
    assert done.projector is not None
    config = text_format.Parse((done.projector / CONFIG).read_text(), ProjectorConfig())
    (entry,) = config.embeddings
    assert (entry.tensor_path, entry.metadata_path) == (VECTORS, LABELS)
    table = np.loadtxt(done.projector / entry.tensor_path, delimiter="\t", dtype=np.float32, ndmin=2)
    np.testing.assert_allclose(table, found, rtol=1e-5)
    assert (done.projector / entry.metadata_path).read_text().splitlines() == ["the cat", "(blank)", "a mat"]


# What they are good for

TEMPLATES = (
    "the {size} {animal} {ate} the {food}",
    "the {food} the {size} {animal} {ate}",
)
SYNONYMS = {
    "size": [("big", "large"), ("small", "little"), ("old", "aged"), ("sad", "unhappy")],
    "animal": [("dog", "hound"), ("cat", "kitty"), ("horse", "pony"), ("bird", "fowl"), ("pig", "swine")],
    "ate": [("ate", "eats"), ("saw", "sees"), ("hid", "hides")],
    "food": [("bread", "loaf"), ("apple", "fruit"), ("meat", "beef"), ("corn", "grain")],
}
PAIRS = 40


def planted(chance: random.Random, count: int) -> list[tuple[str, str]]:
    """Sentences, each with a paraphrase: another word for one of its four, in another order half of the time."""
    made: dict[tuple[int, ...], tuple[str, str]] = {}
    while len(made) < count:
        choice = tuple(chance.randrange(len(options)) for options in SYNONYMS.values())
        words = {key: options[at] for (key, options), at in zip(SYNONYMS.items(), choice, strict=True)}
        changed = {chance.choice(sorted(words))}
        one = {key: pair[0] for key, pair in words.items()}
        other = {key: pair[key in changed] for key, pair in words.items()}
        made[choice] = TEMPLATES[0].format(**one), chance.choice(TEMPLATES).format(**other)
    return list(made.values())


def test_the_nearest_line_is_the_paraphrase_far_above_chance(small_config: Config, tmp_path: Path) -> None:
    """recall@1 of 40 planted pairs by cosine; chance is 1 in 40. The pairs are none of the training lines."""
    pairs = planted(random.Random(1), PAIRS)
    held = {sentence for pair in pairs for sentence in pair}
    chance = random.Random(2)
    training = [
        sentence for _ in range(40) for pair in planted(chance, 20) for sentence in pair if sentence not in held
    ]
    (tmp_path / "train.txt").write_text("\n".join(training) + "\n")
    changes = (
        f"data.path={tmp_path / 'train.txt'}",
        "experiment=autoencoder",
        "tokenizer=word",
        "tokenizer.min_frequency=1",
        "data.batch_size=32",
        "model.embedding_size=24",
        "model.hidden_size=32",
        "model.latent_size=32",
        "model.word_dropout=0.5",
        "trainer.max_epochs=5",
        "optimizer.lr=0.01",
        "callbacks.samples.length=0",
    )
    lstm_lm.train(small_config(*changes), tmp_path / "run")
    loaded = lstm_lm.load(tmp_path / "run")
    one, other = (vectors(loaded, "\n".join(pair[side] for pair in pairs) + "\n", tmp_path)[0] for side in (0, 1))
    one, other = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (one, other))
    recall = float(((one @ other.T).argmax(axis=1) == np.arange(PAIRS)).mean())
    assert recall >= 10 / PAIRS, f"recall@1 {recall:.2f}, chance {1 / PAIRS:.3f}"


# From Python


def test_lines_of_python_get_the_vectors_of_the_command(autoencoder: Loaded, tmp_path: Path) -> None:
    given_lines = ["the cat", "", "sat on the mat", "the cat"]
    expected, _ = vectors(autoencoder, "\n".join(given_lines) + "\n", tmp_path, batch_size=2)
    found = lstm_lm.embed(autoencoder, iter(given_lines), batch_size=2)
    assert found.dtype == torch.float32
    assert np.array_equal(found.numpy(), expected)
    assert not found[1].any()
    assert torch.equal(lstm_lm.embed(tmp_path / "run", "\n".join(given_lines), batch_size=2), found), "a text's lines"
    assert lstm_lm.embed(autoencoder, []).shape == (0, 12)


def test_what_is_no_line_is_refused(autoencoder: Loaded) -> None:
    with pytest.raises(UserError, match="line 2: has a newline"):
        lstm_lm.embed(autoencoder, ["the", "cat\nsat"])
    with pytest.raises(UserError, match="line 1: int"):
        lstm_lm.embed(autoencoder, [1])  # type: ignore[list-item]
    with pytest.raises(UserError, match=r"embed\.batch_size=0"):
        lstm_lm.embed(autoencoder, ["the"], batch_size=0)
    with pytest.raises(UserError, match=r"the lines, line 1: .*does not know"):
        lstm_lm.embed(autoencoder, ["☃"])
