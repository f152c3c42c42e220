"""Rules that are made of others, as arrays: from what their leaves say to what each rule says at each symbol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workbench.alerts.composition import AllOf, AnyOf, Not
from workbench.alerts.leaves import Bools, Floats, Integers, Leaf, Leaves
from workbench.alerts.prices import Move, Price
from workbench.alerts.rules import AlertRule


class Jagged:
    """Lists of different lengths in one array.

    Parameters
    ----------
    lists : sequence of sequence of int
    """

    def __init__(self, lists: Sequence[Sequence[int]]) -> None:
        self.lengths = np.array([len(each) for each in lists], dtype=np.int64)
        self._starts = np.concatenate([[0], np.cumsum(self.lengths)[:-1]]).astype(np.int64)
        self._items = np.array([item for each in lists for item in each], dtype=np.int64)

    def of(self, which: Integers) -> tuple[Integers, Integers]:
        """Return the items of some lists one after the other, and how many each has."""
        lengths = self.lengths[which]
        before = np.cumsum(lengths) - lengths
        places = np.repeat(self._starts[which] - before, lengths) + np.arange(int(lengths.sum()))
        return self._items[places], lengths


class Trees:
    """The trees of many cells, each of a rule at a symbol.

    Attributes
    ----------
    leaves : Leaves
    series : sequence of int
        Of which series each cell is.

    Parameters
    ----------
    rules : sequence of AlertRule
        The rule of each cell.
    series : sequence of int
    """

    def __init__(self, rules: Sequence[AlertRule], series: Sequence[int]) -> None:
        self.series = tuple(series)
        nodes: list[_Node] = []
        roots = [_add(rule, own, nodes) for rule, own in zip(rules, series, strict=True)]
        self._nodes, self._roots = nodes, np.array([root.number for root in roots], dtype=np.int64)
        below = [each for each in nodes if not each.height]
        self.leaves = Leaves([each.rule for each in below])  # type: ignore[misc]
        self._node_of_leaf = np.array([each.number for each in below], dtype=np.int64)
        count = max(series, default=-1) + 1
        self._leaves_of = Jagged(_grouped([each.series for each in below], count))
        self._cells_of = Jagged(_grouped(series, count))
        top = max((root.height for root in roots), default=0)
        self._levels = [_Level([each for each in nodes if each.height == h], count) for h in range(1, top + 1)]
        self.holds = np.zeros(len(nodes), dtype=bool)
        self.gap, self.value = np.full(len(nodes), np.nan), np.full(len(nodes), np.nan)

    def leaves_of(self, series: Integers) -> tuple[Integers, Integers]:
        """Return the leaves of some series, and how many each has."""
        return self._leaves_of.of(series)

    def cells_of(self, series: Integers) -> Integers:
        """Return the cells of some series."""
        return self._cells_of.of(series)[0]

    def evaluate(
        self, series: Integers, leaves: Integers, prices: Floats, cells: Integers
    ) -> tuple[Bools, Floats, Floats]:
        """Say what cells say where their leaves are at some prices.

        Parameters
        ----------
        series : ndarray of int
            Each at most once.
        leaves, cells : ndarray of int
            All of these series.
        prices : ndarray of float
            Of each leaf.

        Returns
        -------
        holds, gap, value : ndarray
            Of each cell; a value of NaN is not known.
        """
        found = self.leaves.measure(leaves, prices)
        nodes = self._node_of_leaf[leaves]
        self.holds[nodes], self.gap[nodes], self.value[nodes] = found.holds, found.gap, found.value
        for level in self._levels:
            level.evaluate(series, self)
        roots = self._roots[cells]
        return self.holds[roots], self.gap[roots], self.value[roots]

    def found(self, cell: int) -> list[tuple[Leaf, float]]:
        """Return the leaves of a cell of which something is known, and the value of each."""
        below = [node for node in self._below(int(self._roots[cell])) if not np.isnan(self.value[node])]
        return [(self._nodes[node].rule, float(self.value[node])) for node in below]  # type: ignore[misc]

    def _below(self, node: int) -> list[int]:
        children = self._nodes[node].children
        return [each for child in children for each in self._below(child)] if children else [node]


@dataclass(frozen=True, slots=True)
class _Node:
    """A rule at a symbol, on its own or as a part."""

    number: int
    rule: AlertRule
    series: int
    children: tuple[int, ...]
    height: int


def _add(rule: AlertRule, series: int, nodes: list[_Node]) -> _Node:
    """Add a rule after its parts, and return it."""
    children = [_add(part, series, nodes) for part in parts_of(rule)]
    height = 1 + max(each.height for each in children) if children else 0
    node = _Node(len(nodes), rule, series, tuple(each.number for each in children), height)
    nodes.append(node)
    return node


class _Level:
    """The composed nodes of one height: Kleene's strong logic, as ``workbench.alerts.composition`` has it."""

    def __init__(self, nodes: Sequence[_Node], count: int) -> None:
        self._numbers = np.array([each.number for each in nodes], dtype=np.int64)
        self._all, self._negated = (
            np.array([isinstance(each.rule, kind) for each in nodes], dtype=bool) for kind in (AllOf, Not)
        )
        self._children = Jagged([each.children for each in nodes])
        self._places = Jagged(_grouped([each.series for each in nodes], count))

    def evaluate(self, series: Integers, trees: Trees) -> None:
        """Take in what the children say."""
        which, _ = self._places.of(series)
        if not len(which):
            return
        children, parts = self._children.of(which)
        starts = np.cumsum(parts) - parts
        holding = trees.holds[children]
        yes = np.add.reduceat(holding.astype(np.int64), starts)
        no = np.add.reduceat((~holding & ~np.isnan(trees.value[children])).astype(np.int64), starts)
        is_all, negated, numbers = self._all[which], self._negated[which], self._numbers[which]
        decided = (yes + no == parts) | np.where(is_all, no > 0, (yes > 0) & ~negated)
        value = np.where(decided, np.where(negated, no, yes), np.nan)
        needed = np.where(is_all, parts, 1)
        trees.value[numbers], trees.holds[numbers] = value, value >= needed
        trees.gap[numbers] = np.maximum(needed - value, 0.0)


