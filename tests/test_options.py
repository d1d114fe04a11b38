"""What a wrong value is answered with: its key, the value, and what is allowed, in words."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from lstm_lm.errors import UserError
from lstm_lm.options import Options


class Some(Options):
    """One of each kind of constraint that options have."""

    number: Annotated[int, Field(ge=1)] = 1
    names: Annotated[list[str], Field(min_length=1, max_length=2)] | None = None
    text: Annotated[str, Field(min_length=1, max_length=3)] = "a"
    digest: Annotated[str, Field(pattern="^[0-9a-f]$")] = "a"
    each: Annotated[dict[str, int], Field(min_length=1)] | None = None
    choice: Literal["one", "two"] = "one"


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("number", 0, "some.number=0: must be greater than or equal to 1"),
        ("number", "1", "some.number='1': must be a valid integer"),
        ("names", [], "some.names=[]: must have at least 1 entry"),
        ("names", ["a", "b", "c"], "some.names=['a', 'b', 'c']: must have at most 2 entries"),
        ("text", "", "some.text='': must have at least 1 character"),
        ("text", "four", "some.text='four': must have at most 3 characters"),
        ("digest", "g", "some.digest='g': must be a text of the form ^[0-9a-f]$"),
        ("each", {}, "some.each={}: must have at least 1 entry"),
        ("choice", "three", "some.choice='three': must be 'one' or 'two'"),
    ],
)
def test_a_wrong_value_is_told_in_words(key: str, value: object, told: str) -> None:
    with pytest.raises(UserError) as caught:
        Some.parse({key: value}, "some")
    assert str(caught.value) == told
