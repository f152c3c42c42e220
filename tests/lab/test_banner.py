"""One line says what a kernel works with, whatever the state of its home."""

from __future__ import annotations

import pytest

from workbench.bench import Workbench
from workbench.core.errors import FailureError, StoreError
from workbench.core.known import VARIABLE
from workbench.core.machine import processors
from workbench.core.provenance import code_version
from workbench.core.settings import load_settings
from workbench.lab.kernels.banner import banner, served
from workbench.lab.kernels.profiles import PROFILES, Profile

KERNEL = PROFILES["workbench"]


@pytest.fixture(autouse=True)
def unlimited(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


def test_it_tells_program_data_and_device(bench):
    bars = bench.bars()
    data = f"{bars.attrs['version']} to {bars.indexes['time'][-1]:%Y-%m-%d}"
    assert banner(bench, KERNEL) == f"TRII Workbench {code_version()} · {data} · {processors()}"


def test_the_version_and_the_last_session_are_those_of_the_bars(tmp_path):
    bench = Workbench(load_settings(home=tmp_path / "home"))
    days = bench.bars("AAPL", end="2010", adjust="none").sel(symbol="AAPL", drop=True).to_dataframe().iloc[-9:]
    (tmp_path / "files").mkdir()
    for rows, version in ((days[:6], "files_1d@1.0"), (days, "files_1d@2.0")):
        rows.set_axis(rows.index.strftime("%Y-%m-%d").rename("date")).to_csv(tmp_path / "files" / "AAPL.csv")
        options = {"dataset": "files_1d", "providers": {"files": {"folder": str(tmp_path / "files")}}}
        own = Workbench(load_settings(home=tmp_path / "home", **options))
        first, last = (f"{rows.index[place]:%Y-%m-%d}" for place in (0, -1))
        own.fetch("files", "AAPL", start=first, end=last, progress=False)
        assert own.bars("AAPL").attrs["version"] == version
        assert served(own) == f"{version} to {last}"


def test_an_empty_home_has_no_data_yet_and_stays_empty(home):
    told = banner(Workbench(load_settings()), KERNEL)
    assert (
        told
        == f"TRII Workbench {code_version()} · no data yet (us_equities is loaded with the first read) · {processors()}"
    )
    assert not home.exists()


def test_under_a_limit_it_tells_the_limit_and_not_what_lies_behind_it(bench, monkeypatch):
    version = bench.bars("AAPL").attrs["version"]
    monkeypatch.setenv(VARIABLE, "2026-01-05")
    assert served(bench) == f"{version}, only what was known by 2026-01-05 23:59 UTC"


def test_what_cannot_be_told_is_a_sentence_and_no_error(bench, monkeypatch):
    def missing():
        raise FailureError("no torch;\n install it")

    broken = Profile("pytorch", "TRII PyTorch", (), (), missing)
    monkeypatch.setenv(VARIABLE, "nonsense")
    told = banner(bench, broken)
    assert told.startswith(f"TRII PyTorch {code_version()} · WORKBENCH_AS_OF='nonsense' is no date; ")
    assert told.endswith(" · no torch; install it")
    assert "\n" not in told


@pytest.mark.parametrize("named_bench", [None, 3, "bench", Workbench])
def test_a_notebook_that_gave_the_name_to_another_thing_has_a_banner(named_bench):
    assert banner(named_bench, KERNEL) == f"TRII Workbench {code_version()} · no bench · {processors()}"


@pytest.mark.parametrize(("error", "told"), [(OSError(5, "no\ndisk"), "[Errno 5] no disk"), (KeyError(), "KeyError")])
def test_no_error_keeps_a_kernel_from_its_banner(error, told):
    def broken():
        raise error

    assert banner(None, Profile("own", "Own", (), (), broken)).endswith(f" · {told}")


def test_a_damaged_table_is_told_in_the_banner_as_a_read_tells_it(tmp_path):
    settings = load_settings(home=tmp_path)
    for name in ("bars", "actions"):
        log = settings.store / settings.dataset / name / "_delta_log"
        log.mkdir(parents=True)
        (log / f"{0:020d}.json").write_text("{no json")
    bench = Workbench(settings)
    with pytest.raises(StoreError) as told:
        bench.bars()
    place = settings.store / settings.dataset / "bars"
    assert str(told.value).startswith(f"table {place} is damaged (")
    assert banner(bench, KERNEL) == f"TRII Workbench {code_version()} · {told.value} · {processors()}"


def test_a_table_that_is_being_made_is_no_damaged_one(tmp_path):
    settings = load_settings(home=tmp_path)
    (settings.store / settings.dataset / "bars" / "_delta_log").mkdir(parents=True)
    assert served(Workbench(settings)).startswith("no data yet")


def test_a_store_far_away_is_not_asked(home):
    settings = load_settings(store_url="postgresql://nobody:secret@127.0.0.1:1/nothing")
    assert served(Workbench(settings)) == "us_equities"
    assert not home.exists()
