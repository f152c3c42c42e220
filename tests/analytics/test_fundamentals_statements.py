"""The shape of statements: from providers' answers, versions, periods and trailing years; numbers are made up."""

import numpy as np
import pandas as pd
import pytest

from workbench.analytics.fundamentals import as_known, from_provider, history, snapshot, validate_statements
from workbench.analytics.fundamentals.figures import accounts
from workbench.analytics.fundamentals.items import ITEMS, SOURCES
from workbench.core.errors import DataError, InputError, ParameterError, UnknownNameError

COLUMNS = ["symbol", "frequency", "period_end", "known", "item", "value", "currency"]


def statements(*told):
    """Rows of (period_end, known, value), quarterly revenue of one company."""
    rows = [("MADE", "quarterly", end, f"{known}T12:00Z", "revenue", value, "USD") for end, known, value in told]
    return pd.DataFrame(rows, columns=COLUMNS)


QUARTERS = statements(
    ("2019-12-28", "2020-01-29", 1.0),
    ("2020-03-28", "2020-04-30", 2.0),
    ("2020-06-27", "2020-07-30", 4.0),
    ("2020-09-26", "2020-10-29", 8.0),
    ("2020-12-26", "2021-01-27", 16.0),
)


def revenue(rows, as_of):
    """The trailing revenue at the end of a day."""
    arranged = accounts(rows, "trailing")
    moment = (pd.Timestamp(as_of) + pd.Timedelta(hours=23)).as_unit("ns").value
    return arranged.figures(np.array([0]), np.array([moment]))("revenue")[0]


@pytest.mark.parametrize(
    ("as_of", "total"),
    [("2020-10-28", np.nan), ("2020-10-29", 15.0), ("2021-01-26", 15.0), ("2021-01-27", 30.0), ("2019-01-01", np.nan)],
)
def test_a_trailing_year_is_four_consecutive_quarters(as_of, total):
    np.testing.assert_equal(revenue(QUARTERS, as_of), total)


@pytest.mark.parametrize("hole", [1, 2, 3])
def test_a_missing_quarter_is_no_smaller_year(hole):
    assert np.isnan(revenue(QUARTERS.drop(index=hole), "2021-01-31"))


def test_a_trailing_year_takes_the_restatement_once_it_is_known():
    restated = pd.concat([QUARTERS, statements(("2020-03-28", "2021-03-03", 2.5))])
    assert revenue(restated, "2021-03-02") == 30.0
    assert revenue(restated, "2021-03-03") == 30.5


def test_a_late_old_quarter_does_not_become_the_latest():
    late = pd.concat([QUARTERS, statements(("2019-09-28", "2021-06-01", 100.0))])
    assert revenue(late, "2021-06-02") == 30.0


@pytest.mark.parametrize(
    "ends",
    # A year of 52 or 53 weeks ends on either side of a month's end; another source rounds it to the month's end.
    [
        ("2020-01-04", "2020-04-04", "2020-07-04", "2020-10-03"),
        ("2019-12-28", "2020-03-28", "2020-06-27", "2020-09-26"),
        ("2019-12-31", "2020-03-28", "2020-06-30", "2020-10-03"),
    ],
)
def test_fiscal_quarters_of_thirteen_weeks_are_consecutive(ends):
    rows = statements(*((end, "2020-11-01", 1.0) for end in ends))
    assert revenue(rows, "2020-11-02") == 4.0


def test_ends_days_apart_are_versions_of_one_period():
    rows = statements(("2020-09-26", "2020-10-29", 8.0), ("2020-09-30", "2020-12-01", 9.0))
    assert as_known(rows, "2020-11-30")["value"].tolist() == [8.0]
    assert as_known(rows, "2020-12-01")["value"].tolist() == [9.0]


def test_as_known_keeps_the_version_of_its_day():
    rows = pd.concat([QUARTERS, statements(("2020-03-28", "2021-03-03", 2.5))])
    assert as_known(rows, "2020-01-28").empty
    assert as_known(rows, "2021-03-02")["value"].tolist() == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert as_known(rows, "2021-03-03")["value"].tolist() == [1.0, 2.5, 4.0, 8.0, 16.0]
    assert as_known(rows, "2021-03-03T11:59:59Z")["value"].tolist() == [1.0, 2.0, 4.0, 8.0, 16.0]


