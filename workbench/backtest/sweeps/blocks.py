"""The blocks of a sweep: pieces small enough for a progress bar, an interrupt, a worker, and a file to go on from."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Figures = NDArray[np.float64]
"""Statistics of a block, shape (12, n_points, n_columns)."""

PARTS = 16
"""A sweep that is not large has this many blocks, so that every thread has some."""


@dataclass(frozen=True, slots=True)
class Block:
    """Points from ``first`` up to ``last`` for the result's columns from ``begin`` up to ``end``."""

    number: int
    first: int
    last: int
    begin: int
    end: int

    @property
    def shape(self) -> tuple[int, int]:
        """Points and columns."""
        return self.last - self.first, self.end - self.begin

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.shape[0] * self.shape[1]


Done = Generator[tuple[Block, Figures]]


class Work(Protocol):
    """What a sweep does for each block, on this machine or elsewhere."""

    @property
    def columns(self) -> Sequence[str]:
        """Return the names along the result's last axis."""

    @property
    def threads(self) -> int:
        """Return how many threads may share it."""

    @property
    def most(self) -> int:
        """Return how many cells a block has at most (a point of its columns aside)."""

    def blocks(self) -> list[Block]:
        """Return all blocks, in the order in which they are best done."""

    def run(self, block: Block) -> Figures:
        """Return the statistics of a block; NaN for a point that is not valid."""


def divided(points: int, columns: int, at_once: int, least: int, most: int) -> list[Block]:
    """Divide a sweep into blocks.

    Parameters
    ----------
    points, columns : int
        The whole of it.
    at_once : int
        Columns that one block may have.
    least, most : int
        Cells that a block should have; a point of its columns at least.
    """
    at_once = min(at_once, columns)
    cells = min(max(points * columns // PARTS, least), most)
    step = max(1, cells // at_once)
    corners = [(first, begin) for begin in range(0, columns, at_once) for first in range(0, points, step)]
    return [
        Block(number, first, min(first + step, points), begin, min(begin + at_once, columns))
        for number, (first, begin) in enumerate(corners)
    ]


def here(run: Callable[[Block], Figures], blocks: Sequence[Block], threads: int) -> Done:
    """Run blocks on this machine, in their order.

    An interrupt waits for the blocks that have begun and leaves the others; one thread is this one.
    """
    if threads == 1:
        yield from ((block, run(block)) for block in blocks)
        return
    waiting: deque[tuple[Block, Future[Figures]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="sweep") as pool:
        try:
            for block in blocks:
                waiting.append((block, pool.submit(run, block)))
                if len(waiting) > 2 * threads:
                    done, future = waiting.popleft()
                    yield done, future.result()
            while waiting:
                done, future = waiting.popleft()
                yield done, future.result()
        finally:
            for _, future in waiting:
                future.cancel()
