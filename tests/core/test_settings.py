import os
import traceback
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from workbench.core.errors import ParameterError, StoreError
from workbench.core.settings import load_settings


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """No variable and no file of the machine the tests run on."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("WORKBENCH_")]:
        monkeypatch.delenv(name)


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


# ---------------------------------------------------------------- keys, addresses and options

SECRET = "sk-9f3e-not-for-anyone"
ADDRESSES = {
    "store_url": f"postgresql://me:{SECRET}@db.example/bars",
    "database_url": f"postgresql://me:{SECRET}@db.example/records",
    "redis_url": f"redis://:{SECRET}@redis.example:6379/0",
}


def write_file(text, mode=0o600):
    Path("workbench.toml").write_text(text)
    Path("workbench.toml").chmod(mode)


def test_there_is_no_key_and_no_server_by_default():
    settings = load_settings()
    assert (settings.keys, settings.providers) == ({}, {})
    assert (settings.store_url, settings.database_url, settings.redis_url) == (None, None, None)


def test_keys_and_options_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("WORKBENCH_KEYS__FRED", SECRET)
    monkeypatch.setenv("WORKBENCH_KEYS__TWELVE_DATA", "another")
    monkeypatch.setenv("WORKBENCH_PROVIDERS__FILES__FOLDER", "/data/my files")
    monkeypatch.setenv("WORKBENCH_PROVIDERS__TWELVE_DATA__PLAN", "grow")
    settings = load_settings()
    assert settings.keys == {"fred": SecretStr(SECRET), "twelve_data": SecretStr("another")}
    assert settings.providers == {"files": {"folder": "/data/my files"}, "twelve_data": {"plan": "grow"}}


def test_keys_of_the_environment_and_of_the_file_go_together(monkeypatch):
    write_file(f'[keys]\nfred = "old"\nalpha_vantage = "{SECRET}"\n[providers.files]\nfolder = "/data"\n')
    monkeypatch.setenv("WORKBENCH_KEYS__FRED", "new")
    settings = load_settings()
    assert settings.keys == {"fred": SecretStr("new"), "alpha_vantage": SecretStr(SECRET)}
    assert settings.providers == {"files": {"folder": "/data"}}


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o622, 0o601])
def test_a_file_with_keys_that_others_can_use_is_refused(mode):
    write_file(f'[keys]\nfred = "{SECRET}"\n', mode)
    with pytest.raises(ParameterError, match=r"others can read it: chmod 600 workbench\.toml") as caught:
        load_settings()
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_with_keys_of_our_own_is_read(mode):
    write_file(f'[keys]\nfred = "{SECRET}"\n', mode)
    assert load_settings().keys == {"fred": SecretStr(SECRET)}


def test_a_file_without_keys_may_be_read_by_others(monkeypatch):
    write_file("cash = 5\n", 0o644)
    monkeypatch.setenv("WORKBENCH_KEYS__FRED", SECRET)
    assert load_settings().cash == 5


def test_no_secret_is_in_a_text_of_the_settings():
    settings = load_settings(keys={"fred": SECRET}, **ADDRESSES)
    texts = [repr(settings), str(settings), f"{settings.keys}", settings.model_dump_json(), repr(settings.model_dump())]
    assert [text for text in texts if SECRET in text] == []


@pytest.mark.parametrize(
    "overrides",
    [
        {"keys": SECRET},
        {"keys": [SECRET]},
        {"keys": {"fred": [SECRET]}},
        {"keys": {"fred": {"key": SECRET}}},
        {"store_url": [ADDRESSES["store_url"]]},
        {"database_url": {"url": ADDRESSES["database_url"]}},
        {"redis_url": [SECRET]},
        {"providers": SECRET},
        {"providers": {"files": SECRET}},
        {"providers": {"files": {"folder": [SECRET]}}},
        {"keyz": {"fred": SECRET}},
        {"fred": SECRET},
    ],
)
def test_no_secret_is_in_an_error_or_in_what_led_to_it(overrides):
    name = next(iter(overrides))
    with pytest.raises(ParameterError, match=f"setting '{name}") as caught:
        load_settings(**overrides)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert SECRET not in told.replace(f"load_settings(**{overrides})", "")


@pytest.mark.parametrize("name", ["KEYS", "PROVIDERS"])
def test_a_mapping_in_one_variable_is_json_and_told_where_it_is_none(monkeypatch, name):
    given = '{"files": {"folder": "/data"}}' if name == "PROVIDERS" else '{"fred": "key"}'
    monkeypatch.setenv(f"WORKBENCH_{name}", given)
    settings = load_settings()
    assert settings.providers == {"files": {"folder": "/data"}} or settings.keys == {"fred": SecretStr("key")}
    monkeypatch.setenv(f"WORKBENCH_{name}", SECRET)
    with pytest.raises(ParameterError, match=name.lower()) as caught:
        load_settings()
    assert SECRET not in "".join(traceback.format_exception(caught.value))


KEYS = ["plain", SECRET, "0123456789", "12e4", "true", "null", '{"a": 1}', "[1]", "with space", "k=v;#$'\"\\", "ü"]


@pytest.mark.parametrize("key", KEYS)
def test_settings_go_through_the_environment_unchanged(monkeypatch, home, key):
    given = {"providers": {"files": {"folder": "/my data", "decimals": "2"}, "twelve_data": {"plan": "grow"}}}
    settings = load_settings(
        home=home, dataset="own", commission=0.00025, slippage=1e-7, cash=12345.67, no_browser=True, warm_kernels=False,
        keys={"fred": key, "alpha_vantage": SECRET}, **given, **ADDRESSES,
    )  # fmt: skip
    for name in [name for name in os.environ if name.startswith("WORKBENCH_")]:
        monkeypatch.delenv(name)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    assert load_settings() == settings
    assert settings.environment()["WORKBENCH_KEYS__FRED"] == key


def test_what_is_not_set_is_no_variable():
    names = set(load_settings(home="/h").environment())
    assert names >= {"WORKBENCH_CASH", "WORKBENCH_COMMISSION", "WORKBENCH_DATASET", "WORKBENCH_HOME"}
    assert [name for name in names if "URL" in name or "__" in name] == []
