"""The model kernels in JupyterLab, as a person uses them: through Lab's own menus, in a real browser."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import psutil
import pytest
from playwright.sync_api import expect
from workbench_server import serving

from workbench.bench import Workbench
from workbench.core.settings import load_settings

pytestmark = pytest.mark.browser

TITLES = ["TRII Workbench", "TRII PyTorch", "TRII QuantLib"]
PROFILES = ["workbench", "pytorch", "quantlib"]
LOADED = datetime(2013, 3, 4, 12, tzinfo=UTC)
LATER = datetime(2013, 7, 1, 12, tzinfo=UTC)
COLUMNS = ["symbol", "time", "open", "high", "low", "close", "volume"]
FIRST = [("AAPL", "2013-03-01 21:00", 430.0, 435.0, 425.0, 430.0, 1e6)]
"""Known from the day of loading on, and restated later."""
SECOND = [
    ("AAPL", "2013-03-01 21:00", 430.0, 445.0, 425.0, 440.0, 1e6),
    ("AAPL", "2013-05-01 20:00", 440.0, 445.0, 435.0, 441.0, 1e6),
    ("LATE", "2013-03-01 21:00", 10.0, 11.0, 9.0, 10.0, 1e6),
]

COLOURS = """canvas => {
  if (!canvas.width || !canvas.height) return 0;
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return new Set(new Uint32Array(data.buffer)).size;
}"""
OVERLAPS = """panel => {
  const boxes = [...panel.querySelectorAll(".jp-InputArea, .jp-OutputArea-child")]
    .map(part => part.getBoundingClientRect()).filter(box => box.height > 0);
  return boxes.slice(1).filter((box, i) => box.top < boxes[i].bottom - 1).length;
}"""
WIDER = """panel => [...panel.querySelectorAll(".jp-OutputArea-output")]
  .filter(part => part.scrollWidth > part.clientWidth + 1).map(part => part.innerText.slice(0, 80))"""
CONTRAST = """panel => {
  const brush = new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  const luminance = (...colours) => {
    for (brush.fillStyle of colours) brush.fillRect(0, 0, 1, 1);
    const [r, g, b] = [...brush.getImageData(0, 0, 1, 1).data].map(part => part / 255)
      .map(part => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = part => {
    for (; part; part = part.parentElement) {
      const colour = getComputedStyle(part).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  return [...panel.querySelectorAll(".jp-RenderedHTMLCommon :is(td, th, caption)")]
    .filter(part => part.innerText.trim()).map(part => {
      const shades = [luminance(paper(part), getComputedStyle(part).color), luminance(paper(part))]
        .sort((one, other) => one - other);
      return [(shades[1] + 0.05) / (shades[0] + 0.05), part.innerText.slice(0, 40)];
    }).filter(([ratio]) => ratio < 4.5);
}"""
"""Words of tables that are harder to read than the 4.5:1 of WCAG 2.1, criterion 1.4.3."""


class Notebook:
    """A notebook in a page of Lab."""

    def __init__(self, page, title):
        self.page, self.title = page, title
        self.panel = page.locator(".jp-NotebookPanel")
        self.cells = self.panel.locator(".jp-CodeCell")
        self.count = 0
        self.idle()

    def idle(self):
        self.page.get_by_text(f"{self.title} | Idle").wait_for()

    def begin(self, code):
        """Type a cell and start it."""
        self.cells.last.locator(".cm-content").click()
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Shift+Enter")
        self.count += 1
        return self.cells.nth(self.count - 1)

    def run(self, code):
        """Run a cell to its end and return it."""
        cell = self.begin(code)
        cell.locator(".jp-InputPrompt", has_text=re.compile(r"\[\d+\]")).wait_for()
        self.idle()
        return cell

    def tell(self, code):
        """Return what a cell prints as JSON."""
        shown = self.run(f"import json; print(json.dumps({code}))").locator(".jp-OutputArea-output")
        return json.loads(shown.inner_text())

    def pid(self):
        return self.tell("__import__('os').getpid()")

    def menu(self, command):
        """Choose from Lab's menu of the kernel."""
        self.page.locator(".lm-MenuBar-itemLabel", has_text="Kernel").first.click()
        self.page.locator(f"li[data-command='kernelmenu:{command}']").click()


def open_launcher(window, server):
    page = window.new_page()
    page.goto(f"{server.base}lab?reset&token={server.token}")
    page.locator(".jp-LauncherCard[data-category=Notebook]").first.wait_for()
    return page


def card(page, kind, title):
    return page.locator(f".jp-LauncherCard[data-category={kind}]", has_text=title)


def open_notebook(window, server, title="TRII Workbench"):
    page = open_launcher(window, server)
    card(page, "Notebook", title).click()
    return Notebook(page, title)


def wait_until(condition, what, seconds=60):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s for {what}")


def called(pid):
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None


def warm_process(server, profile="workbench", other_than=None):
    """The process id of the warm process of a profile, once it answers."""

    def ready():
        for process in server.processes():
            words = process.cmdline()
            if called(process.pid) == "trii-warm" and words[-3] == profile and process.pid != other_than:
                return process.pid if Path(words[-2], f"{words[-1]}.ready").exists() else None
        return None

    return wait_until(ready, f"the warm process of {profile}")


def listening(server):
    """The addresses on which the server's processes listen, as ``ss`` has them."""
    own = {process.pid for process in server.processes()}
    lines = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[3] for line in lines if own & {int(pid) for pid in re.findall(r"pid=(\d+)", line)}}


def store(home):
    """A home that learned of some bars later than of others."""
    now = [LOADED]
    bench = Workbench(load_settings(home=home), clock=lambda: now[0])
    bench.symbols()
    none = pd.DataFrame({"symbol": [], "time": pd.to_datetime([], utc=True), "kind": [], "value": []})
    for moment, rows in ((LOADED, FIRST), (LATER, SECOND)):
        now[0] = moment
        frame = pd.DataFrame(rows, columns=COLUMNS).assign(time=lambda made: pd.to_datetime(made["time"], utc=True))
        for dataset in ("us_equities", "yahoo_1d"):
            dated = frame.assign(date=frame["time"].dt.strftime("%Y-%m-%d"))
            bench.market.store.write(dataset, dated, none.astype({"value": "float64"}), "USD")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A running ``workbench lab`` whose store knows some rows since 2013-03-04, and others since 2013-07-01."""
    folder = tmp_path_factory.mktemp("kernels")
    store(folder / "home")
    with serving("lab", folder) as server:
        yield server


def test_the_launcher_offers_three_kernels_and_each_opens_with_its_bench(lab, visit, screenshot):
    with visit(lab.origin) as window:
        page = open_launcher(window, lab)
        for kind in ("Notebook", "Console"):
            cards = page.locator(f".jp-LauncherCard[data-category={kind}]")
            expect(cards).to_have_text(TITLES)
            for place in range(3):
                picture = cards.nth(place).locator("img")
                assert picture.get_attribute("src").endswith(f"/kernelspecs/trii-{PROFILES[place]}/logo-svg.svg")
                wait_until(lambda shown=picture: shown.evaluate("image => image.naturalWidth > 0"), "the icon")
        screenshot(page, "kernels-launcher")
        page.close()
        books = [open_notebook(window, lab, title) for title in TITLES]
        for book, own in zip(books, ("wb.__name__", "torch.__name__", "ql.__name__"), strict=True):
            said = book.tell(f"[str(bench), {own}]")
            assert said[0] == f"<Workbench at {lab.home}, dataset us_equities>"
            expect(book.panel.locator(".jp-InputPrompt").first).to_have_text("[1]:")
        assert listening(lab) == {f"127.0.0.1:{lab.port}"}


@pytest.mark.parametrize(("profile", "title"), list(zip(PROFILES, TITLES, strict=True)))
def test_a_console_shows_the_banner_and_its_kernel_is_forked(lab, visit, screenshot, profile, title):
    warm = warm_process(lab, profile)
    with visit(lab.origin) as window:
        page = open_launcher(window, lab)
        card(page, "Console", title).click()
        banner = page.locator(".jp-CodeConsole-banner")
        banner.wait_for()
        line = rf"^{title} \S+ · us_equities@\d+\.\d+ to 2013-05-01 · cpu \(\d+ cores?\)$"
        expect(banner).to_have_text(re.compile(line))
        forked = [child for child in psutil.Process(warm).children() if called(child.pid) == "trii-kernel"]
        assert forked
        screenshot(page, f"kernels-console-{profile}")
        page.locator(".jp-CodeConsole-promptCell .cm-content").click()
        page.keyboard.insert_text("import os; print('process', os.getpid())")
        page.keyboard.press("Shift+Enter")
        said = page.get_by_text(re.compile(r"^process \d+"))
        assert int(said.inner_text().split()[1]) in {child.pid for child in forked}
        assert listening(lab) == {f"127.0.0.1:{lab.port}"}


def test_interrupt_restart_and_shut_down_do_what_lab_says(lab, visit):
    warm = warm_process(lab)
    with visit(lab.origin) as window:
        book = open_notebook(window, lab)
        first = book.pid()
        assert psutil.Process(first).ppid() == warm
        cell = book.begin("kept = 1; import time; time.sleep(600)")
        cell.locator(".jp-InputPrompt", has_text="[*]").wait_for()
        book.page.get_by_text("TRII Workbench | Busy").wait_for()
        book.menu("interrupt")
        expect(cell.locator(".jp-OutputArea")).to_contain_text("KeyboardInterrupt")
        book.idle()
        assert book.tell("kept") == 1
        book.menu("restart")
        book.page.locator(".jp-Dialog .jp-mod-accept").click()
        wait_until(lambda: called(first) is None, "the end of the first kernel")
        book.idle()
        # Forgets what there was, and counts from one again.
        cell = book.run("kept")
        expect(cell.locator(".jp-OutputArea")).to_contain_text("NameError: name 'kept' is not defined")
        expect(cell.locator(".jp-InputPrompt")).to_have_text("[1]:")
        second = book.pid()
        assert psutil.Process(second).ppid() == warm
        book.menu("shutdown")
        wait_until(lambda: called(second) is None, "the end of the second kernel")
        expect(book.page.locator(".jp-NotebookPanel-toolbar .jp-KernelName")).to_have_text("No Kernel")


def test_a_killed_kernel_is_brought_back_and_no_other_is_touched(lab, visit, screenshot):
    with visit(lab.origin) as window:
        other, book = open_notebook(window, lab), open_notebook(window, lab)
        other.run("kept = 41")
        before = other.pid()
        pid = book.pid()
        os.kill(pid, signal.SIGKILL)
        dialog = book.page.locator(".jp-Dialog")
        expect(dialog).to_contain_text("Kernel Restarting")
        screenshot(book.page, "kernels-killed")
        dialog.locator(".jp-mod-accept").click()
        book.idle()
        assert book.tell("str(bench)").startswith("<Workbench at")
        assert book.pid() != pid
        assert called(pid) is None
        assert (other.tell("kept + 1"), other.pid()) == (42, before)


def test_notebooks_live_on_without_the_warm_process_and_it_comes_back(lab, visit):
    with visit(lab.origin) as window:
        book = open_notebook(window, lab)
        book.run("kept = 41")
        warm = warm_process(lab)
        os.kill(warm, signal.SIGKILL)
        after = open_notebook(window, lab)
        assert after.tell("[str(bench), 6 * 7]")[1] == 42
        assert book.tell("kept + 1") == 42
        told = "the warm process of TRII Workbench kernels is gone (it ended with code -9); they start cold until"
        assert told in lab.log.read_text()
        again = warm_process(lab, other_than=warm)
        assert psutil.Process(open_notebook(window, lab).pid()).ppid() == again


ROWS = """[
    bench.bars('AAPL', start='2013-03-01', adjust='none')['close'].to_series().tolist(),
    bench.catalog['yahoo_1d'].read(adjust='none')['close'].tolist(),
    'LATE' in bench.symbols(),
]"""
KNOWN, ALL = [[430.0], [430.0], False], [[440.0, 441.0], [440.0, 441.0], True]


def test_asof_hides_what_was_learned_later_until_it_is_lifted(lab, visit, screenshot):
    with visit(lab.origin) as window:
        book = open_notebook(window, lab)
        said = lambda code: book.run(code).locator(".jp-OutputArea-output").inner_text().strip()  # noqa: E731
        assert book.tell(ROWS) == ALL
        assert said("%asof 2013-04-30").endswith("only what was known by 2013-04-30 23:59 UTC")
        assert book.tell(ROWS) == KNOWN
        assert said("%asof now").startswith("no limit: us_equities@")
        assert book.tell(ROWS) == ALL
        for mistake, sentence in {
            "%asof 2199-01-01": r"^DateRangeError: '2199-01-01' is still to come; give a day up to \d{4}-\d\d-\d\d$",
            "%asof 2012-01-01": r"^DateRangeError: nothing of dataset 'us_equities' was known .* 2013-03-04$",
            "%asof soon": r"^DateRangeError: 'soon' is no date; write it as 2012-03-01$",
        }.items():
            cell = book.run(mistake)
            shown = cell.locator(".jp-OutputArea-output")
            expect(shown).to_have_count(1)
            assert re.match(sentence, shown.inner_text().strip()), shown.inner_text()
        screenshot(book.page, "kernels-asof")


MAGICS = {
    "signals": "%signals AAPL IBM MSFT",
    "catalog": "%catalog daily",
    "backtest": """%%backtest AAPL IBM --start 2008 --end 2012 -p fast=10
def fast_cross(bars, *, fast: int = 20, slow: int = 100):
    close = bars["close"]
    quick, calm = close.rolling(time=fast).mean(), close.rolling(time=slow).mean()
    return wb.make_signals(wb.crossed_above(quick, calm), wb.crossed_above(calm, quick), quick / calm - 1)""",
    "chart": "result.plot()",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_magics_show_tables_and_charts_that_can_be_read(lab, visit, screenshot, scheme):
    with visit(lab.origin, color_scheme=scheme) as window:
        book = open_notebook(window, lab)
        dark = book.page.evaluate("document.body.dataset.jpThemeLight") == "false"
        assert dark == (scheme == "dark")
        for name, code in MAGICS.items():
            cell = book.run(code)
            shown = cell.locator(".jp-OutputArea-output")
            shown.last.wait_for()
            assert "Error" not in shown.first.inner_text()
            if name == "chart":
                wait_until(
                    lambda drawn=cell: sum(each.evaluate(COLOURS) > 10 for each in drawn.locator("canvas").all()) >= 1,
                    "the chart",
                )
            else:
                expect(cell.locator("table").first).to_be_visible()
            shown.first.scroll_into_view_if_needed()
            book.page.wait_for_timeout(500)
            screenshot(book.page, f"kernels-magic-{name}-{scheme}")
        assert book.panel.evaluate(OVERLAPS) == 0
        assert book.panel.evaluate(WIDER) == []
        assert book.panel.evaluate(CONTRAST) == []
