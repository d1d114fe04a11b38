"""What tests share: a small text, and configurations composed from the real `conf/` that train in about a second."""

import copy
import gc
import importlib
import os

# Before torch is imported, and for processes that tests start: workers that share cores must not each use all of them,
# since a vendor's LSTM on several threads waits at every time step for the slowest.
os.environ["OMP_NUM_THREADS"] = "1"

import random
import signal
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from quick_compose import compose

# Started in a shell's background, a process ignores Ctrl-C, and by nohup that its terminal is closed; so would those
# that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


PROCESSOR = (
    *("cells", "embedding", "evaluation", "forward", "generation", "models"),
    *("cli/test_evaluate_command.py", "cli/test_generate_command.py", "cli/test_score_command.py"),
    "cli/test_sweep.py",
    *("cli/test_train_command.py", "test_benchmarks.py", "test_conf.py"),
    *("test_readme.py", "test_recipes.py", "test_wheel.py", "training/objectives/test_reconstruction.py"),
    *("training/compile", "training/test_deterministic.py", "training/test_direct_models.py"),
    *("training/processes/test_launch.py", "training/test_every_forward.py", "training/test_nonfinite.py"),
    *("training/test_resume.py", "training/runtime", "training/test_train.py"),
    "training/tuning",
)
"""Where tests lie whose outcome the processor may decide: its instructions, and what libraries choose by them."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark them, for a second run on a processor that is told to be another (.ci/run); and what the matrix repeats."""
    here = Path(__file__).parent
    if missing := [place for place in PROCESSOR if not (here / place).exists()]:
        raise pytest.UsageError(f"PROCESSOR in tests/conftest.py names what is not there: {', '.join(missing)}")
    for item in items:
        where = item.path.relative_to(here)
        if any(where.is_relative_to(place) for place in PROCESSOR):
            item.add_marker("processor")
        if in_matrix(config) and getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("matrix")


def pytest_collection_finish() -> None:
    """Spare what takes time in every test: the garbage collector looks at no module, nobody at all installed packages.

    Lightning asks each time it makes a trainer which of those have callbacks for it.
    """
    gc.freeze()
    if (registry := sys.modules.get("lightning.fabric.utilities.registry")) is not None:
        registry.entry_points = cache(registry.entry_points)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what this system cannot do at all."""
    if item.get_closest_marker("posix") and os.name != "posix":
        pytest.skip("signals between processes, symbolic links, scripts as programs")
    if item.get_closest_marker("linux") and not sys.platform.startswith("linux"):
        pytest.skip("/proc, /dev/full")


hypothesis.settings.register_profile("default", deadline=None, database=None, max_examples=10)
hypothesis.settings.register_profile("matrix", deadline=None, database=None, max_examples=200)


def pytest_configure(config: pytest.Config) -> None:
    """Draw few inputs for what is tried by default, and many for the same tests in the matrix."""
    hypothesis.settings.load_profile("matrix" if in_matrix(config) else "default")


def in_matrix(config: pytest.Config) -> bool:
    """Whether what is asked for is more than the default run."""
    return "not matrix" not in config.option.markexpr


SMALL = (
    "data=text",
    "data.batch_size=4",
    "data.seq_len=16",
    "data.eval_batch_size=2",
    "data.eval_context=8",
    "model.embedding_size=8",
    "model.hidden_size=16",
    "model.num_layers=1",
    "callbacks.samples.length=20",
    "precision=32-true",
    "device=cpu",
    "trainer.max_epochs=1",
    "trainer.log_every_n_steps=1",
)


@pytest.fixture(scope="session")
def small_overrides() -> tuple[str, ...]:
    """What `small_config` begins with, for those that need it more than once."""
    return SMALL


@pytest.fixture(scope="session")
def small_text() -> str:
    """3,000 characters with something to learn: words of a small language, in lines."""
    chance = random.Random(0)
    words = ["the", "cat", "sat", "on", "a", "mat", "and", "saw", "dogs", "run"]
    lines: list[str] = []
    while sum(map(len, lines)) < 3000:
        lines.append(" ".join(chance.choices(words, k=chance.randint(3, 8))) + ".\n")
    return "".join(lines)


@pytest.fixture
def small_file(tmp_path: Path, small_text: str) -> Path:
    """The small text as a file."""
    path = tmp_path / "small.txt"
    path.write_text(small_text, encoding="utf-8")
    return path


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--keep-figures",
        action="store_true",
        help="write what the slow tests count to benchmarks/results/reliability",
    )


@pytest.fixture
def small_config(tmp_path: Path, small_file: Path) -> Callable[..., dict[str, Any]]:
    """Composes `conf/train.yaml` for a model that trains in about a second; takes further overrides."""

    def make(*overrides: str) -> dict[str, Any]:
        config = copy.deepcopy(_composed(*overrides))
        for key, path in (("path", small_file), ("cache_dir", tmp_path / "cache")):
            if config["data"].get(key) == ANOTHER:
                config["data"][key] = str(path)
        return config

    return make


ANOTHER = "in each test another"


@cache
def _composed(*overrides: str) -> dict[str, Any]:
    paths = (f"data.path='{ANOTHER}'", f"data.cache_dir='{ANOTHER}'")
    return compose(*SMALL, *paths, *overrides)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A page of a headless Chromium, driven as `benchmarks/chromium.py` does; without one, its tests are skipped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
        driver = importlib.import_module("chromium")
    program = driver.found()
    if program is None:
        pytest.skip("there is no Chromium here (Debian: apt-get install chromium)")
    with driver.chromium(program, tmp_path_factory.mktemp("profile")) as page:
        yield page
