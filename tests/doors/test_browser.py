"""The pages as a person sees them, in a real browser, without another host."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Error, expect

from workbench.core.files import shipped

pytestmark = pytest.mark.browser

VOILA = "voila/render/market.ipynb"
PANEL = "workbench/panel/market"

COLOURS = """canvas => {
  if (!canvas.width || !canvas.height) return 0;
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  const found = new Set();
  for (let i = 0; i < data.length; i += 4) found.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
  return found.size;
}"""
# Of the newest document: a page keeps those of its former pictures.
TITLES = """() => (window.Bokeh?.documents.at(-1)?.roots() ?? []).flatMap(
  root => [...root.references()].filter(model => model.type === "Title" && model.text).map(model => model.text))"""

PRICE_AXES = """() => window.Bokeh.documents.at(-1).roots().flatMap(root => [...root.references()]
  .filter(model => model.type === "Figure" && model.title?.text)
  .map(model => [model.y_range.start, model.y_range.end]))"""


def expect_drawn(scope, at_least=1):
    """Wait until so many canvases under a page or locator show a picture, which has many colours."""
    canvases = scope.locator("canvas")
    canvases.first.wait_for(state="attached")
    for _ in range(100):
        drawn = sum(canvas.evaluate(COLOURS) > 10 for canvas in canvases.all())
        if drawn >= at_least:
            return
        time.sleep(0.2)
    raise AssertionError(f"{drawn} of {canvases.count()} canvases show a picture; expected {at_least}")


def expect_charts_of(page, symbol):
    """Wait until the page has charts of one symbol and of no other."""
    page.wait_for_function(
        f"symbol => {{ const found = ({TITLES})();"
        " return found.length > 0 && found.every(title => title.startsWith(symbol)); }",
        arg=symbol,
        timeout=20_000,
    )


def expect_price_axes_within(page, low, high):
    """See that every price axis belongs to the symbol that is shown, not to one that was shown before."""
    axes = page.evaluate(PRICE_AXES)
    assert axes
    assert [axis for axis in axes if not low <= axis[0] < axis[1] <= high] == []


def open_lab(window, server):
    page = window.new_page()
    page.goto(server.url)
    # When its kernel has answered, Lab has also put the tabs of the last visit back.
    page.get_by_text("TRII Workbench | Idle").wait_for()
    page.locator(".jp-NotebookPanel .jp-RenderedMarkdown h1").first.wait_for()
    return page


def open_launcher(page):
    page.keyboard.press("Control+Shift+L")
    # The notebook that the address names may come to the front after it, and a click on the tab come too early.
    for _ in range(10):
        page.locator(".lm-TabBar-tabLabel", has_text="Launcher").last.click()
        with suppress(Error):
            page.locator(".jp-Launcher:visible").wait_for(timeout=6000)
            return
    raise AssertionError("the launcher did not come to the front")


def click_tile(page, title):
    page.locator(".jp-LauncherCard", has=page.get_by_text(title, exact=True)).click()


def test_lab_opens_with_the_welcome_notebook(lab, visit, screenshot):
    with visit(lab.origin) as window:
        page = open_lab(window, lab)
        expect(page.locator(".jp-NotebookPanel h1").first).to_contain_text("Welcome to the TRII Workbench")
        expect(page.locator(".lm-DockPanel-tabBar .lm-TabBar-tabLabel").first).to_have_text("00_welcome.ipynb")
        expect(page.locator(".jp-NotebookPanel-toolbar .jp-KernelName")).to_contain_text("TRII Workbench")
        expect(page.locator(".jp-Dialog")).to_have_count(0)
        screenshot(page, "lab-welcome")


def saved_cells(lab):
    """The code cells of the welcome notebook; none while it is being written."""
    try:
        cells = json.loads((lab.home / "workspace/notebooks/00_welcome.ipynb").read_text())["cells"]
    except ValueError:
        return []
    return [cell for cell in cells if cell["cell_type"] == "code"]


def run_all(page, lab):
    """Run All, and save until the last cell of the file has its answer."""
    page.locator(".lm-MenuBar-itemLabel", has_text="Run").first.click()
    page.locator("li[data-command='runmenu:run-all']").click()
    for _ in range(120):
        time.sleep(1)
        page.keyboard.press("Control+s")
        if [cell for cell in saved_cells(lab)[-1:] if cell["outputs"]]:
            return
    raise AssertionError("the last cell was not reached within two minutes")


def listening(server):
    """The addresses on which the server's processes listen, as ``ss`` has them."""
    own = {process.pid for process in server.processes()}
    lines = subprocess.run(["ss", "-ltnpH"], capture_output=True, text=True, check=True).stdout.splitlines()
    return {line.split()[3] for line in lines if own & {int(pid) for pid in re.findall(r"pid=(\d+)", line)}}


