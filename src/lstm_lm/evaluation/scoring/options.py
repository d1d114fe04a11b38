"""What can be asked of `score`, on the command line and in Python; conf/score.yaml explains each key."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lstm_lm.errors import UserError
from lstm_lm.options import Options

Unit = Literal["line", "token", "text"]
"""What a row is."""


class ScoreOptions(Options):
    """How a text is scored."""

    unit: Unit
    unknown: Literal["error", "skip", "replace"]
    batch_size: Annotated[int, Field(ge=1, le=65536)]
    sort: Literal["surprise"] | None
    top: Annotated[int, Field(ge=1, le=100_000)] | None

    def check_rows(self) -> None:
        """Refuse what rows of a table are not.

        Raises:
            UserError: they are to be one text.
        """
        if self.unit == "text":
            raise UserError(
                "unit=text: reads a text as one, and with data.column each row is a text by itself\n"
                "use unit=line, a row of the table each, or unit=token"
            )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.sort is not None and self.unit == "text":
            raise ValueError(f"sort={self.sort} puts rows in order, and unit=text has only one: use unit=line or token")
        if self.top is not None and self.sort is None:
            raise ValueError(f"top={self.top} needs an order: add sort=surprise")
        return self
