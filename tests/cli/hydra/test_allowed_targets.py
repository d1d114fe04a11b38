"""A configuration makes nothing but what this project uses: with real payloads, wherever Hydra or logging makes things.

The payload is the module `evil`: it leaves a file as soon as it is imported.
"""

import ast
import dataclasses
import logging
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hydra
import pytest
import yaml  # type: ignore[import-untyped]
from cli_commands import Here, StandIn
from hydra.conf import HydraConf
from omegaconf import OmegaConf
from tiers import first, smallest

from lstm_lm.cli.hydra.compose import compose
from lstm_lm.cli.hydra.guard import MADE, check_targets
from lstm_lm.errors import UserError

MODULE = """
import logging, pathlib
pathlib.Path(__file__).with_name('it ran').touch()
f = print
class H(logging.Handler): pass
"""

MAKES = {
    "callbacks.e": {"_target_": "evil.f"},
    "sweeper.max_batch_size": {"_target_": "evil.f"},
    "launcher.e": {"_target_": "evil.f"},
    "job_logging.handlers.e": {"class": "evil.H"},
    "hydra_logging.handlers.e": {"class": "evil.H"},
    "verbose": {"_target_": "evil.f"},
}
"""What a payload looks like in each part of Hydra's section that things are made from."""


@pytest.fixture
def it_ran(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that the payload leaves."""
    (own_folder / "evil.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(own_folder))
    monkeypatch.setenv("EVIL", "evil.H")
    yield own_folder / "it ran"
    sys.modules.pop("evil", None)


def nested(key: str, value: Any) -> dict[str, Any]:
    """`a.b` -> `{a: {b: value}}`."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return value  # type: ignore[no-any-return]


def refused_from_file(here: Here, section: Any, *command: str) -> str:
    """What `command` says with a file, in a folder of further ones, that adds `section` to Hydra's own: a refusal."""
    file = Path("more/found/payload.yaml")
    file.parent.mkdir(parents=True)
    file.write_text("# @package _global_\n" + yaml.safe_dump({"hydra": section}), encoding="utf-8")
    return here(*command, "--config-dir", "more", "+found=payload").refused()


# The list of what is checked, against Hydra's own


def open_fields(node: type, prefix: str) -> Iterator[str]:
    """The parts of Hydra's section that its schema leaves open: any key may be there."""
    for field in dataclasses.fields(node):
        if isinstance(field.type, type) and dataclasses.is_dataclass(field.type):
            yield from open_fields(field.type, f"{prefix}.{field.name}")
        elif "Any" in str(field.type):
            yield f"{prefix}.{field.name}"


def test_every_open_part_of_hydras_section_is_checked() -> None:
    never_made = {"hydra.defaults", "hydra.runtime.choices"}  # names of options, which are shown
    assert set(open_fields(HydraConf, "hydra")) - never_made == set(MADE)
    assert {f"hydra.{key.partition('.')[0]}" for key in MAKES} == set(MADE)


def test_hydra_makes_things_from_nothing_else() -> None:
    """Every call in Hydra's source that makes an object, sets up logging or imports what is named."""
    makes = {"instantiate", "_instantiate", "configure_log", "configure_logging", "dictConfig"}
    imports = {"_locate", "import_module", "get_class", "get_method", "get_static_method", "get_object"}
    found: dict[str, set[str]] = {}
    root = Path(hydra.__file__).parent
    for file in root.rglob("*.py"):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            name = ast.unparse(call.func).rpartition(".")[2] if isinstance(call, ast.Call) else ""
            if name in makes | imports:
                found.setdefault(file.relative_to(root).as_posix(), set()).add(re.sub(r"\s+", " ", ast.unparse(call)))
    log = "configure_log(self.config.hydra.hydra_logging, self.config.hydra.verbose)"
    assert found == {
        "_internal/callbacks.py": {"instantiate(params)"},  # of hydra.callbacks
        "_internal/core_plugins/basic_launcher.py": {log},
        "_internal/core_plugins/structured_config_source.py": {"importlib.import_module(self.path)"},  # a search path
        "_internal/hydra.py": {"configure_log(cfg.hydra.hydra_logging, cfg.hydra.verbose)"},
        "_internal/instantiate/_instantiate2.py": {"_locate(target)"},  # in _resolve_target, which is guarded
        "_internal/target_policy.py": {"_locate(f'{module}.{owner_qualname}')"},  # the class of a method found before
        "_internal/utils.py": {"import_module(part0)", "import_module(mod)"},  # _locate itself
        "core/plugins.py": {
            "importlib.import_module('hydra._internal.core_plugins')",
            "importlib.import_module('hydra_plugins')",
            "instantiate(config=config, _target_=clazz)",
            "self._instantiate(config.hydra.sweeper)",
            "self._instantiate(config.hydra.launcher)",
        },
        "core/utils.py": {"configure_logging(conf)", "configure_log(config.hydra.job_logging, config.hydra.verbose)"},
        "main.py": {"configure_log(config.hydra.job_logging, config.hydra.verbose)"},
        "utils.py": {"_locate(path)"},  # for programs, not for configurations
    }


# Payloads


def forms(payload: Mapping[str, str]) -> dict[str, tuple[Any, dict[str, Any]]]:
    """A payload as it may stand in a file: the value, and what else Hydra's section holds."""
    [(key, name)] = payload.items()
    flow = f"{{{key}: {name}}}"
    module, _, attribute = name.partition(".")
    return {
        "written": (payload, {}),
        "elsewhere": ("${hydra.env.x}", {"env": {"x": payload}}),
        "selected": ("${oc.select:hydra.env.x}", {"env": {"x": payload}}),
        "decoded": (f'${{oc.decode:"{flow}"}}', {}),
        "decoded twice": ("${oc.decode:${hydra.env.x}}", {"env": {"x": flow}}),
        "created": (f"${{oc.create:{flow}}}", {}),
        "default": (f"${{oc.select:hydra.env.nothing,{flow}}}", {}),
        "values": ("${oc.dict.values:hydra.env.all}", {"env": {"all": {"x": payload}}}),
        "hydra": ("${hydra:env.x}", {"env": {"x": payload}}),
        "late": (f'${{oc.decode:"{{{key}: {name}, x: ${{hydra.job.num}}}}"}}', {}),
        "name elsewhere": ({key: "${hydra.env.x}"}, {"env": {"x": name}}),
        "name of the environment": ({key: "${oc.env:EVIL}"}, {}),
        "name decoded": ({key: f"${{oc.decode:{name}}}"}, {}),
        "name in pieces": ({key: f"{module}.${{hydra.env.x}}"}, {"env": {"x": attribute}}),
        "name that comes late": ({key: "${hydra.job.num}"}, {}),
    }


SUBTLEST = [("job_logging.handlers.e", form) for form in ("elsewhere", "decoded twice", "late", "name in pieces")]


@pytest.mark.parametrize(
    ("key", "form"),
    [
        pytest.param(key, form, marks=() if form == "written" or (key, form) in SUBTLEST else pytest.mark.matrix)
        for key in MAKES
        for form in forms({"": ""})
        if key in ("callbacks.e", "job_logging.handlers.e") or form in ("written", "elsewhere", "decoded", "late")
    ],
)
def test_nothing_is_made_whatever_form_the_payload_has(key: str, form: str, here: Here, it_ran: Path) -> None:
    value, beside = forms(MAKES[key])[form]
    section = OmegaConf.to_container(OmegaConf.merge(nested(key, value), beside))
    said = refused_from_file(here, section, *(["train", "-m"] if form == "elsewhere" else ["runs"]))
    assert f"hydra.{key}" in said or "hydra.env." in said
    assert not it_ran.exists()


@pytest.mark.parametrize("section", first(MADE))
def test_no_interpolation_stands_for_all_of_what_is_made(section: str, here: Here) -> None:
    said = here("train", "-m", "+hydra.env.x={version: 1}", f"{section}=${{hydra.env.x}}").refused()
    assert f"{section}=${{hydra.env.x}}: not allowed: it stands for several keys" in said


STREAM = "logging.StreamHandler"


LOGGING = [
    {"handlers": {"e": {"()": "${hydra.env.x}"}}},
    {"formatters": {"e": {"()": "${hydra.env.x}"}}},
    {"formatters": {"e": {"class": "${hydra.env.x}"}}},
    {"filters": {"e": {"()": "${hydra.env.x}"}}},
    {"handlers": {"e": {"class": "logging.handlers.QueueHandler", "queue": "${hydra.env.x}"}}},
    {"handlers": {"e": {"class": STREAM, "stream": "ext://${hydra.env.x}"}}},
    {"handlers": {"e": {"class": STREAM, "stream": "${hydra.env.e}://${hydra.env.x}"}}},
    {"handlers": {"e": {"class": STREAM, "stream": "${oc.decode:'ext://${hydra.env.x}'}"}}},
    {"handlers": {"e": {"class": STREAM, "level": ["deep", {"in": "ext://${hydra.env.x}"}]}}},
    {"handlers": {"e": {"class": STREAM, "stream": "cfg://more.x"}}, "more": {"x": "sys.stdout"}},
    {"handlers": {"e": {"class": STREAM, ".": {"stream": "x"}}}},
    {"formatters": {"e": {"()": "colorlog.ColoredFormatter", "stream": "ext://${hydra.env.x}"}}},
]


@pytest.mark.parametrize("payload", smallest(LOGGING, LOGGING[0], LOGGING[7], LOGGING[9]), ids=str)
@pytest.mark.parametrize("section", first(["job_logging", "hydra_logging"]))
def test_logging_imports_nothing(section: str, payload: dict[str, Any], here: Here, it_ran: Path) -> None:
    log = {"version": 1, "root": {"level": "INFO"}, **payload}
    said = refused_from_file(here, {section: log, "env": {"x": "evil.H", "e": "ext"}}, "runs")
    assert f"hydra.{section}." in said
    assert "not allowed: it could run any code" in said
    assert not it_ran.exists()


TYPED = {
    "decoded": ["+hydra.callbacks.x='${oc.decode:\"{_target_: evil.f}\"}'"],
    "handler": [
        *("hydra/job_logging=default", "hydra/hydra_logging=default"),
        *("+hydra.env.x={class: evil.H}", "+hydra.job_logging.handlers.e=${hydra.env.x}"),
    ],
    "stream": [
        *("hydra/hydra_logging=default", "+hydra.env.x='ext://evil.f'"),
        "hydra.hydra_logging.handlers.console.stream=${hydra.env.x}",
    ],
    "target": ["++hydra.callbacks.refuse_early._target_=evil.f"],
    "found by a target that is known": ["+hydra.callbacks.e={_target_: hydra.utils.get_object, path: evil.f}"],
    "unpickled": ["+hydra.callbacks.x={_target_: torch.load, f: p.pt, weights_only: false}"],
    "of the task": ["+x._target_=evil.f"],
    "module": ["hydra.searchpath=[structured://evil]"],
    "package": ["hydra.searchpath=[pkg://evil]"],
    "path": ["--config-path", "pkg://evil"],
}


COMMONEST = [("train", "handler"), *(("runs", payload) for payload in ("decoded", "target", "module", "path"))]


@pytest.mark.parametrize(
    ("verb", "payload"),
    [
        pytest.param(verb, payload, marks=() if (verb, payload) in COMMONEST else pytest.mark.matrix)
        for verb, payload in (
            *(("runs", payload) for payload in TYPED),
            *((verb, "handler") for verb in ("train", "generate", "evaluate", "score", "embed", "export", "serve")),
            *(("train -m", payload) for payload in TYPED if payload != "path"),
        )
    ],
)
def test_nothing_is_made_of_what_is_typed(verb: str, payload: str, here: Here, it_ran: Path) -> None:
    said = here(*verb.split(), *TYPED[payload]).refused()
    assert "not allowed" in said
    assert not it_ran.exists()


def test_nor_of_what_a_job_of_a_sweep_changes(here: Here, it_ran: Path) -> None:
    """The payload lies in the one job's value; what all of them start from is harmless."""
    more = {"job_logging": {"version": 1, "root": {}, "handlers": {"e": {"class": "${on_nonfinite}"}}}}
    said = refused_from_file(here, more, "train", "-m", "on_nonfinite=logging.StreamHandler,evil.H")
    assert "hydra.job_logging.handlers.e.class=" in said
    assert not it_ran.exists()


def test_a_search_path_is_checked_as_it_is_resolved(here: Here, it_ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVIL", "pkg://evil")
    folder = Path("whole")
    folder.mkdir()
    (folder / "train.yaml").write_text("hydra: {searchpath: ['${oc.env:EVIL}']}\n")
    said = here("train", "--config-path", str(folder.absolute())).refused()
    assert "pkg://evil: not allowed: looking into a package runs its code" in said
    assert not it_ran.exists()


def test_python_may_ask_for_no_more(it_ran: Path) -> None:
    for override in ("hydra.searchpath=[structured://evil]", "+hydra.callbacks.e={_target_: evil.f}"):
        with pytest.raises(UserError, match="evil"):
            compose(override)
    assert not it_ran.exists()


def test_what_was_run_before_does_not_stand_for_what_is_checked(here: Here, it_ran: Path) -> None:
    assert here("runs", "+hydra.env.x=none", "--cfg", "job").status == 0
    log = {"version": 1, "root": {}, "handlers": {"e": "${hydra:env.x}"}}
    said = refused_from_file(here, {"job_logging": log, "env": {"x": {"class": "evil.H"}}}, "runs")
    assert "hydra.job_logging.handlers.e=${hydra:env.x}: not allowed" in said
    assert not it_ran.exists()


def test_what_is_refused_is_named_wherever_it_lies() -> None:
    with pytest.raises(UserError, match=r"^a\.0\.b\._target_=os\.system: not allowed"):
        check_targets({"a": [{"b": {"_target_": "os.system"}}]})
    with pytest.raises(UserError, match="not allowed"):
        check_targets({"_target_": "${oc.env:TARGET}"})
    check_targets({"model": {"class": "any", "path": "ext://somewhere"}})


# What still works


HARMLESS = [
    ["-m", "hydra/job_logging=default", "hydra/hydra_logging=default", "hydra.job_logging.root.level=DEBUG"],
    ["hydra/job_logging=default", "hydra.job_logging.handlers.file.filename=${hydra:runtime.output_dir}/my.log"],
    ["hydra/job_logging=stdout", "+hydra.job_logging.formatters.simple.datefmt='${hydra.job.name} ${oc.env:EVIL}'"],
    ["hydra.verbose=[lstm_lm,hydra]", "+hydra.job.env_set.X=${oc.env:EVIL}", "hydra.searchpath=[file://more]"],
    ["hydra.verbose=true", "hydra.run.dir=${hydra.runtime.cwd}/runs/${now:%Y}"],
    ["-m", "hydra.sweep.dir=${hydra.runtime.cwd}/swept", "hydra.sweep.subdir=${hydra.job.num}"],
]


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """What Hydra sets up for all of the process ends with the test."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in ("lstm_lm", "hydra")}
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers, root.level = handlers, level
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


@pytest.mark.parametrize(
    "typed",
    smallest(HARMLESS, HARMLESS[2], HARMLESS[5]),
    ids=" ".join,
)
@pytest.mark.usefixtures("logging_as_before", "it_ran")
def test_what_is_harmless_works(typed: list[str], here: Here, stand_in: StandIn) -> None:
    Path("more").mkdir()
    said = here("train", *typed)
    assert said.status == 0, said.err
    assert len(stand_in.calls) == 1


@pytest.mark.parametrize("launcher", first(["joblib", "submitit_local", "submitit_slurm"]))
def test_other_launchers_are_composed(launcher: str, here: Here) -> None:
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    said = here("train", f"hydra/launcher={launcher}", "--cfg", "hydra", "--package", "hydra.launcher")
    assert said.status == 0, said.err
    assert list(Path().iterdir()) == []  # looked at: no directory is made


def test_colours_for_logging_are_allowed() -> None:
    formatter = {"()": "colorlog.ColoredFormatter", "format": "%(cyan)s%(message)s", "log_colors": {"INFO": "green"}}
    check_targets({"hydra": {"job_logging": {"formatters": {"colour": formatter}}}})
