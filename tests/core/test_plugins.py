import pytest

from workbench.core.errors import FailureError, UnknownNameError
from workbench.core.plugins import available, load


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A stranger's package, as an installer would leave it."""
    facts = tmp_path / "stranger-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[workbench.strategies]\nstrange = stranger_good:rule\nbroken = stranger_bad:rule\ngone = stranger_good:nope\n"
    )
    (tmp_path / "stranger_good.py").write_text("rule = 'the rule'\n")
    (tmp_path / "stranger_bad.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)


def test_a_strangers_plugin_stands_beside_the_built_in_ones(installed):
    assert {"strange", "sma_cross"} <= set(available("workbench.strategies"))
    assert load("workbench.strategies", "strategy", "strange") == "the rule"


@pytest.mark.parametrize(("name", "value"), [("broken", "a_package_that_is_not_there"), ("gone", "nope")])
def test_a_plugin_that_cannot_be_loaded_is_told_with_its_place(installed, name, value):
    with pytest.raises(FailureError, match=f"strategy '{name}' cannot be loaded from stranger_.*{value}"):
        load("workbench.strategies", "strategy", name)


def test_listing_plugins_loads_none(installed):
    assert available("workbench.strategies")["broken"].value == "stranger_bad:rule"


def test_an_unknown_plugin_is_told():
    with pytest.raises(UnknownNameError, match="unknown provider 'sampel'; nearest known: sample"):
        load("workbench.providers", "provider", "sampel")


def test_a_group_without_plugins_is_empty():
    assert available("workbench.nothing_of_the_kind") == {}
