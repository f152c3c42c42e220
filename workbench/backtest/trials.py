"""The trial ledger: how often an idea has been tried, by whom ever, and how far its results lie apart.

The best of many trials is good by luck alone; the deflated Sharpe ratio needs to know of how many. Every look counts:
each backtest, each cell of a sweep, each path of a validation, also when it is repeated with the same parameters.

Sharpe ratios of 250 bars scatter twelve times as widely as those of 3,000, for want of bars alone: under the null
the variance of the estimate is about 1/n (A. W. Lo, "The Statistics of Sharpe Ratios", Financial Analysts J. 58
(2002)). So what is kept is the t-statistic, the ratio per bar times the square root of the bars, whose variance is
about 1 for any number of bars; a result of n bars is deflated with the variance over n. A walk-forward's are made
comparable before (see ``WalkForward.t_statistics``).

Each record is a row that is never changed, and the idea's running total is brought forward under its row's lock in the
same transaction: writers in several processes get numbers of their own, and none is lost or half written.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import sqlalchemy as sa
from numpy.typing import ArrayLike, NDArray
from sqlalchemy.dialects import postgresql, sqlite

from workbench.backtest.moments import Moments
from workbench.backtest.trial_tables import HYPOTHESES, TRIALS
from workbench.core.clock import Clock
from workbench.core.database import Database
from workbench.core.errors import ParameterError, UnknownNameError

TrialKind = Literal["backtest", "sweep", "walk_forward", "cross_validation"]
KINDS: tuple[TrialKind, ...] = get_args(TrialKind)
LONGEST = 200
"""The most characters of a hypothesis' name."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an idea stands after a record.

    Attributes
    ----------
    hypothesis : str
    number : int
        Trials so far, those of the record included.
    variance : float
        Variance of the t-statistics (Sharpe ratio per bar times the square root of the bars) over the trials that have
        one, zero for fewer than two: the sample's, or the higher one at which the maximum to expect of ``number``
        trials is not below what it was before. No look lowers the hurdle, however often it is repeated.
    measured : int
        Trials that have a Sharpe ratio.
    mean : float
        Mean of their t-statistics, zero without any.
    best : float, optional
        The highest t-statistic.
    """

    hypothesis: str
    number: int
    variance: float
    measured: int = 0
    mean: float = 0.0
    best: float | None = None

    def variance_per_bar(self, n_bars: int) -> float:
        """Return the variance that the trials' Sharpe ratios per bar would have over ``n_bars`` bars."""
        return self.variance / n_bars if n_bars else 0.0


@dataclass(frozen=True, slots=True)
class Trial:
    """Which trial of its idea a result is, and what is left of its Sharpe ratio.

    Attributes
    ----------
    hypothesis : str
    number : int
    deflated_sharpe : float
        The probability that the true Sharpe ratio is above what the best of ``number`` trials reaches by luck; NaN
        where the returns have no Sharpe ratio.
    """

    hypothesis: str
    number: int
    deflated_sharpe: float

    def __str__(self) -> str:
        deflated = "undefined" if np.isnan(self.deflated_sharpe) else f"{self.deflated_sharpe:.2f}"
        return f"trial {self.number:,} of this idea; deflated Sharpe {deflated}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values; what is not finite becomes ``None``."""
        deflated = float(self.deflated_sharpe) if np.isfinite(self.deflated_sharpe) else None
        return {"hypothesis": self.hypothesis, "number": self.number, "deflated_sharpe": deflated}


def trial_of(returns: pd.Series, standing: Standing) -> Trial:
    """Return the trial of a result whose returns per bar, shape (n_bars,), were recorded with ``standing``."""
    from workbench.backtest.validation.overfitting import deflated_sharpe_ratio

    variance = standing.variance_per_bar(int(returns.count()))
    deflated = deflated_sharpe_ratio(returns.to_numpy(), standing.number, variance)
    return Trial(standing.hypothesis, standing.number, float(deflated))


