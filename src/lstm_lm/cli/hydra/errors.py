"""What Hydra and OmegaConf complain about, in at most four lines that name the key and the remedy."""

import contextlib
import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra import compose
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import (
    InterpolationResolutionError,
    MissingMandatoryValue,
    OmegaConfBaseException,
)
from yaml import YAMLError  # type: ignore[import-untyped]

from lstm_lm import plugins
from lstm_lm.cli.hydra.conf import composing, groups_of, keys_of, options_of
from lstm_lm.cli.hydra.meant import key_meant, looks_like_a_path, word_meant
from lstm_lm.cli.hydra.resolvers import key_of
from lstm_lm.errors import UserError
from lstm_lm.printable import shown
from lstm_lm.shell_words import shell_word

MOST_LINES = 4
MOST_SUGGESTED = 3
OPEN_OPTIONS = {"optimizer": "torch"}
"""Groups with an option that takes further keys than its file has, and that option."""

_UNKNOWN_KEY = re.compile(r"Could not override '([^']*)'|Could not delete from config\. '([^']*)' does not exist")
_SEVERAL_VALUES = re.compile(r"Ambiguous value for argument '(.*)'\n1\. ", re.DOTALL)
_SWEEP = re.compile(r"Sweep parameters '(.*)' requires --multirun", re.DOTALL)
_HYDRAS_KEY = re.compile(r"Sweeping over Hydra's configuration is not supported : '(.*)'", re.DOTALL)
_NO_PLACE = re.compile(r"Could not append to config\. An item is already at '([^']*)'")
_REPEATED = re.compile(r"(\S+) appears more than once in the final defaults list|Multiple values for ([^.\s]+)")


def explain(error: Exception, config_name: str, overrides: Sequence[str]) -> UserError | None:
    """The short form of what went wrong while a configuration was put together; None: it is not such an error.

    Args:
        error: as raised by Hydra or OmegaConf.
        config_name: the configuration, `train` say.
        overrides: what was typed, quoted for Hydra.
    """
    for link in _chain(error):
        if isinstance(link, UserError):  # one of our own functions, called from a YAML file
            return link
    if isinstance(error, OverrideParseException):
        text = _unreadable(error.override, config_name)
    elif isinstance(error, MissingConfigException):
        text = _no_such_option(error)
    elif isinstance(error, ConfigCompositionException):
        text = _not_composable(error, config_name, overrides)
    elif isinstance(error, OmegaConfBaseException):
        text = _unusable_value(error)
    elif isinstance(error, (HydraException, YAMLError)):
        text = _first_lines(error)
    elif isinstance(error, ValueError) and _from_hydra(error):
        text = next(_bad_group_options(config_name, overrides), None) or _first_lines(error)
    else:
        return None
    return UserError("\n".join(text.splitlines()[:MOST_LINES]))


def check_overrides(config_name: str, overrides: Sequence[str]) -> None:
    """Refuse what Hydra would take, or not name.

    That is `=VALUE`; `GROUP=_FILE`, a part of options; a path in place of an option; blanks around `=`.

    Raises:
        UserError: says which, and lists the options there are.
    """
    groups = groups_of(config_name)
    for number, override in enumerate(overrides):
        key, _, value = override.partition("=")
        if not value and (blank := _with_blanks(overrides[number : number + 3])):
            raise UserError(f"{shown(override)}: {blank}")
        if key_of(key) == "data" and "data" in keys_of(config_name) and looks_like_a_path(value):
            raise UserError(f"{shown(override)}: no such option\ndid you mean: {word_meant(value, config_name)}")
        if not key_of(key):
            raise UserError(_unreadable(override, config_name))
        if key_of(key) == "hydra.mode":
            raise UserError(f"{override}: what makes a sweep is -m\nleave hydra.mode out")
        for option in value.split(","):
            if key_of(key) in groups and option.startswith("_"):
                raise UserError(_option_message(key_of(key), option))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it was raised from."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def _with_blanks(words: Sequence[str]) -> str | None:
    """The remedy, if they are what a shell makes of `KEY = VALUE`, `KEY= VALUE` or `KEY =VALUE`."""
    key, *rest = words
    joined = key + "".join(rest[: 2 if rest[:1] == ["="] else 1])
    if not rest or joined.count("=") != 1 or not re.fullmatch(r"[\w.]+=[^=]+", joined):
        return None
    return f"no blanks around =\nwrite {shell_word(shown(joined))}"


