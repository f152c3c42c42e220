"""The gallery of reports as a person sees it, in a real browser."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import nbformat
import pytest
from past_runs import Past, displayed, executed, printed
from playwright.sync_api import expect
from workbench_server import serving

from workbench.jobs.framing import framed
from workbench.jobs.schedule import Schedule

pytestmark = pytest.mark.browser

GALLERY = "workbench/panel/reports"
DECLARED = "symbols: list[str] = ['AAPL']\nwindow: int = 10\n"
# What a hostile notebook would do with the page around it, with other hosts, and with the person's windows.
HOSTILE = """<p id="told">waiting</p><script>
const told = [];
const attempt = (name, act) => {
  try { act(); told.push(name + " done"); } catch (error) { told.push(name + " refused"); }
};
attempt("cookie", () => document.cookie);
attempt("parent", () => window.parent.document.title);
attempt("storage", () => window.localStorage);
attempt("window", () => { if (!window.open("about:blank")) throw new Error(); });
fetch("/api/contents").then(() => told.push("fetch done"), () => told.push("fetch refused"))
  .finally(() => { document.getElementById("told").textContent = told.join(", "); });
</script>"""
WALL = "<img src=x onerror=\"document.title='taken'\">"


def figures(values):
    cells = "".join(f"<tr><td>{symbol}</td><td>{value}</td></tr>" for symbol, value in values.items())
    return displayed(f"<table><tr><th>symbol</th><th>return</th></tr>{cells}</table>")


def remembered(home):
    """A home with runs that have been, and a notebook that can run again."""
    past = Past(home)
    book = past.settings.workspace / "notebooks" / "daily.ipynb"
    book.parent.mkdir(parents=True)
    source = executed("print(symbols)", parameters=DECLARED)
    source.metadata["kernelspec"] = {"name": "trii-workbench", "display_name": "TRII Workbench", "language": "python"}
    nbformat.write(source, book)
    daily = Schedule.of({"name": "daily", "notebook": book, "cron": "0 0 1 1 *"})
    past.ledger.add(daily, "")
    shown = [printed("hello\nworld\n"), figures({"AAPL": "44.9 %", "IBM": "1.5 %"})]
    first = past.ran(
        daily, {"symbols": ["AAPL", "IBM"]}, book=executed(("show()", shown), parameters=DECLARED), hours=24
    )
    shown = [printed("hello\nmoon\n"), figures({"AAPL": "45.2 %", "IBM": "1.5 %"})]
    given = {"symbols": ["AAPL", "IBM"], "window": 20}
    second = past.ran(daily, given, book=executed(("show()", shown), parameters=DECLARED), hours=24)
    hostile = past.job("/books/hostile.ipynb", parameters={"note": WALL})
    past.ran(
        hostile, book=executed(("x", [displayed(HOSTILE)])), ended="failed", reason=f"cell 1 failed: {WALL}", hours=24
    )
    past.database.close()
    return first, second


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gallery")
    runs = remembered(folder / "home")
    with serving("lab", folder) as server:
        yield server, runs


def open_gallery(window, server, query=""):
    page = window.new_page()
    page.goto(f"{server.base}workbench/?token={server.token}")
    page.goto(f"{server.base}{GALLERY}{query}")
    page.locator(".tabulator-row").first.wait_for()
    return page


def rows(page, *texts):
    """Wait until the table has these rows, from above."""
    expect(page.locator(".tabulator-row")).to_have_count(len(texts), timeout=20_000)
    expect(page.locator(".tabulator-row")).to_contain_text(list(texts), timeout=20_000)


def frame(page, place=0):
    """The report, or the comparison as 1: in the order of the tabs, those that are not shown included."""
    return page.locator("iframe").nth(place).content_frame.locator("iframe").content_frame


def tab(page, name):
    page.locator(".bk-tab", has_text=re.compile(f"^{name}$")).click()


def choose(page, row, run):
    """Click a row, and again if the table was drawn anew between the button's going down and coming up."""
    for _ in range(3):
        row.click()
        with suppress(AssertionError):
            return expect(page).to_have_url(re.compile(f"run={run}"), timeout=8_000)
    raise AssertionError(f"{run} was not opened: {page.url}")


