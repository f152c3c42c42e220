"""Schedules in JupyterLab, as a person makes them: in Lab's own dialog, in a real browser."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import timedelta

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from playwright.sync_api import expect
from workbench_server import serving

from workbench.core.clock import utc_now
from workbench.core.database import open_database
from workbench.core.settings import load_settings
from workbench.jobs.ledger import Ledger
from workbench.jobs.tables import SCHEDULES

pytestmark = pytest.mark.browser

KERNEL = {"kernelspec": {"name": "trii-workbench", "display_name": "TRII Workbench", "language": "python"}}
RUN_SECONDS = 90
"""How long a run may take to be due, to start and to end, on a machine that is busy with other tests."""
UNREADABLE = """root => {
  const luminance = colour => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(part => part / 255)
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
  return [...root.querySelectorAll("label, h4, small, input, select, dt, dd")].filter(part => part.offsetParent)
    .map(part => {
      const shades = [luminance(paper(part)), luminance(getComputedStyle(part).color)].sort((a, b) => a - b);
      return [(shades[1] + 0.05) / (shades[0] + 0.05), part.innerText || part.id];
    }).filter(([ratio]) => ratio < 4.5);
}"""
"""What is harder to read than the 4.5:1 of WCAG 2.1, criterion 1.4.3."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A running ``workbench lab`` as a hub would have it."""
    with serving("lab", tmp_path_factory.mktemp("lab"), prefix="/user/x/") as server:
        yield server


@pytest.fixture(scope="module")
def small(lab):
    """A notebook of the person's, which is quickly run."""
    cells = [
        new_markdown_cell("# A small report"),
        new_code_cell('symbol: str = "AAPL"\nfast: int = 20', metadata={"tags": ["parameters"]}),
        new_code_cell('f"{symbol} with {fast} days"'),
    ]
    path = lab.home / "workspace" / "notebooks" / "small.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata=KERNEL), path)
    return path


def open_dialog(window, server, name="small"):
    """Open the notebook, and from its toolbar the dialog for a job."""
    page = window.new_page()
    page.goto(f"{server.base}lab/tree/notebooks/{name}.ipynb?reset&token={server.token}")
    page.locator(".jp-NotebookPanel-toolbar [data-jp-item-name='create-job']").click()
    expect(page.locator("#jp-create-job-inputFile")).to_have_value(f"notebooks/{name}.ipynb")
    # What was chosen at first is written when the environments are known.
    expect(page.get_by_role("checkbox", name="HTML")).to_be_checked()
    expect(page.get_by_role("checkbox", name="PDF")).not_to_be_checked()
    return page


def jobs_tab(page):
    return page.get_by_role("tabpanel", name="Jobs").get_by_role("tab", name="Jobs", exact=True)


def create(page):
    page.get_by_role("button", name="Create", exact=True).click()


def reload_until(page, button, locator):
    """Lab's pages change only when they are asked to."""
    for _ in range(RUN_SECONDS):
        if locator.count():
            return
        page.get_by_role("button", name=button, exact=True).first.click()
        page.wait_for_timeout(1000)
    raise AssertionError(f"{locator} was not there within {RUN_SECONDS} s")


def let_a_minute_have_passed(server):
    """Let the schedules count from a minute ago, so that nobody waits for a full one."""
    with closing(open_database(load_settings(home=server.home))) as records, records.writing() as connection:
        since = utc_now() - timedelta(minutes=1)
        connection.execute(SCHEDULES.update().values(planned_until=since, next_look=since))


