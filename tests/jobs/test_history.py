"""What has run is found again by what people remember of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pytest
from past_runs import displayed, executed

from workbench.core.errors import DateRangeError, InputError, UnknownNameError


@pytest.fixture
def four(past):
    """Four runs, the last in front: one that is due, one that failed, and two of a schedule."""
    daily = past.schedule(parameters={"symbols": ["AAPL", "MSFT"]})
    first = past.ran(daily, hours=24)
    second = past.ran(daily, {"symbols": ["IBM"], "window": 20}, hours=24)
    failed = past.ran(
        past.job("/other/alerts.ipynb"), {"window": 50}, ended="failed", reason="no Köln in cell 3", hours=24
    )
    return [past.due(past.job("/other/alerts.ipynb"), {"exact": True}, hours=24), failed, second, first]


@pytest.mark.parametrize(
    ("wanted", "places"),
    [
        ({}, [0, 1, 2, 3]),
        ({"most": 2}, [0, 1]),
        ({"schedule": "daily"}, [2, 3]),
        ({"notebook": "alerts"}, [0, 1]),
        ({"notebook": "alerts.ipynb"}, [0, 1]),
        ({"notebook": "/books/daily.ipynb"}, [2, 3]),
        ({"notebook": "aily"}, []),
        ({"state": "failed"}, [1]),
        ({"state": ["due", "succeeded"]}, [0, 2, 3]),
        ({"parameter": {"window": 20}}, [2]),
        ({"parameter": {"window": "50"}}, [1]),
        ({"parameter": {"symbols": "MSFT"}}, [3]),
        ({"parameter": {"symbols": ["AAPL", "MSFT"]}}, [3]),
        ({"parameter": {"symbols": "aapl, msft"}}, [3]),
        ({"parameter": {"symbols": "IBM", "window": 50}}, []),
        ({"parameter": {"exact": 1}}, []),
        ({"parameter": {"exact": True}}, [0]),
        ({"parameter": {"nothing": None}}, []),
        ({"since": "2026-01-07", "until": "2026-01-08"}, [1, 2]),
        ({"until": "2026-01-06"}, [3]),
        ({"since": datetime(2026, 1, 9, tzinfo=UTC)}, [0]),
        ({"text": "KÖLN"}, [1]),
        ({"text": "window=20"}, [2]),
        ({"text": "daily"}, [2, 3]),
        ({"text": "%"}, []),
        ({"text": "alerts", "state": "due"}, [0]),
    ],
)
def test_runs_are_found_by_all_that_is_asked(past, four, wanted, places):
    assert [run.id for run in past.history.search(**wanted)] == [four[place] for place in places]


def test_a_run_is_found_by_the_beginning_of_its_id_and_by_the_id_of_its_schedule(past, four):
    assert [run.id for run in past.history.search(text=four[1][:8])] == [four[1]]
    kept = past.ledger.schedule("daily").schedule.id
    past.ledger.remove("daily")
    assert len(past.history.search(schedule="daily")) == len(past.history.search(schedule=kept)) == 2


@pytest.mark.parametrize(
    ("wanted", "error", "told"),
    [
        ({"schedule": "daly"}, UnknownNameError, "unknown schedule 'daly'.*daily"),
        ({"state": "done"}, UnknownNameError, "unknown state 'done'"),
        ({"since": "soon"}, DateRangeError, "'soon' is no date"),
        ({"since": "2026-02", "until": "2026-01"}, DateRangeError, "reversed"),
    ],
)
def test_what_cannot_be_searched_for_is_told(past, four, wanted, error, told):
    with pytest.raises(error, match=told):
        past.history.search(**wanted)


def test_a_long_history_is_read_to_its_end(past, monkeypatch):
    monkeypatch.setattr("workbench.jobs.matching._PAGE", 2)
    # Several are due at one instant: the pages are told apart by the id as well.
    runs = {past.due(hours=place % 2) for place in range(7)}
    found = past.history.search()
    assert {run.id for run in found} == runs
    assert len(found) == 7
    assert [run.due for run in found] == sorted((run.due for run in found), reverse=True)


def test_the_mark_changes_with_each_thing_that_becomes_of_a_run(past):
    marks = [past.history.mark()]

    def changed():
        marks.append(past.history.mark())
        return marks[-1] != marks[-2] and past.history.mark() == marks[-1]

    run = past.due(past.job(policies={"retries": 1}))
    assert changed()
    past.start(run)
    assert changed()
    past.attempts.finish(run, 1, "failed", "why")
    assert changed()
    assert past.ledger.run(run).state == "due"
    past.claims.cancel(run, "why not")
    assert changed()


def test_relative_dates_are_found_resolved_and_as_they_were_written(past):
    run = past.due(parameters={"day": "today"})
    past.start(run, resolved={"day": "2026-01-05"})
    for value in ("today", "2026-01-05"):
        assert [each.id for each in past.history.search(parameter={"day": value})] == [run]


def test_the_files_are_those_of_the_last_attempt_without_hidden_ones_and_links(past):
    run = past.ran()
    folder = past.folder / run / "1"
    (folder / ".tmp").mkdir()
    (folder / ".tmp" / "half").touch()
    (folder / "made").mkdir()
    (folder / "made" / "orders.csv").touch()
    (folder / "away").symlink_to("/etc/passwd")
    names = [str(path.relative_to(folder)) for path in past.history.files(run)]
    assert names == ["daily.html", "daily.ipynb", "made/orders.csv"]
    assert (past.history.report(run).name, past.history.notebook(run).name) == ("daily.html", "daily.ipynb")


def test_a_folder_outside_of_the_reports_is_not_read(past, tmp_path):
    run = past.ran()
    (tmp_path / "daily.html").write_text("secret")
    from workbench.jobs.tables import RUNS

    for folder in (tmp_path, past.folder, past.folder / ".." / ".." / ".."):
        with past.database.writing() as connection:
            connection.execute(RUNS.update().values(folder=str(folder)))
        assert past.history.files(run) == []
        with pytest.raises(InputError, match="no report"):
            past.history.report(run)


def test_a_report_that_is_not_there_is_told_with_the_reason(past):
    waits = past.due()
    with pytest.raises(InputError, match=r"daily.ipynb \(due\) has no report yet; wait"):
        past.history.report(waits)
    past.claims.cancel(waits, "why not")
    with pytest.raises(InputError, match="left no notebook; run it again"):
        past.history.notebook(waits)
    ran = past.ran()
    past.history.report(ran).unlink()
    with pytest.raises(InputError, match="left no report"):
        past.history.report(ran)
    with pytest.raises(UnknownNameError, match="unknown run"):
        past.history.report("none")


def test_attempts_and_parameters_of_a_run(past):
    book = executed("1", parameters="window: int = 10\nlevel: float = 0.5\n")
    run = past.ran(parameters={"window": 20}, book=book, ended="failed", reason="why")
    [attempt] = past.history.attempts(run)
    assert (attempt.n, attempt.state, attempt.reason) == (1, "failed", "why")
    assert past.history.parameters(run) == {"window": 20, "level": 0.5}
    assert past.history.parameters(past.due(parameters={"window": 30})) == {"window": 30}


def test_the_table_has_the_time_a_run_took_and_is_a_table_without_runs_too(past, four):
    frame = past.history.frame(past.history.search())
    assert list(frame.index) == four
    assert frame["seconds"].tolist()[1:] == [30, 30, 30]
    assert pd.isna(frame["seconds"].iloc[0])
    assert frame["files"].tolist() == [False, True, True, True]
    assert frame["parameters"].iloc[3] == "symbols=AAPL, MSFT"
    assert str(frame["due"].dtype).endswith("UTC]")
    empty = past.history.frame([])
    assert list(empty.columns) == list(frame.columns)
    assert str(empty["files"].dtype) == "bool"


def test_a_report_in_a_frame_can_reach_nothing(past):
    hostile = "</script>\"'><iframe srcdoc='x'><script>parent.document.cookie</script>"
    run = past.ran(book=executed(("x", [displayed(hostile)])))
    frame = past.history.framed(run, dark=True)
    assert frame.startswith('<iframe sandbox="allow-scripts" srcdoc="&lt;!DOCTYPE html&gt;')
    # One element, whose attributes the page's own text cannot end.
    assert (frame.count("<"), frame.count(">"), frame.count('"')) == (2, 2, 6)
    assert frame.index("Content-Security-Policy") < frame.index("parent.document.cookie")
    assert "connect-src" not in frame
    assert "default-src &#x27;none&#x27;" in frame
    assert "color-scheme: dark" in frame
