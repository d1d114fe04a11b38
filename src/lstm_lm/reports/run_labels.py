"""What a run is called in a picture: of its path, what differs between those that are shown."""

import os
import re
from collections.abc import Sequence

_JOB = re.compile(r"(?:(\d+)_)?(\w[\w.]*=.*)")
_SETTING = re.compile(r"_?([^=]+=.*?)(?=_[a-z]+(?:\.[\w.]+)?=|$)")
"""A sweep's job is called `3_model.hidden_size=64_optimizer.lr=0.01`."""
_SECTIONS = re.compile(r"^[\w.]*\.(?=\w+=)")
_NUMBER = re.compile(r"\d+")


def run_labels(paths: Sequence[str]) -> list[str]:
    """One label a path, all different where the paths are.

    Folders that all have in common are left out, at either end; of settings in a name, those that are the same
    everywhere, then the job's number and their sections (`lr=0.01`), as long as all stay different. One path alone is
    its last part.
    """
    labels = [os.sep.join(parts) for parts in _without_shared_folders(paths)]
    for shorter in (_without_shared_settings, _without_number, _without_sections):
        shortened = shorter(labels)
        if len(set(shortened)) == len(set(paths)) and all(shortened):
            labels = shortened
    return labels


def _without_shared_folders(paths: Sequence[str]) -> list[list[str]]:
    parts = [os.path.normpath(path).split(os.sep) for path in paths]
    for end in (0, -1) if len(set(paths)) > 1 else (0,):
        while all(len(path) > 1 for path in parts) and len({path[end] for path in parts}) == 1:
            parts = [path[1:] if end == 0 else path[:-1] for path in parts]
    return parts


def _without_shared_settings(labels: Sequence[str]) -> list[str]:
    words = [_words(label) for label in labels]
    shared = set.intersection(*map(set, words)) if len(labels) > 1 else set()
    return [" ".join(word for word in own if word not in shared or "=" not in word) for own in words]


def _words(label: str) -> list[str]:
    """The number and the settings of a job's name; another name is one word."""
    job = _JOB.fullmatch(label)
    return [*filter(None, [job[1]]), *_SETTING.findall(job[2])] if job else [label]


def _without_sections(labels: Sequence[str]) -> list[str]:
    return [" ".join(_SECTIONS.sub("", word) for word in label.split(" ")) for label in labels]


def _without_number(labels: Sequence[str]) -> list[str]:
    words = [label.split(" ") for label in labels]
    return [" ".join(own[1:] if len(own) > 1 and _NUMBER.fullmatch(own[0]) else own) for own in words]
