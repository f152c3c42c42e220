"""The tear sheet as a file, and as a person sees it."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from html import unescape

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from workbench.analytics.signals import crossed_above, make_signals
from workbench.backtest.run import backtest
from workbench.backtest.strategy import find_strategy, strategy
from workbench.backtest.tearsheet import report, report_html
from workbench.backtest.tearsheet.parts import terms_line
from workbench.backtest.terms import Terms
from workbench.backtest.trials import Trial
from workbench.core.errors import StoreError


@pytest.fixture(scope="module")
def run(bench):
    def ran(name, symbols, start=None, end=None, terms=None, **parameters):
        bars = bench.bars(symbols, start, end)
        agreed = Terms.agreed(bench.settings, **(terms or {}))
        return backtest(bars, find_strategy(name), parameters, agreed, created=bench.clock())

    return ran


@pytest.fixture(scope="module")
def result(run):
    found = run("sma_cross", ["AAPL", "IBM"], "2006")
    return replace(found, trial=Trial("sma_cross", 1204, 0.3141))


def text_of(page):
    """What a reader without scripts sees."""
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", " ", body)))


def headings(page):
    return [text_of(found).strip() for found in re.findall(r"<h2>(.*?)</h2>", page, flags=re.DOTALL)]


def test_a_report_tells_the_figures_that_the_result_has(result):
    page = report_html(result)
    told = text_of(page)
    assert "trial 1,204 of this idea; deflated Sharpe 0.31" in told
    assert f"{result.statistics['sharpe']:.2f}" in told
    assert "fast 20, slow 100" in told
    assert "AAPL, IBM" in told
    assert f"information ratio {result.relative['information_ratio']:.2f}" in told
    assert "us_equities@" in told
    assert f"commission {result.costs['commission'].sum():,.0f}" in told
    assert "stationary-bootstrap resamples lie from" in told
    assert [name.split(" ")[0] for name in headings(page)] == [
        "Growth",
        "Figures",
        "Monthly",
        "Rolling",
        "Returns",
        "Validation",
        "At",
        "Trades",
        "Where",
    ]


def test_the_months_on_the_page_compound_to_the_total(result):
    table = re.search(r'<table class="months">.*?</table>', report_html(result), flags=re.DOTALL)
    years = [float(text) / 100 for text in re.findall(r'class="total[^>]*>(-?[\d.]+)<', table[0])]
    assert np.prod(1 + np.array(years)) - 1 == pytest.approx(result.statistics["total_return"], rel=0.01)


def test_a_report_asks_nobody_for_anything(result):
    page = report_html(result)
    assert re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(?!data:)[^"]*"', page) == []
    assert "@import" not in page
    assert page.count("BokehJS") >= 1


def test_a_report_is_written_where_it_is_asked_for(result, tmp_path, monkeypatch):
    folder = tmp_path / "reports"
    folder.mkdir()
    assert report(result, folder).name == "sma_cross-AAPL-IBM-2013-03-01.html"
    assert report(result, str(tmp_path / "own.html")) == tmp_path / "own.html"
    monkeypatch.chdir(folder)
    assert report(result).resolve() == folder / "sma_cross-AAPL-IBM-2013-03-01.html"
    assert sorted(path.name for path in folder.iterdir()) == ["sma_cross-AAPL-IBM-2013-03-01.html"]


def test_a_report_that_cannot_be_written_is_told(result, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write .*; give a path"):
        report(result, tmp_path / "file" / "report.html")


EVIL = "<img src=x onerror=alert(1)>"


def test_what_a_user_wrote_is_text(bench, result):
    @strategy
    def evil(bars, note: str = EVIL):
        """Enter <b>boldly</b> & leave."""
        close = bars["close"]
        average = close.rolling(time=20).mean()
        signals = make_signals(crossed_above(close, average), crossed_above(average, close), close / average - 1)
        signals.attrs["reason"] = EVIL
        return signals

    bars = bench.bars(["AAPL"], start="2010")
    found = backtest(bars, replace(evil, name=EVIL), {}, Terms.agreed(bench.settings), created=bench.clock())
    named = replace(found, trial=Trial(EVIL, 2, 0.5), benchmark_name="</script><script>alert(2)</script>")
    page = report_html(named, validation=[EVIL, pd.DataFrame({EVIL: [EVIL]})])
    body = re.sub(r"<(script|style)\b.*?</\1>", " ", page, flags=re.DOTALL)
    assert "<img" not in page
    assert "<b>boldly" not in body
    assert "alert(2)</script>" not in page
    assert text_of(page).count(EVIL) >= 4


def test_what_validation_found_is_shown(result):
    class WalkForward:
        def _repr_html_(self):
            return "<p id='own'>out of sample</p>"

    page = report_html(result, validation=[WalkForward(), "a note", pd.DataFrame({"sharpe": [0.123456]})])
    assert "<p id='own'>out of sample</p>" in page
    told = text_of(page)
    assert "walk forward out of sample" in told
    assert "note a note" in told
    assert "0.1235" in told


CASES = {
    "without a trade": ("sma_cross", ["FB"], "2012-05", None, {}, {"fast": 80, "slow": 190}),
    "of few bars": ("rsi_reversion", ["AAPL"], "2012-12-03", "2012-12-31", {}, {}),
    "long and short": ("rsi_reversion", ["AAPL"], "2011", "2011-06", {"direction": "both"}, {}),
    "ruined": ("rsi_reversion", ["AAPL"], "2001", None, {"direction": "both"}, {"low": 10}),
    "sized and stopped": ("sma_cross", ["IBM"], "2006", None, {"size": "percent:0.5", "stop_loss": 0.05}, {}),
    "of weights": ("rotation", ["AAPL", "IBM", "MSFT"], "2008", None, {}, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_report_is_made_of_every_kind_of_result(run, case):
    name, symbols, start, end, terms, parameters = CASES[case]
    found = run(name, symbols, start, end, terms, **parameters)
    page = report_html(found)
    told = text_of(page)
    assert terms_line(found.terms, "USD") in told
    assert " nan" not in told.lower()
    assert "None" not in told
    assert ("The rule led to no trade." in told) is found.trades.empty
    # No heading without its picture: less than a year has no year's window.
    assert ("Rolling" in " ".join(headings(page))) is (len(found.equity) > 272)
    assert page.count('class="chart"') == len(re.findall(r"data-root-id", page))


def test_one_bar_is_a_report_without_pictures(bench):
    @strategy
    def always(bars, window: int = 2):
        """Be in."""
        here = bars["close"].notnull()
        return make_signals(here, xr.zeros_like(here), bars["close"] * 0 + 1)

    bars = bench.bars(["AAPL"], "2012-12-03", "2012-12-03")
    found = backtest(bars, always, {}, Terms.agreed(bench.settings), created=bench.clock())
    page = report_html(found)
    assert "1 bar " in text_of(page)
    assert "<script" not in page


DRAWN = """canvas => { if (!canvas.width) return 0;
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data; const found = new Set();
  for (let i = 0; i < data.length; i += 4) found.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
  return found.size; }"""
OVERFLOW = "() => document.documentElement.scrollWidth > document.documentElement.clientWidth"


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_draws_offline_without_a_fault(result, tmp_path, scheme):
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    assert path, "the browser tests need Chromium; see tests/system-packages.sh"
    written = report(result, tmp_path / "report.html")
    asked, faults = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        window = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme, offline=True)
        page = window.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda line: faults.append(line.text) if line.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(written.as_uri())
        page.wait_for_function(
            "() => window.Bokeh?.documents.length && document.querySelectorAll('.chart').length === 3"
        )
        page.wait_for_function(
            f"() => {{ const drawn = {DRAWN}; const charts = [...document.querySelectorAll('.chart')];"
            " const canvases = root => [...root.querySelectorAll('*')].flatMap(part => [part, ...(part.shadowRoot ?"
            " canvases(part.shadowRoot) : [])]).filter(part => part.tagName === 'CANVAS');"
            " return charts.every(chart => canvases(chart).some(canvas => drawn(canvas) > 10)); }"
        )
        wider = page.evaluate(OVERFLOW)
        ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        browser.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert faults == []
    assert not wider
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(18, 22, 27)"}[scheme]
