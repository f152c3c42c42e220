"""Messages are made with their alerts or not at all, go once a window, and are repeated word for word."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from workbench.alerts.firings import Alerts, raise_alert
from workbench.alerts.outbox import Outbox, back_off
from workbench.alerts.tables import MESSAGES, RULES

MOMENT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=60)


@dataclass
class World:
    """An outbox whose clock the test moves."""

    database: object
    rule: object
    now: datetime = MOMENT
    count: int = 0

    def __post_init__(self):
        self.outbox = Outbox(self.database, lambda: self.now)
        self.alerts = Alerts(self.database, lambda: self.now)

    def fire(self, rule=None, count=1, symbol="AAPL", **options):
        """Raise alerts in one transaction."""
        with self.database.writing() as connection:
            for _ in range(count):
                self.count += 1
                source = "run" if rule is None else f"rule:{rule.id}:{symbol}"
                key, subject = f"{source}:{self.count}", f"alert {self.count}"
                assert raise_alert(
                    connection, key, subject, f"text {self.count}", self.now, rule=rule, symbol=symbol, **options
                )

    def after(self, **span):
        self.now += timedelta(**span)
        return self

    def claim(self, who="a"):
        return self.outbox.claim(who, LEASE)

    def states(self):
        return [(each.channel, each.state, each.alerts) for each in self.outbox.messages()[::-1]]


@pytest.fixture
def world(database, make_rule):
    return World(database, make_rule)


def test_an_alert_and_its_messages_are_there_together_or_not_at_all(world):
    def failing():
        with world.database.writing() as connection:
            assert raise_alert(connection, "run:1", "a run failed", "", MOMENT, usual=("lab", "mail"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert world.outbox.messages() == []
    assert world.outbox.next_due() is None
    world.fire(usual=("lab", "mail", "lab"))
    assert world.states() == [("lab", "gathering", 1), ("mail", "gathering", 1)]


def test_a_key_that_was_raised_before_makes_no_second_message(world):
    for _ in range(2):
        with world.database.writing() as connection:
            raise_alert(connection, "run:1", "a run failed", "", MOMENT)
    assert world.states() == [("lab", "gathering", 1)]


def test_a_message_says_what_its_alerts_say(world):
    world.fire(world.rule("over 600"))
    assert world.claim() == [], "others of the same moment may come"
    assert world.outbox.next_due() == MOMENT + timedelta(seconds=1)
    (message,) = world.after(seconds=1).claim()
    assert message.subject == "alert 1"
    assert message.text == "alert 1\ntext 1\nRaised 2026-01-05 12:00:00 UTC"
    assert (message.channel, message.topic, message.priority, message.alerts) == ("lab", "over 600", "normal", 1)
    assert message.tells == ("rule:id-over 600:AAPL:1",)
    assert world.outbox.sent(message)
    assert world.states() == [("lab", "sent", 1)]
    assert world.outbox.next_due() is None


def test_what_fires_within_a_window_is_one_message_and_twenty_alerts_are_named(world):
    rule = world.rule("over")
    world.fire(rule, 3)
    (first,) = world.after(seconds=1).claim()
    world.outbox.sent(first)
    for _ in range(50):
        world.after(seconds=5).fire(rule)
    assert world.states() == [("lab", "sent", 3), ("lab", "gathering", 50)]
    assert world.outbox.next_due() == first.claimed + timedelta(minutes=5)
    assert world.claim() == []
    (second,) = world.after(minutes=5).claim()
    assert second.subject == "over: 50 alerts of AAPL"
    assert "alert 4\n" in second.text
    assert "alert 23\n" in second.text
    assert "alert 24" not in second.text
    assert second.text.endswith("and 30 more")
    assert second.key != first.key


def test_rules_of_a_group_share_their_messages_and_others_do_not(world):
    for name, policy in (("a", {"group": "tech"}), ("b", {"group": "tech"}), ("c", {}), ("d", {"channels": ["mail"]})):
        world.fire(world.rule(name, **policy))
    world.fire()
    got = {(each.channel, each.topic): each.alerts for each in world.outbox.messages()}
    assert got == {("lab", "tech"): 2, ("lab", "c"): 1, ("mail", "d"): 1, ("lab", "run"): 1}


def test_a_subject_is_one_line_whatever_an_alert_is_called(world):
    with world.database.writing() as connection:
        raise_alert(connection, "run:1", "a\r\nBcc: x@example.org\x1b[31m", "b", MOMENT)
    (message,) = world.after(seconds=1).claim()
    assert message.subject == "a Bcc: x@example.org [31m"


def test_an_alert_with_a_null_byte_is_told_on_either_database(world):
    with world.database.writing() as connection:
        raise_alert(connection, "run:1", "a\x00b", "c\x00d", MOMENT)
    (message,) = world.after(seconds=1).claim()
    assert message.subject == "a\ufffdb"
    assert "c\ufffdd" in message.text


def test_a_message_has_one_sender_until_its_lease_is_over_and_the_very_same_words_after(world):
    rule = world.rule("over")
    world.fire(rule)
    (first,) = world.after(seconds=1).claim("a")
    assert world.claim("b") == []
    world.fire(rule)
    assert world.after(seconds=59).claim("b") == []
    (again,) = world.after(seconds=1).claim("b")
    assert (again.key, again.subject, again.text) == (first.key, first.subject, first.text)
    assert again.attempts == 1, "a sender that died has not been refused"
    assert not world.outbox.sent(first), "it is the other sender's by now"
    assert not world.outbox.failed(first, "no answer")
    assert world.outbox.sent(again)
    assert not world.outbox.sent(again)
    assert world.states() == [("lab", "sent", 1), ("lab", "gathering", 1)]


def test_a_message_that_cannot_be_sent_is_tried_again_later_each_time_and_given_up_after_three_days(world):
    world.fire(usual=("mail",))
    waits, world.now = [], world.now + timedelta(seconds=1)
    while True:
        (message,) = world.claim()
        assert world.outbox.failed(message, "the server is down")
        (kept,) = world.outbox.messages()
        if kept.state == "failed":
            break
        assert (kept.state, kept.error) == ("waiting", "the server is down")
        assert world.claim() == []
        waits.append((kept.not_before - world.now).total_seconds())
        world.now = kept.not_before
    assert waits[:8] == [30, 60, 120, 240, 480, 960, 1920, 3600]
    assert set(waits[8:]) == {3600}
    assert timedelta(days=3) <= world.now - MOMENT <= timedelta(days=3, hours=1)
    assert world.after(days=1).claim() == []
    assert kept.settled is not None


def test_a_refusal_for_good_is_not_tried_again_and_a_wish_to_be_left_alone_is_kept(world):
    world.fire(usual=("mail",))
    (message,) = world.after(seconds=1).claim()
    world.outbox.failed(message, "busy", 500)
    assert world.outbox.next_due() == world.now + timedelta(seconds=500)
    (message,) = world.after(seconds=500).claim()
    world.outbox.failed(message, "no such address", permanent=True)
    assert world.states() == [("mail", "failed", 1)]
    assert world.after(days=1).claim() == []


@pytest.mark.parametrize(
    ("attempts", "asked", "seconds"),
    [(1, None, 30), (2, 10, 60), (3, 500, 500), (9, None, 3600), (10_000, None, 3600), (1, 1e9, 86_400)],
)
def test_the_back_off_doubles_up_to_an_hour_and_a_channel_may_ask_for_a_day(attempts, asked, seconds):
    assert back_off(attempts, asked) == timedelta(seconds=seconds)


def test_while_a_channel_is_down_all_that_fires_gathers_in_one_message_that_follows_a_window_later(world):
    rule = world.rule("over", window="10 min", channels=["mail"])
    world.fire(rule)
    world.after(seconds=1)
    for _ in range(24):
        for message in world.claim():
            world.outbox.failed(message, "down")
        world.after(hours=1).fire(rule)
    assert world.states() == [("mail", "waiting", 1), ("mail", "gathering", 24)]
    (first,) = world.after(hours=1).claim()
    assert world.claim() == [], "one at a time, in their order"
    world.outbox.sent(first)
    assert world.after(minutes=9).claim() == [], "a window lies between them"
    (second,) = world.after(minutes=1).claim()
    assert second.alerts == 24


def test_quiet_hours_hold_back_what_is_not_urgent_and_the_urgent_takes_the_rest_along(world):
    quiet = {"quiet": "22:00-07:00", "zone": "Europe/Berlin", "group": "night"}
    normal, urgent = world.rule("a", **quiet), world.rule("b", **quiet, priority="urgent")
    world.now = datetime(2026, 1, 5, 23, 0, tzinfo=UTC)
    world.fire(normal)
    assert world.outbox.next_due() == datetime(2026, 1, 6, 6, 0, tzinfo=UTC)
    world.fire(urgent)
    (message,) = world.after(seconds=1).claim()
    assert (message.alerts, message.priority) == (2, "urgent")


def test_the_most_urgent_message_goes_first(world):
    for priority in ("low", "urgent", "normal", "high"):
        world.fire(world.rule(priority, priority=priority))
    got = [each.priority for each in world.after(seconds=1).outbox.claim("a", LEASE, most=3)]
    assert got == ["urgent", "high", "normal"]


def test_what_nobody_acknowledges_is_escalated_once(world):
    rule = world.rule("over", escalate_after="10 min", escalate_to=["mail", "chat"], group="desk")
    world.fire(rule, 2)
    (message,) = world.after(seconds=1).claim()
    world.outbox.sent(message)
    assert world.outbox.next_due() == MOMENT + timedelta(minutes=10)
    assert world.outbox.escalate() == 0
    newest = world.alerts.list()[0]
    assert world.alerts.acknowledge(newest.id, "mia") == 1
    world.after(minutes=10)
    assert world.outbox.escalate() == 1
    assert world.outbox.escalate() == 0
    told = world.after(seconds=1).claim()
    assert {each.channel for each in told} == {"mail", "chat"}
    assert {each.subject for each in told} == {"Not acknowledged: alert 1"}
    assert world.alerts.list()[1].escalated is not None


def test_an_escalation_waits_while_its_rule_is_snoozed(world):
    rule = world.rule("over", escalate_after="10 min", escalate_to=["mail"])
    world.fire(rule)
    with world.database.writing() as connection:
        connection.execute(RULES.update().values(snoozed=MOMENT + timedelta(hours=1)))
    assert world.after(minutes=11).outbox.escalate() == 0
    assert world.after(minutes=50).outbox.escalate() == 1


def test_senders_that_ask_at_once_share_the_messages_and_none_gets_one_of_anothers(world):
    rules = [world.rule(f"rule {number}") for number in range(12)]
    for rule in rules:
        world.fire(rule)
    world.after(seconds=1)
    start, got = threading.Barrier(4), []

    def send(who):
        start.wait()
        for _ in range(6):
            got.extend((who, each.key) for each in world.outbox.claim(who, LEASE, most=1))

    threads = [threading.Thread(target=send, args=(f"sender {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 12
    assert len({key for _, key in got}) == 12


def test_alerts_that_are_raised_while_senders_take_messages_are_each_told_once(world):
    rules = [world.rule(f"rule {number}", window="0 s") for number in range(3)]
    done, told = threading.Event(), []

    def fire(turn):
        # Opposite orders: two that waited for each other would never end.
        for number in range(15):
            with world.database.writing() as connection:
                for rule in rules[:: 1 if turn else -1]:
                    key = f"rule:{rule.id}:{turn}:{number}"
                    raise_alert(connection, key, key, "", world.now, rule=rule, symbol="AAPL")

    def send():
        while True:
            last = done.is_set()
            world.now += timedelta(seconds=2)
            taken = world.claim()
            for message in taken:
                assert message.alerts == len(message.tells) or message.alerts > 20
                world.outbox.sent(message)
                told.append(message.alerts)
            if last and not taken and not world.outbox.messages("gathering"):
                return

    firing = [threading.Thread(target=fire, args=(turn,)) for turn in range(2)]
    sending = threading.Thread(target=send)
    for thread in (*firing, sending):
        thread.start()
    for thread in firing:
        thread.join()
    done.set()
    sending.join()
    assert sum(told) == 2 * 15 * 3
    with world.database.reading() as connection:
        assert connection.execute(sa.select(sa.func.sum(MESSAGES.c.alerts))).scalar() == 90


def night(hour, minute=0):
    return datetime(2026, 1, 5, hour, minute, tzinfo=UTC)


MORNING = datetime(2026, 1, 6, 7, 0, tzinfo=UTC)


def test_a_message_that_nobody_has_sent_before_the_quiet_hours_waits_for_their_end(world):
    world.now = night(21, 59)
    world.fire(world.rule("a", quiet="22:00-07:00"))
    world.now = night(23)
    assert world.claim() == []
    assert world.outbox.next_due() == MORNING
    world.now = MORNING
    assert len(world.claim()) == 1


def test_a_message_that_is_tried_again_in_quiet_hours_waits_for_their_end_unless_it_is_urgent(world):
    world.now = night(21, 59)
    for name in ("normal", "urgent"):
        world.fire(world.rule(name, quiet="22:00-07:00", priority=name))
    for message in world.after(seconds=1).claim():
        world.outbox.failed(message, "down", 600)
    world.after(seconds=600)
    assert [each.topic for each in world.claim()] == ["urgent"]
    world.now = MORNING
    assert "normal" in [each.topic for each in world.claim()]


def test_what_is_put_off_by_one_that_went_late_is_not_put_into_the_quiet_hours(world):
    world.now = night(21, 50)
    rule = world.rule("a", quiet="22:00-07:00", window="5 min")
    world.fire(rule)
    (first,) = world.after(seconds=1).claim()
    world.outbox.failed(first, "down", 480)
    world.fire(rule)
    (first,) = world.after(seconds=480).claim()
    world.outbox.sent(first)
    assert world.outbox.next_due() == MORNING


def test_a_message_goes_in_the_quiet_hours_of_some_of_its_alerts_if_others_may(world):
    world.now = night(23)
    world.fire(world.rule("quiet", quiet="22:00-07:00", group="desk"))
    world.fire(world.rule("loud", group="desk"))
    assert [each.alerts for each in world.after(seconds=1).claim()] == [2]


def test_a_policy_that_cannot_be_read_keeps_no_message_from_being_noted_and_no_other_from_being_escalated(world):
    for name in ("sound", "strange"):
        world.fire(world.rule(name, escalate_after="10 min", escalate_to=["chief"]))
    messages = world.after(seconds=1).claim()
    with world.database.writing() as connection:
        strange = RULES.update().where(RULES.c.name == "strange")
        connection.execute(strange.values(policy={"of a later version": 1}))
    for name in ("sound", "strange"):
        world.fire(world.rule(f"{name} 2", group=name))
    assert [world.outbox.sent(each) for each in messages] == [True, True]
    assert world.after(minutes=10).outbox.escalate() == 1
    assert world.outbox.escalate() == 0
    with world.database.writing() as connection:
        connection.execute(strange.values(policy={"escalate_after": 600.0, "escalate_to": ["chief"]}))
    assert world.after(hours=1).outbox.escalate() == 1, "once it can be read again"


def test_messages_of_some_channels_can_be_left_to_others(world):
    world.fire(usual=("a", "b"))
    world.after(seconds=1)
    assert [each.channel for each in world.outbox.claim("x", LEASE, without=["a"])] == ["b"]
    assert [each.channel for each in world.outbox.claim("y", LEASE)] == ["a"]


def test_a_reason_of_any_length_and_with_any_bytes_in_it_is_noted(world):
    world.fire(usual=("mail",))
    (message,) = world.after(seconds=1).claim()
    assert world.outbox.failed(message, "no\x00answer \udcff" + "x" * 10_000)
    (kept,) = world.outbox.messages()
    assert kept.error.startswith("no\ufffdanswer ?xxx")
    assert len(kept.error) == 500


def test_what_is_acknowledged_before_it_is_told_is_told_no_more(world):
    rule = world.rule("quiet", channels=("mail", "lab"))
    world.fire(rule, count=3)
    first, second, third = (each.id for each in world.alerts.list()[::-1])
    world.alerts.acknowledge([first, third], "somebody")
    assert world.states() == [("mail", "gathering", 1), ("lab", "gathering", 1)]
    world.after(seconds=2)
    [mail] = [each for each in world.claim() if each.channel == "mail"]
    assert (mail.subject, mail.alerts) == ("alert 2", 1)
    # Once it is under way, its words stay.
    world.alerts.acknowledge(second, "somebody")
    assert world.outbox.sent(mail)
    world.after(hours=1).fire(rule)
    world.alerts.acknowledge([each.id for each in world.alerts.list(acknowledged=False)], "somebody")
    assert world.states()[-2:] == [("mail", "dropped", 0), ("lab", "dropped", 0)]
    assert [each for each in world.after(hours=1).claim() if each.channel == "mail"] == []
