"""Market conventions against published examples, holiday announcements and another library's table."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest
import QuantLib as ql  # noqa: N813 (its own documentation's name for it)

from workbench.core.errors import DateRangeError, UnknownNameError
from workbench.risk.pricing.conventions import conventions, conventions_table
from workbench.risk.pricing.valuation import evaluation_date

# Alternative Reference Rates Committee, "A User's Guide to SOFR" (April 2019), "Compound Interest on a One-Week SOFR
# Loan of $1 Million Drawn on Jan 7, 2019": 0.047064 % over the week, (360 / 7) * (.047064 %) = 2.4204 % a year. The
# rates are those of the Federal Reserve Bank of New York.
SOFR_WEEK = {7: 0.0241, 8: 0.0242, 9: 0.0245, 10: 0.0243, 11: 0.0241}


@pytest.fixture
def sofr_week():
    index = conventions("USD").index
    index.addFixings([ql.Date(day, 1, 2019) for day in SOFR_WEEK], list(SOFR_WEEK.values()))
    yield index
    index.clearFixings()


def test_a_week_of_compounded_sofr_is_that_of_the_users_guide(sofr_week):
    start, end = ql.Date(7, 1, 2019), ql.Date(14, 1, 2019)
    coupon = ql.OvernightIndexedCoupon(end, 1_000_000.0, start, end, sofr_week)
    coupon.setPricer(ql.CompoundingOvernightIndexedCouponPricer())
    with evaluation_date("2019-01-14"):
        assert coupon.amount() == pytest.approx(470.64, abs=0.005)
        assert coupon.rate() == pytest.approx(0.024204, abs=5e-7)
    assert conventions("USD").year_fraction("2019-01-07", "2019-01-14") == pytest.approx(
        0.00047064 / 0.024204, rel=1e-4
    )


@pytest.mark.parametrize(
    ("name", "start", "end", "fraction"),
    [
        # 2006 ISDA Definitions, section 4.16 (d) and (e): the actual number of days over 365, or over 360.
        ("USD", "2024-01-01", "2025-01-01", 366 / 360),
        ("EUR", "2023-01-01", "2024-01-01", 365 / 360),
        ("CHF", "2024-02-28", "2024-03-01", 2 / 360),
        ("GBP", "2024-01-01", "2025-01-01", 366 / 365),
        ("JPY", "2023-01-01", "2024-01-01", 1.0),
        ("CAD", "2024-02-28", "2024-03-01", 2 / 365),
        ("AUD", "2024-05-01", "2024-04-30", -1 / 365),
        ("EUR-EURIBOR", "2024-01-15", "2024-07-15", 182 / 360),
    ],
)
def test_a_year_fraction_is_actual_days_over_the_year_of_the_currency(name, start, end, fraction):
    assert conventions(name).year_fraction(start, end) == pytest.approx(fraction, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "traded", "starts"),
    [
        # SIFMA's recommended closes of 2024: Good Friday, March 29; no SOFR is published then.
        ("USD", "2024-03-27", "2024-04-01"),
        # European Central Bank, press release of 14 December 2000: TARGET closes on Good Friday and Easter Monday.
        ("EUR", "2024-03-27", "2024-04-02"),
        ("EUR-EURIBOR", "2024-03-27", "2024-04-02"),
        # ... and on 1 May.
        ("EUR", "2024-04-29", "2024-05-02"),
        # The coronation's bank holiday, 8 May 2023 (London Gazette of 18 November 2022): same-day, so the day after.
        ("GBP", "2023-05-08", "2023-05-09"),
        ("GBP", "2023-05-09", "2023-05-09"),
        # The ten days of the emperor's accession, 27 April to 6 May 2019 (act 99 of 2018).
        ("JPY", "2019-04-26", "2019-05-08"),
        # Federal constitution of the Swiss Confederation, article 110: 1 August.
        ("CHF", "2024-07-31", "2024-08-05"),
        # Bank of Canada, schedule of 2024: Canada Day, Monday 1 July.
        ("CAD", "2024-06-28", "2024-07-02"),
        # Anzac Day, Thursday 25 April 2024.
        ("AUD", "2024-04-24", "2024-04-26"),
        # Of a Saturday's trade Monday is the first business day after, Tuesday the second.
        ("USD", "2024-03-09", "2024-03-12"),
    ],
)
def test_a_swap_starts_after_the_holidays_of_its_market(name, traded, starts):
    assert conventions(name).settlement(traded) == date.fromisoformat(starts)


# rateslib, data/__instrument_spec.csv: the first letters of frequency, the payment lag, the business days of the
# evaluation to the start ("2b"), the modifier and the fixed leg's convention.
RATESLIB = {
    "USD": ("annual", 2, 2, "modified following", "Actual/360"),
    "EUR": ("annual", 1, 2, "modified following", "Actual/360"),
    "GBP": ("annual", 0, 0, "modified following", "Actual/365 (Fixed)"),
    "JPY": ("annual", 2, 2, "modified following", "Actual/365 (Fixed)"),
    "CHF": ("annual", 2, 2, "modified following", "Actual/360"),
    "CAD": ("semiannual", 1, 1, "modified following", "Actual/365 (Fixed)"),
    "AUD": ("annual", 2, 1, "modified following", "Actual/365 (Fixed)"),
    "EUR-EURIBOR": ("annual", 0, 2, "modified following", "30/360 (Bond Basis)"),
}


def test_the_table_is_that_of_another_library():
    table = conventions_table()
    columns = ["fixed_frequency", "payment_lag", "settlement_days", "business_day", "fixed_day_count"]
    pd.testing.assert_frame_equal(
        table[columns], pd.DataFrame.from_dict(RATESLIB, orient="index", columns=columns).rename_axis("name")
    )
    assert list(table["currency"]) == [name[:3] for name in RATESLIB]
    assert list(table["index"]) == ["SOFR", "ESTR", "Sonia", "Tonar", "SARON", "CORRA", "Aonia", "Euribor6M"]


@pytest.mark.parametrize("name", ["USD", "EUR", "GBP", "JPY", "CHF", "CAD"])
def test_quantlib_starts_its_own_swap_on_the_same_day(name):
    # MakeOIS knows the start of all but AUD (QuantLib, pull request 2241).
    curve = ql.YieldTermStructureHandle(ql.FlatForward(ql.Date(1, 3, 2024), 0.03, ql.Actual365Fixed()))
    known = conventions(name)
    for days in range(1, 60):
        traded = date(2024, 3, 1) + timedelta(days=days)
        with evaluation_date(traded):
            swap = ql.MakeOIS(ql.Period(2, ql.Years), type(known.index)(curve), 0.03)
        assert swap.startDate().to_date() == known.settlement(traded), traded


def test_conventions_are_read_in_words():
    known = conventions("cad")
    assert known.name == "CAD"
    assert repr(known).startswith("Conventions(name='CAD', currency='CAD', index='CORRA', calendar='Canada'")
    assert "<td>semiannual</td>" in known._repr_html_()


@pytest.mark.parametrize("name", ["USX", "", "EURIBOR"])
def test_an_unknown_currency_is_refused_with_those_that_are_known(name):
    with pytest.raises(UnknownNameError, match=r"unknown currency .*; nearest known: .*(USD|EUR)"):
        conventions(name)


@pytest.mark.parametrize("traded", ["2300-01-01", "yesterday", None])
def test_a_trade_on_no_day_is_refused(traded):
    with pytest.raises(DateRangeError):
        conventions("USD").settlement(traded)
