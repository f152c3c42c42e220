"""The app of alerts as a person sees it, in a real browser."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect
from workbench_server import serving

from workbench.alerts.firings import raise_alert
from workbench.alerts.tables import ALERTS
from workbench.bench import Workbench
from workbench.core.settings import load_settings

pytestmark = pytest.mark.browser

APP = "workbench/panel/alerts"
WALL = "<img src=x onerror=\"document.title='taken'\">"
APPLE = {"symbols": ["AAPL"]}


class Desk:
    """A home in which rules have been watching; its clock is turned by hand."""

    def __init__(self, home):
        self.now = datetime.now(UTC) - timedelta(days=3)
        self.bench = Workbench(load_settings(home=home), clock=lambda: self.now)

    def watch(self):
        rules = self.bench.alert_rules
        rules.add("price", "under 450", **APPLE, when="below", level=450, policy={"priority": "high"})
        rules.add("indicator", "oversold", symbols=["AAPL", "IBM"], indicator="rsi", when="below", level=42)
        rules.add("move", "fall of 3 percent", symbols=["AAPL", "FB", "MSFT"], percent=3, policy={"cool_down": "30 d"})
        rules.add("price", "far away", symbols=["IBM"], when="above", level=900)
        for day in ("2013-01-24", "2013-02-04", "2013-02-20", "2013-02-25", "2013-03-01"):
            self.now += timedelta(hours=6)
            self.bench.evaluate_rules(at=day)
        self.raised("run:1", f"a run failed {WALL}", f"cell 1 failed: {WALL}", "mail", "chat")
        self.now += timedelta(minutes=10)
        mine = [each for each in self.bench.outbox.claim("sender", timedelta(minutes=1)) if each.channel != "lab"]
        self.bench.outbox.failed(mine[0], "the server does not answer", 3e5)
        self.bench.outbox.failed(mine[1], f"the address is refused: {WALL}", permanent=True)

    def raised(self, key, subject, text, *channels):
        with self.bench.records.writing() as connection:
            raise_alert(connection, key, subject, text, self.now, usual=channels)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alerts")
    made = Desk(folder / "home")
    made.watch()
    with serving("lab", folder) as server:
        yield server, made
    made.bench.records.close()


def opened(window, server, query=""):
    page = window.new_page()
    page.goto(f"{server.base}workbench/?token={server.token}")
    page.goto(f"{server.base}{APP}{query}")
    page.locator("tr[data-id]").first.wait_for()
    return page


def tab(page, name):
    page.locator(".bk-tab", has_text=re.compile(f"^{name}$")).click()


def rows(page):
    return page.locator("tr[data-id]:visible")


def drawn(page):
    """Wait for the chart at the moment of firing."""
    page.locator("canvas:visible").first.wait_for(timeout=60_000)
    page.wait_for_timeout(1000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_alerts_are_read_with_the_chart_of_their_moment(desk, visit, screenshot, scheme):
    server, _ = desk
    with visit(server.origin, color_scheme=scheme) as window:
        page = opened(window, server, "?theme=dark" if scheme == "dark" else "")
        expect(page).to_have_title("TRII Workbench · Alerts")
        rows(page).filter(has_text="AAPL: close below 450").first.click()
        drawn(page)
        screenshot(page, f"alerts-{scheme}")
        rows(page).filter(has_text="rsi below 42").first.click()
        expect(page.get_by_text(re.compile("rsi .*, level 42;"))).to_be_visible()
        drawn(page)
        screenshot(page, f"alerts-indicator-{scheme}")
        # What a rule says of each symbol, and a message's words, are read below the list.
        for name, row, below in (
            ("Rules", "oversold", "usual changes"),
            ("Messages", "the address is refused", "cell 1 failed"),
            ("Silences", None, "Nothing is silent"),
        ):
            tab(page, name)
            if row is not None:
                expect(rows(page).filter(has_text=row)).not_to_contain_text("armed")
                rows(page).filter(has_text=row).click()
            expect(page.get_by_text(re.compile(below)).last).to_be_visible()
            page.wait_for_timeout(500)
            screenshot(page, f"alerts-{name.lower()}-{scheme}")


def test_an_alert_is_acknowledged_its_rule_snoozed_and_its_symbol_silenced(desk, visit):
    server, made = desk
    oversold = made.bench.alerts.list(rule="oversold")[0]
    with visit(server.origin) as window:
        page = opened(window, server, f"?alert={oversold.id}")
        drawn(page)
        page.get_by_role("button", name="Acknowledge", exact=True).click()
        expect(page.locator(f"tr[data-id='{oversold.id}']:visible")).to_have_count(0)
        expect(page.get_by_text(re.compile("by .* UTC")).first).to_be_visible()
        page.get_by_role("button", name="Snooze the rule").click()
        expect(page.get_by_text("The rule oversold tells nobody for 1 h.")).to_be_visible()
        page.get_by_role("button", name="Silence the symbol").click()
        expect(page.get_by_text("Nobody is told of AAPL for 1 h.")).to_be_visible()
        tab(page, "Rules")
        expect(rows(page).filter(has_text="oversold")).to_contain_text("snoozed until")
        tab(page, "Silences")
        rows(page).filter(has_text="symbol AAPL").click()
        page.get_by_role("button", name="End the chosen one").click()
        expect(page.get_by_text("Nothing is silent.")).to_be_visible()
    assert made.bench.alerts.get(oversold.id).acknowledged is not None
    assert made.bench.alert_rules.get("oversold").snoozed is not None
    assert made.bench.silences.list() == []


def test_what_a_stranger_wrote_is_text_everywhere(desk, visit):
    server, made = desk
    run = made.bench.alerts.list(source="run")[0]
    with visit(server.origin) as window:
        page = opened(window, server, f"?alert={run.id}")
        expect(page.get_by_text(f"cell 1 failed: {WALL}")).to_be_visible()
        expect(page.get_by_text("there is nothing to draw")).to_be_visible()
        tab(page, "Messages")
        refused = rows(page).filter(has_text="the address is refused")
        expect(refused).to_contain_text(WALL)
        expect(refused).to_contain_text("failed")
        assert page.locator("img[src=x]").count() == 0
        expect(page).to_have_title("TRII Workbench · Alerts")


def test_among_ten_thousand_alerts_the_chosen_one_and_the_place_stay_as_others_come(desk, visit, screenshot):
    server, made = desk
    row = {"text": "t", "raised": made.now, "priority": "low", "holds": False}
    held = made.bench.alerts.list()[-1]
    with made.bench.records.writing() as connection:
        connection.execute(ALERTS.update().where(ALERTS.c.id == held.id).values(held="snoozed"))
        many = [{**row, "key": f"many:{n}", "subject": f"one of many, {n:,}"} for n in range(10_000)]
        connection.execute(ALERTS.insert(), many)
    with visit(server.origin) as window:
        page = opened(window, server)
        expect(page.get_by_text("500 alerts shown, the newest; there are more")).to_be_visible()
        chosen = page.locator("tr[data-id]", has_text="one of many, 9,800")
        chosen.scroll_into_view_if_needed()
        chosen.click()
        expect(page.locator("tr.chosen")).to_contain_text("one of many, 9,800")
        place = chosen.bounding_box()["y"]
        made.now += timedelta(hours=1)
        made.raised("run:2", "another run failed", "")
        expect(page.locator("tr[data-id]").first).to_contain_text("another run failed", timeout=15_000)
        expect(page.locator("tr.chosen")).to_contain_text("one of many, 9,800")
        assert abs(chosen.bounding_box()["y"] - place) < 2
        screenshot(page, "alerts-many")
        # Of the oldest, too; and a symbol may be written small.
        page.get_by_label("Symbol").first.fill("aapl")
        page.get_by_label("Symbol").first.press("Enter")
        expect(rows(page).first).to_contain_text("AAPL:")
        page.get_by_label("State").first.select_option("held back")
        expect(rows(page)).to_have_count(1)
        expect(rows(page)).to_contain_text(held.subject)
