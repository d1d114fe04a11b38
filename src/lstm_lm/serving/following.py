"""A request's texts, as the writer writes them."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

from lstm_lm.serving.writer import Finish, Job, Piece


class Followed(NamedTuple):
    """What a request asked for."""

    jobs: list[Job]
    """One for each prompt, each of n texts; all wake the same reader."""
    n: int
    echo: bool
    """Whether the texts begin with their prompts."""
    ready: asyncio.Event

    async def pieces(self) -> AsyncIterator[list[Piece]]:
        """What is written, as it comes: what has come together is one piece a text. Texts are counted over all jobs.

        Raises:
            Exception: a job's error.
        """
        jobs, n = self.jobs, self.n
        given = [0 if self.echo else len(job.begun.held) for job in jobs for _ in range(n)]
        """Characters still to come of the prompt's end, which the client has."""
        if self.echo and (shown := [Piece(i, s, None) for i in range(len(given)) if (s := jobs[i // n].begun.shown)]):
            yield shown
        waiting = dict(enumerate(jobs))
        while waiting:
            await self.ready.wait()
            self.ready.clear()
            found: dict[int, Piece] = {}
            errors = []
            for number, job in list(waiting.items()):
                if job.ended:  # asked before the pieces are taken: those of the end are there then
                    del waiting[number]
                    errors += [job.error] if job.error else []
                while job.pieces:
                    piece = job.pieces.popleft()
                    which = number * n + piece.which
                    text = piece.text[given[which] :]
                    given[which] -= len(piece.text) - len(text)
                    before = found[which].text if which in found else ""
                    found[which] = Piece(which, before + text, piece.finish)
            if pieces := [piece for piece in found.values() if piece.text or piece.finish]:
                yield pieces
            if errors:
                raise errors[0]

    async def whole(self) -> list[tuple[str, Finish]]:
        """Each text and why it has ended.

        Raises:
            Exception: a job's error.
        """
        texts: list[list[str]] = [[] for _ in range(len(self.jobs) * self.n)]
        ends: dict[int, Finish] = {}
        async for pieces in self.pieces():
            for piece in pieces:
                texts[piece.which].append(piece.text)
                if piece.finish is not None:
                    ends[piece.which] = piece.finish
        return [("".join(text), ends[which]) for which, text in enumerate(texts)]
