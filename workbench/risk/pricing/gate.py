"""Who may hold QuantLib's evaluation date, which threads share, and what is given back after it."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from workbench.core.errors import FailureError
from workbench.core.plugins import extra

with extra("pricing", "pricing with QuantLib"):
    import QuantLib as ql  # noqa: N813 (its own documentation's name for it)

Owner = tuple[int, int]
"""A thread and the asyncio task that runs in it, 0 for none: tasks take turns inside one thread."""


def present_owner() -> Owner:
    """Return who asks: this thread and its asyncio task."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return threading.get_ident(), 0 if task is None else id(task)


@dataclass(slots=True, eq=False)
class Block:
    """A date that is held: by whom, how many times, and the settings to give back."""

    day: Any
    before: Any
    owners: Counter[Owner]


class Gate:
    """Says who may hold the evaluation date; the blocks that do, the innermost last."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._blocks: list[Block] = []

    @property
    def is_free(self) -> bool:
        """Whether nobody holds the date."""
        return not self._blocks

    def enter(self, day: Any, owner: Owner, patience: float) -> Block:
        """Set the date for an owner, once it may; ``leave`` takes the block that this gives."""
        with self._change:
            # A task of this very thread cannot go on, and leave, while this one waits.
            beside = any(other != owner and other[0] == owner[0] for block in self._blocks for other in block.owners)
            if not self._change.wait_for(lambda: self._may_enter(day, owner), 0 if beside else patience):
                held = self._blocks[-1].day.ISO()
                raise FailureError(
                    f"the evaluation date is held at {held} elsewhere and cannot be {day.ISO()} at once; QuantLib "
                    "has one for the process: price one date after the other, or in processes of their own"
                )
            if self._blocks and not self._is_alone(owner):
                ql.Settings.instance().evaluationDate = day
                self._blocks[-1].owners[owner] += 1
                return self._blocks[-1]
            block = Block(day, _saved(), Counter([owner]))
            try:
                ql.Settings.instance().evaluationDate = day
            except RuntimeError:
                # What listens to the date, such as a ql.Observer, has failed, and may fail again; the date was set.
                with suppress(SystemError):
                    block.before.__exit__(None, None, None)
                raise
            self._blocks.append(block)
            return block

    def _may_enter(self, day: Any, owner: Owner) -> bool:
        # A shared date can have no date nested inside: it would change for those who share it.
        return self._is_alone(owner) or (len(self._blocks) == 1 and self._blocks[0].day == day)

    def _is_alone(self, owner: Owner) -> bool:
        return all(set(block.owners) <= {owner} for block in self._blocks)

    def leave(self, block: Block, owner: Owner) -> None:
        """Give back what was before a block, when its last owner leaves it."""
        with self._change:
            block.owners -= Counter([owner])
            try:
                if not block.owners:
                    self._give_back(block)
            finally:
                self._change.notify_all()

    def _give_back(self, block: Block) -> None:
        position = self._blocks.index(block)
        del self._blocks[position]
        if position == len(self._blocks):
            block.before.__exit__(None, None, None)
            return
        # Left before a block that was entered later, as generators can: that one gives back what was before. A record
        # takes effect also when it is dropped, so what holds now is set again after that.
        present = _saved()
        self._blocks[position].before = block.before
        present.__exit__(None, None, None)


def _saved() -> Any:
    settings = ql.SavedSettings()
    settings.__enter__()
    return settings


# One for the process, because QuantLib's date is.
GATE = Gate()
