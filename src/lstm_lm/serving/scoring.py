"""How likely a text is, for a client: what `lstm_lm.score` gives, all rows at once."""

import threading
import time
from typing import Any, Literal

from lstm_lm.data.text_source import StringText
from lstm_lm.evaluation.scoring.lines import GivenLines
from lstm_lm.evaluation.scoring.options import ScoreOptions, Unit
from lstm_lm.evaluation.scoring.score import Scoring, scored_rows
from lstm_lm.models.loading import Loaded
from lstm_lm.options import Options
from lstm_lm.serving.bodies import check_length
from lstm_lm.serving.options import ServeOptions
from lstm_lm.serving.refusals import Refused
from lstm_lm.tokenizers import Unknown

LABEL = "text"
BATCH_SIZE = 64


class ScoreRequest(Options):
    """What a client asks for."""

    text: str | list[str]
    unit: Unit
    sort: Literal["surprise"] | None
    top: int | None
    unknown: Unknown

    @classmethod
    def of(cls, body: dict[str, Any], limits: ServeOptions) -> "ScoreRequest":
        """What `body` says.

        Raises:
            UserError: a key is unknown or missing, or its value is out of range.
            Refused: the text is too long.
        """
        defaults = {"unit": "line", "sort": None, "top": None, "unknown": limits.unknown}
        request = cls.parse(defaults | {key: value for key, value in body.items() if key != "model"}, "")
        check_length([request.text] if isinstance(request.text, str) else request.text, limits.max_characters)
        return request


class Scorer:
    """Scores texts, one at a time."""

    def __init__(self, loaded: Loaded, limits: ServeOptions) -> None:
        """Take a model that nothing else runs."""
        self._loaded = loaded
        self._seconds = limits.max_seconds
        self._one_at_a_time = threading.Lock()

    def rows(self, request: ScoreRequest) -> list[dict[str, Any]]:
        """The rows, in their order.

        Raises:
            UserError: what is asked for does not fit together; unknown characters in the text.
            RunError: the model's weights have diverged.
            Refused: it takes too long.
        """
        deadline = time.monotonic() + self._seconds
        options = ScoreOptions.parse(
            {
                "unit": request.unit,
                "sort": request.sort,
                "top": request.top,
                "unknown": request.unknown,
                "batch_size": BATCH_SIZE,
            },
            "",
        )
        text = request.text
        source = StringText(text, LABEL) if isinstance(text, str) else GivenLines(text, LABEL)
        if not self._one_at_a_time.acquire(timeout=self._seconds):
            raise _too_slow(self._seconds)
        try:
            scoring = Scoring(self._loaded, unknown=options.unknown, batch_size=options.batch_size)
            found = []
            for row in scored_rows(scoring, source, options):
                found.append(row._asdict())
                if time.monotonic() > deadline:
                    raise _too_slow(self._seconds)
            return found
        finally:
            self._one_at_a_time.release()


def _too_slow(seconds: float) -> Refused:
    return Refused(503, f"not done within {seconds:g} seconds (max_seconds): send a shorter text")
