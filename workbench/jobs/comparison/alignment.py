"""Which item of one sequence stands for which of another: cells by their source, outputs by what they show, rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import TypeVar

Item = TypeVar("Item")

_MOST = 2500
"""Pairs that are looked at one by one within a stretch that differs."""
_LONGEST = 1_000_000
"""Of more pairs than that none is looked at: the time that takes would grow with their number, and beyond."""

_WORD = re.compile(r"\w+|\W")


def align(
    before: Sequence[Item],
    after: Sequence[Item],
    key: Callable[[Item], Hashable],
    likeness: Callable[[Item, Item], float],
    least: float = 0.5,
) -> Iterator[tuple[int | None, int | None]]:
    """Yield pairs of places, in order, so that every item of both is in one pair; ``None`` where it has no partner.

    Items whose keys are equal are paired first. Within what lies between them the pairs are those whose likenesses have
    the largest sum (Needleman and Wunsch 1970, without a penalty for gaps). Of very long sequences only what is the
    same at both ends is paired.

    Parameters
    ----------
    before, after : sequence
    key : callable
        Equal for items that are the same.
    likeness : callable
        0 (nothing in common) to 1; asked only for items that are not the same.
    least : float
        Items that are less alike are no pair.
    """
    old, new = list(map(key, before)), list(map(key, after))
    head, tail = same_ends(old, new)
    yield from ((place, place) for place in range(head))
    for same, i, i_end, j, j_end in _stretches(old, new, head, tail):
        if same:
            yield from zip(range(i, i_end), range(j, j_end), strict=True)
            continue
        pairs = _best_pairs(before[i:i_end], after[j:j_end], likeness, least)
        yield from _with_gaps(pairs, i, i_end, j, j_end)
    yield from ((len(old) - place, len(new) - place) for place in range(tail, 0, -1))


def same_ends(before: Sequence[object], after: Sequence[object]) -> tuple[int, int]:
    """Return how many items are the same at the beginning, and how many of the others at the end."""
    shorter = min(len(before), len(after))
    head = next((place for place in range(shorter) if before[place] != after[place]), shorter)
    left = shorter - head
    tail = next((place for place in range(left) if before[-1 - place] != after[-1 - place]), left)
    return head, tail


def text_likeness(before: str, after: str) -> float:
    """Return how much of two texts is the same, 0 to 1, by their words and signs; less than a half is nothing."""
    if before == after:
        return 1.0
    old, new = _WORD.findall(before), _WORD.findall(after)
    if len(old) * len(new) > _LONGEST:
        old, new = before.splitlines(), after.splitlines()
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    if min(matcher.real_quick_ratio(), matcher.quick_ratio()) < 0.5:
        return 0.0
    return matcher.ratio() if len(old) * len(new) <= _LONGEST else matcher.quick_ratio()


def _stretches(
    old: Sequence[Hashable], new: Sequence[Hashable], head: int, tail: int
) -> Iterator[tuple[bool, int, int, int, int]]:
    """Yield the stretches between both ends that are the same, or are not."""
    i_end, j_end = len(old) - tail, len(new) - tail
    if (i_end - head) * (j_end - head) > _LONGEST:
        yield False, head, i_end, head, j_end
        return
    matcher = SequenceMatcher(None, old[head:i_end], new[head:j_end], autojunk=False)
    for tag, *ends in matcher.get_opcodes():
        i, i_to, j, j_to = (head + end for end in ends)
        yield tag == "equal", i, i_to, j, j_to


def _best_pairs(
    before: Sequence[Item], after: Sequence[Item], likeness: Callable[[Item, Item], float], least: float
) -> list[tuple[int, int]]:
    rows, columns = len(before), len(after)
    if rows * columns > _MOST:
        return []
    found = [[likeness(a, b) for b in after] for a in before]
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for i in range(rows - 1, -1, -1):
        for j in range(columns - 1, -1, -1):
            pair = found[i][j] + best[i + 1][j + 1] if found[i][j] >= least else 0.0
            best[i][j] = max(pair, best[i + 1][j], best[i][j + 1])
    pairs, i, j = [], 0, 0
    while i < rows and j < columns:
        if found[i][j] >= least and best[i][j] == found[i][j] + best[i + 1][j + 1]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif best[i][j] == best[i + 1][j]:
            i += 1
        else:
            j += 1
    return pairs


def _with_gaps(
    pairs: Sequence[tuple[int, int]], i: int, i_end: int, j: int, j_end: int
) -> Iterator[tuple[int | None, int | None]]:
    start, other = i, j
    for first, second in [*((i + a, j + b) for a, b in pairs), (i_end, j_end)]:
        yield from ((place, None) for place in range(start, first))
        yield from ((None, place) for place in range(other, second))
        if first < i_end:
            yield first, second
        start, other = first + 1, second + 1
