"""Options of other packages: found by their entry points, used like this project's own, and never in the way."""

import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from plugin_packages import install
from rich.console import Console

import lstm_lm
from lstm_lm import plugins, registry
from lstm_lm.cli.hydra.conf import conf_dir
from lstm_lm.cli.main import main
from lstm_lm.errors import UserError
from lstm_lm.reports.evaluation_table import evaluation_table

ROOT = Path(__file__).resolve().parents[1]
Install = Callable[[str, Mapping[str, str]], None]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a package into a folder of this process's path."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    plugins.found.cache_clear()

    def add(name: str, files: Mapping[str, str]) -> None:
        install(folder, name, files)
        plugins.found.cache_clear()

    yield add
    plugins.found.cache_clear()
    for module in [module for module in sys.modules if module.startswith("lstm_lm_")]:
        del sys.modules[module]


def like(group: str, option: str, **changed: str) -> str:
    """The YAML file of one of this project's options, with other values."""
    text = (conf_dir() / group / f"{option}.yaml").read_text(encoding="utf-8")
    for key, value in changed.items():
        text = re.sub(rf"(?m)^{key}: \S+", f"{key}: {value}", text)
    return text


def test_a_package_adds_to_every_group_and_a_run_uses_all_of_it(
    installed: Install, small_config: Callable[..., dict[str, Any]], small_file: Path, tmp_path: Path
) -> None:
    """Each option is one of this project's under another name."""
    own = {
        "tokenizer": ("tokenizers", "byte", "TOKENIZER"),
        "data": ("data/corpora", "text", "CORPUS"),
        "model": ("models/backbones", "lstm", "MODEL"),
        "forward": ("forward/strategies", "stepwise", "STRATEGY"),
        "objective": ("training/objectives", "language_modelling", "OBJECTIVE"),
        "optimizer": ("training/optimizers", "sgd", "OPTIMIZER"),
        "scheduler": ("training/schedulers", "constant", "SCHEDULER"),
        "averaging": ("training/averaging", "none", "AVERAGING"),
        "method": ("evaluation/methods", "static", "METHOD"),
    }
    files = {}
    for group, (folder, option, constant) in own.items():
        module = f"from lstm_lm.{folder.replace('/', '.')}.{option} import {constant} as Own\n"
        if group == "tokenizer":  # it says its name itself
            module += "from typing import Literal\nfrom lstm_lm.options import Options\n"
            module += "class O(Options):\n    name: Literal['mine']\n"
            module += f"class {constant}(Own):\n    name, OptionsType = 'mine', O\n"
        elif group == "forward":
            module += f"class {constant}(Own):\n    name = 'mine'\n"
        else:
            module += f"{constant} = Own\n"
        files[f"{folder}/mine.py"] = module
        files[f"conf/{group}/mine.yaml"] = like(group, option, **({} if group == "objective" else {"name": "mine"}))
    installed("mine", files)
    groups = [group for group in own if group not in ("method", "objective")]
    config = lstm_lm.compose(*(f"{group}=mine" for group in groups), f"data.path='{small_file}'")
    small = small_config("trainer.max_steps=2", "trainer.limit_val_batches=1")
    for section in ("trainer", "callbacks", "device", "precision"):
        config[section] = small[section]
    config["data"] |= {"batch_size": 4, "seq_len": 8, "cache_dir": str(tmp_path / "cache")}
    config["model"] |= {"hidden_size": 8, "embedding_size": 4}
    assert all(config[group]["name"] == "mine" for group in groups)
    summary = lstm_lm.train(config, tmp_path / "run")
    assert (summary.status, summary.runtime.forward) == ("completed", "mine")
    assert lstm_lm.load(tmp_path / "run").tokenizer.name == "mine"
    section = lstm_lm.evaluate(tmp_path / "run", "mine")
    assert section["splits"]["validation"]["tokens"]
    shown = Console(file=io.StringIO(), width=200)
    shown.print(*evaluation_table(section))
    assert "splits.validation.loss" in shown.file.getvalue()  # type: ignore[attr-defined]
    assert registry.find("lstm_lm.training.objectives", "mine", "objective").OBJECTIVE


