from pathlib import Path

import pytest

import lstm_lm
from lstm_lm.cli.hydra.conf import conf_dir
from lstm_lm.errors import UserError


def make(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "train.yaml").touch()
    return folder


def test_these_sources_use_the_conf_folder_of_their_checkout() -> None:
    found = conf_dir()
    assert found == Path(lstm_lm.__file__).resolve().parents[2] / "conf"
    assert (found / "generate.yaml").is_file()


def test_a_checkout_has_it_beside_src(tmp_path: Path) -> None:
    conf = make(tmp_path / "clone" / "conf")
    assert conf_dir(tmp_path / "clone" / "src" / "lstm_lm") == conf


def test_a_wheel_has_it_inside_the_package(tmp_path: Path) -> None:
    package = tmp_path / "lib" / "site-packages" / "lstm_lm"
    conf = make(package / "conf")
    assert conf_dir(package) == conf


def test_an_installed_package_never_takes_a_foreign_folder(tmp_path: Path) -> None:
    package = tmp_path / "lib" / "site-packages" / "lstm_lm"
    make(tmp_path / "lib" / "conf")
    conf = make(package / "conf")
    assert conf_dir(package) == conf


def test_a_conf_folder_of_another_project_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "clone" / "conf").mkdir(parents=True)
    with pytest.raises(UserError, match="install lstm-lm again"):
        conf_dir(tmp_path / "clone" / "src" / "lstm_lm")
