from pathlib import Path

import pytest
from pydantic import ValidationError

from workbench.core.errors import ParameterError, StoreError
from workbench.core.settings import load_settings


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """No variable and no file of the machine the tests run on."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "DATASET", "COMMISSION", "SLIPPAGE", "CASH", "NO_BROWSER"):
        monkeypatch.delenv(f"WORKBENCH_{name}", raising=False)


def test_costs_are_not_zero_by_default():
    settings = load_settings()
    assert (settings.commission, settings.slippage) == (0.001, 0.0005)
    assert settings.cash == 100_000
    assert settings.dataset == "us_equities"


def test_an_argument_beats_the_environment_and_the_environment_the_file(monkeypatch):
    Path("workbench.toml").write_text("cash = 1\ncommission = 0.1\nslippage = 0.2\n")
    monkeypatch.setenv("WORKBENCH_CASH", "2")
    monkeypatch.setenv("WORKBENCH_COMMISSION", "0.3")
    settings = load_settings(cash=3)
    assert (settings.cash, settings.commission, settings.slippage) == (3, 0.3, 0.2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("commission", -0.001),
        ("commission", 1),
        ("slippage", "much"),
        ("cash", 0),
        ("cash", float("nan")),
        ("cash", float("inf")),
        ("nonsense", 1),
    ],
)
def test_a_value_out_of_range_is_named(name, value):
    with pytest.raises(ParameterError, match=f"setting '{name}' is not valid"):
        load_settings(**{name: value})


def test_a_wrong_variable_is_named(monkeypatch):
    monkeypatch.setenv("WORKBENCH_CASH", "lots")
    with pytest.raises(ParameterError, match=r"setting 'cash'.*given: 'lots'"):
        load_settings()


def test_an_unknown_name_in_the_file_is_named():
    Path("workbench.toml").write_text("comission = 0.1\n")
    with pytest.raises(ParameterError, match="'comission'"):
        load_settings()


def test_a_file_that_is_no_toml_is_named():
    Path("workbench.toml").write_text("cash = \n")
    with pytest.raises(ParameterError, match=r"workbench\.toml"):
        load_settings()


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().cash = 1


def test_everything_lies_under_the_home(home):
    settings = load_settings()
    assert settings.home == home
    assert settings.store == home / "store"
    assert settings.reports.is_relative_to(settings.workspace)
    assert settings.workspace.is_relative_to(home)


def test_a_tilde_in_the_home_is_the_users_folder():
    assert load_settings(home="~/trii").home == Path.home() / "trii"


def test_reading_the_settings_makes_no_folder(home):
    load_settings()
    assert not home.exists()


def test_the_home_is_made_when_it_is_needed_and_nothing_is_left_in_it(home):
    assert load_settings().require_home() == home
    assert list(home.iterdir()) == []


def test_a_home_that_cannot_be_made_is_told_with_the_remedy(home):
    home.write_text("in the way")
    with pytest.raises(StoreError, match=f"cannot write to the home {home} .*set WORKBENCH_HOME"):
        load_settings().require_home()