def test_help_lists_its_options_among_the_others(installed: Install, capsys: pytest.CaptureFixture[str]) -> None:
    installed("morse", {"conf/tokenizer/morse.yaml": "name: morse", "tokenizers/morse.py": "raise ValueError"})
    assert main(["train", "--help"]) == 0
    assert "byte, [char], morse, whitespace" in capsys.readouterr().out
    assert not [module for module in sys.modules if module.startswith("lstm_lm_morse.")], "nothing is imported"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import telegraph", "telegraph"),
        ("def", "SyntaxError"),
        ("Morse = int", "TOKENIZER"),
        ("TOKENIZER = 3", "TOKENIZER"),
    ],
)
def test_one_that_is_broken_is_named_and_all_else_works(text: str, told: str, installed: Install) -> None:
    installed("morse", {"conf/tokenizer/morse.yaml": "name: morse", "tokenizers/morse.py": text})
    lstm_lm.compose("tokenizer=byte")
    assert registry.find("lstm_lm.tokenizers", "byte", "tokenizer.name").TOKENIZER
    with pytest.raises(UserError, match=rf"lstm-lm-morse 1\.0.*{told}") as caught:
        lstm_lm.train(lstm_lm.compose("tokenizer=morse"))
    assert len(str(caught.value).splitlines()) <= 4


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"tokenizers/char.py": "", "tokenizers/morse.py": "", "conf/tokenizer/morse.yaml": "name: morse"},
    ],
    ids=["it is gone", "its name is taken"],
)
def test_one_that_cannot_be_used_is_left_out_with_a_line(
    files: dict[str, str], installed: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    installed("morse", files)
    assert main(["train", "--cfg", "job"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "lstm-lm-morse 1.0" in line
    assert registry.find("lstm_lm.tokenizers", "char", "tokenizer.name").TOKENIZER.__module__.startswith("lstm_lm.")
    with pytest.raises(UserError, match=r"no such option\nchoose one of: .*\n.*lstm-lm-morse 1\.0") as caught:
        lstm_lm.compose("tokenizer=morse")
    assert len(str(caught.value).splitlines()) <= 4
    assert main(["train", "--help"]) == 0
    assert "lstm-lm-morse 1.0" in capsys.readouterr().out


def test_of_two_with_one_name_the_second_is_left_out(installed: Install) -> None:
    for name in ("morse", "other"):
        installed(name, {"training/schedulers/slow.py": f"class SCHEDULER:\n    of = {name!r}"})
    assert registry.find("lstm_lm.training.schedulers", "slow", "scheduler").SCHEDULER.of == "morse"
    (problem,) = plugins.found().problems
    assert "lstm-lm-other 1.0" in problem
    assert "lstm-lm-morse 1.0" in problem


def test_its_yaml_may_name_no_code(installed: Install, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    text = f"# @package hydra.callbacks\nx:\n  _target_: subprocess.run\n  args: [touch, '{mark}']\n"
    installed("evil", {"conf/experiment/evil.yaml": text, "conf/scheduler/evil.yaml": "_target_: os.getcwd"})
    for override in ("+experiment=evil", "experiment=evil", "scheduler=evil"):
        with pytest.raises(UserError):
            lstm_lm.compose(override)
    assert not mark.exists()


def test_a_package_within_a_broken_one_is_found_without_importing_that(installed: Install, tmp_path: Path) -> None:
    installed("outer", {"__init__.py": "raise RuntimeError", "inner/conf/tokenizer/morse.yaml": "name: morse"})
    (entry,) = (tmp_path / "site").glob("*.dist-info/entry_points.txt")
    entry.write_text(f"[{plugins.GROUP}]\nouter = lstm_lm_outer.inner:anything\n")
    plugins.found.cache_clear()
    (plugin,) = plugins.found().plugins
    assert plugin.package == "lstm_lm_outer.inner"
    assert lstm_lm.compose("tokenizer=morse")["tokenizer"] == {"name": "morse"}


def test_files_of_this_project_come_first(installed: Install) -> None:
    installed("morse", {"conf/train.yaml": "seed: 7", "conf/tokenizer/byte.yaml": "name: morse"})
    config = lstm_lm.compose("tokenizer=byte")
    assert (config["seed"], config["tokenizer"]["name"]) == (1, "byte")


def test_auto_chooses_among_this_projects_strategies(installed: Install) -> None:
    """So a package that is installed changes no run, even where it is broken."""
    installed("fast", {"forward/strategies/fast.py": "raise ValueError"})
    from lstm_lm.forward import choose

    assert "fast" in registry.all_names(choose.PACKAGE)
    assert "fast" not in registry.names(choose.PACKAGE)
    choose.check_forward({"name": "auto"})


def blocks() -> dict[str, str]:
    """The files that docs/plugins.md shows, by their paths."""
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    shown = dict(re.findall(r"(?ms)^`(\S+)`\n\n```\w+\n(.*?)```", text))
    return shown | dict.fromkeys(re.findall(r"an empty `(\S+)`", text), "")


def test_the_example_is_short() -> None:
    assert [len(text.splitlines()) for text in blocks().values()] == [10, 1, 36, 0]


@pytest.mark.posix
def test_the_example_works_as_written(tmp_path: Path) -> None:
    """Built and installed as pip does it, without a network; then in a process of its own."""
    for path, text in blocks().items():
        (tmp_path / "dna" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "dna" / path).write_text(text, encoding="utf-8")
    offline = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "install", *offline, "--target", str(tmp_path / "site"), str(tmp_path / "dna")]
    subprocess.run(pip, check=True, timeout=120)
    (tmp_path / "genome.txt").write_text("GATTACA" * 300 + "?")

    def run(*command: str) -> str:
        path = f"{ROOT / 'src'}:{tmp_path / 'site'}"
        environment = {"PATH": "", "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-m", "lstm_lm", *command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    small = ["device=cpu", "precision=32-true", "data.batch_size=2", "data.seq_len=8", "model.hidden_size=8"]
    run("train", "data=text", "data.path=genome.txt", "tokenizer=dna", "trainer.max_steps=2", *small)
    assert set(run("generate", "prompt=GA", "max_new_tokens=20")) <= set("ACGTN\n")
