"""What forged and hostile files are made of, and how long one may take."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class TooLate(BaseException):
    """Still at it after its time; nothing may take it for an error of the file."""


@contextmanager
def soon(seconds: int = 20) -> Iterator[None]:
    """The block ends within so many seconds, or in `TooLate`."""

    def too_late(_number: int, _frame: FrameType | None) -> None:
        raise TooLate

    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def twice(depth: int) -> list[Any]:
    """A list of the same list twice, and so on: a few bytes that stand for 2**depth."""
    node: list[Any] = []
    for _ in range(depth):
        node = [node, node]
    return node


def ring() -> list[Any]:
    """A list that holds itself."""
    node: list[Any] = []
    node.append(node)
    return node
