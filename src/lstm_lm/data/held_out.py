"""Nothing that is validated or tested on is trained on, whatever the file is called."""

import hashlib
import logging
from collections.abc import Mapping

from lstm_lm.data.corpora.interface import Split
from lstm_lm.data.text_files import FileText
from lstm_lm.errors import UserError
from lstm_lm.printable import printable

NO_BYTES = hashlib.sha256().hexdigest()
"""An empty file is like every other, and holds nothing that a validation could know already."""

log = logging.getLogger(__name__)


def without_held_out(train: FileText, held_out: Mapping[Split, FileText]) -> FileText:
    """The training text without the files that are held out from it; says in a line which these are.

    A file is known by its bytes: by its name, that of a link, or as a copy, it is the same text.

    Raises:
        UserError: nothing is left, or a file cannot be read.
    """
    for split, source in held_out.items():
        digests = set(source.digests()) - {NO_BYTES}
        shared = [path for path, digest in zip(train.files.values(), train.digests(), strict=True) if digest in digests]
        if not shared:
            continue
        named = f"{printable(str(shared[0]))}{f' and {len(shared) - 1} more' if len(shared) > 1 else ''}"
        rest = train.without(digests)
        if rest is None:
            raise UserError(
                f"data.{split}_path: {named}: the same text is in data.path, and nothing else is left to train on\n"
                f"name different texts, or leave data.{split}_path out: then a share of data.path's text is held out"
            )
        log.warning("data.path: left out %s, which data.%s_path holds out", named, split)
        train = rest
    _tell_of_a_test_that_validates(held_out)
    return train


def _tell_of_a_test_that_validates(held_out: Mapping[Split, FileText]) -> None:
    """It is no mistake to score one text twice. To take the second score for that of an unseen text is one."""
    validation, test = ((set(held_out[s].digests()) if s in held_out else set()) for s in ("validation", "test"))
    if validation & test - {NO_BYTES}:
        log.warning("data.test_path: has text of data.validation_path, by which the best checkpoint is chosen")
