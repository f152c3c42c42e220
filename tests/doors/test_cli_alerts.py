"""``workbench alerts``: rules are kept or refused, rehearsed, told over a real webhook, seen, silenced and removed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep

import pytest
from message_sinks import webhook_sink

import workbench as wb

UNDER = ("price", "-S", "AAPL", "-p", "when", "below", "-p", "level", "450")
"""Apple closed at 430.47 on the sample's last day: this holds."""

NO_SERVICE = "no service is up; start one: workbench alerts serve (JupyterLab brings one along)\n"

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A home that has loaded the sample, for commands that keep nothing."""
    return tmp_path_factory.mktemp("loaded")


@pytest.fixture
def hook(monkeypatch):
    """A webhook server on this machine, as the channel ``desk``."""
    with webhook_sink() as sink:
        monkeypatch.setenv("WORKBENCH_CHANNELS__DESK", f"{sink.url}?token=s3cret")
        monkeypatch.setenv("WORKBENCH_ALERT_HOSTS", '["127.0.0.1"]')
        yield sink


def test_a_rule_is_added_listed_snoozed_and_removed(command, found):
    policy = ("--priority", "high", "--cool-down", "1 h", "--quiet", "22:00-07:00", "--zone", "Europe/Berlin")
    [added] = found("alerts", "add", "under 450", *UNDER, *policy, "--window", "10 min")
    assert (added["kind"], added["condition"]) == ("price", "close below 450")
    assert added["definition"]["symbols"] == ["AAPL"]
    assert (added["policy"]["priority"], added["policy"]["window"], added["policy"]["zone"]) == (
        "high",
        600.0,
        "Europe/Berlin",
    )
    assert found("alerts", "list") == [added]
    assert "close below 450" in command("alerts", "list")[1]
    [snoozed] = found("alerts", "snooze", "under 450", "2 h")
    ends = datetime.fromisoformat(snoozed["snoozed"]) - datetime.now(UTC)
    assert timedelta(minutes=119) < ends <= timedelta(hours=2)
    assert f"{datetime.fromisoformat(snoozed['snoozed']):%Y-%m-%d %H:%M} UTC" in command("alerts", "list")[1]
    assert found("alerts", "snooze", "under 450", "off")[0]["snoozed"] is None
    assert command("alerts", "remove", "under 450")[1] == "removed under 450: AAPL: close below 450\n"
    assert command("alerts", "list")[:2] == (0, "no rules\n")


def test_where_no_service_is_up_it_is_said_and_only_to_people(command, found):
    assert command("alerts", "list") == (0, "no rules\n", "")
    assert command("alerts", "messages") == (0, "no messages\n", "")
    assert command("alerts", "add", "under 450", *UNDER)[2] == NO_SERVICE
    assert command("alerts", "list")[2] == NO_SERVICE
    found("alerts", "add", "under 440", *UNDER)
    wb.open().evaluate_rules()
    assert command("alerts", "messages")[2] == NO_SERVICE
    with wb.open().alert_services.present():
        deadline = monotonic() + 30
        while not wb.open().alert_services.served():
            assert monotonic() < deadline
            sleep(0.01)
        for words in (("list",), ("messages",), ("add", "under 430.5", *UNDER)):
            assert command("alerts", *words)[2] == ""
    assert command("alerts", "list")[2] == NO_SERVICE


def test_a_rule_on_runs_is_told_without_symbols(command):
    assert command("alerts", "add", "reports", "run")[1] == "added reports: run failed or not done within 1 h\n"


def test_parameters_are_json_where_they_are_json(found):
    parts = [
        {"kind": "price", "when": "above", "level": 400},
        {"kind": "indicator", "indicator": "rsi", "when": "below", "level": 70},
    ]
    [both] = found("alerts", "add", "both", "all", "-S", "AAPL", "-S", "IBM", "-p", "parts", json.dumps(parts))
    assert both["definition"]["symbols"] == ["AAPL", "IBM"]
    assert [each["kind"] for each in both["definition"]["parts"]] == ["price", "indicator"]
    [move] = found("alerts", "add", "week", "move", "-S", "IBM", "-P", '{"percent": 4}', "-p", "window", "5")
    assert (move["definition"]["window"], move["policy"]) == (5, {})


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("prise", "-S", "AAPL"), "unknown kind of alert rule 'prise'; nearest known: price"),
        (("price", "-S", "APPL", "-p", "when", "above", "-p", "level", "3"), "unknown symbol 'APPL'"),
        (("price", "-p", "when", "above", "-p", "level", "3"), "needs symbols"),
        ((*UNDER, "--dataset", "nowhere"), "'nowhere'"),
        ((*UNDER, "--channel", "pigeon"), "unknown channel 'pigeon'"),
        ((*UNDER, "--escalate-after", "1 h", "--escalate-to", "pigeon"), "unknown channel 'pigeon'"),
        ((*UNDER, "--channel", "inside"), "private network"),
        ((*UNDER, "--channel", "inside"), "alert_hosts"),
        (("price", "-S", "AAPL", "-p", "when", "above", "-p", "level", "__import__('os').getcwd()"), "level="),
        (
            ("indicator", "-S", "AAPL", "-p", "indicator", "close - open", "-p", "when", "above", "-p", "level", "3"),
            "close - open",
        ),
        (("signal", "-S", "AAPL", "-p", "strategy", "lambda bars: 1"), "unknown strategy"),
        ((*UNDER, "-p", "import os", "1"), "import os=1"),
        ((*UNDER, "-p", "window", "5"), "'window' says how a rule is told, not what it watches; write --window"),
        (("run", "-S", "AAPL"), "takes no symbols"),
        ((*UNDER, "-p", "self", "1"), "self=1"),
        ((*UNDER, "-p", "policy", "1"), "'policy' is given by"),
        ((*UNDER, "-p", "symbols", '["IBM"]'), "'symbols' is given by --symbol"),
        ((*UNDER, "-P", "[1]"), "-P must be a JSON object"),
        ((*UNDER, "--zone", "Mars"), "zone='Mars'"),
        ((*UNDER, "--quiet", "at night"), "quiet='at night'"),
        ((*UNDER, "--expires", "2013-03-01"), "has passed"),
        ((*UNDER, "--window", "a bit"), "window='a bit'"),
        ((*UNDER, "--priority", "now"), "priority='now'"),
        ((*UNDER, "--release", "-1"), "release=-1"),
    ],
)
def test_what_could_not_work_is_refused_in_one_sentence(command, monkeypatch, loaded, words, text):
    monkeypatch.setenv("WORKBENCH_HOME", str(loaded))
    monkeypatch.setenv("WORKBENCH_CHANNELS__INSIDE", "https://10.1.2.3/s3cret")
    code, out, error = command("alerts", "add", "mine", *words)
    assert (code, out, len(error.splitlines())) == (2, "", 1)
    assert text in error
    assert "s3cret" not in error
    assert command("alerts", "list")[1] == "no rules\n"


def test_names_that_are_not_there_are_told(command, monkeypatch, loaded):
    monkeypatch.setenv("WORKBENCH_HOME", str(loaded))
    for words in (
        ("snooze", "nix", "2 h"),
        ("remove", "nix"),
        ("rehearse", "nix"),
        ("test", "nix"),
        ("silence", "1 h", "--rule", "nix"),
    ):
        code, _, error = command("alerts", *words)
        assert (code, len(error.splitlines())) == (2, 1)
        assert "'nix'" in error


def test_a_rule_is_rehearsed_before_and_after_it_is_kept(command, found):
    move = ("-S", "AAPL", "-p", "percent", "5", "--cool-down", "5 days")
    span = ("--start", "2012-01-01", "--end", "2012-12-31")
    done = found("alerts", "rehearse", "move", *move, *span)
    close = wb.open().bars("AAPL", "2011-12-01", "2012-12-31")["close"].to_pandas()["AAPL"]
    moved = close.pct_change().abs()["2012-01-01":] >= 0.05
    begins = moved & ~moved.shift(1, fill_value=False)
    assert [each["time"][:10] for each in done["firings"]] == [
        f"{day:%Y-%m-%d}" for day in close.index[-len(moved) :][begins]
    ]
    assert len(done["messages"]) == sum(done["monthly"].values()) == sum(each["told"] for each in done["firings"])
    assert found("alerts", "list") == []
    found("alerts", "add", "leaps", "move", *move)
    kept = found("alerts", "rehearse", "leaps", *span)
    assert (kept["firings"], kept["monthly"]) == (done["firings"], done["monthly"])
    text = command("alerts", "rehearse", "leaps", *span)[1]
    assert "2012-01-25" in text
    assert "2012-01  █ 1" in text


def test_the_messages_of_a_long_rehearsal_are_told_by_the_year(command):
    said = command("alerts", "rehearse", "move", "-S", "AAPL", "-p", "percent", "5")[1].splitlines()
    counts = [line.split()[::2] for line in said if "█" in line or (line[:4].isdigit() and len(line.split()) == 2)]
    assert [year for year, _ in counts] == [str(year) for year in range(2000, 2014)]
    short = command("alerts", "rehearse", "move", "-S", "AAPL", "-p", "percent", "5", "--start", "2012")[1]
    assert "2012-01  █ 1" in short.splitlines()
    assert "2012-02   0" in short.splitlines()


def test_a_rehearsal_without_a_firing_says_so_once(command):
    words = ("price", "-S", "AAPL", "-p", "when", "above", "-p", "level", "600")
    code, out, _ = command("alerts", "rehearse", *words, "--start", "2012-06-01", "--end", "2012-07-01")
    assert (code, len(out.splitlines())) == (0, 1)
    assert out.count("the nearest was AAPL on 2012-06-19") == out.count("587.41 USD") == 1


def test_what_is_rehearsed_may_be_called_as_a_kind_is_and_what_it_is_not_is_told(command, found):
    found("alerts", "add", "price", *UNDER)
    found("alerts", "add", "under 450", *UNDER)
    assert found("alerts", "rehearse", "price", "--start", "2013")["rule"]["name"] == "price"
    over = ("price", "-S", "AAPL", "-p", "when", "above", "-p", "level", "600")
    assert found("alerts", "rehearse", *over, "--start", "2013")["rule"]["condition"] == "close above 600"
    for words, text in (
        (("under 450", "--release", "3"), "rule 'under 450' has its values"),
        (("prise", "-S", "AAPL"), "unknown kind of alert rule 'prise'"),
        (("volume",), "needs symbols"),
        (("run",), "looks at no bars"),
        (("nix",), "unknown alert rule 'nix'"),
    ):
        code, _, error = command("alerts", "rehearse", *words)
        assert (code, len(error.splitlines())) == (2, 1), words
        assert text in error


def test_a_channel_is_tried_out_for_real_and_shows_no_address(command, found, hook):
    listed = {each["channel"]: each for each in found("alerts", "channels")}
    assert (listed.keys(), listed["lab"]["usual"]) == ({"lab", "desk"}, True)
    sent = found("alerts", "test", "desk")
    [got] = hook.received
    assert (got.key, got.subject) == (sent["key"], "Test of the channel desk")
    assert command("alerts", "test", "lab")[0] == 0
    hook.fail = 1.0
    code, out, error = command("alerts", "test", "desk")
    assert (code, out, len(error.splitlines())) == (1, "", 1)
    assert "503" in error
    assert "s3cret" not in json.dumps(listed) + json.dumps(sent) + error + command("alerts", "channels")[1]


def test_alerts_are_listed_acknowledged_and_silenced(command, found):
    found("alerts", "add", "under 450", *UNDER)
    found("alerts", "add", "move", "move", "-S", "AAPL", "-S", "IBM", "-p", "percent", "0.01")
    assert command("alerts", "history")[:2] == (0, "no alerts\n")
    silenced = command("alerts", "silence", "2 h", "--symbol", "IBM", "--reason", "too loud")[1]
    assert "symbol IBM" in silenced
    wb.open().evaluate_rules()
    alerts = found("alerts", "history")
    assert {each["symbol"] for each in alerts} == {"AAPL", "IBM"}
    assert [each["held"] for each in found("alerts", "history", "--symbol", "IBM")] == ["silenced"]
    [under] = found("alerts", "history", "--rule", "under 450")
    assert command("alerts", "ack", under["id"], "--by", "Ada")[1] == "acknowledged 1\n"
    assert "known to Ada" in command("alerts", "history")[1]
    assert len(found("alerts", "history", "--open")) == len(alerts) - 1
    assert sum(each["alerts"] for each in found("alerts", "messages", "--state", "gathering")) == 1
    assert found("alerts", "ack", "--all") == {"acknowledged": len(alerts) - 1}
    assert ", not told: silenced" in command("alerts", "history", "--symbol", "IBM")[1]
    assert found("alerts", "history", "--open") == []
    [silence] = found("alerts", "silence")
    assert found("alerts", "silence", "--end", silence["id"][:8]) == []
    assert command("alerts", "ack")[0] == command("alerts", "silence", "--symbol", "IBM")[0] == 2
    # What a person silenced was noted, and no message was made of it.
    assert "rule move" in command("alerts", "silence", "1 h", "--rule", "move")[1]
    # Of what was acknowledged before it was told, there is nothing to tell any more.
    messages = found("alerts", "messages")
    assert [(each["state"], each["alerts"]) for each in messages] == [("dropped", 0)] * 2
    assert {each["channel"] for each in messages} == {"lab"}


def test_the_service_evaluates_sends_and_ends_with_its_parent(found, hook):
    found("alerts", "add", "under 450", *UNDER, "--channel", "desk")
    words = [sys.executable, "-m", "workbench", "alerts", "serve", "--every", "1 s", "--until-parent"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, env=os.environ.copy()) as process:
        [got] = hook.wait(1, 60)
        assert wb.open().alert_services.served()
        process.stdin.close()
        assert process.wait(30) == 0
    assert not wb.open().alert_services.served()
    assert got.subject == "AAPL: close below 450"
    assert "430.47 USD" in got.text
    [message] = found("alerts", "messages")
    assert (message["state"], message["channel"], message["attempts"]) == ("sent", "desk", 1)
    assert len(found("alerts", "history")) == len(hook.received) == 1


def test_the_service_says_that_it_serves_and_ends_at_a_signal(home):
    words = [sys.executable, "-m", "workbench", "alerts", "serve"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=os.environ.copy()) as process:
        first = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, 130)
    assert first == f"watching the alert rules of {wb.open().settings.home}; Ctrl-C ends it\n"


def test_a_channel_that_is_down_is_told_with_its_message(command, found, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("WORKBENCH_CHANNELS__DESK", f"http://127.0.0.1:{port}/s3cret")
    monkeypatch.setenv("WORKBENCH_ALERT_HOSTS", '["127.0.0.1"]')
    code, _, error = command("alerts", "test", "desk")
    assert (code, len(error.splitlines())) == (1, 1)
    assert error.endswith("; mend that and test it again\n")
    assert "s3cret" not in error
    assert str(port) not in error


@pytest.mark.parametrize(
    "words", [("--every", "soon"), ("--every", "0 s"), ("--stream", "nix"), ("--stream", "replay", "--every", "-1 s")]
)
def test_a_service_that_could_not_serve_says_why(command, monkeypatch, loaded, words):
    monkeypatch.setenv("WORKBENCH_HOME", str(loaded))
    code, _, error = command("alerts", "serve", *words)
    assert (code, error.count("Error:")) == (2, 1)
    assert words[-1] in error
