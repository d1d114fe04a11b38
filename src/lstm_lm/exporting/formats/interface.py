"""What an option of `format=` is: it writes files, and computes with what it has written, without the model."""

import importlib.util
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from lstm_lm.errors import UserError
from lstm_lm.models.interface import LanguageModel
from lstm_lm.models.loading import Loaded
from lstm_lm.options import Options

Logits = npt.NDArray[np.float32]
"""`[T, V]`: after each of T tokens, read one after the other from a fresh state."""


class Format(Options):
    """The `format` section. Its module holds the class as the constant `FORMAT`."""

    name: str

    ending: ClassVar[str | None] = None
    """Where it is one file, what its name, `out`, ends in: `write` makes just this one. None: `out` is a folder."""
    packages: ClassVar[tuple[str, ...]] = ()
    """What is imported for it, besides what this project always needs; all of it comes with the extra `[export]`."""

    def refuse(self, loaded: Loaded) -> None:
        """Refuse, before anything is written, a model that this format cannot express.

        Raises:
            UserError: says what of the model it is.
        """

    def rounded(self, loaded: Loaded) -> LanguageModel:
        """The model with the weights as the files hold them: the run's own where they are float32, else another."""
        return loaded.model

    @abstractmethod
    def write(self, loaded: Loaded, model: LanguageModel, folder: Path) -> Iterable[str]:
        """Write the files; gives lines for a person about them, where there is something to say.

        Args:
            loaded: the run's model, its tokenizer, and where they come from.
            model: what `rounded` gave.
            folder: is there, and empty. Files must not name it: it has another name in the end.
        """

    @abstractmethod
    def computed(self, folder: Path, tokens: npt.NDArray[np.int64]) -> Mapping[str, Logits]:
        """What the files in `folder` compute of `tokens[T]`, by the name of each that computes."""


def refuse_missing(chosen: Format) -> None:
    """Before anything is done in a format that cannot be written here.

    Raises:
        UserError: its packages are not there; what to install.
    """
    missing = [package for package in chosen.packages if importlib.util.find_spec(package) is None]
    if missing:
        raise UserError(
            f"format={chosen.name}: not installed here: {', '.join(missing)}\n"
            'install what exports need: pip install -e ".[export]"'
        )
