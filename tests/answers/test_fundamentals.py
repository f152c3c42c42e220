"""Ratios and scores of a real company's published accounts, published coefficients, and closed forms of value."""

import numpy as np
import pandas as pd
import pytest

from workbench.analytics.fundamentals import altman, dcf, history, snapshot

# Apple Inc., Form 10-K for the fiscal year ended 2012-09-29, filed 2012-10-31 (and for 2011-09-24, filed 2011-10-26,
# and 2010-09-25, filed 2010-10-27): consolidated statements, in millions of dollars; shares outstanding in millions.
APPLE = {
    "revenue": (65_225, 108_249, 156_508),
    "cost_of_revenue": (39_541, 64_431, 87_846),
    "operating_income": (18_385, 33_790, 55_241),
    "pretax_income": (18_540, 34_205, 55_763),
    "income_tax": (4_527, 8_283, 14_030),
    "net_income": (14_013, 25_922, 41_733),
    "operating_cash_flow": (18_595, 37_529, 50_856),
    "stock_issued": (912, 831, 665),
    "current_assets": (41_678, 44_988, 57_653),
    "total_assets": (75_183, 116_371, 176_064),
    "current_liabilities": (20_722, 27_970, 38_542),
    "total_liabilities": (27_392, 39_756, 57_854),
    "equity": (47_791, 76_615, 118_210),
    "shares": (915.970, 929.277, 939.208),
    # None was outstanding before May 2013, and the statements show no line for it or for interest.
    "long_term_debt": (0, 0, 0),
    "total_debt": (0, 0, 0),
    "interest_expense": (0, 0, 0),
    "retained_earnings": (37_169, 62_841, 101_289),
}
YEARS = (("2010-09-25", "2010-10-27"), ("2011-09-24", "2011-10-26"), ("2012-09-29", "2012-10-31"))


@pytest.fixture(scope="module")
def apple():
    rows = [
        ("AAPL", "annual", end, f"{filed}T23:59:59Z", item, amounts[year] * 1e6, "USD")
        for year, (end, filed) in enumerate(YEARS)
        for item, amounts in APPLE.items()
    ]
    columns = ["symbol", "frequency", "period_end", "known", "item", "value", "currency"]
    return pd.DataFrame(rows, columns=columns)


def reading(statements, *names, as_of="2012-10-31", **options):
    found = snapshot(statements, names, as_of, basis="annual", **options)
    return found.figures.loc["AAPL"]


@pytest.mark.parametrize(
    ("name", "as_of", "published", "digits"),
    # As printed in "Management's Discussion and Analysis" of the 10-K for 2012.
    [
        ("gross_margin", "2010-10-27", 0.394, 3),
        ("gross_margin", "2011-10-26", 0.405, 3),
        ("gross_margin", "2012-10-31", 0.439, 3),
        ("effective_tax_rate", "2011-10-26", 0.242, 3),
        ("effective_tax_rate", "2012-10-31", 0.252, 3),
        ("revenue_growth", "2011-10-26", 0.66, 2),
        ("revenue_growth", "2012-10-31", 0.45, 2),
    ],
)
def test_a_ratio_that_apple_printed_itself(apple, name, as_of, published, digits):
    assert round(reading(apple, name, as_of=as_of)[name], digits) == published


def test_the_nine_signals_of_apple_in_2012(apple):
    # By hand: ROA 41,733/116,371 = 0.359 after 25,922/75,183 = 0.345; CFO 50,856/116,371 = 0.437; no debt in any year,
    # so leverage did not fall; current ratio 1.496 after 1.608; 665 of stock issued; margin 0.439 after 0.405; turnover
    # 156,508/116,371 = 1.345 after 108,249/75,183 = 1.440.
    found = reading(apple, "piotroski")
    assert found.to_dict() == {
        "f_return": 1, "f_cash_flow": 1, "f_return_change": 1, "f_accrual": 1, "f_leverage": 0, "f_liquidity": 0,
        "f_equity": 0, "f_margin": 1, "f_turnover": 0, "f_score": 5,
    }  # fmt: skip


