"""Files go when their schedule keeps them no longer; what a run was stays."""

from __future__ import annotations

from datetime import timedelta

import pytest

from workbench.core.errors import InputError, StoreError
from workbench.jobs.retention import prune
from workbench.jobs.tables import RUNS


def pruned(past, **options):
    return prune(past.database, lambda: past.now, past.folder, **options)


def kept(past):
    return {path.name for path in past.folder.iterdir()}


def test_the_last_runs_of_a_schedule_keep_their_files(past):
    daily, other = past.schedule(policies={"keep": 2}), past.schedule("other", policies={"keep": 1})
    runs = [past.ran(daily) for _ in range(4)]
    beside = past.ran(other)
    assert pruned(past, dry=True) == runs[:2]
    assert kept(past) == {*runs, beside}
    assert pruned(past) == runs[:2]
    assert kept(past) == {*runs[2:], beside}
    assert [past.ledger.run(run).folder is None for run in runs] == [True, True, False, False]
    assert past.history.files(runs[0]) == []
    assert past.history.attempts(runs[0])[0].folder is None
    with pytest.raises(InputError, match="files were pruned; run it again"):
        past.history.report(runs[0])
    assert pruned(past) == []


def test_files_go_when_they_are_too_old(past):
    runs = [past.ran(past.schedule(policies={"keep_for": timedelta(days=2)})), past.ran()]
    past.now = past.ledger.run(runs[0]).finished + timedelta(days=2)
    assert pruned(past) == []
    past.now += timedelta(seconds=1)
    assert pruned(past) == runs[:1]


def test_a_schedule_that_was_changed_or_removed_prunes_by_what_it_says_last(past):
    daily = past.schedule(policies={"keep": 5})
    runs = [past.ran(daily) for _ in range(3)]
    assert pruned(past) == []
    changed = daily.model_copy(update={"policies": daily.policies.model_copy(update={"keep": 1})})
    past.ledger.replace(changed, "")
    past.ledger.remove("daily")
    assert pruned(past) == runs[:2]


def test_runs_without_a_schedule_are_counted_by_their_notebook(past):
    few = {"policies": {"keep": 1}}
    mine = [past.ran(past.job(**few)) for _ in range(2)]
    other = past.ran(past.job("/books/other.ipynb", **few))
    assert pruned(past) == mine[:1]
    assert kept(past) == {mine[1], other}


def test_runs_without_files_do_not_count_and_open_ones_are_left_alone(past):
    daily = past.schedule(policies={"keep": 1})
    ran = past.ran(daily)
    open_run = past.due(daily)
    past.start(open_run)
    for _ in range(3):
        past.claims.cancel(past.due(daily), "why")
    assert pruned(past) == []
    assert kept(past) == {ran, open_run}


def test_nothing_outside_of_the_reports_is_removed(past, tmp_path):
    daily = past.schedule(policies={"keep": 1})
    runs = [past.ran(daily), past.ran(daily)]
    precious = tmp_path / "precious"
    precious.mkdir()
    (past.folder / "mine.ipynb").touch()
    (past.folder / runs[0] / "1" / "link").symlink_to(precious)
    with past.database.writing() as connection:
        connection.execute(RUNS.update().where(RUNS.c.id == runs[0]).values(folder=str(precious)))
    assert pruned(past) == runs[:1]
    assert precious.is_dir()
    assert kept(past) == {runs[1], "mine.ipynb"}


def test_a_crash_between_the_files_and_the_row_is_made_good_the_next_time(past, monkeypatch):
    daily = past.schedule(policies={"keep": 1})
    runs = [past.ran(daily), past.ran(daily)]

    def crash(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("workbench.jobs.retention._forget_files", crash)
        with pytest.raises(KeyboardInterrupt):
            pruned(past)
    assert kept(past) == {runs[1]}
    assert past.ledger.run(runs[0]).folder is not None
    assert pruned(past) == runs[:1]
    assert past.ledger.run(runs[0]).folder is None


def test_files_that_cannot_be_removed_do_not_hold_up_the_others(past, monkeypatch):
    daily = past.schedule(policies={"keep": 1})
    runs = [past.ran(daily) for _ in range(3)]
    from workbench.jobs import retention

    remove = retention.shutil.rmtree

    def refuse(path, **options):
        if runs[0] in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        remove(path, **options)

    monkeypatch.setattr(retention.shutil, "rmtree", refuse)
    with pytest.raises(StoreError, match=r"files of 1 runs, such as .* \(Permission denied\); mend"):
        pruned(past)
    assert kept(past) == {runs[0], runs[2]}
    assert past.ledger.run(runs[0]).folder is not None


def test_two_that_prune_at_once_do_not_get_in_each_others_way(past, monkeypatch):
    daily = past.schedule(policies={"keep": 1})
    runs = [past.ran(daily), past.ran(daily)]
    from workbench.jobs import retention

    remove = retention.shutil.rmtree

    def after_the_other(path, **options):
        remove(path)
        path.parent.rmdir()
        remove(path, **options)

    monkeypatch.setattr(retention.shutil, "rmtree", after_the_other)
    assert pruned(past) == runs[:1]
    assert kept(past) == {runs[1]}
    assert past.ledger.run(runs[0]).folder is None