def _unreadable(override: str, config_name: str) -> str:
    key, equals, value = override.partition("=")
    if not equals:
        if key in groups_of(config_name):
            return f"{shown(key)}: which one? write {key}=OPTION\nchoose one of: {', '.join(options_of(key))}"
        meant = word_meant(key, config_name)
        hint = f"did you mean: {meant}" if meant else "see what there is with --help, or all keys with --cfg job"
        return f"{shown(override)}: not of the form KEY=VALUE\n{hint}"
    if not re.fullmatch(r"[+~]*[\w.$/@-]+", key):
        return f"{shown(override)}: {shown(key)!r} cannot be a key\nall keys: --cfg job"
    example = "{}='{}'".format(shown(key), shown(value.replace("'", "")))
    return (
        f"{shown(override)}: the value cannot be read\n"
        f"text with special characters goes between quotes, as in {shell_word(example)}"
    )


def _no_such_option(error: MissingConfigException) -> str:
    group, _, option = (error.missing_cfg_file or "").rpartition("/")
    if not group:
        return _first_lines(error)
    known = [name for name in error.options or [] if not name.startswith("_")]
    return _option_message(group, option, known)


def _option_message(group: str, option: str, known: Sequence[str] | None = None) -> str:
    lines = [f"{group}={shown(option)}: no such option", f"choose one of: {', '.join(known or options_of(group))}"]
    return "\n".join([*lines, *plugins.found().problems[:2]])


def _not_composable(error: ConfigCompositionException, config_name: str, overrides: Sequence[str]) -> str:
    message = str(error)
    if match := _UNKNOWN_KEY.match(message):
        return _no_such_key(match[1] or match[2] or "", config_name, overrides)
    if match := _SEVERAL_VALUES.match(message):
        key, _, value = match[1].partition("=")
        if config_name != "train":
            return f"{shown(match[1])}: several values\n{config_name} takes one of them at a time"
        return (
            f"{shown(match[1])}: several values\n"
            f"to run them all, one after the other, add -m; for one list write {key}=[{shown(value)}]"
        )
    if (match := _SWEEP.match(message)) and config_name != "train":
        return f"{shown(match[1])}: several values\n{config_name} takes one of them at a time"
    if match := _SWEEP.match(message):
        return f"{shown(match[1])}: several values\nto run them all, one after the other, add -m"
    if match := _HYDRAS_KEY.match(message):
        return f"{shown(match[1])}: Hydra's own keys take one value, not several"
    if match := _NO_PLACE.match(message):
        return f"{match[1]}: is there already\nto change it, leave the + away"
    if match := _REPEATED.match(message):
        group = match[1] or match[2]
        return f"{group}: is chosen already\nto change it, leave the + away: {group}=OPTION"
    if isinstance(error.__cause__, OmegaConfBaseException):
        return _unusable_value(error.__cause__)
    return _first_lines(error)


def _no_such_key(key: str, config_name: str, overrides: Sequence[str]) -> str:
    group = key.partition(".")[0]
    if (option := f"{group}={OPEN_OPTIONS.get(group)}") in overrides:
        added = f"an argument of the class is added with a plus: +{shown(key)}=VALUE"
        return f"{shown(key)}: the file of {option} has no such key\n{added}"
    if homes := list(_options_with(key, config_name)):
        choice = " or ".join(homes[:MOST_SUGGESTED])
        return f"{key}: only with {choice}\nadd that, or leave {key} away"
    if meant := key_meant(key, config_name):
        values = (value for typed, _, value in (override.partition("=") for override in overrides) if typed == key)
        return f"{shown(key)}: no such key\ndid you mean: {meant}={shell_word(shown(next(values, 'VALUE')))}"
    known = _known_keys(config_name, overrides, with_hydra=key.startswith("hydra"))
    near = _nearest(key, [name for name in known if name != key])  # which --config-name's may lack
    hint = f"did you mean: {', '.join(near)}\n" if near else ""
    return f"{shown(key) or '(no key)'}: no such key\n{hint}all keys: --cfg job"


