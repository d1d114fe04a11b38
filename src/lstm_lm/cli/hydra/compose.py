"""From the files in `conf/` and overrides as on the command line to a plain configuration."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra import compose as hydra_compose

from lstm_lm.cli.hydra.conf import composing
from lstm_lm.cli.hydra.errors import check_overrides, explain
from lstm_lm.cli.hydra.free_text import FREE_TEXT, quote_overrides
from lstm_lm.cli.hydra.guard import only_allowed_targets
from lstm_lm.cli.hydra.kept_keys import with_kept_keys
from lstm_lm.cli.hydra.plain_config import plain_config
from lstm_lm.errors import UserError


def compose(*overrides: str, config_name: str = "train") -> dict[str, Any]:
    """The configuration that `python train.py OVERRIDES` would run with, as plain dicts and lists.

    Args:
        overrides: as on the command line, after the shell: `"model.hidden_size=64"`, `"data.path=My book (1).txt"`.
        config_name: a file at the top of `conf/`.

    Raises:
        UserError: an override names what is not there, cannot be read, or could run code.
    """
    quoted = quote_overrides(overrides, FREE_TEXT[config_name], multirun=False)
    check_overrides(config_name, quoted)

    def composed(lines: Sequence[str]) -> dict[str, Any]:
        return plain_config(hydra_compose(config_name, overrides=list(lines)))

    try:
        with only_allowed_targets(), composing(config_name):
            return with_kept_keys(composed(quoted), quoted, composed)
    except Exception as error:
        if (explained := explain(error, config_name, quoted)) is not None:
            raise explained from error
        raise


def section_with(group: str, option: str, values: Mapping[str, Any], config_name: str) -> dict[str, Any]:
    """The section that `option` of `group` makes, with `values` of its keys.

    Raises:
        UserError: there is no such option, or it has no such key.
    """
    section: dict[str, Any] = compose(f"{group}={option}", config_name=config_name)[group]
    if unknown := values.keys() - section.keys():
        known = ", ".join(key for key in section if key != "name") or "none"
        raise UserError(f"{group}={option} has no key {min(unknown)!r}\nits keys: {known}")
    return {**section, **values}