def test_a_schedule_made_in_labs_dialog_runs_and_its_report_opens(lab, small, visit, screenshot):
    with visit(lab.base) as window:
        page = open_dialog(window, lab)
        page.locator("#jp-create-job-jobName").fill("each minute")
        page.get_by_text("Run on a schedule").click()
        page.get_by_label("Interval").click()
        page.get_by_role("option", name="Minute").click()
        screenshot(page, "jobs-dialog-schedule")
        create(page)
        page.get_by_text('Your job definition "each minute" has been created').wait_for()
        expect(page.locator("tbody tr")).to_contain_text(["small.ipynb"])
        expect(page.locator("tbody tr")).to_contain_text(["Every minute"])
        screenshot(page, "jobs-definitions")
        let_a_minute_have_passed(lab)
        jobs_tab(page).click()
        done = page.locator("tbody tr", has_text="Completed")
        reload_until(page, "Reload", done)
        screenshot(page, "jobs-list-light")
        page.get_by_role("tab", name="Job Definitions").click()
        page.get_by_title('Pause "each minute"').click()
        page.get_by_title('Resume "each minute"').wait_for()
        jobs_tab(page).click()
        done.first.get_by_role("link", name="HTML").click()
        report = page.frame_locator(".jp-HTMLViewer iframe")
        expect(report.get_by_text("AAPL with 20 days")).to_be_visible()
        screenshot(page, "jobs-report")


def test_run_now_takes_other_parameters_and_its_page_tells_all(lab, small, visit, screenshot):
    with visit(lab.base) as window:
        page = open_dialog(window, lab)
        page.locator("#jp-create-job-jobName").fill("once")
        page.get_by_title("Add new parameter").click()
        for part, text in {"name": "fast", "value": "7"}.items():
            page.locator(f"[name='parameter-0-{part}']").fill(text)
            page.keyboard.press("Tab")
        create(page)
        page.get_by_text('Your job "once" has been created').wait_for()
        row = page.locator("tbody tr", has_text="once")
        reload_until(page, "Reload", row.filter(has_text="Completed"))
        row.first.get_by_title('Open detail view for "once"').click()
        facts = page.locator(".trii-facts")
        expect(facts).to_contain_text("when somebody asked for it")
        expect(facts).to_contain_text(re.compile("1: succeeded at 20"))
        expect(page.get_by_text("Parameter value")).to_be_visible()
        assert facts.evaluate(UNREADABLE) == []
        screenshot(page, "jobs-detail-light")
        with window.expect_page() as opened:
            page.get_by_role("link", name="Open in the gallery").click()
        expect(opened.value.get_by_text("once").first).to_be_visible()
        screenshot(opened.value, "jobs-gallery-from-lab")


def test_a_schedule_is_changed_in_labs_form(lab, small, visit, screenshot):
    with visit(lab.base) as window:
        page = open_dialog(window, lab)
        page.locator("#jp-create-job-jobName").fill("to be changed")
        page.get_by_text("Run on a schedule").click()
        page.get_by_text("Additional options").click()
        page.get_by_label("Retries").fill("2")
        create(page)
        page.get_by_text("has been created").wait_for()
        page.get_by_title('Open detail view for "to be changed"').click()
        page.get_by_role("button", name="Edit Job Definition").click()
        page.get_by_label("Interval").click()
        page.get_by_role("option", name="Custom schedule").click()
        page.get_by_label("Cron expression").fill("15 7 * * MON-FRI")
        screenshot(page, "jobs-edit-definition")
        page.get_by_role("button", name="Save Changes").click()
        expect(page.locator(".trii-facts")).to_contain_text("2")
        expect(page.get_by_text("15 7 * * MON-FRI").first).to_be_visible()
        screenshot(page, "jobs-definition-changed")
    kept = schedules(lab)["to be changed"]
    assert (kept.cron, kept.policies.retries) == ("15 7 * * MON-FRI", 2)


def test_a_job_at_work_is_stopped_in_the_list(lab, small, visit, screenshot):
    path = small.with_name("slow.ipynb")
    begun = path.with_suffix(".begun")
    cells = [new_code_cell(f"open({str(begun)!r}, 'w').close()\nimport time\ntime.sleep(600)")]
    nbformat.write(new_notebook(cells=cells, metadata=KERNEL), path)
    with visit(lab.base) as window:
        page = open_dialog(window, lab, "slow")
        page.locator("#jp-create-job-jobName").fill("endless")
        create(page)
        page.get_by_text('Your job "endless" has been created').wait_for()
        row = page.locator("tbody tr", has_text="endless")
        reload_until(page, "Reload", row.filter(has_text="In progress"))
        for _ in range(300):
            if begun.exists():
                break
            page.wait_for_timeout(100)
        page.get_by_title('Stop "endless"').click()
        row.get_by_role("button", name="Stop", exact=True).click()
        reload_until(page, "Reload", row.filter(has_text="Stopped"))
        screenshot(page, "jobs-stopped")
        row.get_by_title('Open detail view for "endless"').click()
        expect(page.locator(".trii-facts")).to_contain_text("cancelled")
        screenshot(page, "jobs-stopped-detail")