def test_run_all_reaches_the_last_cell_and_draws(lab, visit, screenshot):
    with visit(lab.origin) as window:
        page = open_lab(window, lab)
        run_all(page, lab)
        cells = saved_cells(lab)
        assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
        kinds = {output["output_type"] for cell in cells for output in cell["outputs"]}
        assert "error" not in kinds
        assert not [output for cell in cells for output in cell["outputs"] if output.get("name") == "stderr"]
        notebook = page.locator(".jp-NotebookPanel .jp-WindowedPanel-outer")
        box = notebook.bounding_box()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        notebook.evaluate("view => view.scrollTo(0, 0)")
        page.wait_for_timeout(1000)
        drawn = 0
        for number in range(1, 40):
            canvases = notebook.locator("canvas")
            drawn = max(drawn, sum(canvas.evaluate(COLOURS) > 10 for canvas in canvases.all()))
            screenshot(page, f"lab-run-all-{number}")
            if notebook.evaluate("view => view.scrollTop + view.clientHeight >= view.scrollHeight - 2"):
                break
            page.mouse.wheel(0, 700)
            page.wait_for_timeout(500)
        assert drawn >= 3
        assert kernels(lab), "no kernel is running"
        assert listening(lab) == {f"127.0.0.1:{lab.port}"}


def test_each_tile_opens_its_dashboard(lab, visit, screenshot):
    with visit(lab.origin) as window:
        page = open_lab(window, lab)
        open_launcher(page)
        screenshot(page, "lab-launcher")
        with window.expect_page() as opened:
            click_tile(page, "Market")
        expect_drawn(opened.value, 4)
        assert opened.value.url.startswith(lab.base + PANEL)
        expect(opened.value).to_have_title("TRII Workbench · Market")
        with window.expect_page() as opened:
            click_tile(page, "Market watch")
        expect_drawn(opened.value, 3)
        assert opened.value.url == f"{lab.base}voila/render/notebooks/dashboards/market.ipynb"
        click_tile(page, "Report files")
        expect(page.locator(".jp-FileBrowser .jp-BreadCrumbs-item").last).to_have_text(re.compile("reports"))
        screenshot(page, "lab-reports")


def test_everything_works_under_a_prefix(prefixed_lab, visit, screenshot):
    with visit(prefixed_lab.base) as window:
        page = open_lab(window, prefixed_lab)
        open_launcher(page)
        for title, canvases in {"Market": 4, "Market watch": 3}.items():
            with window.expect_page() as opened:
                click_tile(page, title)
            expect_drawn(opened.value, canvases)
            opened.value.close()
        page.close()
        index = window.new_page()
        index.goto(f"{prefixed_lab.base}workbench/")
        index.get_by_role("link", name="Open JupyterLab").click()
        index.get_by_text("TRII Workbench | Idle").wait_for()
        screenshot(index, "lab-under-a-prefix")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_index_lists_both_dashboards(viewers, visit, screenshot, scheme):
    with visit(viewers.origin, color_scheme=scheme) as window:
        page = window.new_page()
        page.goto(viewers.url)
        expect(page.locator("a.card strong")).to_have_text(["Market", "Market watch"])
        ink, paper = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
        assert (brightness(ink) > brightness(paper)) == (scheme == "dark")
        screenshot(page, f"apps-index-{scheme}")


def brightness(colour):
    return sum(int(part) for part in re.findall(r"\d+", colour)[:3])


