"""What was learned after the limit is in no answer: every read of the bench and of the data room, one by one.

The sample is loaded on 4 March 2013 and a bar restated on the 20th. Each read is asked on the day of the limit, and
again after prices were restated, bars, actions and a symbol added, a universe edited: that answer must differ, and
under the limit be the first one again.
"""

import json
from collections.abc import Iterable
from dataclasses import is_dataclass
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from click.testing import CliRunner

from workbench.bench import Workbench
from workbench.cli import cli
from workbench.core.errors import DateRangeError, UnsupportedError
from workbench.core.known import VARIABLE
from workbench.core.settings import load_settings
from workbench.data.market import MarketData
from workbench.data.quarantine import Quarantine
from workbench.data.review import Review
from workbench.data.universes import Universes

LOADED = datetime(2013, 3, 4, 12, tzinfo=UTC)
RESTATED = datetime(2013, 3, 20, 12, tzinfo=UTC)
LIMIT = "2013-04-30"
LAST = datetime(2013, 4, 30, 23, 59, 59, 999999, tzinfo=UTC)
NOW = datetime(2013, 7, 1, 12, tzinfo=UTC)

SINCE = {"start": "2012-06"}
GRID = {"fast": [3, 5], "slow": [10, 20], "progress": False}
STATEMENTS = pd.DataFrame(
    [
        ("AAPL", "annual", pd.Timestamp("2012-12-31"), pd.Timestamp(filed, tz="UTC"), item, value, "USD")
        for filed, factor in (("2013-02-01", 1.0), ("2013-05-02", 2.0))
        for item, value in (("current_assets", 300.0 * factor), ("current_liabilities", 100.0))
    ],
    columns=["symbol", "frequency", "period_end", "known", "item", "value", "currency"],
)


