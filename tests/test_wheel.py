"""The wheel works from an empty directory, in an environment that has nothing else of this project."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
QUICK = ["trainer.max_steps=3", "trainer.limit_val_batches=2", "model.hidden_size=16", "callbacks.samples.length=10"]


def run(command: list[str], cwd: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts folder of a fresh environment with this wheel.

    Its dependencies are those of the environment that runs the tests, put on the path as a plain folder: there an
    editable install's `.pth` files are not followed, so `lstm_lm` can only come from the wheel.
    """
    folder = tmp_path_factory.mktemp("wheel")
    for part in ("src", "conf", "pyproject.toml", "README.md", "LICENSE"):
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / "checkout" / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / "checkout" / part)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    built = run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)],
        folder / "checkout",
        clean,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = folder.glob("lstm_lm-*.whl")
    venv.create(folder / "venv")
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    site = sysconfig.get_path("purelib", vars={"base": str(folder / "venv"), "platbase": str(folder / "venv")})
    pip = [sys.executable, "-m", "pip", "--python", str(scripts / "python")]  # a pip of its own would take seconds
    got = run([*pip, "install", "--no-deps", "--no-index", str(wheel)], folder, clean)
    assert got.returncode == 0, got.stdout + got.stderr
    (Path(site) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return scripts


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return kept | {"XDG_CACHE_HOME": str(tmp_path / "cache")}


def test_the_console_script_trains_and_generates_in_an_empty_directory(
    installed: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    where = run([str(installed / "python"), "-c", "import lstm_lm; print(lstm_lm.__file__)"], empty, environment)
    assert str(installed.parent) in where.stdout, where.stdout + where.stderr

    trained = run([str(installed / "lstm-lm"), "train", *QUICK], empty, environment)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    (run_dir,) = (empty / "outputs").iterdir()
    assert (run_dir / "summary.json").exists()

    as_a_module = [str(installed / "python"), "-m", "lstm_lm"]
    written = run([*as_a_module, "generate", "prompt=The ", "max_new_tokens=20"], empty, environment)
    assert written.returncode == 0, written.stderr
    assert written.stdout.startswith("The ")


def test_the_wheel_has_every_configuration_file(installed: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    code = "from lstm_lm.cli.hydra.conf import conf_dir; print(conf_dir())"
    folder = Path(run([str(installed / "python"), "-c", code], tmp_path, environment).stdout.strip())
    assert folder.is_relative_to(installed.parent)
    expected = {path.relative_to(ROOT / "conf") for path in (ROOT / "conf").rglob("*.yaml")}
    assert {path.relative_to(folder) for path in folder.rglob("*.yaml")} == expected
