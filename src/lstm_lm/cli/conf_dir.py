"""Where the YAML files of `conf/` are: beside the sources, or, once installed from a wheel, inside the package."""

from pathlib import Path

from lstm_lm.errors import UserError

_PACKAGE = Path(__file__).resolve().parents[1]
_A_FILE_OF_OURS = "train.yaml"


def conf_dir(package: Path = _PACKAGE) -> Path:
    """The folder with this project's configuration files; `package` is the folder of the package `lstm_lm`.

    In a checkout, and in an editable install, which runs the checkout's sources, that is `conf/` beside `src/`; a
    wheel carries it as `lstm_lm/conf`.

    Raises:
        UserError: neither is there: the installation is damaged.
    """
    candidates = [package / "conf"]
    if package.parent.name == "src":  # else what lies further up belongs to someone else: lib/conf, /usr/conf, ...
        candidates.insert(0, package.parents[1] / "conf")
    for folder in candidates:
        if (folder / _A_FILE_OF_OURS).is_file():
            return folder
    raise UserError(
        f"the configuration files are missing: no {_A_FILE_OF_OURS} in {' or '.join(map(str, candidates))}\n"
        "install lstm-lm again"
    )
