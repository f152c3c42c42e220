"""What the formulas do with missing, negative and mixed figures; the numbers are made up for arithmetic."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workbench.analytics.fundamentals import (
    FORMULAS,
    GROUPS,
    described,
    discounted_cash_flow,
    history,
    sensitivity,
    snapshot,
    value_company,
    weighted_cost_of_capital,
    zone,
)
from workbench.analytics.fundamentals.altman import z_score
from workbench.analytics.fundamentals.items import ITEMS
from workbench.core.errors import InputError, ParameterError, UnknownNameError

YEAR = {
    "revenue": 1000, "cost_of_revenue": 600, "operating_income": 200, "pretax_income": 180, "interest_expense": 20,
    "depreciation": 50, "income_tax": 45, "net_income": 135, "operating_cash_flow": 220, "capital_expenditure": 70,
    "dividends_paid": 27, "stock_issued": 0, "cash": 40, "cash_and_investments": 100, "receivables": 150,
    "inventory": 120, "current_assets": 400, "total_assets": 1500, "payables": 90, "current_liabilities": 250,
    "total_liabilities": 700, "short_term_debt": 50, "long_term_debt": 250, "retained_earnings": 500, "equity": 800,
    "shares": 100,
}  # fmt: skip
BEFORE = {
    "revenue": 800, "cost_of_revenue": 500, "net_income": 100, "receivables": 130, "inventory": 100, "payables": 70,
    "current_assets": 300, "total_assets": 1300, "current_liabilities": 200, "short_term_debt": 50,
    "long_term_debt": 300, "equity": 700,
}  # fmt: skip


def rows(items, end, frequency="annual", symbol="MADE", known=None, currency="USD"):
    known = known or pd.Timestamp(end, tz="UTC") + pd.Timedelta(days=60)
    columns = ["symbol", "frequency", "period_end", "known", "item", "value", "currency"]
    told = [(symbol, frequency, end, known, item, float(value), currency) for item, value in items.items()]
    return pd.DataFrame(told, columns=columns)


def company(**changes):
    """Two years and the beginning of the first; an item that is changed to None is not reported."""
    latest = {item: value for item, value in (YEAR | changes).items() if value is not None}
    return pd.concat(
        [rows({"total_assets": 1200}, "2018-12-31"), rows(BEFORE, "2019-12-31"), rows(latest, "2020-12-31")]
    )


def bars(prices, start="2021-03-01", adjustment="none", currency="USD"):
    times = pd.date_range(start, periods=len(prices), freq="D") + pd.Timedelta(hours=21)
    close = xr.DataArray(np.array(prices, dtype=float)[:, None], dims=("time", "symbol"))
    attrs = {"adjustment": adjustment, "currency": currency}
    return xr.Dataset({"close": close}, coords={"time": times, "symbol": ["MADE"]}, attrs=attrs)


def reading(statements, *names, as_of="2021-03-02", basis="annual", **options):
    return snapshot(statements, names, as_of, basis=basis, **options).figures.loc["MADE"]


RATIOS = {
    "current_ratio": 400 / 250,
    "quick_ratio": 250 / 250,
    "cash_ratio": 100 / 250,
    "debt_to_equity": 300 / 800,
    "debt_to_assets": 300 / 1500,
    "debt_to_capital": 300 / 1100,
    "liabilities_to_assets": 700 / 1500,
    "interest_coverage": 200 / 20,
    "net_debt_to_ebitda": 200 / 250,
    "return_on_assets": 135 / 1400,
    "return_on_equity": 135 / 750,
    "return_on_invested_capital": 200 * 0.75 / ((1100 + 1050) / 2),
    "effective_tax_rate": 0.25,
    "payout_ratio": 0.2,
    "gross_margin": 0.4,
    "operating_margin": 0.2,
    "ebitda_margin": 0.25,
    "net_margin": 0.135,
    "free_cash_flow_margin": 0.15,
    "asset_turnover": 1000 / 1400,
    "inventory_turnover": 600 / 110,
    "receivables_turnover": 1000 / 140,
    "payables_turnover": 600 / 80,
    "days_sales_outstanding": 365 * 140 / 1000,
    "days_of_inventory": 365 * 110 / 600,
    "days_payable": 365 * 80 / 600,
    "cash_conversion_cycle": 51.1 + 365 * 30 / 600,
    "revenue_growth": 0.25,
    "net_income_growth": 0.35,
    "gross_profit_growth": 1 / 3,
    "total_assets_growth": 1500 / 1300 - 1,
    "equity_growth": 1 / 7,
    "cash_flow_to_firm": 220 + 20 * 0.75 - 70,
    "net_debt": 200,
    "shares_outstanding": 100,
    "market_value": 2700,
    "enterprise_value": 2900,
    "price_to_earnings": 20,
    "price_to_book": 2700 / 800,
    "price_to_sales": 2.7,
    "price_to_cash_flow": 2700 / 220,
    "ev_to_ebitda": 11.6,
    "ev_to_ebit": 14.5,
    "ev_to_sales": 2.9,
    "earnings_yield": 0.05,
    "free_cash_flow_yield": 150 / 2700,
    "dividend_yield": 0.01,
}


@pytest.mark.parametrize("name", RATIOS)
def test_a_ratio_of_round_numbers(name):
    found = reading(company(), name, prices=bars([26, 27]))
    assert found[name] == pytest.approx(RATIOS[name], rel=1e-12)


def test_every_ratio_has_an_answer_here_or_needs_more_years():
    longer = {"operating_income_growth", "operating_cash_flow_growth", "free_cash_flow_growth"}
    longer |= {f"{item}_cagr_{years}" for item in ("revenue", "net_income") for years in (3, 5)}
    scores = {name for group in ("dupont", "piotroski", "altman") for name in GROUPS[group]}
    assert set(FORMULAS) == set(RATIOS) | longer | scores


def test_compound_growth_over_three_years():
    years = [rows({"revenue": value}, f"{2017 + place}-12-31") for place, value in enumerate([1000, 1, 1, 1331])]
    assert reading(pd.concat(years), "revenue_cagr_3")["revenue_cagr_3"] == pytest.approx(0.1, rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"net_income": -5}, "price_to_earnings"),
        ({"equity": -800}, "price_to_book"),
        ({"equity": -800}, "debt_to_equity"),
        ({"current_liabilities": 0}, "current_ratio"),
        ({"interest_expense": 0}, "interest_coverage"),
        ({"pretax_income": -10, "interest_expense": 5}, "tax_burden"),
        ({"depreciation": 0, "pretax_income": -50}, "ev_to_ebitda"),
        ({"cash_and_investments": 9999}, "ev_to_sales"),
        ({"revenue": 0}, "net_margin"),
    ],
)
def test_a_denominator_that_is_not_positive_gives_no_number(changes, name):
    assert np.isnan(reading(company(**changes), name, prices=bars([26, 27]))[name])


def test_a_loss_has_negative_margins_and_growth():
    found = reading(company(net_income=-50), "net_margin", "net_income_growth", "earnings_yield", prices=bars([27, 27]))
    assert found["net_margin"] == pytest.approx(-0.05)
    assert found["net_income_growth"] == pytest.approx(-1.5)
    assert found["earnings_yield"] == pytest.approx(-50 / 2700)


def test_a_missing_item_is_named_and_gives_no_number():
    found = snapshot(company(inventory=None), ["inventory_turnover", "current_ratio"], "2021-03-02", basis="annual")
    assert found.missing == {"MADE": ("inventory",)}
    assert np.isnan(found.figures.loc["MADE", "inventory_turnover"])
    assert found.figures.loc["MADE", "current_ratio"] == pytest.approx(1.6)
    assert str(found.period_end["MADE"]) == "2020-12"


def test_a_score_without_all_of_its_signals_is_no_score():
    found = snapshot(company(stock_issued=None), ["piotroski"], "2021-03-02", basis="annual")
    assert found.figures.loc["MADE"].isna().to_dict() == {
        name: name in ("f_equity", "f_score") for name in GROUPS["piotroski"]
    }
    assert "stock_issued" in found.missing["MADE"]


@pytest.mark.parametrize(
    ("signal", "better", "worse"),
    # The company's own year and that of before: 135/1300 after 100/1200 earned, 300 of debt after 350, and so on.
    [
        ("f_return", {}, {"net_income": -1}),
        ("f_cash_flow", {}, {"operating_cash_flow": 0}),
        ("f_return_change", {"net_income": 109}, {"net_income": 108}),
        ("f_accrual", {"operating_cash_flow": 136}, {"operating_cash_flow": 135}),
        ("f_leverage", {"long_term_debt": 341}, {"long_term_debt": 343}),
        ("f_liquidity", {"current_assets": 376}, {"current_assets": 375}),
        ("f_equity", {}, {"stock_issued": 1}),
        ("f_margin", {"cost_of_revenue": 624}, {"cost_of_revenue": 625}),
        ("f_turnover", {"revenue": 867}, {"revenue": 866}),
    ],
)
def test_a_signal_turns_where_its_definition_says(signal, better, worse):
    # 100/1200*1300 = 108.33; (300 + 50)/1250*1400 - 50 = 342; 300/200*250 = 375; 800/1200*1300 = 866.67.
    assert reading(company(**better), signal)[signal] == 1
    assert reading(company(**worse), signal)[signal] == 0


def test_unchanged_leverage_is_no_improvement():
    assert reading(company(long_term_debt=342), "f_leverage")["f_leverage"] == 0


@pytest.mark.parametrize(
    ("now", "before", "signal"),
    # A made-up company with debt; average assets are 1400 after 1250, so that 350 before is as much as 392 now.
    [
        pytest.param({"long_term_debt_current": 40}, {"long_term_debt_current": 10}, 1, id="290/1400 after 310/1250"),
        pytest.param({"long_term_debt_current": 99}, {"long_term_debt_current": 10}, 0, id="349/1400 after 310/1250"),
        pytest.param({"short_term_debt": 141}, {}, 1, id="391/1400, the part not told, after 350/1250"),
        pytest.param({"short_term_debt": 143}, {}, 0, id="393/1400, the part not told, after 350/1250"),
        pytest.param({"short_term_debt": None, "total_debt": 391}, {}, 1, id="the total alone is told"),
        pytest.param({"short_term_debt": None, "total_debt": 393}, {}, 0, id="the total alone is told and rose"),
        pytest.param({"short_term_debt": None}, {}, np.nan, id="nothing is told of what is due"),
    ],
)
def test_leverage_counts_the_part_of_long_term_debt_due_within_a_year(now, before, signal):
    statements = pd.concat([company(**now), rows(before, "2019-12-31")])
    assert reading(statements, "f_leverage")["f_leverage"] == pytest.approx(signal, nan_ok=True)


@pytest.mark.parametrize(
    ("model", "score", "name"),
    [
        ("z", 1.80, "distress"), ("z", 1.81, "grey"), ("z", 2.99, "grey"), ("z", 3.0, "safe"),
        ("z1", 1.22, "distress"), ("z1", 2.91, "safe"), ("z2", 1.09, "distress"), ("z2", 2.61, "safe"),
        ("z2_em", 4.34, "distress"), ("z2_em", 5.86, "safe"), ("z", np.nan, ""),
    ],
)  # fmt: skip
def test_a_zone_ends_where_altman_says(model, score, name):
    assert zone(model, np.array([score]))[0] == name


@pytest.mark.parametrize("call", [lambda: zone("z9", np.array([1.0])), lambda: z_score("z9", np.array([1.0]))])
def test_an_unknown_score_is_refused(call):
    with pytest.raises(UnknownNameError, match=r"'z9'.*nearest known"):
        call()


def test_figures_of_a_company_that_fell_silent_end():
    dates = pd.DatetimeIndex(["2020-02-28", "2021-03-02", "2022-07-05", "2022-07-06"])
    found = history(company(), ["net_margin"], dates, basis="annual", max_age=550)["net_margin"][:, 0]
    # The year 2019 is known from 2020-02-29 on, and 550 days after the end of 2020 is 2022-07-05.
    assert found.isnull().to_numpy().tolist() == [True, False, False, True]


def test_a_price_a_week_old_is_no_price():
    dates = pd.DatetimeIndex(["2021-02-28", "2021-03-02", "2021-03-09 21:00", "2021-03-09 21:01"])
    found = history(company(), ["market_value"], dates, prices=bars([26, 27]), basis="annual")["market_value"][:, 0]
    np.testing.assert_array_equal(found, [np.nan, 2600, 2700, np.nan])


def test_a_split_multiplies_shares_until_the_next_filing():
    # Seven for one on the second day, when the price falls to a seventh; the one of 2019 is in the filing already.
    splits = pd.DataFrame(
        {
            "symbol": ["ELSE", "MADE", "MADE", "MADE"],
            "time": pd.to_datetime(["2021-03-01", "2019-06-01", "2021-03-02", "2021-03-02"]),
            "kind": ["split", "split", "split", "dividend"],
            "value": [3.0, 2.0, 7.0, 1.0],
        }
    )
    prices = bars([28, 4, 4])
    statements = pd.concat([company(), rows({"shares": 700}, "2020-12-31", known=pd.Timestamp("2021-03-03T09:00Z"))])
    times = prices.indexes["time"]
    found = history(statements, ["market_value"], times, prices=prices, splits=splits, basis="annual")
    np.testing.assert_allclose(found["market_value"][:, 0], [2800, 2800, 2800], rtol=1e-12)
    without = history(statements, ["market_value"], times, prices=prices, basis="annual")
    np.testing.assert_allclose(without["market_value"][:, 0], [2800, 400, 2800], rtol=1e-12)
    one = reading(statements, "market_value", prices=prices, splits=splits, as_of="2021-03-02")
    assert one["market_value"] == pytest.approx(2800)


def test_until_its_close_an_ex_date_has_the_shares_of_the_price_before():
    # Two for one on 2021-03-02: until that day's close the last price is the one of a share before the split.
    day = pd.Timestamp("2021-03-02")
    splits = pd.DataFrame({"symbol": ["MADE"], "time": [day], "value": [2.0]})
    prices = bars([28, 14.5])
    moments = pd.DatetimeIndex([*prices.indexes["time"], day, day + pd.Timedelta(hours=20)]).sort_values()
    asked = {"prices": prices, "splits": splits, "basis": "annual"}
    found = history(company(), ["market_value", "altman_z", "shares_outstanding"], moments, **asked).sel(symbol="MADE")
    np.testing.assert_allclose(found["market_value"], [2800, 2800, 2800, 2900], rtol=1e-12)
    assert np.unique(found["altman_z"].round(9)).size == 2
    np.testing.assert_allclose(found["shares_outstanding"], [100, 200, 200, 200], rtol=1e-12)
    for moment in moments:
        one = snapshot(company(), ["market_value", "shares_outstanding"], moment.tz_localize("UTC"), **asked)
        there = found[["market_value", "shares_outstanding"]].sel(time=moment)
        assert one.figures.loc["MADE"].to_dict() == pytest.approx({name: there[name].item() for name in there})


@pytest.mark.parametrize(
    ("names", "options", "error", "message"),
    [
        (["net_margn"], {}, UnknownNameError, "unknown ratio 'net_margn'; nearest known: net_margin"),
        (["market_value"], {}, InputError, "market_value need prices"),
        (["market_value"], {"prices": bars([1], adjustment="all")}, ParameterError, "'all'.*adjust='none'"),
        (["market_value"], {"prices": bars([1], currency="EUR")}, InputError, "prices are in EUR, statements in USD"),
        (["net_margin"], {"basis": "monthly"}, ParameterError, "basis 'monthly'.*annual, trailing"),
        (["net_margin"], {"max_age": 0}, ParameterError, "max_age 0"),
    ],
)
def test_a_request_that_cannot_be_answered_is_refused(names, options, error, message):
    with pytest.raises(error, match=message):
        reading(company(), *names, **options)
    with pytest.raises(error, match=message):
        history(company(), names, pd.DatetimeIndex(["2021-03-02"]), **({"basis": "annual"} | options))


def test_dates_out_of_order_are_refused():
    with pytest.raises(ParameterError, match="dates must increase"):
        history(company(), ["net_margin"], pd.DatetimeIndex(["2021-03-02", "2021-03-01"]), basis="annual")


def test_a_company_without_quarters_has_no_trailing_figures_beside_one_that_has():
    quarters = pd.concat(
        [rows(YEAR, end, "quarterly", "QUARTERS") for end in pd.date_range("2020-01-01", periods=4, freq="QE")]
    )
    both = pd.concat([company(), quarters])
    found = snapshot(both, ["net_margin"], "2021-03-02", basis="trailing")
    assert found.figures["net_margin"].isna().to_dict() == {"MADE": True, "QUARTERS": False}
    assert found.missing["MADE"] == ("net_income", "revenue")
    beside = history(both, ["net_margin"], pd.DatetimeIndex(["2021-03-02"]), basis="trailing")
    assert beside["net_margin"].isnull().to_numpy().tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("only", "basis", "other"), [("annual", "trailing", "annual"), ("quarterly", "annual", "trailing")]
)
def test_statements_of_the_other_frequency_only_are_refused(only, basis, other):
    statements = company().assign(frequency=only)
    message = f"the statements are {only} only; give basis='{other}'"
    with pytest.raises(InputError, match=message):
        history(statements, ["net_margin"], pd.DatetimeIndex(["2021-03-02"]), basis=basis)
    with pytest.raises(InputError, match=message):
        snapshot(statements, ["net_margin"], "2021-03-02", basis=basis)
    with pytest.raises(InputError, match=message):
        value_company(statements, "MADE", "2021-03-02", [0.02], 0.10, 0.02, basis=basis)


def test_names_are_described_with_items_that_exist():
    told = described()
    assert all("purchases" in told.loc[name, "about"] for name in ("payables_turnover", "days_payable"))
    assert list(told.columns) == ["group", "about", "needs"]
    needed = {need.split("@")[0] for needs in told["needs"] for need in needs.split(", ")}
    assert needed <= {*ITEMS, "price"}


def test_a_company_is_valued_from_what_was_known():
    # 165 of free cash flow growing at 2 % for ever at 10 %: 165 * 1.02 / 0.08, less 200 of net debt, by 100 shares.
    found = value_company(company(), "MADE", "2021-03-02", [0.02, 0.02], 0.10, 0.02, basis="annual")
    assert found.per_share[0] == pytest.approx((165 * 1.02 / 0.08 - 200) / 100, rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "symbol", "error", "message"),
    [
        ({"interest_expense": None, "shares": None}, "MADE", InputError, "interest_expense, shares of MADE not known"),
        ({"pretax_income": -1}, "MADE", InputError, "no profit before taxes"),
        ({}, "MAID", UnknownNameError, "unknown symbol 'MAID'"),
    ],
)
def test_a_company_that_cannot_be_valued_says_why(changes, symbol, error, message):
    with pytest.raises(error, match=message):
        value_company(company(**changes), symbol, "2021-03-02", [0.02], 0.10, 0.02, basis="annual")


def test_a_sensitivity_table_holds_the_value_of_each_cell():
    found = sensitivity(100, [0.05, 0.04], [0.08, 0.10], [0.01, 0.02, 0.03], net_debt=50, shares=4, mid_year=True)
    assert found.shape == (2, 3)
    for rate in found.index:
        for later in found.columns:
            one = discounted_cash_flow(100, [0.05, 0.04], rate, later, net_debt=50, shares=4, mid_year=True)
            assert found.loc[rate, later] == pytest.approx(one.per_share[0], rel=1e-12)
    assert (found.diff(axis=1).iloc[:, 1:] > 0).all(axis=None)
    assert (found.diff().iloc[1:] < 0).all(axis=None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"terminal_growth": 0.1}, "terminal growth 0.1 is not below the discount rate 0.1"),
        ({"terminal_growth": 0.12}, "terminal growth 0.12 is not below the discount rate 0.1"),
        ({"flow": np.nan}, "flow is nan"),
        ({"discount_rate": np.inf}, "discount_rate is inf"),
        ({"growth": []}, "growth has shape"),
        ({"growth": [0.1, -1.0]}, "growth -1.0"),
        ({"growth": [0.1, np.nan]}, "growth nan"),
        ({"terminal_growth": -1.5}, "growth -1.5"),
        ({"shares": 0}, "shares 0"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused(changes, message):
    given = {"flow": 100, "growth": [0.05], "discount_rate": 0.1, "terminal_growth": 0.02} | changes
    with pytest.raises(ParameterError, match=message):
        discounted_cash_flow(**given)


@pytest.mark.parametrize("grid", [{"discount_rates": [0.1, 0.03]}, {"growth": [[0.1], [0.2]]}])
def test_a_table_with_a_cell_that_makes_no_sense_is_refused(grid):
    given = {"flow": 100, "growth": [0.05], "discount_rates": [0.1], "terminal_growths": [0.02, 0.03]} | grid
    with pytest.raises(ParameterError, match=r"0\.03 is not below the discount rate 0\.03|2 dimensions"):
        sensitivity(**given)


@pytest.mark.parametrize(("equity", "debt"), [(0, 0), (-1, 5), (5, -1), (np.nan, 1)])
def test_weights_that_are_none_are_refused(equity, debt):
    with pytest.raises(ParameterError, match="give market values"):
        weighted_cost_of_capital(equity, debt, cost_of_equity=0.1, cost_of_debt=0.05, tax_rate=0.2)
