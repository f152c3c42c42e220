"""The user's copies: new ones appear, untouched ones follow the distribution, changed ones are left alone."""

from __future__ import annotations

import pytest

from workbench.lab import workspace as room
from workbench.lab.workspace import prepare_workspace

NOTEBOOK = "notebooks/reports/daily.ipynb"


@pytest.fixture
def distribution(tmp_path, monkeypatch):
    """A distribution with one notebook and one app, in place of the shipped one."""
    root = tmp_path / "distribution"
    for name, content in {NOTEBOOK: "one", "apps/market.py": "app", "notebooks/notes.txt": "not a notebook"}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    monkeypatch.setattr(room, "shipped", lambda folder: root / folder)
    return root


@pytest.fixture
def prepare(tmp_path, distribution):
    """Prepare the workspace, as a server's start does, and return it."""

    def prepared():
        prepare_workspace(tmp_path / "workspace", tmp_path / "workspace" / "reports")
        return tmp_path / "workspace"

    return prepared


def test_the_first_start_copies_notebooks_and_apps_and_makes_the_reports_folder(prepare):
    found = prepare()
    assert (found / NOTEBOOK).read_text() == "one"
    assert (found / "apps/market.py").read_text() == "app"
    assert (found / "reports").is_dir()
    assert not (found / "notebooks/notes.txt").exists()


def test_an_untouched_file_follows_the_distribution(prepare, distribution):
    prepare()
    for version in ("two", "three"):
        (distribution / NOTEBOOK).write_text(version)
        assert (prepare() / NOTEBOOK).read_text() == version


def test_a_changed_file_is_never_overwritten(prepare, distribution):
    (prepare() / NOTEBOOK).write_text("mine")
    for version in ("two", "three"):
        (distribution / NOTEBOOK).write_text(version)
        assert (prepare() / NOTEBOOK).read_text() == "mine"
    assert (prepare() / "apps/market.py").read_text() == "app"


def test_a_file_of_the_user_that_was_there_first_is_never_overwritten(prepare, tmp_path):
    own = tmp_path / "workspace" / NOTEBOOK
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    assert (prepare() / NOTEBOOK).read_text() == "mine"


def test_a_changed_file_stays_changed_when_the_distribution_comes_to_equal_its_first_version(prepare, distribution):
    (prepare() / NOTEBOOK).write_text("mine")
    (distribution / NOTEBOOK).write_text("two")
    prepare()
    (distribution / NOTEBOOK).write_text("one")
    assert (prepare() / NOTEBOOK).read_text() == "mine"


def test_a_deleted_file_comes_back_with_a_new_version(prepare, distribution):
    (prepare() / NOTEBOOK).unlink()
    (distribution / NOTEBOOK).write_text("two")
    assert (prepare() / NOTEBOOK).read_text() == "two"


def test_a_new_file_of_the_distribution_is_added(prepare, distribution):
    prepare()
    (distribution / "apps/new.py").write_text("new")
    assert (prepare() / "apps/new.py").read_text() == "new"


def test_checkpoints_are_not_copied(prepare, distribution):
    checkpoint = distribution / "notebooks/.ipynb_checkpoints/daily-checkpoint.ipynb"
    checkpoint.parent.mkdir()
    checkpoint.write_text("old")
    assert not (prepare() / "notebooks/.ipynb_checkpoints").exists()


def test_nothing_half_written_is_left(prepare):
    found = prepare()
    assert [path.name for path in found.rglob("*.part")] == []


def test_a_damaged_record_does_not_stop_the_start_or_cost_the_user_a_file(prepare):
    found = prepare()
    (found / NOTEBOOK).write_text("mine")
    (found / room.RECORD).write_text('{"notebooks/rep')
    assert (prepare() / NOTEBOOK).read_text() == "mine"


def test_the_real_distribution_is_copied_whole(tmp_path):
    prepare_workspace(tmp_path, tmp_path / "reports")
    copied = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.suffix in (".ipynb", ".py")}
    assert copied == {
        "notebooks/00_welcome.ipynb",
        "notebooks/01_market_data.ipynb",
        "notebooks/02_analysis.ipynb",
        "notebooks/03_backtesting.ipynb",
        "notebooks/04_schedules.ipynb",
        "notebooks/05_alerts.ipynb",
        "notebooks/dashboards/market.ipynb",
        "notebooks/reports/alerts.ipynb",
        "notebooks/reports/daily_signals.ipynb",
        "apps/alerts.py",
        "apps/market.py",
        "apps/reports.py",
    }
