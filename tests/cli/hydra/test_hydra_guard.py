"""Each name is checked as it is imported, whatever was checked before."""

import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra.core.utils import configure_log
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from lstm_lm.cli.hydra import guard
from lstm_lm.cli.hydra.guard import only_allowed_targets
from lstm_lm.cli.train import TrainTask
from lstm_lm.errors import UserError

STREAM = "logging.StreamHandler"
REFUSES = "lstm_lm.cli.hydra_hooks.RefuseEarly"


@pytest.fixture(autouse=True)
def it_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file that the payload leaves as it is imported."""
    (tmp_path / "evil.py").write_text("import pathlib; pathlib.Path(__file__).with_name('it ran').touch(); f = print\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "it ran"
    sys.modules.pop("evil", None)


def set_up_logging(config: DictConfig) -> None:
    configure_log(config.log)


def make(config: DictConfig) -> None:
    instantiate(config.made)


USES: list[tuple[Callable[[DictConfig], None], dict[str, object]]] = [
    (make, {"made": {"_target_": "${oc.env:NAME}"}}),
    (make, {"made": {"_target_": REFUSES, "x": [{"y": {"_target_": "${oc.env:NAME}"}}]}}),
    (set_up_logging, {"log": {"version": 1, "root": {}, "handlers": {"e": {"class": "${oc.env:NAME}"}}}}),
    (set_up_logging, {"log": {"version": 1, "root": {}, "handlers": {"e": {"()": "${oc.env:NAME}"}}}}),
    (set_up_logging, {"log": {"version": 1, "root": {}, "formatters": {"e": {"class": "${oc.env:NAME}"}}}}),
    (set_up_logging, {"log": {"version": 1, "root": {}, "filters": {"e": {"()": "${oc.env:NAME}"}}}}),
    (
        set_up_logging,
        {"log": {"version": 1, "root": {}, "handlers": {"e": {"class": STREAM, "stream": "ext://${oc.env:NAME}"}}}},
    ),
]


@pytest.mark.parametrize(("use", "config"), USES)
def test_what_has_changed_since_it_was_checked_is_not_imported(
    use: Callable[[DictConfig], None], config: dict[str, object], it_ran: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAME", "evil.f")
    with only_allowed_targets(), pytest.raises((UserError, ValueError)) as caught:
        use(OmegaConf.create(config))
    assert not it_ran.exists()
    chain: list[BaseException] = [caught.value]
    while (link := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(link)
    assert any(isinstance(link, UserError) and "=evil.f: not allowed" in str(link) for link in chain)


def test_outside_of_it_hydra_is_as_it_was(it_ran: Path) -> None:
    before = [getattr(owner, name) for owner, name, _ in guard._GUARDED]
    with only_allowed_targets():
        assert [getattr(owner, name) for owner, name, _ in guard._GUARDED] != before
    assert [getattr(owner, name) for owner, name, _ in guard._GUARDED] == before
    make(OmegaConf.create({"made": {"_target_": "evil.f"}}))
    assert it_ran.exists()


def test_processes_that_do_a_sweeps_jobs_are_guarded(it_ran: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A launcher pickles the task; to unpickle it there is all that it takes."""
    for owner, name, _ in guard._GUARDED:
        monkeypatch.setattr(owner, name, getattr(owner, name))  # what is done to them ends with this test
    monkeypatch.setenv("TERM", "dumb")  # which unpickling sets, for a process of its own
    pickle.loads(pickle.dumps(TrainTask([], ["lstm-lm", "train"])))
    with pytest.raises(UserError, match=r"made\._target_=evil\.f: not allowed"):
        make(OmegaConf.create({"made": {"_target_": "evil.f"}}))
    assert not it_ran.exists()


def test_a_process_is_guarded_once_however_many_jobs_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name, _ in guard._GUARDED:
        monkeypatch.setattr(owner, name, getattr(owner, name))  # is put back
    guard.guard_process.cache_clear()
    guard.guard_process()
    once = [getattr(owner, name) for owner, name, _ in guard._GUARDED]
    guard.guard_process()
    assert [getattr(owner, name) for owner, name, _ in guard._GUARDED] == once
    guard.guard_process.cache_clear()
