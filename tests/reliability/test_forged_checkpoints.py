"""Checkpoints with a right digest and a wrong field: refused in a few lines, or used. No traceback, no hang."""

import copy
import math
import shutil
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from counted import counted, refused_well
from forging import soon, twice
from hypothesis import strategies as st
from tiers import first

import lstm_lm
from lstm_lm.data.text_source import StringText
from lstm_lm.embedding.embed import embed
from lstm_lm.errors import RunError, UserError
from lstm_lm.evaluation.evaluate import evaluate_loaded
from lstm_lm.generation.text import sample_text
from lstm_lm.runs import checkpoint_file
from lstm_lm.runs.configuration import differences, read_config
from lstm_lm.runs.directory import RunDirectory

Keep = Callable[..., None]
Place = tuple[Any, ...]


class Absent:
    """Stands for a field that is taken away."""


VALUES: dict[str, Callable[[], Any]] = {
    "absent": Absent,
    "none": lambda: None,
    "true": lambda: True,
    "minus one": lambda: -1,
    "zero": lambda: 0,
    "large": lambda: 2**62,
    "larger": lambda: 10**30,
    "half": lambda: 0.5,
    "nan": lambda: math.nan,
    "infinity": lambda: -math.inf,
    "text": lambda: "\x1b[31mno such[/red]\n",
    "list": list,
    "section": dict,
    "numbers for names": lambda: {1: 2},
    "twice and twice": lambda: twice(60),
    "deep": lambda: [[[]]] * 2,
    "number in a tensor": lambda: torch.tensor(3.0),
    "tensor": lambda: torch.zeros(3),
    "no rows": lambda: torch.zeros(0, 4),
    "tensor of whole numbers": lambda: torch.full((4, 16), 2**40),
    "tensor of a stride of zero": lambda: torch.zeros(1).expand(10**12),
    "tensor that is nowhere": lambda: torch.empty(10**12, device="meta"),
}


def places(node: Any) -> Iterator[Place]:
    """Of everything in `node`, sections included."""
    parts = node.items() if isinstance(node, Mapping) else enumerate(node)
    for name, part in parts:
        yield (name,)
        if isinstance(part, (Mapping, list, tuple)):
            for below in places(part):
                yield (name, *below)


def changed(node: Any, place: Place, value: Any) -> Any:
    """A copy of `node` with `value` at `place`; all else is the same."""
    name, *below = place
    inner = changed(node[name], tuple(below), value) if below else value
    if isinstance(node, Mapping):
        return {key: inner if key == name else part for key, part in node.items() if key != name or inner is not GONE}
    parts = [
        inner if number == name else part for number, part in enumerate(node) if number != name or inner is not GONE
    ]
    return parts if isinstance(node, list) else tuple(parts)


GONE = Absent()


def seal(checkpoint: Any, file: Path) -> None:
    """As whoever forges one does: torch's own writer, and a digest that fits."""
    with file.open("wb+") as opened, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(checkpoint, opened)
        checkpoint_file._seal(opened)


def seal_archive(data: bytes, file: Path) -> None:
    with file.open("wb+") as opened:
        opened.write(data)
        checkpoint_file._seal(opened)


class Trained:
    """A run of two steps, and how to do it again."""

    def __init__(self, folder: Path, text: str, overrides: tuple[str, ...]) -> None:
        (folder / "small.txt").write_text(text)
        paths = (f"data.path='{folder / 'small.txt'}'", f"data.cache_dir='{folder / 'cache'}'")
        self.overrides = (*overrides, *paths, "averaging=ema", "callbacks.samples.length=0", "logger.tensorboard=false")
        self.run = RunDirectory(folder / "run")
        lstm_lm.train(lstm_lm.compose(*self.overrides, "trainer.max_steps=2"), self.run.path)
        self.checkpoint = torch.load(self.run.last, weights_only=True)
        self.places = list(places(self.checkpoint))
        self.more = lstm_lm.compose(*self.overrides, "trainer.max_steps=3", "resume=auto")

    def uses(self, file: Path) -> list[Callable[[], object]]:
        """All but going on with the training; each is done with what was loaded, or refused."""

        def generate() -> object:
            loaded = lstm_lm.load(ckpt_path=file)
            return sample_text(loaded.model, loaded.tokenizer, prompt="the", max_new_tokens=3, seed=1)

        def evaluate() -> object:
            return evaluate_loaded(lstm_lm.load(ckpt_path=file), METHOD)

        def vectors() -> object:
            return embed(lstm_lm.load(ckpt_path=file), StringText("the cat\n", "it"), file.with_suffix(".npy"))

        def begin_from() -> object:
            config = copy.deepcopy(self.more) | {"resume": "never", "init_from": str(file)}
            return lstm_lm.train(config, file.parent / "begun")

        def list_and_compare() -> object:
            return differences([read_config(RunDirectory(file.parent.parent)), self.more])

        return [generate, evaluate, vectors, list_and_compare, begin_from]

    def continued(self, file: Path) -> object:
        """Train on in the run directory that `file` is the last checkpoint of."""
        return lstm_lm.train(copy.deepcopy(self.more), file.parent.parent)


METHOD: dict[str, Any] = {
    "name": "static",
    "splits": ["validation"],
    **dict.fromkeys(("batch_size", "seq_len", "context", "limit_windows")),
    "warmup_windows": 0,
    "blocks": 10,
}


def outcome(use: Callable[[], object]) -> str:
    try:
        with soon(60):
            use()
    except RunError as error:
        refused_well(error)
        return "stopped"
    except UserError as error:
        refused_well(error)
        return "refused"
    return "used"


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forged field may name a folder, which is then made where the process runs."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, small_text: str, small_overrides: tuple[str, ...]) -> Trained:
    return Trained(tmp_path_factory.mktemp("run"), small_text, small_overrides)


def copied(trained: Trained, to: Path) -> Path:
    """The run directory as it was; gives the place of its last checkpoint."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(trained.run.path, to)
    run = RunDirectory(to)
    run.best.unlink(missing_ok=True)
    return run.last


def tried(trained: Trained, folder: Path, examples: int, *, resume: bool) -> Counter[str]:
    def handled(place: Place, kind: str) -> str:
        value = VALUES[kind]()
        forged = changed(trained.checkpoint, place, GONE if isinstance(value, Absent) else value)
        last = copied(trained, folder / "run")
        seal(forged, last)
        uses = [lambda: trained.continued(last)] if resume else trained.uses(last)
        found = {outcome(use) for use in uses}
        return "used" if found == {"used"} else "refused"

    return counted(handled, examples, place=st.sampled_from(trained.places), kind=st.sampled_from(sorted(VALUES)))


@pytest.mark.parametrize("examples", first([10, 40]))
def test_forged_fields_are_refused_or_used(examples: int, trained: Trained, tmp_path: Path) -> None:
    assert tried(trained, tmp_path, examples, resume=False)["refused"] > examples // 13


@pytest.mark.parametrize("examples", first([15, 60]))
def test_forged_fields_are_refused_or_trained_on(examples: int, trained: Trained, tmp_path: Path) -> None:
    assert tried(trained, tmp_path, examples, resume=True)["refused"] > examples // 3


@pytest.mark.slow
def test_many_forged_fields(trained: Trained, tmp_path: Path, keep: Keep) -> None:
    used = tried(trained, tmp_path, 1_500, resume=False)
    continued = tried(trained, tmp_path, 3_000, resume=True)
    counts = used + continued
    keep("forged", tried=counts.total(), refused=counts["refused"], used=counts["used"])
    assert counts.total() > 3_500
