"""The magics in a shell and in a kernel: what they show, what they bind, and how they fail."""

from __future__ import annotations

import atexit
import sys
from datetime import timedelta

import nbformat
import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

import workbench as wb
from workbench.backtest.result import BacktestResult
from workbench.bench import Workbench
from workbench.core.errors import DateRangeError, ParameterError, StrategyError, UnknownNameError
from workbench.core.files import socket_folder
from workbench.core.known import VARIABLE, limit
from workbench.core.settings import load_settings
from workbench.lab.magics.options import backtest_line

CROSS = """
def fast_cross(bars, *, fast: int = 20, slow: int = 100):
    close = bars["close"]
    quick, calm = close.rolling(time=fast).mean(), close.rolling(time=slow).mean()
    return wb.make_signals(wb.crossed_above(quick, calm), wb.crossed_above(calm, quick), quick / calm - 1)
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A home with the sample in its store."""
    folder = tmp_path_factory.mktemp("home")
    Workbench(load_settings(home=folder)).bars("AAPL")
    return folder


@pytest.fixture(scope="module")
def console(tmp_path_factory):
    """IPython with the magics, without a history."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        found = InteractiveShell(config=Config({"HistoryManager": {"enabled": False}}))
        found.extension_manager.load_extension("workbench.lab.magics")
        yield found
    atexit.unregister(found.atexit_operations)
    found.atexit_operations()


@pytest.fixture
def shell(console, loaded, monkeypatch):
    """A notebook that has just been opened: ``wb``, and ``bench`` with the sample."""
    monkeypatch.setenv("WORKBENCH_HOME", str(loaded))
    # Set, so that it is taken away again whatever a test does.
    monkeypatch.setenv(VARIABLE, "")
    before = dict(console.user_ns)
    console.push({"wb": wb, "bench": wb.open()}, interactive=False)
    yield console
    console.user_ns.clear()
    console.user_ns.update(before)


def ask(shell, source):
    """Run a cell; return its value, or raise what it raised."""
    ran = shell.run_cell(source, store_history=True)
    ran.raise_error()
    return ran.result


def test_a_cell_defines_a_strategy_that_is_tested_shown_and_bound(shell):
    shown = ask(shell, f"%%backtest AAPL MSFT --start 2010 --cash 5000 -p fast=10{CROSS}")
    assert isinstance(shown, BacktestResult)
    assert shown is shell.user_ns["result"]
    assert callable(shell.user_ns["fast_cross"])
    expected = shell.user_ns["bench"].backtest(
        wb.strategy(shell.user_ns["fast_cross"]), ["AAPL", "MSFT"], start="2010", cash=5000, fast=10
    )
    assert shown.parameters == {"fast": 10, "slow": 100}
    assert shown.statistics == expected.statistics
    assert shown.provenance.parameters == expected.provenance.parameters


def test_the_decorated_function_of_a_cell_is_the_strategy(shell):
    plain = CROSS.replace("fast_cross", "other").replace("bars", "prices")
    shown = ask(shell, f"%%backtest AAPL -o mine{plain}\n@wb.strategy{CROSS}\nfactor = 2")
    assert (shown.strategy, shell.user_ns["mine"], shell.user_ns["factor"]) == ("fast_cross", shown, 2)
    assert "result" not in shell.user_ns


def test_a_cell_may_make_its_strategy_by_a_call(shell):
    shown = ask(shell, '%%backtest AAPL\nboth = wb.combine(["sma_cross", "macd"])')
    assert shown.strategy == "all(sma_cross, macd)"


def test_helpers_beside_a_rule_of_bars_are_no_strategies(shell):
    helper = "def ratio(first, second):\n    return first / second - 1\n"
    assert ask(shell, f"%%backtest AAPL\n{helper}{CROSS}").strategy == "fast_cross"


def test_a_line_tests_an_installed_strategy_or_one_of_the_notebook(shell):
    installed = ask(shell, "%backtest sma_cross AAPL -p fast=10 -p slow=50 --end 2010")
    direct = shell.user_ns["bench"].backtest("sma_cross", "AAPL", end="2010", fast=10, slow=50)
    assert installed.statistics == direct.statistics
    ask(shell, f"@wb.strategy{CROSS}")
    assert ask(shell, "%backtest fast_cross AAPL").strategy == "fast_cross"


def test_a_strategy_that_sells_short_keeps_its_own_direction(shell):
    short = next(name for name, each in shell.user_ns["bench"].strategies().items() if each.direction == "both")
    symbols = "AAPL MSFT GOOG IBM"
    assert ask(shell, f"%backtest {short} {symbols}").provenance.parameters["direction"] == "both"


def test_signals_are_those_of_the_bench_with_their_reasons(shell):
    bench = shell.user_ns["bench"]
    shown = ask(shell, "%signals AAPL MSFT --strategy sma_cross --strategy macd -o table")
    expected = bench.signals(["AAPL", "MSFT"], ["sma_cross", "macd"])
    assert shell.user_ns["table"].equals(expected)
    page = shown._repr_html_()
    for word in [*expected["state"], *expected["reason"], *expected["symbol"]]:
        assert word in page
        assert word in repr(shown)


def test_signals_of_other_parameters_are_those_of_the_rule_with_these(shell):
    table = ask(shell, "%signals AAPL --strategy sma_cross -p fast=5 -p slow=20").table
    bars = shell.user_ns["bench"].bars("AAPL")["close"].to_pandas()["AAPL"]
    quick, calm = bars.iloc[-5:].mean(), bars.iloc[-20:].mean()
    assert f"{quick:.2f} against {calm:.2f}" in table["reason"].item()


def test_a_table_of_signals_escapes_what_it_shows(shell):
    from workbench.lab.magics.signal_table import SignalTable

    table = shell.user_ns["bench"].signals("AAPL", ["sma_cross"]).assign(reason="<script>alert(1)</script>")
    assert "<script>" not in SignalTable(table)._repr_html_()
    assert SignalTable(table.iloc[:0])._repr_html_() == repr(SignalTable(table.iloc[:0])) == "no signals"


def test_the_catalog_is_shown_or_searched(shell):
    bench = shell.user_ns["bench"]
    assert list(ask(shell, "%catalog")) == list(bench.catalog)
    assert list(ask(shell, "%catalog daily index")) == list(bench.catalog.search("daily index"))


def test_asof_shows_sets_and_lifts_the_limit(shell, capsys):
    bench = shell.user_ns["bench"]
    learned = bench.bars("AAPL").attrs["as_of"]
    ask(shell, "%asof")
    assert capsys.readouterr().out == "no limit: us_equities@1.1 to 2013-03-01\n"
    ask(shell, f"%asof {learned}")
    assert limit().isoformat() == learned
    assert capsys.readouterr().out.startswith("us_equities@1.1, only what was known by 20")
    ask(shell, "%asof now")
    assert limit() is None
    assert capsys.readouterr().out.startswith("no limit: ")


@pytest.mark.parametrize("day", ["tomorrow", "before", "nonsense"])
def test_a_moment_that_cannot_be_leaves_the_limit_as_it_was(shell, day):
    bench = shell.user_ns["bench"]
    days = {"tomorrow": f"{bench.clock() + timedelta(days=2):%Y-%m-%d}", "before": "1990-01-01"}
    with pytest.raises(DateRangeError):
        ask(shell, f"%asof {days.get(day, day)}")
    assert limit() is None


MISTAKES = {
    "%backtest sma_cros AAPL": (UnknownNameError, "unknown strategy 'sma_cros'; nearest known: sma_cross"),
    "%backtest sma_cross APL": (UnknownNameError, "unknown symbol 'APL'"),
    "%backtest sma_cross AAPL -p fast=x": (ParameterError, "fast='x' is not valid for strategy 'sma_cross'"),
    "%backtest sma_cross AAPL -p fastest=3": (UnknownNameError, "unknown parameter 'fastest'"),
    "%backtest sma_cross AAPL -p fast": (ParameterError, "-p fast has no name and value; write them as -p fast=20"),
    "%backtest sma_cross AAPL -p cash=3": (ParameterError, "'cash' is an option, .* write --cash 3"),
    "%backtest sma_cross AAPL --cahs 3": (ParameterError, r"unrecognized arguments: --cahs 3; .* %backtest\?"),
    "%backtest sma_cross AAPL --cash much": (ParameterError, "--cash: invalid float value: 'much'"),
    "%backtest sma_cross AAPL -o 3x": (ParameterError, "-o 3x can be no variable"),
    "%backtest sma_cross 'AAPL": (ParameterError, "cannot be read"),
    "%backtest": (ParameterError, "names no strategy; write one before the symbols"),
    "%%backtest AAPL\nfactor = 2": (ParameterError, "the cell defines no strategy"),
    f"%%backtest AAPL{CROSS}{CROSS.replace('fast_cross', 'other')}": (
        ParameterError,
        r"the cell defines 2 strategies \(fast_cross, other\)",
    ),
    "%%backtest AAPL\ndef rule(bars, fast=3):\n    return bars": (ParameterError, "'fast' of rule needs a type"),
    "%%backtest AAPL\ndef rule(bars):\n    return 1 / 0": (StrategyError, "ZeroDivisionError.*line 2 of its rule"),
    "%signals AAPL -p fast=3": (ParameterError, "-p goes with one strategy"),
    "%signals AAPL --strategy none_such": (UnknownNameError, "unknown strategy 'none_such'"),
}


@pytest.mark.parametrize("source", MISTAKES)
def test_a_mistake_is_told_in_one_sentence_and_fails_the_cell(shell, source, capsys):
    kind, words = MISTAKES[source]
    with pytest.raises(kind, match=words) as told:
        ask(shell, source)
    shown = capsys.readouterr().out.rstrip("\n")
    assert shown == f"{kind.__name__}: {told.value}"
    assert "\n" not in shown


def test_an_error_of_the_cells_own_shows_the_cells_lines_and_none_of_ours(shell, capsys):
    with pytest.raises(ZeroDivisionError):
        ask(shell, "%%backtest AAPL\nhalf = 2\nthird = half / 0\n")
    shown = capsys.readouterr().out
    assert "third = " in shown
    assert "workbench/lab" not in shown


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("%backtest", []),
        ("%signals", []),
        ("%backtest sma", ["sma_cross"]),
        ("%backtest sma_cross AA", ["AAPL"]),
        ("%%backtest IB", ["IBM"]),
        ("%signals AAPL --strategy mac", ["macd"]),
        ("%signals --dataset sp500_st", ["sp500_stocks"]),
        ("%signals --dataset sp500_stocks AA", []),
    ],
)
def test_tab_offers_strategies_datasets_and_the_symbols_that_are_stored(shell, line, offered, capsys):
    with provisionalcompleter():
        found = [each.text for each in shell.Completer.completions(line, len(line))]
    assert [name for name in found if name.isidentifier() and not name.endswith("Error")] == offered
    # Where IPython tells what failed.
    assert capsys.readouterr().err == ""


def test_a_notebook_without_a_bench_is_given_one_of_the_settings(shell, loaded):
    del shell.user_ns["bench"]
    assert ask(shell, "%backtest sma_cross AAPL").symbols == ["AAPL"]
    shell.user_ns["bench"] = "a bench in a park"
    assert list(ask(shell, "%catalog")) == list(Workbench(load_settings(home=loaded)).catalog)


@pytest.mark.parametrize("name", ["asof", "backtest", "catalog", "signals"])
def test_a_question_mark_explains_a_magic(shell, name):
    told = shell.object_inspect_text(f"%{name}")
    assert f"%{name}" in told.split("Docstring:")[1]


def test_options_may_stand_anywhere_and_nothing_in_them_is_evaluated():
    line = "AAPL -p fast=__import__('os') MSFT --hypothesis 'two words' --shared --as-of 2012"
    assert backtest_line("%%backtest", line) == {
        "names": ["AAPL", "MSFT"],
        "parameters": {"fast": "__import__(os)"},
        "hypothesis": "two words",
        "shared": True,
        "as_of": "2012",
    }


def test_a_parameter_is_given_once():
    line = "AAPL -p fast=20 -p 'slow = 100' -p how=a=b"
    assert backtest_line("%%backtest", line)["parameters"] == {"fast": "20", "slow": "100", "how": "a=b"}
    with pytest.raises(ParameterError, match="'fast' is given twice"):
        backtest_line("%%backtest", "AAPL -p fast=20 -p fast=30")


class _Kernels(KernelManager):
    """Kernels as ``workbench.lab.kernels.kernel`` starts them cold, over IPC."""

    transport = "ipc"
    module = ("-m", "workbench.lab.kernels.kernel", "--profile", "workbench")

    @property
    def kernel_spec(self):
        return KernelSpec(argv=[sys.executable, *self.module, "-f", "{connection_file}"], language="python")


@pytest.fixture(scope="module")
def kernel(loaded, tmp_path_factory):
    """A kernel's manager, in a home with the sample."""
    with socket_folder() as sockets, pytest.MonkeyPatch.context() as patched:
        patched.setenv("WORKBENCH_HOME", str(loaded))
        patched.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        patched.delenv(VARIABLE, raising=False)
        manager = _Kernels(ip=f"{sockets}/k")
        manager.start_kernel()
        yield manager
        manager.shutdown_kernel(now=True)


