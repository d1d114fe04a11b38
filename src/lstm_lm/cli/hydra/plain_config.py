"""From Hydra's configuration to the plain dict that everything below the command line works with."""

import re
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from lstm_lm.cli.hydra.free_text import FREE_TEXT

_TEXT_KEYS = frozenset(key for keys in FREE_TEXT.values() for key in keys)
_ENVIRONMENT = "${oc.env:"
_WHOLE = re.compile(r"[+-]?\d{1,40}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d{1,40}\.?\d{0,40}|\.\d{1,40})(e[+-]?\d{1,4})?", re.ASCII | re.IGNORECASE)
_WORDS = {"true": True, "false": False, "null": None}


def plain_config(config: DictConfig) -> dict[str, Any]:
    """Dicts, lists and values, every interpolation resolved; Hydra's own section, where there is one, left out.

    An environment variable is text, and what a value that is one (`${oc.env:STEPS,3}`) holds is read as if it had been
    typed: a number, true, false or null is one, but for keys that take free text.

    Raises:
        OmegaConfBaseException: an interpolation cannot be resolved, or a value is missing (`???`).
    """
    keys = [str(key) for key in config if key != "hydra"]
    masked = OmegaConf.masked_copy(config, keys)
    OmegaConf.set_readonly(masked, False)
    OmegaConf.set_struct(masked, False)
    _read_environment(masked)
    plain = OmegaConf.to_container(masked, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _read_environment(node: DictConfig | ListConfig, prefix: str = "") -> None:
    """Put what the environment says in the place of values that ask for it."""
    names = range(len(node)) if isinstance(node, ListConfig) else list(node)
    for name in names:
        path = f"{prefix}{name}"
        is_text = not _TEXT_KEYS.isdisjoint((path, prefix.removesuffix(".")))
        if OmegaConf.is_missing(node, name):
            continue
        if OmegaConf.is_interpolation(node, name):
            raw = OmegaConf.to_container(node, resolve=False)[name]  # type: ignore[index]
            if str(raw).startswith(_ENVIRONMENT) and not is_text:
                typed = _as_typed(node[name])
                if not isinstance(typed, str):  # a text, put there, would be read for interpolations once more
                    node[name] = typed
        elif isinstance(below := node[name], (DictConfig, ListConfig)):
            _read_environment(below, f"{path}.")


def _as_typed(value: Any) -> Any:
    """A plain number, true, false or null as such; everything else, and so all that has structure, as it is."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    return _WORDS.get(text.lower(), value)