def test_a_version_keeps_the_other_items_of_its_period():
    rows = pd.concat(
        [
            statements(("2020-09-26", "2020-10-29", 8.0)).assign(frequency="annual"),
            statements(("2020-09-26", "2020-10-29", 2.0)).assign(frequency="annual", item="net_income"),
            statements(("2020-09-26", "2020-12-01", 4.0)).assign(frequency="annual", item="net_income"),
        ]
    )
    dates = pd.DatetimeIndex(["2020-11-01", "2020-12-02"])
    assert history(rows, ["net_margin"], dates, basis="annual")["net_margin"][:, 0].to_numpy().tolist() == [0.25, 0.5]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda rows: rows.drop(columns="known"), DataError, "missing: known"),
        (lambda rows: rows.assign(item="revenues"), UnknownNameError, "statement item 'revenues'.*revenue"),
        (lambda rows: rows.assign(frequency="weekly"), UnknownNameError, "frequency 'weekly'"),
        (lambda rows: rows.assign(value=np.nan), DataError, "revenue of MADE for 2019-12-28 has no finite value"),
        (lambda rows: rows.assign(known=pd.NaT), DataError, "revenue of MADE has no period_end or no known"),
        (lambda rows: rows.assign(known="2019-12-01"), DataError, "is known before its period ends"),
        (lambda rows: pd.concat([rows, rows.iloc[[2]]]), DataError, "2020-06-27 has two versions learned at one"),
        (
            lambda rows: rows.assign(currency=["USD", "USD", "EUR", "USD", "USD"]),
            DataError,
            r"statements of MADE are in several currencies \('USD', 'EUR'\)",
        ),
    ],
)
def test_statements_that_break_a_rule_are_refused(change, error, message):
    for call in (validate_statements, lambda rows: snapshot(rows, ["net_margin"], "2021-01-01")):
        with pytest.raises(error, match=message):
            call(change(QUARTERS))


def test_companies_may_have_different_currencies():
    rows = pd.concat([QUARTERS, QUARTERS.assign(symbol="MAID", currency="EUR")])
    assert len(validate_statements(rows)) == 10


def answer(filed=pd.NaT):
    """What a provider gives of a company: the shape of ``Provider.statements``."""
    rows = [
        ("2020-12-31", "annual", "income", "total_revenue", 100.0),
        ("2020-12-31", "annual", "income", "net_income", 8.0),
        ("2020-12-31", "annual", "income", "research_and_development", 3.0),
        ("2020-12-31", "annual", "balance", "total_assets", np.nan),
        ("2020-12-31", "annual", "cash_flow", "net_income", 9.0),
        ("2020-12-31", "annual", "cash_flow", "capital_expenditure", -5.0),
        ("2020-12-31", "annual", "cash_flow", "capital_expenditures", 5.0),
    ]
    table = pd.DataFrame(rows, columns=["period_end", "period", "statement", "item", "value"])
    return table.assign(
        period_end=pd.to_datetime(table["period_end"]),
        currency="USD",
        filed=pd.Series([filed] * len(table), dtype="datetime64[ns, UTC]"),
    )


@pytest.mark.parametrize("source", ["alpha_vantage", "yahoo"])
def test_a_providers_answer_becomes_statements(source):
    found = from_provider(answer(), "MADE", source, lag=90)
    # The income statement's net income, our sign of expenditure, nothing without a value.
    assert found.set_index("item")["value"].to_dict() == {"revenue": 100, "net_income": 8, "capital_expenditure": 5}
    # 90 whole days after the end of 2020.
    assert (found["known"] == pd.Timestamp("2021-04-01T00:00Z")).all()
    assert set(found["symbol"]) == {"MADE"}


@pytest.mark.parametrize(
    ("filed", "known"),
    # A filing at midnight is a day without a time: it may have come at any hour of it.
    [("2021-02-10T21:30Z", "2021-02-10T21:30Z"), ("2021-02-10T00:00Z", "2021-02-11T00:00Z")],
)
def test_a_filing_is_known_when_it_was_made(filed, known):
    found = from_provider(answer(pd.Timestamp(filed)), "MADE", "yahoo", lag=90)
    assert (found["known"] == pd.Timestamp(known)).all()


@pytest.mark.parametrize(
    ("source", "lag", "error", "message"),
    [
        ("alpha_vantage", None, InputError, "does not tell when statements of MADE were filed; give a lag"),
        ("alpha_vantage", -1, ParameterError, "lag -1"),
        ("alfa_vantage", 90, UnknownNameError, "'alfa_vantage'; nearest known: alpha_vantage"),
    ],
)
def test_an_answer_that_cannot_be_read_is_refused(source, lag, error, message):
    with pytest.raises(error, match=message):
        from_provider(answer(), "MADE", source, lag)


def test_a_restated_answer_of_a_source_without_dates_needs_no_lag_where_filings_are_told():
    assert len(from_provider(answer(pd.Timestamp("2021-02-10T21:30Z")), "MADE", "yahoo")) == 3


@pytest.mark.parametrize("source", SOURCES)
def test_the_names_of_a_source_are_ours_once_each(source):
    ours = [name for name, _ in SOURCES[source].values()]
    assert set(ours) <= set(ITEMS)
    assert len(ours) == len(set(ours))