def test_the_steps_of_dupont_multiply_to_the_return_on_equity(apple):
    found = reading(apple, "dupont", "return_on_equity", "net_margin", "asset_turnover")
    equity = (118_210 + 76_615) / 2
    assert found["return_on_equity"] == pytest.approx(41_733 / equity, rel=1e-12)
    assert found["dupont_3"] == pytest.approx(41_733 / equity, rel=1e-12)
    assert found["dupont_5"] == pytest.approx(41_733 / equity, rel=1e-12)
    assert found["tax_burden"] == pytest.approx(1 - 14_030 / 55_763, rel=1e-12)
    assert found["interest_burden"] == 1
    assert found["equity_multiplier"] == pytest.approx((176_064 + 116_371) / (118_210 + 76_615), rel=1e-12)


def test_scores_of_apple_by_the_published_coefficients(apple, bench):
    bars = bench.bars(["AAPL"], start="2012-10", end="2012-11", dataset="us_equities", adjust="none")
    found = reading(apple, "altman", "price_to_earnings", "market_value", prices=bars)
    # The close of 2012-10-31, the first session after the storm, was 595.32.
    assert found["market_value"] == pytest.approx(595.32 * 939.208e6, rel=1e-12)
    assert found["price_to_earnings"] == pytest.approx(595.32 * 939.208 / 41_733, rel=1e-12)
    capital, retained, earned = (57_653 - 38_542) / 176_064, 101_289 / 176_064, 55_763 / 176_064
    book, market, sales = 118_210 / 57_854, 595.32 * 939.208 / 57_854, 156_508 / 176_064
    first = 1.2 * capital + 1.4 * retained + 3.3 * earned + 0.6 * market + 0.999 * sales
    second = 0.717 * capital + 0.847 * retained + 3.107 * earned + 0.420 * book + 0.998 * sales
    third = 6.56 * capital + 3.26 * retained + 6.72 * earned + 1.05 * book
    assert found["altman_z"] == pytest.approx(first, rel=1e-12)
    assert found["altman_z1"] == pytest.approx(second, rel=1e-12)
    assert found["altman_z2"] == pytest.approx(third, rel=1e-12)
    assert found["altman_z2_em"] == pytest.approx(third + 3.25, rel=1e-12)


@pytest.mark.parametrize(
    ("ratios", "zone"),
    # Altman (1968), table 1: the means of X1 to X5 of his 33 bankrupt and 33 other manufacturers.
    [((-0.061, -0.626, -0.318, 0.401, 1.500), "distress"), ((0.414, 0.355, 0.154, 2.477, 1.900), "safe")],
)
def test_the_mean_firms_of_altmans_samples(ratios, zone):
    # His equation I takes X1 to X4 in percent.
    percent = [100 * ratio for ratio in ratios[:4]]
    original = 0.012 * percent[0] + 0.014 * percent[1] + 0.033 * percent[2] + 0.006 * percent[3] + 0.999 * ratios[4]
    score = altman.z_score("z", *np.array(ratios))
    assert score == pytest.approx(original, rel=1e-12)
    assert altman.zone("z", score) == zone


def test_figures_beside_bars_begin_on_the_day_after_the_filing(apple, bench):
    bars = bench.bars(["AAPL"], start="2012-10-29", end="2012-11-02", dataset="us_equities", adjust="none")
    found = history(apple, ["net_margin", "price_to_sales"], bars.indexes["time"], prices=bars, basis="annual")
    margin = found["net_margin"].sel(symbol="AAPL").to_series()
    assert margin[:"2012-10-31"].to_numpy() == pytest.approx(25_922 / 108_249, rel=1e-12)
    assert margin["2012-11-01":].to_numpy() == pytest.approx(41_733 / 156_508, rel=1e-12)
    close = bars["close"].sel(symbol="AAPL").to_series()
    multiple = found["price_to_sales"].sel(symbol="AAPL").to_series()
    assert multiple.iloc[-1] == pytest.approx(close.iloc[-1] * 939.208 / 156_508, rel=1e-12)


