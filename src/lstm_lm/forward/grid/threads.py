"""Worker threads of one intra-op thread each, that run the cells of a grid as they become ready.

PyTorch releases the interpreter's lock inside an operator, so cells run truly at once. The caller is one of the
workers: a caller that only waited would leave its core idle until the system moves a thread there, which takes longer
than a cell. A failure in a worker is raised from the caller as the exception it was, after the others have ended the
cell they are in.
"""

import heapq
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import torch

from lstm_lm.forward.grid import openmp
from lstm_lm.forward.grid.schedule import FIRST, Chunking, Dependencies, GridCell, mirrored

NAME = "lstm-lm-pipeline"
"""Beginning of the worker threads' names."""


class Workers:
    """The caller and a pool of threads, which starts with the first grid and ends with `close`.

    Args of the constructor:
        places: for each worker the layers that it runs; None: any worker runs any layer.
    """

    def __init__(self, count: int, places: tuple[range, ...] | None = None) -> None:
        self.count = count
        self._places = places
        self._pool: ThreadPoolExecutor | None = None

    def run(self, chunking: Chunking, layers: int, cell: Callable[[int, int], None], *, backward: bool = False) -> None:
        """Run `cell(layer, chunk)` for every cell, each after those it depends on; `backward`: in the mirrored order.

        Raises:
            BaseException: what a cell raised; of several at once the caller's own.
        """
        places = self._places
        if backward:
            cell = mirrored(cell, layers, len(chunking.lengths))
            places = places and tuple(range(layers - place.stop, layers - place.start) for place in places)
        queue = _Queue(chunking, layers, places)
        inference = torch.is_inference_mode_enabled()  # a mode belongs to a thread

        def work(worker: int) -> None:
            with torch.inference_mode(inference):
                queue.work(cell, worker)

        threads = torch.get_num_threads()
        if self.count > 1:
            openmp.rest()
        others: list[Future[None]] = []
        try:
            torch.set_num_threads(1)  # for this thread, and for what threads begin with until it is set back
            if self.count > 1:
                pool = self._pool or self._start()
                others = [pool.submit(work, number) for number in range(1, self.count)]
            queue.work(cell, 0)
        finally:
            try:
                queue.stop()  # also where the caller is interrupted
                wait(others)
            finally:
                torch.set_num_threads(threads)
        for other in others:
            other.result()

    def close(self) -> None:
        """End the threads, and wait until they have."""
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

    def _start(self) -> ThreadPoolExecutor:
        """The pool, each of its threads with one intra-op thread."""
        pool = ThreadPoolExecutor(self.count - 1, NAME)
        together = threading.Barrier(self.count - 1)

        def begin() -> None:
            together.wait()  # each worker begins once
            # a thread takes over the process's number when it first asks: after that it has its own
            torch.get_num_threads()
            torch.set_num_threads(1)

        try:
            begun = [pool.submit(begin) for _ in range(self.count - 1)]
        except BaseException:  # a limit on threads: those that wait for the rest must not wait for ever
            together.abort()
            pool.shutdown(wait=True)
            raise
        wait(begun)
        self._pool = pool
        return pool


class _Queue:
    """The cells of one grid, handed out as they become ready."""

    def __init__(self, chunking: Chunking, layers: int, places: tuple[range, ...] | None) -> None:
        self._chunking = chunking
        self._grid = Dependencies(layers, len(chunking.lengths))
        self._change = threading.Condition()
        self._stopped = False
        self._place = [
            next(number for number, place in enumerate(places) if layer in place) if places else 0
            for layer in range(layers)
        ]
        self._ready: list[list[tuple[tuple[int, int], GridCell]]] = [[] for _ in (places or [None])]
        self._one_place = places is None
        with self._change:
            self._add([FIRST])

    def work(self, cell: Callable[[int, int], None], worker: int) -> None:
        """One worker's part: cells until there are none left."""
        mine = self._ready[0 if self._one_place else worker]
        ended: GridCell | None = None
        try:
            while True:
                with self._change:
                    if ended is not None:
                        self._add(self._grid.done(ended))
                    while not mine and self._grid.left and not self._stopped:
                        self._change.wait()
                    if self._stopped or not mine:
                        return
                    _, ended = heapq.heappop(mine)
                cell(*ended)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Hand out no more cells."""
        with self._change:
            self._stopped = True
            self._change.notify_all()

    def _add(self, cells: Iterable[GridCell]) -> None:
        """Called with the lock held."""
        for cell in cells:
            heapq.heappush(self._ready[self._place[cell[0]]], (self._chunking.priority(cell), cell))
        self._change.notify_all()
