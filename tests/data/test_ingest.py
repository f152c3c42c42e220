"""From a provider's answer to rows of the store: what is asked, what counts as answered, in which shares prices are."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from workbench.core.errors import InputError, ProviderError
from workbench.core.market import PRICES
from workbench.data.entries import EntryMetadata
from workbench.data.ingest import Span, ask, missing_spans, settle_noise, settle_paid, stamped, with_splits
from workbench.data.providers.base import Access, History, Provider

ABOUT = EntryMetadata(
    kind="bars",
    description="Bars of a test",
    source="a test",
    licence="none",
    asset_class="equity",
    interval="1d",
    currency="USD",
    calendar="XNYS",
    provider="stranger",
    fields=("open", "high", "low", "close", "volume"),
)
HOURLY = ABOUT.model_copy(update={"interval": "1h"})
NOW = pd.Timestamp("2024-07-12 21:00", tz="UTC")  # Friday, an hour after the close


def span(first, last):
    return Span(pd.Timestamp(first), pd.Timestamp(last))


def facts(*rows):
    return pd.DataFrame(rows, columns=["time", "kind", "value"]).assign(
        time=lambda found: pd.DatetimeIndex(found["time"])
    )


def bars(closes, zone=None):
    """Bars by their label; all prices are the close."""
    prices = {name: list(closes.values()) for name in PRICES}
    return pd.DataFrame({"time": pd.DatetimeIndex(list(closes), tz=zone), **prices, "volume": 700.0})


class Stranger(Provider):
    """Answers with what it was given, within the days asked, and remembers the questions."""

    name = "stranger"
    intervals = ("1d", "1h")

    def __init__(self, rows, actions=None, together=True, adjustment="none"):
        super().__init__(Access())
        self.rows, self.known, self.together = rows, facts() if actions is None else actions, together
        self.adjustment = adjustment
        self.asked = []

    def history(self, symbol, start, end, interval="1d"):
        self.asked.append(("history", f"{start}", f"{end}"))
        day = self.rows["time"].dt.tz_localize(None).dt.normalize()
        own = self.rows[day.isna() | day.between(pd.Timestamp(start), pd.Timestamp(end))]
        return History(own, self.between(start, end) if self.together else None, "USD")

    def between(self, start, end):
        return self.known[
            self.known["time"].isna() | self.known["time"].between(pd.Timestamp(start), pd.Timestamp(end))
        ]


class Telling(Stranger):
    def actions(self, symbol, start, end):
        self.asked.append(("actions", f"{start}", f"{end}"))
        return self.between(start, end)


def ends(rows):
    return [f"{time:%m-%d %H:%M}" for time in rows["time"].dropna()]


# ---------------------------------------------------------------- what is missing


@pytest.mark.parametrize(
    ("covered", "missing"),
    [
        ([], [("2024-07-01", "2024-07-12")]),
        ([("2024-07-01", "2024-07-12")], []),
        ([("2024-06-03", "2024-08-30")], []),
        ([("2024-07-01", "2024-07-05")], [("2024-07-08", "2024-07-12")]),
        ([("2024-07-08", "2024-07-12")], [("2024-07-01", "2024-07-05")]),
        ([("2024-07-03", "2024-07-09")], [("2024-07-01", "2024-07-02"), ("2024-07-10", "2024-07-12")]),
        ([("2024-07-01", "2024-07-02"), ("2024-07-10", "2024-07-12")], [("2024-07-03", "2024-07-09")]),
        ([("2024-07-10", "2024-07-12"), ("2024-07-01", "2024-07-09")], []),
        ([("2024-07-01", "2024-07-09"), ("2024-07-03", "2024-07-05")], [("2024-07-10", "2024-07-12")]),
        ([("2024-07-01", "2024-07-03"), ("2024-07-05", "2024-07-12")], []),  # a holiday between them
        ([("2024-06-03", "2024-06-28")], [("2024-07-01", "2024-07-12")]),
        ([("2024-07-04", "2024-07-04")], [("2024-07-01", "2024-07-12")]),  # no session
        ([("2024-07-05", "2024-07-05")], [("2024-07-01", "2024-07-03"), ("2024-07-08", "2024-07-12")]),
    ],
)
def test_the_spans_that_are_missing(covered, missing):
    found = missing_spans("XNYS", span("2024-06-29", "2024-07-14"), [span(*each) for each in covered])
    assert [(f"{each.first:%Y-%m-%d}", f"{each.last:%Y-%m-%d}") for each in found] == missing


def test_days_without_a_session_are_never_missing():
    assert missing_spans("XNYS", span("2024-07-04", "2024-07-04"), []) == []


# ---------------------------------------------------------------- what counts as answered


def test_a_whole_answer_covers_the_span():
    source = Stranger(bars({"2024-07-11": 10.0, "2024-07-12": 11.0}))
    batch = ask(source, ABOUT, "A", [span("2024-07-11", "2024-07-12")], NOW)
    assert batch.covered == (span("2024-07-11", "2024-07-12"),)
    assert (batch.missing, batch.rows["close"].tolist()) == (0, [10, 11])
    assert batch.rows["date"].tolist() == ["2024-07-11", "2024-07-12"]
    assert (batch.rows["currency"] == "USD").all()
    assert source.asked == [("history", "2024-07-11", "2024-07-12")]


def test_each_span_is_asked_for_by_itself():
    source = Stranger(bars({"2024-07-01": 10.0, "2024-07-12": 11.0}))
    spans = [span("2024-07-01", "2024-07-01"), span("2024-07-12", "2024-07-12")]
    batch = ask(source, ABOUT, "A", spans, NOW)
    assert batch.covered == tuple(spans)
    assert source.asked == [("history", "2024-07-01", "2024-07-01"), ("history", "2024-07-12", "2024-07-12")]


def test_a_session_that_the_source_does_not_have_yet_is_still_to_come():
    batch = ask(Stranger(bars({"2024-07-11": 10.0})), ABOUT, "A", [span("2024-07-11", "2024-07-12")], NOW)
    assert batch.covered == (span("2024-07-11", "2024-07-11"),)
    assert batch.missing == 1


def test_a_row_of_nulls_for_the_latest_session_is_no_answer_yet():
    batch = ask(
        Stranger(bars({"2024-07-11": 10.0, "2024-07-12": np.nan})), ABOUT, "A", [span("2024-07-11", "2024-07-12")], NOW
    )
    assert batch.covered == (span("2024-07-11", "2024-07-11"),)
    assert (batch.missing, len(batch.rows)) == (1, 2)


def test_a_day_of_nulls_in_the_middle_is_to_be_asked_for_again():
    source = Stranger(bars({"2024-07-10": 10.0, "2024-07-11": np.nan, "2024-07-12": 11.0}))
    batch = ask(source, ABOUT, "A", [span("2024-07-10", "2024-07-12")], NOW)
    assert batch.covered == (span("2024-07-10", "2024-07-10"), span("2024-07-12", "2024-07-12"))
    assert batch.missing == 1


def test_a_row_that_is_kept_out_is_to_be_asked_for_again():
    source = Stranger(bars({"2024-07-10": 10.0, "2024-07-11": -1.0, "2024-07-12": 11.0}))
    batch = ask(source, ABOUT, "A", [span("2024-07-10", "2024-07-12")], NOW)
    assert batch.missing == 1


def test_silence_about_a_symbol_of_which_nothing_was_ever_told_is_no_answer():
    batch = ask(Stranger(bars({})), ABOUT, "A", [span("2020-06-03", "2020-07-10")], NOW)
    assert (batch.covered, batch.spoken) == ((), ())
    assert batch.missing == 27


def test_silence_withdraws_no_action():
    batch = ask(Stranger(bars({})), ABOUT, "A", [span("2020-06-03", "2020-07-10")], NOW, known=True)
    assert batch.covered == (span("2020-06-03", "2020-07-10"),)
    assert batch.spoken == ()


def test_sessions_older_than_the_patience_are_settled_without_an_answer():
    batch = ask(Stranger(bars({})), ABOUT, "A", [span("2024-06-03", "2024-07-12")], NOW, known=True)
    # Of the last seven days those from the 8th on; the 5th began before NOW - 7 days.
    assert batch.covered == (span("2024-06-03", "2024-07-05"),)
    assert batch.missing == 5
    assert batch.rows.empty


def test_sessions_before_the_first_bar_are_settled():
    batch = ask(Stranger(bars({"2024-07-12": 11.0})), ABOUT, "A", [span("2024-06-03", "2024-07-12")], NOW)
    assert batch.covered == (span("2024-06-03", "2024-07-12"),)
    assert batch.missing == 0


class Generous(Stranger):
    """Gives all that it has, whatever was asked."""

    def history(self, symbol, start, end, interval="1d"):
        return History(self.rows, self.known, "USD")


def test_a_bar_that_has_not_ended_and_one_that_was_not_asked_for_are_left_out():
    source = Generous(bars({"2024-07-10": 9.0, "2024-07-11": 10.0, "2024-07-12": 11.0, "2024-07-15": 12.0}))
    early = pd.Timestamp("2024-07-12 19:59", tz="UTC")
    batch = ask(source, ABOUT, "A", [span("2024-07-11", "2024-07-11")], early)
    assert batch.rows["close"].tolist() == [10]
    assert batch.missing == 0
    # Even where the span reaches too far.
    batch = ask(source, ABOUT, "A", [span("2024-07-11", "2024-07-15")], early)
    assert batch.rows["close"].tolist() == [10]


def test_a_source_with_a_delay_has_not_answered_for_the_session_until_its_last_bar_is_there():
    starts = {"2024-07-11 19:30": 9.0, "2024-07-12 17:30": 10.0, "2024-07-12 18:30": 11.0}
    source = Stranger(bars(starts, "UTC"))
    asked = [span("2024-07-11", "2024-07-12")]
    soon = ask(source, HOURLY, "A", asked, pd.Timestamp("2024-07-12 20:05", tz="UTC"))
    assert soon.covered == (span("2024-07-11", "2024-07-11"),)
    assert (soon.missing, len(soon.rows)) == (1, 3)
    # Hours later it is the symbol that did not trade.
    late = ask(source, HOURLY, "A", asked, pd.Timestamp("2024-07-12 21:05", tz="UTC"))
    assert late.covered == tuple(asked)
    whole = Stranger(bars({**starts, "2024-07-12 19:30": 12.0}, "UTC"))
    assert ask(whole, HOURLY, "A", asked, pd.Timestamp("2024-07-12 20:05", tz="UTC")).covered == tuple(asked)


# ---------------------------------------------------------------- rows for the quarantine


def test_rows_of_no_session_go_on_with_their_label():
    rows = bars({"2024-07-11": 10.0, "2024-07-13": 11.0})
    batch = ask(Generous(rows), ABOUT, "A", [span("2024-07-11", "2024-07-12")], NOW)
    assert batch.rows["time"].isna().tolist() == [False, True]
    assert batch.rows["date"].tolist() == ["2024-07-11", "2024-07-13"]


def test_rows_without_a_date_are_part_of_it():
    rows = bars({"2024-07-11": 10.0, "2024-07-12": 11.0})
    rows.loc[0, "time"] = pd.NaT
    batch = ask(Generous(rows), ABOUT, "A", [span("2024-07-11", "2024-07-12")], NOW)
    assert batch.rows["close"].tolist() == [10, 11]


# ---------------------------------------------------------------- actions


def test_actions_come_along_or_are_asked_for():
    paid = facts(("2024-07-11", "dividend", 0.5))
    rows = bars({"2024-07-11": 10.0, "2024-07-12": 11.0})
    together, apart = Telling(rows, paid), Telling(rows, paid, together=False)
    asked = [span("2024-07-11", "2024-07-12")]
    first, second = (ask(source, ABOUT, "A", asked, NOW).actions for source in (together, apart))
    pd.testing.assert_frame_equal(first, second)
    assert first["time"].tolist() == [pd.Timestamp("2024-07-11 20:00", tz="UTC")]
    assert (first["kind"].item(), first["value"].item(), first["symbol"].item()) == ("dividend", 0.5, "A")
    assert [each[0] for each in together.asked] == ["history"]
    assert [each[0] for each in apart.asked] == ["history", "actions"]


def test_an_ex_date_that_is_no_session_counts_on_the_next():
    rows = bars({"2024-07-03": 10.0, "2024-07-05": 11.0})
    found = ask(
        Telling(rows, facts(("2024-07-04", "dividend", 1.0))), ABOUT, "A", [span("2024-07-03", "2024-07-05")], NOW
    )
    assert ends(found.actions) == ["07-05 20:00"]


@pytest.mark.parametrize(
    ("action", "value"),
    [
        (("2024-07-11", "split", 0.0), 0),
        (("2024-07-11", "dividend", "much"), np.nan),
        (("2024-07-11", "spin-off", "1"), 1),
        ((None, "dividend", 1.0), 1),
    ],
)
def test_an_action_that_can_be_none_goes_on_to_quarantine(action, value):
    batch = ask(Telling(bars({"2024-07-11": 10.0}), facts(action)), ABOUT, "A", [span("2024-07-11", "2024-07-12")], NOW)
    assert batch.actions["value"].to_numpy() == pytest.approx([value], nan_ok=True)
    assert batch.actions["time"].isna().item() == (action[0] is None)


@pytest.mark.parametrize(("day", "value"), [("2024-07-11", 0.0), ("2024-07-11", -2), ("2024-07-11", np.nan), (None, 2)])
def test_prices_adjusted_for_a_split_that_can_be_none_are_not_guessed(day, value):
    source = Telling(bars({"2024-07-11": 10.0}), facts((day, "split", value)), adjustment="splits")
    with pytest.raises(ProviderError, match=r"'stranger' tells of a split of A by .*; fetch it from another provider"):
        ask(source, ABOUT, "A", [span("2024-07-11", "2024-07-12")], NOW)


# ---------------------------------------------------------------- splits


def test_splits_are_put_back():
    # Two for one on the 10th, one for five on the 12th; one share of the 12th was 2.5 of the 9th.
    days = ["2024-07-09", "2024-07-10", "2024-07-11", "2024-07-12"]
    rows = bars(dict.fromkeys(days, 100.0))
    actions = facts(
        ("2024-07-12", "split", 0.2),
        ("2024-07-10", "split", 2.0),
        ("2024-07-09", "dividend", 1.0),
        ("2024-07-10", "dividend", 1.0),
    )
    history, told = with_splits(History(rows), actions, pd.DatetimeIndex(days))
    for field in PRICES:
        np.testing.assert_allclose(history.bars[field], [40, 20, 20, 100])
    np.testing.assert_allclose(history.bars["volume"], [1750, 3500, 3500, 700])
    np.testing.assert_allclose(told["value"], [0.2, 2.0, 0.4, 0.2])


def test_bars_without_a_day_stay_as_they_are():
    rows = bars({"2024-07-09": 100.0, "2024-07-10": 50.0})
    rows.loc[0, "time"] = pd.NaT
    history, _ = with_splits(History(rows), facts(("2024-07-10", "split", 2.0)), pd.DatetimeIndex(rows["time"]))
    assert history.bars["close"].tolist() == [100, 50]


def test_the_splits_after_a_span_are_asked_for():
    rows = bars({"2024-07-01": 5.0, "2024-07-02": 5.0})
    source = Telling(rows, facts(("2024-07-12", "split", 2.0), ("2024-07-02", "dividend", 0.5)), adjustment="splits")
    batch = ask(source, ABOUT, "A", [span("2024-07-01", "2024-07-02")], NOW)
    assert source.asked == [("history", "2024-07-01", "2024-07-02"), ("actions", "2024-07-01", "2024-07-12")]
    assert batch.rows["close"].tolist() == [10, 10]
    assert batch.rows["volume"].tolist() == [350, 350]
    # The split itself belongs to a later span, the dividend was one of 1.00 then.
    assert batch.actions[["kind", "value"]].to_numpy().tolist() == [["dividend", 1.0]]


def test_a_split_takes_place_on_the_exchanges_day():
    # Monday's session in Sydney begins on Sunday, 23:00 UTC.
    sydney = HOURLY.model_copy(update={"calendar": "XASX"})
    rows = bars({"2024-01-12 04:00": 50.0, "2024-01-14 23:00": 50.0, "2024-01-15 01:00": 50.0}, "UTC")
    source = Telling(rows, facts(("2024-01-15", "split", 2.0)), adjustment="splits")
    batch = ask(source, sydney, "A", [span("2024-01-12", "2024-01-15")], NOW)
    assert batch.rows["close"].tolist() == [100, 50, 50]


@pytest.mark.parametrize(
    ("arrive", "kept", "kind", "message"),
    [
        ("splits", "none", Stranger, "adjusts its prices for splits and does not tell which; set adjustment: splits"),
        ("all", "none", Telling, "for all, the dataset keeps them adjusted for none; set adjustment: all"),
        ("none", "splits", Telling, "for none, the dataset keeps them adjusted for splits; set adjustment: none"),
        ("all", "splits", Telling, "for all, the dataset keeps them adjusted for splits"),
    ],
)
def test_prices_that_cannot_be_brought_to_what_the_dataset_keeps_are_not_even_asked_for(arrive, kept, kind, message):
    source = kind(bars({"2024-07-01": 5.0}), adjustment=arrive)
    with pytest.raises(InputError, match=message):
        ask(source, ABOUT.model_copy(update={"adjustment": kept}), "A", [span("2024-07-01", "2024-07-02")], NOW)
    assert source.asked == []


def test_a_dataset_may_keep_prices_as_they_arrive():
    kept = ABOUT.model_copy(update={"adjustment": "splits"})
    source = Telling(bars({"2024-07-01": 5.0}), facts(("2024-07-12", "split", 2.0)), adjustment="splits")
    assert ask(source, kept, "A", [span("2024-07-01", "2024-07-01")], NOW).rows["close"].tolist() == [5]


# ---------------------------------------------------------------- rounding


def test_what_differs_by_rounding_keeps_the_known_value():
    time = pd.DatetimeIndex(["2024-07-01 20:00"], tz="UTC")
    known = bars({"2024-07-01": 100.0}).assign(symbol="A", time=time.as_unit("us"))
    new = bars({"2024-07-01": 100.0}).assign(symbol="A", time=time, close=100.00005, high=100.0002)
    settled = settle_noise(new.assign(rounding=0.0), known)
    assert settled["close"].item() == 100.0
    assert settled["high"].item() == 100.0002


def test_a_volume_in_shares_after_a_reverse_split_is_good_to_half_a_share():
    time = pd.DatetimeIndex(["2024-07-01 20:00"], tz="UTC")
    known = bars({"2024-07-01": 100.0}).assign(symbol="A", time=time, volume=1234.0)
    adjusted = bars({"2024-07-01": 1000.0}).assign(volume=123.0)
    history, _ = with_splits(History(adjusted), facts(("2024-07-02", "split", 0.1)), pd.DatetimeIndex(["2024-07-01"]))
    assert settle_noise(stamped(history, "A", ABOUT), known)["volume"].item() == 1234.0
    other = History(history.bars.assign(volume=1240.0))
    assert settle_noise(stamped(other, "A", ABOUT), known)["volume"].item() == 1240.0


def test_what_has_no_known_value_or_none_at_all_stays():
    times = pd.DatetimeIndex(["2024-07-01 20:00", "2024-07-02 20:00", None], tz="UTC")
    new = bars(dict.fromkeys(["2024-07-01", "2024-07-02", None], 1.0)).assign(symbol="A", time=times, rounding=0.0)
    known = new[:1].assign(symbol="B")
    pd.testing.assert_frame_equal(settle_noise(new, known), new)
    pd.testing.assert_frame_equal(settle_noise(new, new[:0]), new)
    gone = settle_noise(new.assign(volume=np.nan), new[:2])
    assert gone["volume"].isna().all()


def test_a_dividend_that_differs_by_rounding_keeps_the_known_value():
    # Apple's 2.65 of 2012, told as 0.094643 after the splits of 2014 and 2020: 28 times that is 2.650004.
    new = facts(("2012-08-09", "dividend", 0.094643 * 28), ("2014-06-09", "split", 7.5)).assign(symbol="A")
    known = facts(("2012-08-09", "dividend", 2.65), ("2014-06-09", "split", 7.0)).assign(symbol="A")
    assert settle_paid(new, known)["value"].tolist() == [2.65, 7.5]
    assert settle_paid(new, known[:0])["value"].tolist() == new["value"].tolist()


def test_a_question_has_days_without_a_time():
    source = Stranger(bars({"2024-07-11": 10.0}))
    seen = []
    source.history = lambda symbol, start, end, interval: seen.extend((start, end)) or History(source.rows, facts())
    ask(source, ABOUT, "A", [span("2024-07-11", "2024-07-12")], NOW)
    assert seen == [date(2024, 7, 11), date(2024, 7, 12)]
