"""Alerts inside JupyterLab, as a person sees them: armed in a notebook, shown by Lab, acknowledged there."""

from __future__ import annotations

import json
import re
import time
from datetime import timedelta
from urllib.request import Request, urlopen
from uuid import uuid4

import nbformat
import pytest
from message_sinks import smtp_sink
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect
from workbench_server import serving

from workbench.alerts.book import RuleBook
from workbench.alerts.firings import raise_alert
from workbench.alerts.policy import make_policy
from workbench.bench import Workbench
from workbench.core.settings import load_settings

pytestmark = pytest.mark.browser

KERNEL = {"kernelspec": {"name": "trii-workbench", "display_name": "TRII Workbench", "language": "python"}}
ARM = """import workbench as wb
bench = wb.open()
bench.arm("price", "apple", symbols=["AAPL"], when="above", level=450,
          channels=["lab", "mail"], cool_down="1 day")
monitor = bench.watch("AAPL", start="2012-01-03", speed=10, interval=0)"""
WORDS = "<img src=x onerror=document.title='hurt'> & <b>bold</b> " + "x" * 300
SECONDS = 30_000
"""How long Lab may take to show what has happened, on a machine that is busy with other tests."""

SLIDE_MS = 1000
"""How long a notification slides in."""


@pytest.fixture(scope="module")
def mails():
    """A real SMTP server."""
    with smtp_sink() as sink:
        yield sink


@pytest.fixture(scope="module")
def lab(mails, tmp_path_factory):
    """A running ``workbench lab`` as a hub would have it, which may send mails to that server."""
    own = {"WORKBENCH_CHANNELS__MAIL": mails.url, "WORKBENCH_ALERT_HOSTS": '["127.0.0.1"]'}
    with serving("lab", tmp_path_factory.mktemp("lab"), prefix="/user/x/", **own) as server:
        yield server


@pytest.fixture(scope="module")
def desk(lab):
    """Its home, seen from here."""
    return Workbench(load_settings(home=lab.home))


def raise_one(desk, subject, priority="normal"):
    """Raise an alert on a topic of its own."""
    with desk.records.writing() as connection:
        policy = make_policy({"priority": priority})
        raise_alert(connection, f"{uuid4().hex}:1", subject, "text", desk.clock(), policy=policy)


def opened(window, server, path="lab?reset"):
    page = window.new_page()
    page.goto(f"{server.base}{path}{'&' if '?' in path else '?'}token={server.token}")
    page.locator("#jp-main-dock-panel").wait_for()
    return page


def open_messages(server):
    """What the server says is open."""
    request = Request(f"{server.base}workbench/alerts", headers={"Authorization": f"token {server.token}"})
    with urlopen(request, timeout=30) as answer:
        return json.load(answer)["messages"]