def test_choosing_a_symbol_changes_the_panel_app(viewers, visit, screenshot):
    with visit(viewers.origin) as window:
        page = window.new_page()
        page.goto(viewers.url)
        page.locator("a.card").nth(0).click()
        expect_charts_of(page, "AAPL")
        expect_drawn(page, 4)
        screenshot(page, "market-panel")
        screenshot(page, "market-panel-whole", full_page=True)
        page.get_by_label("Symbol", exact=True).select_option("IBM")
        expect_charts_of(page, "IBM")
        expect(page.get_by_text("sma_cross(fast=20, slow=100) on IBM")).to_be_visible()
        expect_drawn(page, 4)
        assert "symbol=IBM" in page.url
        screenshot(page, "market-panel-ibm")
        # In these two years IBM cost 143 to 209 dollars, and Apple up to 696.
        expect_price_axes_within(page, 100, 250)


@pytest.mark.parametrize(("dataset", "symbol"), [("sp500_index", "SP500"), ("aapl_recent", "AAPL")])
def test_choosing_a_dataset_changes_the_panel_app(viewers, visit, screenshot, dataset, symbol):
    with visit(viewers.origin) as window:
        page = window.new_page()
        page.goto(viewers.url)
        page.goto(viewers.base + PANEL)
        expect_charts_of(page, "AAPL")
        page.get_by_label("Dataset", exact=True).select_option(dataset)
        expect(page.get_by_text(f"{dataset}@")).to_be_visible()
        expect(page.get_by_text(f"sma_cross(fast=20, slow=100) on {symbol}, 20")).to_be_visible()
        screenshot(page, f"market-panel-{dataset}")


def test_a_link_leads_to_its_dataset_and_symbol(viewers, visit):
    with visit(viewers.origin) as window:
        page = window.new_page()
        page.goto(viewers.url)
        page.goto(viewers.base + PANEL + "?dataset=sp500_stocks&symbol=KO")
        expect(page.get_by_text("sp500_stocks@")).to_be_visible()
        expect_charts_of(page, "KO")


def test_a_mistake_in_the_panel_app_is_told_in_a_sentence(viewers, visit, screenshot):
    with visit(viewers.origin) as window:
        page = window.new_page()
        page.goto(viewers.url)
        page.goto(viewers.base + PANEL)
        expect_drawn(page, 4)
        slow = page.get_by_label("slow", exact=True)
        slow.fill("10")
        slow.press("Enter")
        expect(page.get_by_text("fast must be below slow")).to_be_visible()
        screenshot(page, "market-panel-mistake")


def test_the_panel_app_follows_a_replay(viewers, visit, screenshot):
    with visit(viewers.origin) as window:
        page = window.new_page()
        page.goto(viewers.url)
        page.goto(viewers.base + PANEL)
        expect_drawn(page, 4)
        page.get_by_role("button", name="Follow a replay").click()
        day = page.locator("text=/AAPL [\\d,.]+ USD/")
        day.wait_for()
        first = day.inner_text()
        expect_drawn(page, 4)
        page.wait_for_function("told => !document.body.innerText.includes(told)", arg=first)
        expect_charts_of(page, "AAPL")
        time.sleep(6)  # so that the picture shows some weeks
        screenshot(page, "market-panel-replay")
        page.get_by_role("button", name="Stop the replay").click()
        page.get_by_role("button", name="Follow a replay").wait_for()
        expect(day).to_be_visible()
        page.get_by_label("Symbol", exact=True).select_option("IBM")
        expect_charts_of(page, "IBM")
        expect(day).to_be_hidden()


def test_the_panel_app_in_the_dark(viewers, visit, screenshot):
    with visit(viewers.origin, color_scheme="dark") as window:
        page = window.new_page()
        page.goto(viewers.url)
        page.goto(f"{viewers.base}{PANEL}?theme=dark")
        expect_drawn(page, 4)
        assert brightness(page.evaluate("getComputedStyle(document.body).backgroundColor")) < 200
        screenshot(page, "market-panel-dark")
        screenshot(page, "market-panel-dark-whole", full_page=True)


def kernels(server):
    """The processes that are kernels: forked ones by their name, cold ones by their command."""
    found = set()
    for process in server.processes():
        with suppress(psutil.Error):
            if process.name() == "trii-kernel" or "workbench.lab.kernels.kernel" in process.cmdline():
                found.add(process.pid)
    return found