def run(kernel, *sources):
    """Run cells as a notebook run does; return their outputs, and what ended the run."""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    try:
        NotebookClient(book, timeout=120, km=kernel, shutdown_kernel="immediate").execute(
            reset_kc=True, cleanup_kc=False
        )
    except CellExecutionError as error:
        return book, error
    return book, None


def test_a_kernel_has_the_magics_and_a_bench(kernel):
    book, error = run(kernel, "bench", "%backtest sma_cross AAPL", "%signals AAPL --strategy macd", "%asof")
    assert error is None
    opened, result, signals, known = (cell["outputs"] for cell in book.cells)
    assert opened[0]["data"]["text/plain"].startswith("<Workbench at ")
    assert "sma_cross(fast=20, slow=100) on AAPL" in result[0]["data"]["text/html"]
    assert "against its signal line" in signals[0]["data"]["text/html"]
    assert known[0]["text"].startswith("no limit: us_equities@1.1")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("%backtest sma_cros AAPL", "UnknownNameError: unknown strategy 'sma_cros'; nearest known: "),
        ("%asof 1990-01-01", "DateRangeError: "),
        ("%%backtest AAPL\n", "UsageError: %%backtest is a cell magic, but the cell body is empty."),
        ("%no_such_magic", "UsageError: Line magic function `%no_such_magic` not found."),
    ],
)
def test_a_run_stops_at_a_mistake_with_one_sentence_in_the_cell(kernel, source, sentence):
    book, error = run(kernel, source if source.startswith("%%") else f"{source}\nprint('went on')", "print('next')")
    failed, after = book.cells
    assert error.ename == sentence.partition(":")[0]
    (output,) = failed["outputs"]
    assert output["output_type"] == "error"
    assert len(output["traceback"]) == 1
    assert output["traceback"][0].startswith(sentence)
    assert after["outputs"] == []
