"""Market conventions of the main currencies: their standard swap against the overnight rate, and Euribor's.

What QuantLib's index classes know is read from them: currency, calendar and day count of the rate. What they do not
know is the standard swap around the rate: when it starts, how often it pays, how late. That is written down here, from

- rateslib, ``data/__instrument_spec.csv``, rows ``usd_irs eur_irs gbp_irs jpy_irs chf_irs cad_irs aud_irs eur_irs6``;
- OpenGamma, "Interest Rate Instruments and Market Conventions Guide", as in Strata's
  ``StandardFixedOvernightSwapConventions``, which agrees for USD, GBP, JPY and CHF, and for EUR but for a payment lag
  of two days, which Strata's issue 2273 corrects to one;
- QuantLib, ``MakeOIS`` and its pull request 2241, which agrees on the start for all but AUD, where it takes the two
  days of most currencies; Australian swaps start on the next day.

``ql.MakeOIS`` pays once a year and without a lag unless told otherwise, and starts any swap after two days whose index
was cloned onto a curve: pass it these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

import pandas as pd

from workbench.core.errors import UnknownNameError
from workbench.core.plugins import extra
from workbench.risk.pricing.days import Day, quantlib_date

with extra("pricing", "pricing with QuantLib"):
    import QuantLib as ql  # noqa: N813 (its own documentation's name for it)


@dataclass(frozen=True, eq=False, repr=False)
class Conventions:
    """The conventions of a currency's standard swap; the attributes can be passed to QuantLib as they are.

    Attributes
    ----------
    name : str
        What it was asked by, such as ``"USD"``.
    currency : str
        The ISO 4217 code.
    index : ql.IborIndex
        The floating rate, without a curve: a ``ql.OvernightIndex`` but for ``EUR-EURIBOR``.
    calendar : ql.Calendar
        The days on which the rate is fixed, and by which days are counted.
    day_count : ql.DayCounter
        The floating leg's.
    settlement_days : int
        Business days from the trade to the start of the swap, the spot lag.
    fixed_frequency : int
        How often the fixed leg pays in swaps of more than a year, ``ql.Annual`` or ``ql.Semiannual``; an overnight swap
        of a year or less pays once, at its end.
    fixed_day_count : ql.DayCounter
        The fixed leg's.
    business_day : int
        What happens to a date that is no business day, such as ``ql.ModifiedFollowing``.
    payment_lag : int
        Business days from the end of a period to its payment.
    """

    name: str
    currency: str
    index: Any
    calendar: Any
    day_count: Any
    settlement_days: int
    fixed_frequency: int
    fixed_day_count: Any
    business_day: int
    payment_lag: int

    def settlement(self, traded: Day) -> date:
        """Return the day on which a swap traded on a day starts: so many business days later, and never on a holiday.

        Days are counted by the rate's own calendar; a confirmation can add the holidays of another city.

        Raises
        ------
        DateRangeError
            If it is no date, or one that QuantLib does not have.
        """
        day: date = self.calendar.advance(quantlib_date(traded), self.settlement_days, ql.Days).to_date()
        return day

    def year_fraction(self, start: Day, end: Day) -> float:
        """Return the floating leg's share of a year from a day to a later one, negative for an earlier one.

        Raises
        ------
        DateRangeError
            If one is no date, or one that QuantLib does not have.
        """
        return float(self.day_count.yearFraction(quantlib_date(start), quantlib_date(end)))

    def to_series(self) -> pd.Series[Any]:
        """Return the conventions in words."""
        return pd.Series(
            {each.name: _word(each.name, getattr(self, each.name)) for each in fields(self)}, name=self.name
        )

    def __repr__(self) -> str:
        words = ", ".join(f"{key}={value!r}" for key, value in self.to_series().items())
        return f"Conventions({words})"

    def _repr_html_(self) -> str:
        return str(self.to_series().to_frame().to_html())


def _overnight(name: str, index: Any, *, settlement_days: int, frequency: int, payment_lag: int) -> Conventions:
    """Fill in what the index knows; both legs of an overnight swap count days as the rate does."""
    return Conventions(
        name=name,
        currency=index.currency().code(),
        index=index,
        calendar=index.fixingCalendar(),
        day_count=index.dayCounter(),
        settlement_days=settlement_days,
        fixed_frequency=frequency,
        fixed_day_count=index.dayCounter(),
        business_day=ql.ModifiedFollowing,
        payment_lag=payment_lag,
    )


def _euribor(name: str) -> Conventions:
    """Take the swap against six-month Euribor from QuantLib's index of such swaps, the ISDA fixing of 11 o'clock."""
    index, swap = ql.Euribor6M(), ql.EuriborSwapIsdaFixA(ql.Period(10, ql.Years))
    return Conventions(
        name=name,
        currency=index.currency().code(),
        index=index,
        calendar=index.fixingCalendar(),
        day_count=index.dayCounter(),
        settlement_days=swap.fixingDays(),
        fixed_frequency=swap.fixedLegTenor().frequency(),
        fixed_day_count=swap.dayCounter(),
        business_day=index.businessDayConvention(),
        payment_lag=0,
    )


_KNOWN: dict[str, Callable[[str], Conventions]] = {
    "USD": lambda name: _overnight(name, ql.Sofr(), settlement_days=2, frequency=ql.Annual, payment_lag=2),
    "EUR": lambda name: _overnight(name, ql.Estr(), settlement_days=2, frequency=ql.Annual, payment_lag=1),
    "GBP": lambda name: _overnight(name, ql.Sonia(), settlement_days=0, frequency=ql.Annual, payment_lag=0),
    "JPY": lambda name: _overnight(name, ql.Tonar(), settlement_days=2, frequency=ql.Annual, payment_lag=2),
    "CHF": lambda name: _overnight(name, ql.Saron(), settlement_days=2, frequency=ql.Annual, payment_lag=2),
    "CAD": lambda name: _overnight(name, ql.Corra(), settlement_days=1, frequency=ql.Semiannual, payment_lag=1),
    "AUD": lambda name: _overnight(name, ql.Aonia(), settlement_days=1, frequency=ql.Annual, payment_lag=2),
    "EUR-EURIBOR": _euribor,
}


def conventions(name: str) -> Conventions:
    """Return the conventions of a currency's standard swap.

    Parameters
    ----------
    name : str
        A currency such as ``"USD"`` for the swap against its overnight rate, or ``"EUR-EURIBOR"`` for the one against
        six-month Euribor; in capitals or not.

    Raises
    ------
    UnknownNameError
        For any other.
    """
    known = str(name).upper()
    if known not in _KNOWN:
        raise UnknownNameError("currency", str(name), _KNOWN)
    return _KNOWN[known](known)


def conventions_table() -> pd.DataFrame:
    """Return all conventions in words, a row each: what ``conventions`` knows, to be read."""
    return pd.DataFrame([conventions(name).to_series() for name in _KNOWN]).set_index("name")


def _word(field: str, value: Any) -> Any:
    return _WORDS[field](value) if field in _WORDS else value


def _index_name(index: Any) -> str:
    # QuantLib's own name ends with the day count, and for an overnight rate with "ON" for its tenor.
    whole = index.familyName() if isinstance(index, ql.OvernightIndex) else index.name()
    return str(whole).removesuffix(f" {index.dayCounter().name()}")


_WORDS: dict[str, Callable[[Any], Any]] = {
    "index": _index_name,
    "calendar": lambda calendar: calendar.name(),
    "day_count": lambda count: count.name(),
    "fixed_day_count": lambda count: count.name(),
    "fixed_frequency": {ql.Annual: "annual", ql.Semiannual: "semiannual"}.__getitem__,
    "business_day": {ql.ModifiedFollowing: "modified following"}.__getitem__,
}
