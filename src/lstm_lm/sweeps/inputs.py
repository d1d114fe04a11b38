"""What a row reads, by its content: a result belongs to that text and those weights, wherever they lie."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from lstm_lm.data.text_digests import text_digests
from lstm_lm.data.text_paths import STANDARD_INPUT
from lstm_lm.errors import UserError
from lstm_lm.training.origin import origin_file

OF_THE_RUN = ("last", "best")
"""Values of `ckpt_path` that mean what lies in the run's own directory, and no input."""
Inputs = Mapping[str, str]
"""By what it is (`text train`, `init_from`, ...), the SHA-256 of its content, hex."""


class InputDigests:
    """Reads each text once, however many rows are of it."""

    def __init__(self, *, strict: bool = False) -> None:
        """`strict`: what cannot be read is refused, not left out for its row's own run to say why."""
        self._strict = strict
        self._known: dict[str, dict[str, str]] = {}

    def of(self, config: Mapping[str, Any]) -> Inputs:
        """The inputs of `config`, plain and whole.

        Raises:
            UserError: one cannot be read, and that is not to be left out.
        """
        found: dict[str, str] = {}
        data = config.get("data")
        if isinstance(data, Mapping) and "name" in data:
            found |= self._texts(data)
        for key in ("init_from", "ckpt_path"):
            if (name := config.get(key)) is not None and name not in OF_THE_RUN:
                try:
                    with origin_file(str(name)).open("rb") as file:
                        found[key] = hashlib.file_digest(file, "sha256").hexdigest()
                except (UserError, OSError):
                    if self._strict:
                        raise
        return found

    def _texts(self, data: Mapping[str, Any]) -> dict[str, str]:
        key = json.dumps(data, sort_keys=True, default=str)
        if key not in self._known:
            try:
                # Standard input is this process's, and can be read once: no row has it.
                digests = {} if data.get("path") == STANDARD_INPUT else text_digests(data)
            except UserError:
                if self._strict:
                    raise
                digests = {}
            self._known[key] = {f"text {split}": digest for split, digest in digests.items()}
        return self._known[key]


def changed_since(inputs: Inputs, config: Mapping[str, Any]) -> list[str]:
    """Each input that has been changed since `inputs` were taken; the texts are read again."""
    now = InputDigests().of(config)
    return [name for name in dict.fromkeys([*inputs, *now]) if inputs.get(name) != now.get(name)]