class TrialLedger:
    """The trials of a home; several processes may record at once.

    Parameters
    ----------
    database : Database
    clock : callable
        The present instant.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.clock = clock

    def record(
        self,
        hypothesis: str,
        kind: TrialKind,
        sharpes: ArrayLike,
        *,
        n_bars: ArrayLike,
        periods: float = 1.0,
        run: str | None = None,
    ) -> Standing:
        """Count trials of an idea and return where it stands.

        Parameters
        ----------
        hypothesis : str
            The idea's name, 1 to 200 printable characters; blanks around it do not count.
        kind : {"backtest", "sweep", "walk_forward", "cross_validation"}
        sharpes : array_like
            A Sharpe ratio for each trial, of any shape. One that is not finite (an account that never traded) counts
            as a trial and stays out of the variance.
        n_bars : array_like
            Bars that each ratio was measured on, one number for all or of the shape of ``sharpes``.
        periods : float
            To how many bars the ratios are scaled: 1 for ratios per bar, the periods per year for annual ones.
        run : str, optional
            Where the run's files lie.

        Raises
        ------
        ParameterError, UnknownNameError
            For a name that is empty or too long, an unknown kind, no trial at all, or numbers of bars that do not go
            with the ratios.
        StoreError
            If the records cannot be written.
        """
        name, count = hypothesis_name(hypothesis), int(np.size(np.asarray(sharpes)))
        if kind not in KINDS:
            raise UnknownNameError("kind of trial", kind, KINDS)
        if not count:
            raise ParameterError(f"nothing to record for {name!r}; give a Sharpe ratio, or NaN, for each trial")
        if not 0 < periods < np.inf:
            raise ParameterError(f"periods={periods!r} must be positive; give 1 for Sharpe ratios per bar")
        added = Moments.of(_t_statistics(sharpes, n_bars) / np.sqrt(periods))
        with self.database.writing() as connection:
            # After the lock, so that the events of an idea are in the order of their instants.
            before, told = _locked(connection, name, self.clock)
            number, moments = before.number + count, _moments(before) + added
            hurdle = max(before.hurdle, _expected(number) * moments.variance**0.5)
            total = {"number": number, **_columns(moments), "hurdle": hurdle, "last": told}
            connection.execute(HYPOTHESES.update().where(HYPOTHESES.c.hypothesis == name).values(total))
            event = {"hypothesis": name, "kind": kind, "number": number, "count": count, "made": told, "run": run}
            connection.execute(TRIALS.insert().values({**event, **_columns(added)}))
        return _standing(name, number, moments, hurdle)

    def standing(self, hypothesis: str) -> Standing:
        """Return where an idea stands; one that was never tried has zero trials.

        Raises
        ------
        ParameterError, StoreError
        """
        name = hypothesis_name(hypothesis)
        with self.database.reading() as connection:
            found = connection.execute(HYPOTHESES.select().where(HYPOTHESES.c.hypothesis == name)).first()
        return Standing(name, 0, 0.0) if found is None else _standing(name, found.number, _moments(found), found.hurdle)

    def table(self) -> pd.DataFrame:
        """Return all ideas, the one tried last in front.

        Returns
        -------
        pandas.DataFrame
            Columns ``hypothesis``, ``trials``, ``measured`` (with a Sharpe ratio), ``mean_t``, ``variance_t`` and
            ``best_t`` (of the t-statistics, NaN without any), ``first`` and ``last`` (UTC).
        """
        with self.database.reading() as connection:
            wanted = HYPOTHESES.select().order_by(HYPOTHESES.c.last.desc(), HYPOTHESES.c.hypothesis)
            rows = connection.execute(wanted).all()
        records = [
            (
                row.hypothesis,
                row.number,
                row.measured,
                row.mean if row.measured else np.nan,
                _moments(row).variance if row.measured > 1 else np.nan,
                np.nan if row.best is None else row.best,
                row.first,
                row.last,
            )
            for row in rows
        ]
        columns = ["hypothesis", "trials", "measured", "mean_t", "variance_t", "best_t", "first", "last"]
        return pd.DataFrame(records, columns=columns)

    def events(self, hypothesis: str) -> pd.DataFrame:
        """Return every record of an idea, oldest first.

        Returns
        -------
        pandas.DataFrame
            Columns ``number`` (trials so far), ``kind``, ``count``, ``measured``, ``mean_t`` and ``best_t`` (of the
            t-statistics), ``made`` (UTC) and ``run``.
        """
        names = ["number", "kind", "count", "measured", "mean", "best", "made", "run"]
        wanted = sa.select(*(TRIALS.c[name] for name in names)).where(
            TRIALS.c.hypothesis == hypothesis_name(hypothesis)
        )
        with self.database.reading() as connection:
            rows = connection.execute(wanted.order_by(TRIALS.c.number)).all()
        found = pd.DataFrame([tuple(row) for row in rows], columns=names)
        return found.rename(columns={"mean": "mean_t", "best": "best_t"})


def hypothesis_name(given: str) -> str:
    """Return the name of an idea as it is kept.

    Raises
    ------
    ParameterError
    """
    name = given.strip() if isinstance(given, str) else ""
    if not 1 <= len(name) <= LONGEST or not name.isprintable():
        raise ParameterError(
            f"hypothesis={given!r:.80} is no name of an idea; give 1 to {LONGEST} printable characters in one line"
        )
    return name


def _t_statistics(sharpes: ArrayLike, n_bars: ArrayLike) -> NDArray[np.float64]:
    ratios, bars = np.asarray(sharpes, dtype="float64"), np.asarray(n_bars, dtype="float64")
    if bars.shape not in ((), ratios.shape):
        raise ParameterError(
            f"n_bars of shape {bars.shape} does not go with ratios of shape {ratios.shape}; give one number for each"
        )
    wrong = bars[~((bars >= 1) & np.isfinite(bars))]
    if wrong.size:
        raise ParameterError(f"n_bars={wrong[0]:g} is out of range; give how many bars a ratio was measured on")
    found: NDArray[np.float64] = ratios * np.sqrt(bars)
    return found


def _locked(connection: sa.Connection, name: str, clock: Clock) -> tuple[sa.Row[Any], datetime]:
    """Return an idea's running total, its row locked until the transaction ends, and the instant after that."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    now = clock()
    fresh = {"hypothesis": name, "number": 0, **_columns(Moments()), "hurdle": 0.0, "first": now, "last": now}
    connection.execute(insert(HYPOTHESES).values(fresh).on_conflict_do_nothing())
    # SQLite has locked the whole file already and knows no FOR UPDATE; SQLAlchemy leaves it out there.
    wanted = HYPOTHESES.select().where(HYPOTHESES.c.hypothesis == name).with_for_update()
    return connection.execute(wanted).one(), clock()


def _moments(row: sa.Row[Any]) -> Moments:
    return Moments(row.measured, row.mean, row.deviations, row.best)


def _columns(moments: Moments) -> dict[str, Any]:
    kept = ("measured", "mean", "deviations", "best")
    return {name: getattr(moments, name) for name in kept}


def _standing(name: str, number: int, moments: Moments, hurdle: float) -> Standing:
    unit = _expected(number)
    # Trials that repeat each other narrow the spread; what is expected of the best by luck must not sink by looking.
    variance = (hurdle / unit) ** 2 if unit > 0 else 0.0
    return Standing(name, number, variance, moments.measured, moments.mean, moments.best)


def _expected(number: int) -> float:
    """Return the maximum to expect of so many trials whose t-statistics have a variance of 1."""
    from workbench.backtest.validation.overfitting import expected_maximum_sharpe

    return expected_maximum_sharpe(number, 1.0) if number > 1 else 0.0