class World:
    """A bench, its clock, and which use was recorded first."""

    def __init__(self, home):
        self.now = LOADED
        self.bench = Workbench(load_settings(home=home), clock=lambda: self.now)
        self.folder = home

    def write(self, rows, actions=()):
        columns = ["symbol", "time", "open", "high", "low", "close", "volume"]
        frame = pd.DataFrame(rows, columns=columns)
        frame["time"] = pd.to_datetime(frame["time"], utc=True)
        told = pd.DataFrame(actions, columns=["symbol", "time", "kind", "value"])
        told["time"], told["value"] = pd.to_datetime(told["time"], utc=True), told["value"].astype("float64")
        dated = frame.assign(date=frame["time"].dt.strftime("%Y-%m-%d"))
        self.bench.market.store.write("us_equities", dated, told, "USD")

    def universe(self, text, name="tech"):
        path = self.folder / "members.csv"
        path.write_text("symbol,start,end\n" + text)
        self.bench.market.universes.load(name, path)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """What was answered on the day of the limit, and a store that knows more since."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(VARIABLE, raising=False)
        made = World(tmp_path_factory.mktemp("home"))
        bench = made.bench
        made.universe("AAPL,2000-01-01,\nIBM,2000-01-01,\n")
        bench.backtest("sma_cross", ["AAPL"], fast=5, slow=20, **SINCE)
        bench.market.symbols("sp500_index")
        made.now = RESTATED
        made.write([("AAPL", "2013-02-01 21:00", 459.0, 460.0, 448.0, 455.0, 1e6)])
        made.now = LAST
        made.sweep = bench.sweep("sma_cross", ["AAPL"], **GRID, **SINCE)
        made.answers = {name: plain(read(made)) for name, read in READS.items()}
        patch.setenv("WORKBENCH_HOME", str(made.folder))
        made.told = [answer_of(command) for command in COMMANDS]
        made.now = NOW
        later = [
            ("AAPL", "2013-02-04 21:00", 453.0, 555.0, 442.0, 545.0, 1e6),
            ("AAPL", "2013-03-04 21:00", 427.0, 430.0, 419.0, 420.0, 1e6),
            ("IBM", "2013-03-04 21:00", 200.0, 206.0, 199.0, 205.0, 1e6),
            ("LATE", "2013-02-28 21:00", 10.0, 11.0, 9.0, 10.5, 1e6),
            ("AAPL", "2013-03-05 21:00", 427.0, 410.0, 419.0, 420.0, 1e6),
        ]
        made.write(later, [("AAPL", "2013-02-07 21:00", "dividend", 26.5)])
        made.universe("AAPL,2000-01-01,2013-01-31\nMSFT,2000-01-01,\n")
        made.universe("LATE,2000-01-01,\n", "later")
    return made


@pytest.fixture
def limited(world, monkeypatch):
    """The bench under the limit."""
    monkeypatch.setenv(VARIABLE, LIMIT)
    return world.bench


COMMANDS = [
    ["data", "symbols"],
    ["data", "revisions", "AAPL"],
    ["data", "universe", "show", "tech"],
    ["data", "check", "us_equities", "AAPL"],
    ["data", "quarantine", "us_equities"],
    ["backtest", "sma_cross", "AAPL", "--start", "2012-06", "-p", "fast", "3", "-p", "slow", "10"],
    ["signals", "AAPL", "--start", "2012-06"],
]


def answer_of(command):
    """What a command says."""
    done = CliRunner().invoke(cli, [*command, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    return said.get("statistics") if isinstance(said, dict) else said


def prices(feed):
    return [(quote.symbol, quote.time.isoformat(), quote.price) for quote in feed]


def first_use(world):
    return [use for use in world.bench.uses.list() if use.id == 1]


READS = {
    "bars": lambda w: w.bench.bars(["AAPL", "IBM"], **SINCE),
    "bars of all": lambda w: w.bench.bars(start="2013"),
    "bars as traded": lambda w: w.bench.bars("AAPL", adjust="none", **SINCE),
    "field": lambda w: w.bench.field("close"),
    "symbols": lambda w: w.bench.symbols(),
    "revisions": lambda w: w.bench.revisions("AAPL"),
    "impact": lambda w: w.bench.impact().query("id == 1"),
    "universe": lambda w: w.bench.universe("tech"),
    "universe of a day": lambda w: w.bench.universe("tech", "2013-02-28"),
    "live": lambda w: prices(w.bench.live("AAPL", speed=None, start="2013-02")),
    "signals": lambda w: w.bench.signals(["AAPL"], ["sma_cross"], **SINCE),
    "record_signals": lambda w: w.bench.record_signals(["AAPL"], ["sma_cross"], **SINCE),
    "rehearse": lambda w: w.bench.rehearse("move", symbols="AAPL", percent=2, **SINCE).table,
    "evaluate_rules": lambda w: (
        w.bench.evaluate_rules(
            [w.bench.alert_rules.draft("price", symbols=["AAPL"], when="above", level=1e9)], record=False
        ).quiet.table
    ),
    "backtest": lambda w: w.bench.backtest("sma_cross", ["AAPL"], fast=3, slow=10, record=False, **SINCE).equity,
    "benchmark": lambda w: (
        w.bench.backtest(
            "sma_cross", ["IBM"], fast=3, slow=10, benchmark="AAPL", record=False, **SINCE
        ).benchmark_equity
    ),
    "sweep": lambda w: w.bench.sweep("sma_cross", ["AAPL"], **GRID, **SINCE),
    "walk_forward": lambda w: w.bench.walk_forward("sma_cross", ["AAPL"], train=60, test=30, **GRID, **SINCE).returns,
    "cross_validate": lambda w: w.bench.cross_validate("sma_cross", ["AAPL"], n_folds=4, **GRID, **SINCE).paths,
    "validate": lambda w: w.bench.validate("sma_cross", ["AAPL"], **GRID, **SINCE).interval,
    "fundamentals": lambda w: w.bench.fundamentals(STATEMENTS, ["current_ratio"], basis="annual").figures,
    "market.panel": lambda w: w.bench.market.panel("AAPL", dataset="us_equities", **SINCE).compute(),
    "market.panel of all": lambda w: w.bench.market.panel(start="2013", dataset="us_equities").compute(),
    "market.symbols": lambda w: w.bench.market.symbols("us_equities"),
    "market.bars": lambda w: w.bench.market.bars("IBM", "2013", None, dataset="us_equities", adjust="all"),
    "market.field": lambda w: w.bench.market.field("high", "AAPL", dataset="us_equities"),
    "market.live": lambda w: prices(w.bench.market.live("IBM", speed=None, start="2013", dataset="us_equities")),
    "review.check": lambda w: w.bench.market.review.check("us_equities", ["AAPL"]),
    "review.impact": lambda w: w.bench.market.review.impact(first_use(w)),
    "review.revisions": lambda w: w.bench.market.review.revisions("AAPL", "us_equities"),
    "review.reconcile": lambda w: w.bench.market.review.reconcile("us_equities", "sp500_stocks", ["AAPL"]),
    "quarantine.rows": lambda w: w.bench.market.review.quarantine("us_equities").rows(None),
    "universes.names": lambda w: w.bench.market.universes.names(),
    "universes.members": lambda w: w.bench.market.universes.members("tech"),
    "universes.changes": lambda w: w.bench.market.universes.changes("tech"),
    "universes.symbols": lambda w: w.bench.market.universes.symbols("tech"),
}
"""Every way to ask, of a world."""

REFUSED = {
    "statements": lambda bench: bench.statements("AAPL"),
    "live": lambda bench: bench.live("AAPL", "yahoo"),
    "provider": lambda bench: bench.market.provider("yahoo"),
    "quotes": lambda bench: bench.market.quotes("yahoo", "AAPL"),
}
"""What says only what is known now."""

OTHERS = {
    Workbench: {
        "as_of", "limit_as_of", "market", "records", "uses", "trials", "strategies", "indicators", "studies", "page",
        "pane", "place",  # no data
        "indicator", "patterns", "candles", "lines", "heat_map",  # of data that one has
        "fetch",  # writes
        "schedule", "schedules", "pause_schedule", "resume_schedule", "remove_schedule", "run_now", "runs", "rerun",
        "jobs", "history", "report", "compare_runs", "prune_reports",  # what ran, and what it left: no market data
        "told_signals", "alerts", "alert_rules", "parity",  # tests/backtest/test_parity.py
        "change_schedule", "run_facts", "channels", "test_channel", "messages", "outbox", "alert_services", "silences",
        "silence", "snooze", "acknowledge", "arm", "serve_alerts",  # runs, people and messages
        "moment", "watch",  # bars as `bars` has them, quotes as `live` has them
        "catalog",  # tests/data/test_limit.py
        "run", "open_cell", "check_lookahead", "cash_flow_value",  # below
    },
    MarketData: {"fetch", "load", "ensure", "filled", "review", "universes", "settings", "series"},
    Review: {"quarantine"},
    Quarantine: {"accept", "fix"},
    Universes: {"load", "table"},
}  # fmt: skip
"""What is no read, or is tested by itself."""


def plain(answer):
    """An answer as texts and numbers, without the version and the moment at which it was asked."""
    if isinstance(answer, xr.Dataset):
        return {"symbols": plain(answer.to_dataframe())}
    if isinstance(answer, pd.DataFrame | pd.Series | xr.DataArray):
        table = answer.to_dataframe("value") if isinstance(answer, xr.DataArray) else pd.DataFrame(answer)
        return table.reset_index().drop(columns=["made"], errors="ignore").to_csv(index=False)
    if isinstance(answer, np.ndarray):
        return answer.tolist()
    if is_dataclass(answer):
        return repr(answer)
    assert isinstance(answer, Iterable)
    return list(answer)


@pytest.mark.parametrize("name", READS)
def test_later_rows_are_in_the_answer_without_the_limit_and_not_with_it(world, monkeypatch, name):
    read = READS[name]
    assert plain(read(world)) != world.answers[name]
    monkeypatch.setenv(VARIABLE, LIMIT)
    assert plain(read(world)) == world.answers[name]
    # Nothing is kept of either answer.
    monkeypatch.delenv(VARIABLE)
    assert plain(read(world)) != world.answers[name]


@pytest.mark.parametrize("name", REFUSED)
def test_what_says_only_what_is_known_now_is_refused(limited, name):
    with pytest.raises(
        UnsupportedError, match=r"does not say what was known by the limit 2013-04-30 23:59 UTC; .*lift"
    ):
        REFUSED[name](limited)


@pytest.mark.parametrize(
    ("room", "prefixes"),
    [
        (Workbench, ("",)),
        (MarketData, ("market.",)),
        (Review, ("review.",)),
        (Quarantine, ("quarantine.",)),
        (Universes, ("universes.",)),
    ],
)
def test_every_public_name_is_a_read_that_is_tested_or_none(room, prefixes):
    named = {name.removeprefix(prefix).split()[0] for name in [*READS, *REFUSED] for prefix in prefixes}
    public = {name for name in dir(room) if not name.startswith("_")}
    assert public - named - OTHERS[room] == set()


@pytest.mark.parametrize(
    "read",
    [
        lambda bench, moment: bench.bars("AAPL", as_of=moment),
        lambda bench, moment: bench.field("close", as_of=moment),
        lambda bench, moment: bench.universe("tech", moment),
        lambda bench, moment: bench.universe("tech", known=moment),
        lambda bench, moment: bench.signals("AAPL", ["sma_cross"], as_of=moment),
        lambda bench, moment: bench.backtest("sma_cross", "AAPL", as_of=moment),
        lambda bench, moment: bench.sweep("sma_cross", "AAPL", as_of=moment, **GRID),
        lambda bench, moment: bench.validate("sma_cross", "AAPL", as_of=moment, **GRID),
        lambda bench, moment: bench.check_lookahead("sma_cross", "AAPL", as_of=moment),
        lambda bench, moment: bench.fundamentals(STATEMENTS, ["current_ratio"], moment),
        lambda bench, moment: bench.cash_flow_value(
            STATEMENTS, "AAPL", moment, growth=[0.1], discount_rate=0.1, terminal_growth=0.02
        ),
        lambda bench, moment: bench.market.panel("AAPL", dataset="us_equities", as_of=moment),
    ],
)  # fmt: skip
def test_a_later_moment_is_refused_whoever_asks(limited, read):
    with pytest.raises(DateRangeError, match=r"'2013-05-01' is later than the limit 2013-04-30 23:59 UTC; give an ear"):
        read(limited, "2013-05-01")


def test_an_earlier_moment_is_served(limited):
    close = limited.bars("AAPL", adjust="none", as_of="2013-03-19")["close"].sel(time="2013-02-01").item()
    assert close == 453.62  # as the sample has it, restated on the 20th
    assert limited.bars("AAPL", adjust="none")["close"].sel(time="2013-02-01").item() == 455.0


def test_bars_that_were_read_before_the_limit_are_no_way_around_it(world, monkeypatch):
    bars = world.bench.bars("AAPL", **SINCE)
    early = world.bench.bars("AAPL", as_of=LIMIT, **SINCE)
    monkeypatch.setenv(VARIABLE, LIMIT)
    with pytest.raises(DateRangeError, match=r"as_of of these Bars, '2013-07-01.*' is later than the limit"):
        world.bench.backtest("sma_cross", bars, fast=3, slow=10)
    assert len(world.bench.backtest("sma_cross", early, fast=3, slow=10, record=False).equity) == early.sizes["time"]


def test_a_cell_of_a_sweep_is_opened_with_what_the_sweep_knew(world, monkeypatch):
    later = world.bench.sweep("sma_cross", ["AAPL"], **GRID, **SINCE)
    monkeypatch.setenv(VARIABLE, LIMIT)
    with pytest.raises(DateRangeError, match="is later than the limit"):
        world.bench.open_cell(later, fast=3, slow=10)
    opened = world.bench.open_cell(world.sweep, fast=3, slow=10)
    assert opened.statistics["total_return"] == pytest.approx(world.sweep["total_return"].sel(fast=3, slow=10).item())


def test_a_symbol_of_later_is_not_told(world, limited):
    with pytest.raises(Exception, match="unknown symbol 'LATE' in dataset 'us_equities' by the limit") as told:
        limited.bars("LATE")
    assert "LATE" not in str(told.value).partition("nearest known")[2]
    with pytest.raises(Exception, match="no symbols given") as told:
        limited.bars([])
    assert "LATE" not in str(told.value)


@pytest.mark.parametrize(
    "read",
    [
        lambda feed, mailbox: mailbox.drain(),
        lambda feed, mailbox: next(iter(mailbox)),
        lambda feed, mailbox: feed.latest(),
        lambda feed, mailbox: list(feed),
        lambda feed, mailbox: list(feed.subscribe()),
    ],
)
def test_a_feed_of_before_the_limit_tells_nothing_more(world, monkeypatch, read):
    with world.bench.live("AAPL", speed=None, start="2013-02") as feed:
        mailbox = feed.subscribe()
        # It waits for its reader, with one quote unread.
        assert feed.latest(timeout=10)["price"].notna().all()
        monkeypatch.setenv(VARIABLE, LIMIT)
        with pytest.raises(UnsupportedError, match="stream 'replay', opened before it was set, does not say what was"):
            read(feed, mailbox)


@pytest.mark.parametrize(
    "ask",
    [
        lambda provider: provider.history("AAPL", date(2010, 1, 1), date(2013, 1, 1)),
        lambda provider: provider.search("AAPL"),
    ],
)
def test_a_provider_of_before_the_limit_answers_nothing_more(world, monkeypatch, ask):
    provider = world.bench.market.provider("sample", "us_equities")
    ask(provider)
    monkeypatch.setenv(VARIABLE, "2012")
    with pytest.raises(UnsupportedError, match="provider 'sample', opened before it was set, does not say what was"):
        ask(provider)
    monkeypatch.delenv(VARIABLE)
    ask(provider)


def test_a_feed_that_obeys_goes_on_when_the_limit_is_lifted(world, monkeypatch):
    monkeypatch.setenv(VARIABLE, LIMIT)
    feed = iter(world.bench.live("AAPL", speed=None, start="2013-02"))
    first = next(feed)
    monkeypatch.delenv(VARIABLE)
    assert prices([first, *feed]) == world.answers["live"]


def test_a_limit_on_the_day_itself_hides_nothing(world, monkeypatch):
    expected = world.bench.bars("AAPL")
    monkeypatch.setenv(VARIABLE, f"{NOW:%Y-%m-%d}")
    xr.testing.assert_equal(world.bench.bars("AAPL"), expected)
    assert world.bench.universe("tech") == ["MSFT"]


def test_a_fetch_stores_what_a_limit_hides(world, monkeypatch):
    # What is known already decides what is new, whatever the limit.
    monkeypatch.setenv(VARIABLE, LIMIT)
    restated = ("AAPL", "2013-02-04 21:00", 453.0, 555.0, 442.0, 545.0, 1e6)
    before = world.bench.market.store.tables("us_equities").bars.version()
    world.write([restated])
    assert world.bench.market.store.tables("us_equities").bars.version() == before
    assert world.bench.market.load("us_equities").quarantined == 0


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=lambda number: " ".join(COMMANDS[number][:2]))
def test_the_command_line_obeys(world, monkeypatch, number):
    monkeypatch.setenv("WORKBENCH_HOME", str(world.folder))
    assert answer_of(COMMANDS[number]) != world.told[number]
    monkeypatch.setenv(VARIABLE, LIMIT)
    assert answer_of(COMMANDS[number]) == world.told[number]


def test_a_notebook_inherits_the_limit(world, monkeypatch, tmp_path):
    import nbformat

    code = (
        "import workbench as wb\nbench = wb.open()\n"
        "assert bench.as_of.isoformat() == '2013-04-30T23:59:59.999999+00:00'\n"
        "assert 'LATE' not in bench.symbols()"
    )
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = tmp_path / "book.ipynb"
    nbformat.write(book, path)
    monkeypatch.setenv(VARIABLE, LIMIT)
    assert world.bench.run(path, output=tmp_path / "out", progress=False)