def expect_told(page, text):
    """See a text in the report. A frame of its own process that is drawn anew ends what waits for the one before."""
    for _ in range(5):
        with suppress(AssertionError):
            return expect(frame(page).get_by_text(text)).to_be_visible(timeout=20_000)
    raise AssertionError(f"{text!r} was not shown")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_report_is_found_and_read(gallery, visit, screenshot, scheme):
    server, (first, second) = gallery
    with visit(server.origin, color_scheme=scheme) as window:
        page = open_gallery(window, server, f"?run={second}")
        expect(page).to_have_title("TRII Workbench · Reports")
        page.get_by_label("Notebook", exact=True).select_option("daily")
        page.get_by_label("Parameter", exact=True).fill("window = 20")
        page.get_by_label("Parameter", exact=True).press("Enter")
        rows(page, "window=20")
        page.get_by_label("Parameter", exact=True).fill("")
        page.get_by_label("Parameter", exact=True).press("Enter")
        rows(page, "window=20", "symbols=AAPL, IBM")
        choose(page, page.locator(".tabulator-row").last, first)
        expect_told(page, "world")
        assert f"run={first}" in page.url
        paper = frame(page).locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
        around = page.locator("body").evaluate("body => getComputedStyle(body).backgroundColor")
        for colour in (paper, around):
            assert (sum(map(int, re.findall(r"\d+", colour)[:3])) < 200) == (scheme == "dark")
        screenshot(page, f"gallery-{scheme}")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_two_runs_are_compared(gallery, visit, screenshot, scheme):
    server, (_, second) = gallery
    with visit(server.origin, color_scheme=scheme) as window:
        page = open_gallery(window, server, f"?run={second}")
        expect_told(page, "moon")
        tab(page, "Compare")
        heading = frame(page, 1).get_by_role("heading", name="Parameters 1 of 2 differ")
        expect(heading).to_be_visible(timeout=30_000)
        expect(frame(page, 1).locator(".diff .old").first).to_have_text("-world")
        expect(frame(page, 1).locator("td.both")).to_have_text("44.9 % 45.2 % +0.3 %")
        screenshot(page, f"gallery-compare-{scheme}")


def test_a_hostile_report_reaches_nothing(gallery, chromium):
    server, _ = gallery
    # Not `visit`: what the browser refuses it also writes to its console.
    window = chromium.new_context(viewport={"width": 1280, "height": 900})
    asked = []
    page = open_gallery(window, server)
    window.on("request", lambda request: asked.append(request.url))
    page.locator(".tabulator-row", has_text="hostile").click()
    refused = "cookie refused, parent refused, storage refused, window refused, fetch refused"
    expect(frame(page).locator("#told")).to_have_text(refused)
    tab(page, "Details")
    expect(page.get_by_text(WALL).first).to_be_visible()
    expect(page).to_have_title("TRII Workbench · Reports")
    assert [url for url in asked if "/api/" in url or url.endswith("/x")] == []
    assert len(window.pages) == 1
    window.close()


def test_a_framed_page_cannot_go_to_another_host(chromium):
    asked = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        window = chromium.new_context()
        page = window.new_page()
        there = f"http://127.0.0.1:{server.server_port}"
        leaving = f"<p>here</p><script>onload = () => setTimeout(() => location.href = '{there}/told', 100)</script>"
        page.set_content(framed(leaving))
        page.wait_for_timeout(1500)
        page.set_content(framed(f"<meta http-equiv=refresh content='0; {there}/refreshed'>"))
        page.wait_for_timeout(1500)
        page.evaluate(f"fetch('{there}/reached', {{mode: 'no-cors'}})")
        window.close()
        server.shutdown()
    assert asked == ["/reached"]


def test_a_run_is_done_again_with_a_change(gallery, visit, screenshot):
    server, (first, _) = gallery
    with visit(server.origin) as window:
        page = open_gallery(window, server, f"?run={first}")
        expect_told(page, "world")
        tab(page, "Run again")
        page.get_by_label("window", exact=True).fill("ten")
        page.get_by_role("button", name="Run again").click()
        expect(page.get_by_text("parameter 'window' of daily.ipynb is a int, not 'ten'")).to_be_visible()
        page.get_by_label("window", exact=True).fill("30")
        screenshot(page, "gallery-run-again")
        page.get_by_role("button", name="Run again").click()
        again = page.locator(".tabulator-row", has_text="window=30")
        expect(again).to_be_visible()
        expect(again).to_contain_text("succeeded", timeout=90_000)
        expect_told(page, "['AAPL', 'IBM']")
        # Fields that are made anew while somebody looks at them.
        for name in ("Details", "Run again"):
            tab(page, name)
            page.locator(".tabulator-row").last.click()
            expect_told(page, "world")
            again.click()
            expect_told(page, "['AAPL', 'IBM']")