def _options_with(key: str, config_name: str) -> Iterator[str]:
    """The options of the key's group that have it, as `forward=pipelined` has `forward.chunk`."""
    group, dot, _ = key.partition(".")
    if not dot or group not in groups_of(config_name):
        return
    with composing(config_name):
        for option in options_of(group):
            with contextlib.suppress(HydraException, OmegaConfBaseException, ValueError):
                config = compose(config_name, [f"{group}={option}"])
                if key in _dotted(OmegaConf.to_container(config, resolve=False)):
                    yield f"{group}={option}"


def _nearest(key: str, known: Sequence[str]) -> list[str]:
    """Keys that look like `key`, as a whole or in their last part: `hidden_size` is near `model.hidden_size`."""
    by_last_part: dict[str, list[str]] = {}
    for name in known:
        by_last_part.setdefault(name.rpartition(".")[2], []).append(name)
    last = difflib.get_close_matches(key.rpartition(".")[2], by_last_part, n=MOST_SUGGESTED, cutoff=0.75)
    whole = difflib.get_close_matches(key, known, n=MOST_SUGGESTED, cutoff=0.75)
    found = [name for part in last for name in by_last_part[part]]
    ranked = sorted(dict.fromkeys([*whole, *found]), key=lambda name: -difflib.SequenceMatcher(None, key, name).ratio())
    return ranked[:MOST_SUGGESTED]


def _known_keys(config_name: str, overrides: Sequence[str], *, with_hydra: bool) -> list[str]:
    """All dotted keys of the configuration, with the groups' options that were asked for where they exist."""
    groups = groups_of(config_name)
    choices = [line for line in overrides if key_of(line) in groups]
    with composing(config_name):
        try:
            config = compose(config_name, choices, return_hydra_config=with_hydra)
        except (HydraException, OmegaConfBaseException, ValueError):  # several things are wrong: this is about one
            config = compose(config_name, return_hydra_config=with_hydra)
    return [*groups, *_dotted(OmegaConf.to_container(config, resolve=False))]


def _dotted(node: object, prefix: str = "") -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield f"{prefix}{key}"
            yield from _dotted(value, f"{prefix}{key}.")


def _unusable_value(error: OmegaConfBaseException) -> str:
    key = f"{error.full_key}: " if error.full_key else ""
    cause = shown((str(error.msg or error).splitlines() or [type(error).__name__])[0])
    if isinstance(error, MissingMandatoryValue):
        return f"{key}no value given\nset it: {error.full_key}=VALUE"
    if isinstance(error, InterpolationResolutionError):
        return f"{key}{cause}\n${{KEY}} in a value stands for another key's value; text goes between quotes, $ as \\$"
    return f"{key}{cause}"


def _bad_group_options(config_name: str, overrides: Sequence[str]) -> Iterator[str]:
    """Options that Hydra reads as something else than a name, and then doesn't say where: `precision=32`."""
    for group in groups_of(config_name):
        for override in overrides:
            key, equals, option = override.partition("=")
            if equals and key_of(key) == group and option not in options_of(group):
                yield _option_message(group, option)


def _from_hydra(error: Exception) -> bool:
    """Whether Hydra itself raised `error`, and not something that it called."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and "hydra" in Path(trace.tb_frame.f_code.co_filename).parts


def _first_lines(error: Exception) -> str:
    lines = [shown(line.strip()) for line in str(error).splitlines() if line.strip()]
    return "\n".join(lines[: MOST_LINES - 1]) or type(error).__name__
