"""Launcher tiles."""

from __future__ import annotations

from pathlib import Path

from workbench.lab.dashboards import ALERTS, GALLERY, Dashboard
from workbench.lab.extension import icon, tiles


def test_there_is_a_tile_for_each_dashboard_and_one_for_the_reports():
    boards = [
        Dashboard("panel-a", "A", "about a", "workbench/panel/a", "panel", Path("a.py")),
        Dashboard("voila-b", "B", "about b", "voila/render/b.ipynb", "voila", Path("b.ipynb")),
    ]
    found = tiles(boards)
    assert [tile["title"] for tile in found] == ["A", "B", "Report files"]
    assert [tile.get("url") for tile in found] == ["workbench/panel/a", "voila/render/b.ipynb", None]
    assert found[2]["folder"] == "reports"
    assert len({tile["name"] for tile in found}) == 3
    assert all(tile["icon"]["svg"].startswith("<svg") for tile in found)


def test_the_apps_of_ones_own_come_last_and_have_icons_of_their_own():
    found = tiles([Dashboard(name, "", "", "", "panel", Path("a.py")) for name in (ALERTS, "panel-a", GALLERY)])
    assert [tile["name"] for tile in found[:3]] == ["panel-a", ALERTS, GALLERY]
    assert [tile["icon"] for tile in found[:3]] == [icon(name)["icon"] for name in ("panel", "alerts", "reports")]