def parts_of(rule: AlertRule) -> tuple[AlertRule, ...]:
    """Return what a rule is made of; nothing for one that stands for itself."""
    return rule.rules if isinstance(rule, AllOf | AnyOf | Not) else ()


def is_streamed(rule: AlertRule) -> bool:
    """Say whether a rule can be told on a stream: one on a price or a move, or one that is made of such alone."""
    if isinstance(rule, Price | Move):
        return True
    parts = parts_of(rule)
    return bool(parts) and all(is_streamed(part) for part in parts)


def leaves_below(rule: AlertRule) -> list[Leaf]:
    """Return the price and move rules that a rule is made of."""
    if isinstance(rule, Price | Move):
        return [rule]
    return [leaf for part in parts_of(rule) for leaf in leaves_below(part)]


def words(trees: Trees, cell: int) -> str:
    """Return how far a cell's leaves are beyond their limits, each in words after a comma."""
    return "".join(f", {_in_words(rule, value)}" for rule, value in trees.found(cell))


def _in_words(rule: Leaf, value: float) -> str:
    if isinstance(rule, Move):
        bars = "1 bar" if rule.window == 1 else f"{rule.window} bars"
        return f"{value:+.2f} % in {bars}"
    return f"{value / rule.level - 1:+.1%} from {rule.level:,.10g}"


def _grouped(keys: Sequence[int], count: int) -> list[list[int]]:
    """Return the places of each key."""
    groups: list[list[int]] = [[] for _ in range(count)]
    for place, key in enumerate(keys):
        groups[key].append(place)
    return groups