def schedules(server):
    with closing(open_database(load_settings(home=server.home))) as records:
        return {each.schedule.name: each.schedule for each in Ledger(records, utc_now).schedules()}


def test_the_dialog_saves_what_was_changed_in_the_notebook(lab, small, visit):
    path = small.with_name("changed.ipynb")
    path.write_bytes(small.read_bytes())
    with visit(lab.base) as window:
        page = window.new_page()
        page.goto(f"{lab.base}lab/tree/notebooks/changed.ipynb?reset&token={lab.token}")
        page.locator(".jp-CodeCell .cm-content").last.click()
        page.keyboard.type("# not saved")
        expect(page.locator("#jp-main-dock-panel .jp-mod-dirty")).to_have_count(1)
        assert "# not saved" not in path.read_text()
        with page.expect_response(lambda answer: answer.request.method == "PUT" and answer.url.find(path.name) > 0):
            page.locator(".jp-NotebookPanel-toolbar [data-jp-item-name='create-job']").click()
        expect(page.locator("#jp-create-job-inputFile")).to_have_value("notebooks/changed.ipynb")
    assert "# not saved" in path.read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_the_dialog_has_no_field_for_is_among_its_additional_options(lab, small, visit, screenshot, scheme):
    with visit(lab.base, color_scheme=scheme) as window:
        page = open_dialog(window, lab)
        screenshot(page, f"jobs-dialog-{scheme}")
        page.locator("#jp-create-job-jobName").fill(f"after the close {scheme}")
        page.get_by_text("Run on a schedule").click()
        page.get_by_text("Additional options").click()
        page.get_by_label("Market trigger").fill("xnys close + 20 min")
        page.get_by_label("Wait for the session’s bars of").press_sequentially("AAPL, IBM")
        page.get_by_label("Notebook", exact=True).last.select_option("pinned")
        page.get_by_label("Retries").fill("2")
        options = page.locator(".trii-jobs")
        assert options.evaluate(UNREADABLE) == []
        assert options.evaluate("part => part.scrollWidth <= part.clientWidth")
        screenshot(page, f"jobs-options-{scheme}")
        page.get_by_label("Keep the files of").scroll_into_view_if_needed()
        screenshot(page, f"jobs-options-more-{scheme}")
        create(page)
        page.get_by_text("has been created").wait_for()
        page.get_by_title(f'Open detail view for "after the close {scheme}"').click()
        facts = page.locator(".trii-facts")
        for said in ("XNYS close + 20 min", "AAPL, IBM", "Pinned as it is now", "2 h"):
            expect(facts).to_contain_text(said)
        assert facts.evaluate(UNREADABLE) == []
        screenshot(page, f"jobs-definition-{scheme}")
        page.get_by_role("button", name="Delete Job Definition").click()
        page.get_by_role("dialog").get_by_role("button", name="Delete").click()
        page.get_by_text("Job Definitions").first.wait_for()
        expect(page.get_by_title(f'Open detail view for "after the close {scheme}"')).to_have_count(0)


def test_a_mistake_is_told_in_a_sentence_that_can_be_seen(lab, small, chromium, screenshot):
    # Not `visit`: the refusal is a status of 400, which a browser's console tells of.
    window = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = open_dialog(window, lab)
    page.get_by_text("Run on a schedule").click()
    page.get_by_text("Additional options").click()
    page.get_by_label("Market trigger").fill("XNYZ close")
    create(page)
    sentence = page.get_by_text("unknown calendar 'XNYZ'; nearest known: ")
    expect(sentence).to_be_in_viewport()
    screenshot(page, "jobs-dialog-mistake")
    # What was written for a schedule stays to be seen where it is refused.
    page.get_by_text("Run now").click()
    create(page)
    expect(page.get_by_text("a job that runs now has no market trigger")).to_be_in_viewport()
    expect(page.get_by_label("Market trigger")).to_have_value("XNYZ close")
    window.close()