def until(found):
    for _ in range(SECONDS // 100):
        if found():
            return
        time.sleep(0.1)
    raise AssertionError(f"waited {SECONDS // 1000} s")


def toast(page, text):
    return page.locator(".jp-toastContainer .Toastify__toast", has_text=text)


def test_an_alert_that_a_notebook_has_armed_is_shown_acknowledged_and_mailed(lab, desk, mails, visit, screenshot):
    path = lab.home / "workspace" / "notebooks" / "arm.ipynb"
    nbformat.write(new_notebook(cells=[new_code_cell(ARM)], metadata=KERNEL), path)
    with visit(lab.base) as window:
        page = opened(window, lab, f"lab/tree/notebooks/{path.name}?reset")
        page.get_by_text("TRII Workbench | Idle").wait_for()
        page.locator(".jp-CodeCell .cm-content").first.click()
        page.keyboard.press("Shift+Enter")
        shown = toast(page, "AAPL: close above 450")
        expect(shown).to_be_visible(timeout=SECONDS)
        expect(shown).to_contain_text("quote 4")
        page.wait_for_timeout(SLIDE_MS)
        screenshot(page, "alerts-light")
        rule = desk.alert_rules.get("apple")
        assert [each.acknowledged for each in desk.alerts.list(rule=rule.id, acknowledged=True)] == []
        shown.get_by_role("button", name="Acknowledge").click()
        expect(shown).to_have_count(0)
        expect(page.get_by_role("contentinfo").get_by_title("No notifications")).to_be_visible()
    # It may have fired again since, which its cool-down keeps to itself.
    *_later, alert = desk.alerts.list(rule=rule.id)
    assert alert.acknowledged is not None
    [mail] = mails.wait(1)
    assert mail.subject == alert.subject
    messages = [each for each in desk.outbox.messages() if each.topic == rule.name]
    assert {each.channel: each.state for each in messages} == {"lab": "sent", "mail": "sent"}
    assert mail.key in [each.key for each in messages if each.channel == "mail"]


def test_a_page_shows_three_of_what_is_open_in_plain_text_and_takes_away_only_what_was_noted(
    lab, desk, visit, screenshot
):
    for each in range(4):
        raise_one(desk, f"number {each}", ("low", "normal", "high")[each % 3])
    until(lambda: len(open_messages(lab)) == 4)
    raise_one(desk, WORDS, "urgent")
    until(lambda: len(open_messages(lab)) == 5)
    book = RuleBook(desk.records, desk.clock, "us_equities", check=lambda rule: None)
    rule = book.add("price", "high", symbols=["AAPL"], when="above", level=1.0)
    with desk.records.writing() as connection:
        for day in range(3):
            raise_alert(connection, f"rule:{rule.id}:{day}", "found", "text", desk.clock(), rule=rule, symbol="AAPL")
    until(lambda: len(open_messages(lab)) == 6)
    with visit(lab.base, color_scheme="dark") as window:
        page = opened(window, lab)
        expect(page.locator(".Toastify__toast")).to_have_count(4, timeout=SECONDS)
        assert toast(page, "high: 3 alerts").inner_text().count("3 alerts") == 1
        expect(toast(page, "3 more messages about alerts")).to_be_visible()
        hostile = toast(page, "<img src=x onerror")
        expect(hostile).to_have_class(re.compile("error"))
        assert page.locator(".Toastify__toast img, .Toastify__toast b").count() == 0
        assert "hurt" not in page.title()
        page.wait_for_timeout(SLIDE_MS)
        screenshot(page, "alerts-many-dark")
        # Something between the page and the server answers in its place.
        page.route("**/acknowledge?*", lambda route: route.fulfill(status=200, body="<html>"))
        hostile.get_by_role("button", name="Acknowledge").click()
        expect(toast(page, "This could not be noted")).to_be_visible()
        expect(hostile).to_be_visible()
        page.unroute("**/acknowledge?*")
        hostile.get_by_role("button", name="Acknowledge").click()
        expect(hostile).to_have_count(0)
        page.get_by_title("notifications").last.click()
        center = page.locator(".jp-Notification-List-Item")
        found = center.filter(has_text="high")
        found.get_by_role("button", name="Snooze 1 h").click()
        expect(found).to_have_count(0)
        more = center.filter(has_text="1 more message about alerts")
        expect(more).to_be_visible()
        page.wait_for_timeout(SLIDE_MS)
        screenshot(page, "alerts-center-dark")
        assert desk.alert_rules.get(rule.name).snoozed > desk.clock() + timedelta(minutes=55)
        with window.expect_page() as appeared:
            more.get_by_role("button", name="Open alerts").click()
        assert appeared.value.url.startswith(f"{lab.base}workbench/panel/alerts")
        appeared.value.get_by_text("number 3").first.wait_for()
        # What was dismissed is not shown again in this page, and makes room for another one.
        center.filter(has_text="number").first.get_by_title("Dismiss").click()
        expect(more).to_have_count(0)
        desk.acknowledge([each.id for each in desk.alerts.list(acknowledged=False)])
        expect(center.filter(has_text="number")).to_have_count(0, timeout=SECONDS)
