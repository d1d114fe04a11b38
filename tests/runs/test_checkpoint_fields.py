"""A field of a checkpoint that is of another type, or missing, is named before anything reads it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lstm_lm.errors import UserError
from lstm_lm.runs.checkpoint_fields import check, require

WHOLE: dict[str, Any] = {"lstm_lm": {"schema_version": 1}, "state_dict": {"model.weight": torch.arange(6.0).view(2, 3)}}


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ({"epoch": -1}, "epoch"),
        ({"state_dict": {"model.weight": 3}}, r"state_dict\.model\.weight"),
        ({"pytorch-lightning_version": "1.0"}, "pytorch-lightning_version"),
        ({"callbacks": {"Timer": {"time_elapsed": {"train": -1.0}}}}, r"callbacks\.Timer\.time_elapsed\.train"),
        ({"lstm_lm": {"config": {"init_from": torch.zeros(3)}}}, r"lstm_lm\.config.*plain"),
        ({"lstm_lm": {"config": {"forward": {"name": 3}}}}, r"lstm_lm\.config\.forward\.name"),
        ({"lstm_lm": {"data": {"splits": {"train": {"tokens": None}}}}}, r"splits\.train\.tokens"),
        ({"lstm_lm": {"validation": {"counts": {"tokens": 0}}}}, r"validation\.counts\.tokens"),
        ({"lstm_lm": {"seconds": float("nan")}}, r"lstm_lm\.seconds"),
        ({"lstm_lm": {"progress": {"best": float("inf")}}}, r"progress\.best"),
        ({"lstm_lm": {"progress": {"reductions": -1}}}, r"progress\.reductions"),
    ],
)
def test_a_field_of_another_type_is_named(wrong: dict[str, Any], where: str) -> None:
    with pytest.raises(UserError, match=where):
        check({"lstm_lm": {}} | wrong, Path("a.ckpt"), whole=False)


def test_a_field_that_is_missing_is_named_where_it_is_needed() -> None:
    check(WHOLE, Path("a.ckpt"), whole=False)
    with pytest.raises(UserError, match=r"a\.ckpt: .*\n.*: Field required"):
        check(WHOLE, Path("a.ckpt"), whole=True)
    require(WHOLE, Path("a.ckpt"), "state_dict")
    with pytest.raises(UserError, match=r"it has no lstm_lm\.tokenizer"):
        require(WHOLE, Path("a.ckpt"), "state_dict", "lstm_lm.tokenizer")