@pytest.mark.parametrize("years", [1, 5, 30])
@pytest.mark.parametrize(("growth", "rate"), [(0.03, 0.09), (-0.02, 0.08), (0.0, 0.1)])
def test_growth_at_one_rate_for_ever_is_worth_gordons_formula(growth, rate, years):
    # Gordon (1959): F (1 + g) / (r - g), however many of the years are written out.
    found = dcf.discounted_cash_flow(100, [growth] * years, rate, growth, net_debt=200, shares=10)
    assert found.enterprise_value[0] == pytest.approx(100 * (1 + growth) / (rate - growth), rel=1e-12)
    assert found.per_share[0] == pytest.approx((100 * (1 + growth) / (rate - growth) - 200) / 10, rel=1e-12)
    middle = dcf.discounted_cash_flow(100, [growth] * years, rate, growth, mid_year=True)
    assert middle.enterprise_value[0] == pytest.approx(found.enterprise_value[0] * (1 + rate) ** 0.5, rel=1e-12)


def test_explicit_years_are_a_growing_annuity():
    # The closed form of a growing annuity: F1 / (r - g) * (1 - ((1 + g) / (1 + r)) ** n).
    found = dcf.discounted_cash_flow(100, [0.12] * 7, 0.10, 0.02)
    annuity = 112 / (0.10 - 0.12) * (1 - (1.12 / 1.10) ** 7)
    assert found.present_values.sum() == pytest.approx(annuity, rel=1e-12)
    last = 100 * 1.12**7
    assert found.terminal_value[0] == pytest.approx(last * 1.02 / 0.08, rel=1e-12)
    assert found.enterprise_value[0] == pytest.approx(annuity + last * 1.02 / 0.08 / 1.10**7, rel=1e-12)
    assert found.terminal_share[0] == pytest.approx(1 - annuity / found.enterprise_value[0], rel=1e-12)


def test_a_value_worked_by_hand():
    # 100 growing by 10 % twice, then 2 %, at 10 %: 110/1.1 + 121/1.21 + 121 * 1.02/0.08/1.21 = 100 + 100 + 1275.
    found = dcf.discounted_cash_flow(100, [[0.1, 0.1], [0.0, 0.0]], 0.10, 0.02, net_debt=475, shares=100)
    assert found.enterprise_value[0] == pytest.approx(1475, rel=1e-12)
    assert found.per_share[0] == pytest.approx(10, rel=1e-12)
    assert found.per_share.shape == (2,)
    # 1.1 * 1.1 less growth divides each flow: 100/1.1 + 100/1.21 + 1275/1.21.
    assert found.enterprise_value[1] == pytest.approx(100 / 1.1 + 100 / 1.21 + 1275 / 1.21, rel=1e-12)


def test_the_cost_of_capital_worked_by_hand():
    # 4 % + 1.25 * 5 % = 10.25 % on 3/4; 6 % less a quarter of tax = 4.5 % on 1/4.
    equity = dcf.cost_of_equity(0.04, 1.25, 0.05)
    assert equity == pytest.approx(0.1025)
    capital = dcf.weighted_cost_of_capital(300, 100, cost_of_equity=equity, cost_of_debt=0.06, tax_rate=0.25)
    assert capital == pytest.approx(0.75 * 0.1025 + 0.25 * 0.045, rel=1e-12)


def test_free_cash_flow_worked_by_hand():
    # 1,000 less a quarter, 200 written off, 300 spent, 50 tied up.
    assert dcf.free_cash_flow_to_firm(1000, 0.25, 200, 300, 50) == pytest.approx(600)