def test_choosing_a_symbol_changes_the_voila_dashboard(viewers, visit, screenshot):
    with visit(viewers.origin) as window:
        page = window.new_page()
        page.goto(viewers.url)
        page.locator("a.card").nth(1).click()
        expect_charts_of(page, "AAPL")
        expect_drawn(page, 3)
        screenshot(page, "market-voila")
        page.get_by_label("Symbol", exact=True).select_option("IBM")
        expect_charts_of(page, "IBM")
        expect_drawn(page, 3)
        screenshot(page, "market-voila-ibm", full_page=True)
        expect_price_axes_within(page, 100, 250)
        assert len(kernels(viewers)) >= 1
        assert listening(viewers) == {f"127.0.0.1:{viewers.port}"}


def test_the_voila_dashboard_has_its_picture_before_its_widgets_start(viewers, visit):
    held = []
    with visit(viewers.origin) as window:
        page = window.new_page()
        page.goto(viewers.url)
        page.route("**/voila.js", lambda route: held.append(route))
        page.goto(viewers.base + VOILA, wait_until="commit")
        expect_drawn(page, 3)
        expect_charts_of(page, "AAPL")
        expect(page.get_by_role("cell", name="candlestick")).to_be_visible()
        expect(page.locator("#loading")).to_be_hidden()
        assert len(held) == 1
        assert [url for url in window.asked if url.startswith("ws:")] == []
        before = page.locator("canvas").first.bounding_box()
        held[0].continue_()
        page.get_by_label("Symbol", exact=True).wait_for()
        after = page.locator("canvas").first.bounding_box()
        assert [after[side] for side in before] == pytest.approx([before[side] for side in before], abs=8)
        assert page.evaluate("window.Bokeh.documents.length") == 1


def test_a_mistake_on_the_voila_dashboard_is_a_sentence_in_the_place_of_the_picture(viewers, visit, screenshot):
    with visit(viewers.origin) as window:
        page = window.new_page()
        page.goto(viewers.url)
        page.goto(viewers.base + VOILA)
        last = page.get_by_label("To", exact=True)
        chosen = last.input_value()
        last.fill("1990-01-02")
        last.press("Tab")
        expect(page.locator(".celltag_controls p")).to_contain_text("1990-01-02")
        screenshot(page, "market-voila-mistake", full_page=True)
        expect(page.locator("table:visible")).to_have_count(0)
        expect(page.locator("[data-root-id]:visible")).to_have_count(0)
        last.fill(chosen)
        last.press("Tab")
        expect(page.locator("table:visible")).to_have_count(1)
        expect_drawn(page.locator(".trii-later").first, 3)
        expect(page.locator(".celltag_controls p")).to_have_count(0)


def test_leaving_a_voila_page_ends_its_kernel(viewers, visit):
    with visit(viewers.origin) as window:
        page = window.new_page()
        page.goto(viewers.url)
        before = kernels(viewers)
        page.goto(viewers.base + VOILA)
        # Pictures are there before the script that says goodbye: a page left in between is ended as an idle one.
        page.get_by_label("Symbol", exact=True).wait_for()
        mine = kernels(viewers) - before
        assert len(mine) == 1
        page.goto(f"{viewers.base}workbench/")
        for _ in range(200):
            if not mine & kernels(viewers):
                break
            time.sleep(0.1)
        assert not mine & kernels(viewers)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page that ``workbench run`` makes of the daily signals."""
    folder = tmp_path_factory.mktemp("report")
    command = [str(Path(sys.executable).with_name("workbench")), "run", "--json", "--output", str(folder / "out")]
    notebook = str(shipped("notebooks") / "reports" / "daily_signals.ipynb")
    environment = {**os.environ, "WORKBENCH_HOME": str(folder / "home"), "HOME": str(folder)}
    done = subprocess.run([*command, notebook], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return Path(json.loads(done.stdout)["report"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_is_one_file_that_asks_for_nothing(report, visit, screenshot, scheme):
    with visit(report.as_uri(), color_scheme=scheme, offline=True) as window:
        page = window.new_page()
        page.goto(report.as_uri())
        expect(page.locator("h1").first).to_contain_text("Daily signals")
        expect_drawn(page, 4)
        ink, paper = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
        assert (brightness(ink) > brightness(paper)) == (scheme == "dark")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        screenshot(page, f"report-{scheme}")
        screenshot(page, f"report-{scheme}-whole", full_page=True)
        assert [url for url in window.asked if not url.startswith(("data:", "blob:"))] == [report.as_uri()]
