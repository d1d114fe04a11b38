"""How likely a text is, for a client: what `lstm_lm.score` gives, all rows at once."""

import asyncio
import threading
import time
from typing import Any, Literal

from starlette.concurrency import run_in_threadpool

from lstm_lm.data.text_source import StringText
from lstm_lm.evaluation.scoring.lines import GivenLines
from lstm_lm.evaluation.scoring.model import Nats
from lstm_lm.evaluation.scoring.options import ScoreOptions, Unit
from lstm_lm.evaluation.scoring.score import Scoring, scored_rows
from lstm_lm.models.loading import Loaded
from lstm_lm.options import Options
from lstm_lm.serving.bodies import check_length, check_list
from lstm_lm.serving.options import ServeOptions
from lstm_lm.serving.refusals import Refused
from lstm_lm.serving.twin import twin
from lstm_lm.tokenizers import Unknown
from lstm_lm.tokenizers.interface import Ids

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
        check_list("text", body.get("text"), limits.max_characters)
        request = cls.parse(defaults | {key: value for key, value in body.items() if key != "model"}, "")
        check_length([request.text] if isinstance(request.text, str) else request.text, limits.max_characters)
        return request


class Scorer:
    """Scores texts, one at a time: those that wait keep no thread."""

    def __init__(self, loaded: Loaded, limits: ServeOptions) -> None:
        """Take a model, whose weights alone are used."""
        self._loaded = loaded
        self._twin: Loaded | None = None
        self._seconds = limits.max_seconds
        self._one_at_a_time = asyncio.Lock()

    async def rows(self, request: ScoreRequest) -> list[dict[str, Any]]:
        """The rows, in their order. Where this is cancelled, the rest is not computed.

        Raises:
            UserError: what is asked for does not fit together; unknown characters in the text.
            RunError: the model's weights have diverged.
            Refused: it takes too long.
        """
        wanted = _Wanted(time.monotonic() + self._seconds, self._seconds)
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
        try:
            async with asyncio.timeout(self._seconds):
                await self._one_at_a_time.acquire()
        except TimeoutError:
            raise _too_slow(self._seconds) from None
        work = asyncio.ensure_future(run_in_threadpool(self._scored, request.text, options, wanted))
        work.add_done_callback(self._next)
        try:
            return await asyncio.shield(work)
        finally:
            wanted.gone.set()

    def _next(self, work: "asyncio.Future[Any]") -> None:
        self._one_at_a_time.release()
        if not work.cancelled():
            work.exception()  # looked at: nobody may be there to be told

    def _scored(self, text: str | list[str], options: ScoreOptions, wanted: "_Wanted") -> list[dict[str, Any]]:
        if self._twin is None:
            self._twin = twin(self._loaded)
        source = StringText(text, LABEL) if isinstance(text, str) else GivenLines(text, LABEL)
        scoring = Scoring(self._twin, unknown=options.unknown, batch_size=options.batch_size, watcher=wanted)
        return [row._asdict() for row in scored_rows(scoring, source, options)]


class _Wanted:
    """Sees each token that is scored, and ends it when nobody wants it any more, or it takes too long."""

    def __init__(self, deadline: float, seconds: float) -> None:
        self.gone = threading.Event()
        self._deadline = deadline
        self._seconds = seconds

    def line(self, number: int, ids: Ids, nats: Nats) -> None:  # noqa: ARG002
        self._check()

    def running(self, ids: Ids, nats: Nats) -> None:  # noqa: ARG002
        self._check()

    def _check(self) -> None:
        if self.gone.is_set() or time.monotonic() > self._deadline:
            raise _too_slow(self._seconds)


def _too_slow(seconds: float) -> Refused:
    return Refused(503, f"not done within {seconds:g} seconds (max_seconds): send a shorter text")
