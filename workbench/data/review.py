"""What a person asks about the rows themselves: are they sound, what was kept out, what has changed since."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from workbench.core.errors import InputError
from workbench.core.known import limit
from workbench.core.market import ADJUSTMENTS
from workbench.data.quarantine import Quarantine

if TYPE_CHECKING:
    from workbench.data.market import MarketData
    from workbench.data.uses import Use


class Review:
    """Looks over the datasets of a market.

    Parameters
    ----------
    market : MarketData
    """

    def __init__(self, market: MarketData) -> None:
        self.market = market

    def quarantine(self, dataset: str) -> Quarantine:
        """Return the rows of a dataset that were kept out: see, accept or fix them."""
        self.market.ensure(dataset)
        return Quarantine(self.market.store, dataset)

    def check(self, dataset: str, symbols: Sequence[str] | str | None = None) -> pd.DataFrame:
        """Look over a dataset; see ``workbench.data.checks.check_bars``."""
        from workbench.data.checks import check_bars

        about = self.market.catalog.about(dataset, kind="bars")
        bars = self.market.bars(symbols, None, None, dataset=dataset, adjust="all")
        # What a feed that stands still repeats are its own prices, not the adjusted ones.
        stored = self.market.bars(symbols, None, None, dataset=dataset, adjust=about.adjustment)
        kept_out = self.quarantine(dataset).rows("open")
        if symbols is not None:
            kept_out = kept_out[kept_out["symbol"].isin(bars["symbol"].to_numpy())]
        return check_bars(bars, kept_out, stored)

    def reconcile(
        self, one: str, other: str, symbols: Sequence[str] | None = None, *, tolerance: float = 1e-4
    ) -> pd.DataFrame:
        """Compare two datasets, adjusted as little as both can be; see ``workbench.data.checks.reconcile``.

        Parameters
        ----------
        one, other : str
            Datasets.
        symbols : sequence of str, optional
            Which ones; ``"SPX:SP500"`` where the two name one thing differently. All that both have where ``None``.
        tolerance : float
            Relative difference up to which two values count as the same.

        Raises
        ------
        InputError
            If they have no symbol in common, or bars of another length or currency.
        """
        from workbench.data.checks import reconcile

        market = self.market
        abouts = [market.catalog.about(name, kind="bars") for name in (one, other)]
        if abouts[0].interval != abouts[1].interval:
            raise InputError(
                f"{one!r} has {abouts[0].interval} bars and {other!r} {abouts[1].interval} ones; compare equal ones"
            )
        if abouts[0].currency != abouts[1].currency:
            raise InputError(
                f"{one!r} is in {abouts[0].currency} and {other!r} in {abouts[1].currency}; compare equal ones"
            )
        common = sorted(set(market.symbols(one)) & set(market.symbols(other)))
        pairs = dict((name.split(":", 1) * 2)[:2] for name in symbols or common)
        if not pairs:
            raise InputError(f"{one!r} and {other!r} have no symbol in common; name pairs, such as SPX:SP500")
        if len(set(pairs.values())) < len(pairs) or len(pairs) < len(set(symbols or common)):
            raise InputError("a symbol stands in two pairs; compare each one once")
        adjust = max((about.adjustment for about in abouts), key=ADJUSTMENTS.index)
        left = market.bars(list(pairs), None, None, dataset=one, adjust=adjust)
        right = market.bars(list(pairs.values()), None, None, dataset=other, adjust=adjust)
        return reconcile(left, right.assign_coords(symbol=list(pairs)), tolerance)

    def revisions(self, symbol: str, dataset: str) -> pd.DataFrame:
        """Return what has changed of a symbol's bars and actions after it was first learned.

        Returns
        -------
        pandas.DataFrame
            Columns ``table`` (``"bars"`` or ``"actions"``), ``symbol``, ``time``, ``field`` (of an action its kind),
            ``old``, ``new``, ``change`` (``new / old - 1``), ``learned_before`` and ``learned`` (UTC), in the order in
            which it was learned.

        Raises
        ------
        UnknownNameError
            For a symbol that is not there.
        """
        from workbench.data.revisions import revisions

        # Asked so that an unknown symbol is told.
        self.market.bars([symbol], None, None, dataset=dataset, adjust="all")
        tables = self.market.store.tables(dataset)
        parts = []
        for name, table in (("bars", tables.bars), ("actions", tables.actions)):
            found = revisions(_known(table.history([symbol])), table.keys, table.values)
            found = found.assign(field=found["kind"]).drop(columns="kind") if "kind" in found else found
            parts.append(found.assign(table=name))
        together = pd.concat(parts).sort_values("learned", kind="stable", ignore_index=True)
        return together[["table", *(column for column in together.columns if column != "table")]]

    def impact(self, uses: Iterable[Use]) -> pd.DataFrame:
        """Return which uses had rows that were restated or arrived since; see ``workbench.data.impact``."""
        from workbench.data.impact import impact

        return impact(uses, self.market.store.tables, limit())


def _known(history: pd.DataFrame) -> pd.DataFrame:
    ends = limit()
    return history if ends is None else history[history["learned_at"] <= ends]
