"""Senders killed around each delivery, to servers that refuse a third: no alert is lost, a repeat has the same key."""

from __future__ import annotations

import json
import random
import time
from contextlib import contextmanager
from datetime import timedelta

import pytest
from killed_sender import CHANNELS, POINTS, Post
from message_sinks import smtp_sink, webhook_sink

from workbench.core.settings import load_settings

# A lease, 120 s, is over in 2 s, and the first back-off, 30 s, in 0.5 s.
SPEED = 60.0
WINDOW = timedelta(seconds=30)
FAIL = 0.3


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request):
    if request.param == "postgresql":
        return request.getfixturevalue("postgres_server").create_database(f"d{time.monotonic_ns()}")
    return None


@contextmanager
def post_to_sinks(tmp_path, address, seed, **options):
    with smtp_sink(FAIL, seed) as mail, webhook_sink(FAIL, seed + 1) as hook:
        sinks = dict(zip(CHANNELS, (mail, hook), strict=True))
        channels = {name: sink.url for name, sink in sinks.items()}
        values = {"channels": channels, "alert_hosts": ["127.0.0.1"], "database_url": address}
        with Post(load_settings(home=tmp_path / "home", **values), tmp_path / "beside", **options).forking() as post:
            yield post, sinks


def kill_around_the_send(tmp_path, address, kills, seed):
    """Kill senders and those who raise alerts, at each place in turn; return what has become of the alerts."""
    choose, deaths = random.Random(seed), dict.fromkeys(POINTS, 0)
    with post_to_sinks(tmp_path, address, seed, speed=SPEED) as (post, sinks):
        post.add_rules(4, window=WINDOW.total_seconds())
        firing = post.fork("fire", symbol="AAPL", turns=1_000_000, pause=0.3)
        time.sleep(0.5)
        hushed = hush(post, "IBM", "MSFT")
        for turn in range(kills):
            die = POINTS[turn % len(POINTS)]
            words = {"symbol": "IBM", "turns": 3, "pause": 0} if die == "raised" else {}
            victim = post.fork("fire" if die == "raised" else "send", die, **words)
            # Some are killed wherever they are just then.
            ended = post.wait_for_end(victim, choose.uniform(0.2, 1.0) if turn % 10 == 9 else 20)
            deaths[die] += ended
            post.kill(victim)
        post.kill(firing)
        others = [post.fork("send") for _ in range(2)]
        left = post.wait_until_sent()
        assert not left, f"at {post.clock()}: " + ", ".join(
            f"{each.channel} {each.state} {each.attempts} {each.not_before} {each.error}" for each in left
        )
        assert all(not post.wait_for_end(each, 0) for each in others)
        counts = {"kills": kills, **post.count(sinks), "messages_per_group_and_window": post.most_in_a_window(WINDOW)}
        silent = [each for each in post.alerts.list(symbol="IBM", most=10_000) if each.held != "silenced"]
        known = {each.acknowledged_by for each in post.alerts.list(acknowledged=True)}
        counts["silences_lost"], counts["acknowledgements_lost"] = len(silent), len(hushed - known)
        counts["refused"] = sum(sink.refused for sink in sinks.values())
        return counts, deaths


def hush(post, *symbols):
    """Have processes silence a symbol and acknowledge an alert each, and die at once."""
    while len(post.alerts.list()) < len(symbols):
        time.sleep(0.05)
    for symbol in symbols:
        process = post.fork("hush", symbol=symbol)
        assert post.wait_for_end(process)
        post.kill(process)
        time.sleep(0.4)
    return set(symbols)


def assert_each_arrived_once(counts):
    wrong = ("alerts_lost", "repeats_with_other_key", "silences_lost", "acknowledgements_lost", "unknown")
    assert {name: counts[name] for name in wrong} == dict.fromkeys(wrong, 0), counts
    assert counts["alerts_repeated"] <= counts["kills"], counts
    assert counts["messages_per_group_and_window"] == 1, counts
    assert counts["refused"] > 0, counts


def test_no_alert_is_lost_and_a_repeat_has_the_same_key_however_senders_are_killed(tmp_path, address):
    counts, deaths = kill_around_the_send(tmp_path, address, 10, seed=7)
    assert_each_arrived_once(counts)
    assert min(deaths.values()) >= 1, deaths
    assert counts["alerts"] >= 20


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_kills_around_the_send_lose_no_alert(tmp_path, address, figures):
    counts, deaths = kill_around_the_send(tmp_path, address, 100, seed=time.time_ns() % 1_000_000)
    figures.add(**counts)
    assert_each_arrived_once(counts)
    assert min(deaths.values()) >= 20, deaths
    assert counts["alerts"] >= 200


def burst(tmp_path, address, count):
    """Raise alerts of three groups within a minute; return what they took and made."""
    with post_to_sinks(tmp_path, address, 0) as (post, _):
        post.add_rules(3, window=300)
        tell = tmp_path / "burst.json"
        assert post.wait_for_end(post.fork("burst", count=count, tell=str(tell)), 600)
        assert tell.exists(), (post.folder / "log").read_text()[-2000:]
        sent = post.outbox.messages("sent", most=1000)
        told = sum(each.alerts for each in sent)
        window = post.most_in_a_window(timedelta(minutes=5))
        longest = max(len(each.text) for each in sent)
        return {"told": told, "messages": len(sent), "messages_per_group_and_window": window, "longest": longest} | (
            json.loads(tell.read_text())
        )


def assert_few_messages(found, count):
    assert found["raised"] == count, found
    assert found["told"] == count * len(CHANNELS), found
    # Three rules, two channels: one message of the first second, and one a window later of all the others.
    assert found["messages"] == 3 * 2 * 2, found
    assert found["messages_per_group_and_window"] == 1, found
    assert found["longest"] < 20_000, found
    assert found["peak_mb"] < 64, found


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_five_hundred_firings_in_a_minute_make_two_messages_for_each_rule_and_channel(tmp_path, address):
    assert_few_messages(burst(tmp_path, address, 500), 500)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ten_thousand_firings_in_a_minute_stay_small_in_memory(tmp_path, address, figures):
    found = burst(tmp_path, address, 10_000)
    names = ("burst_seconds", "peak_mb", "messages_per_group_and_window")
    figures.add(**{name: found[name] for name in names})
    assert_few_messages(found, 10_000)
