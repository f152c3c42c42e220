"""What the outbox holds is sent, over each channel by itself, and what became of it is noted; on both databases."""

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from message_sinks import smtp_sink, webhook_sink

from workbench.alerts import sender as sending
from workbench.alerts import workers
from workbench.alerts.channels.base import Channel, DeliveryError
from workbench.alerts.firings import raise_alert
from workbench.alerts.outbox import Outbox
from workbench.alerts.sender import Sender
from workbench.core.errors import StoreError, UnknownNameError
from workbench.core.settings import load_settings

MOMENT = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
SECRET = "S3cretHushHush"


class Scripted(Channel):
    """A channel that does what the test says: raise what is given, wait for an event, or take the message."""

    def __init__(self, name, acts):
        self.name, self.acts, self.taken, self.address = name, acts, [], name

    def send(self, message):
        act = self.acts.pop(0) if self.acts else None
        if isinstance(act, threading.Event):
            act.wait(30)
        elif isinstance(act, BaseException):
            raise act
        self.taken.append(message)

    def described(self):
        return "scripted"


@dataclass
class World:
    """An outbox whose clock the test moves, and channels that do as the test says."""

    database: object
    now: datetime = MOMENT
    channels: dict = field(default_factory=dict)
    found: int = 0

    def __post_init__(self):
        self.outbox = Outbox(self.database, lambda: self.now)

    def find(self, _settings, name):
        self.found += 1
        if name not in self.channels:
            raise UnknownNameError("channel", name, self.channels)
        return self.channels[name]

    def add(self, name, *acts):
        self.channels[name] = Scripted(name, list(acts))
        return self.channels[name]

    def fire(self, *channels, topic="run", count=1):
        with self.database.writing() as connection:
            for number in range(count):
                key = f"{topic}:{self.now.timestamp()}-{number}"
                raise_alert(connection, key, "It has failed", "Look at it", self.now, usual=channels)
        self.now += timedelta(seconds=2)

    def sender(self, **options):
        return Sender(self.outbox, load_settings(), lambda: self.now, **options)

    def states(self):
        return {each.channel: each.state for each in self.outbox.messages()}

    def message(self, channel):
        return next(each for each in self.outbox.messages() if each.channel == channel)


@pytest.fixture
def world(database, home, monkeypatch):
    made = World(database)
    monkeypatch.setattr(workers, "find_channel", made.find)
    return made


@contextmanager
def running(sender):
    stop = threading.Event()
    thread = threading.Thread(target=sender.run, args=(stop,))
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(20)


def until(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def test_a_turn_sends_what_is_due_and_notes_it(world):
    a, b = world.add("a"), world.add("b")
    world.fire("a", "b", count=3)
    sender = world.sender()
    assert sender.turn() == 2
    assert sender.turn() == 0
    assert world.states() == {"a": "sent", "b": "sent"}
    assert [each.alerts for each in (*a.taken, *b.taken)] == [3, 3]
    assert sender.well is not None
    assert sender.trouble is None


def test_what_is_not_taken_is_tried_again_with_the_same_key_when_it_is_due(world):
    channel = world.add("a", DeliveryError("channel 'a' answered 503", retry_after=600))
    world.fire("a")
    sender = world.sender()
    assert sender.turn() == 0
    message = world.message("a")
    assert (message.state, message.error) == ("waiting", "channel 'a' answered 503; it is tried again later")
    assert message.not_before == world.now + timedelta(seconds=600)
    assert sender.turn() == 0
    world.now += timedelta(seconds=601)
    assert sender.turn() == 1
    assert channel.taken[0].key == message.key
    assert channel.taken[0].text == message.text


def test_what_will_never_be_taken_has_failed_and_says_why(world):
    world.add("a", DeliveryError("channel 'a' answered 400", permanent=True))
    world.fire("a")
    world.sender().turn()
    message = world.message("a")
    assert (message.state, message.error) == ("failed", "channel 'a' answered 400; it is not tried again")


def test_a_channel_that_is_gone_is_told_and_found_again_once_it_is_back(world):
    world.fire("gone")
    sender = world.sender()
    sender.turn()
    assert world.message("gone").state == "waiting"
    assert world.message("gone").error.startswith("unknown channel 'gone'")
    world.add("gone")
    world.now += timedelta(minutes=1)
    assert sender.turn() == 1


def test_a_fault_of_a_strangers_channel_shows_nothing_of_what_it_says(world, caplog):
    world.add("a", ValueError(f"pager://{SECRET}"), SystemExit(SECRET))
    world.fire("a")
    sender = world.sender(patience=0.3)
    sender.turn()
    assert world.message("a").error == "channel 'a' has a fault (ValueError); it is tried again later"
    assert SECRET not in caplog.text


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_channel_that_ends_its_thread_does_not_end_the_others(world):
    world.add("a", SystemExit())
    world.add("b")
    world.fire("a", "b")
    sender = world.sender(patience=0.3)
    with running(sender):
        assert until(lambda: world.states() == {"a": "waiting", "b": "sent"})


def test_a_hanging_channel_holds_up_nobody_else(world):
    over = threading.Event()
    hanging, quick = world.add("hanging", over), world.add("quick")
    sender = world.sender(patience=0.5)
    try:
        with running(sender):
            world.fire("hanging", "quick", topic="one")
            assert until(lambda: len(quick.taken) == 1)
            world.fire("quick", topic="two")
            assert until(lambda: len(quick.taken) == 2)
            assert until(lambda: world.message("hanging").state == "waiting")
            assert "did not answer within 0.5 seconds" in world.message("hanging").error
            # The next one has a worker of its own, though the first is not back yet.
            world.fire("hanging", topic="three")
            assert until(lambda: len(hanging.taken) == 1)
    finally:
        over.set()


def test_a_channel_that_hangs_for_ever_does_not_gather_threads(world):
    over = threading.Event()
    world.add("hanging", *[over] * 20)
    sender = world.sender(patience=0.05)
    try:
        for number in range(8):
            world.fire("hanging", topic=f"t{number}")
            sender.turn()
        waiting = [each for each in threading.enumerate() if each.name == "alert channel hanging"]
        assert len(waiting) == sending.HANGING
        assert world.outbox.messages("waiting")
        assert not world.outbox.messages("sending")
    finally:
        over.set()


def test_what_a_hanging_channel_takes_after_all_is_not_sent_again(world):
    over = threading.Event()
    channel = world.add("slow", over)
    world.fire("slow")
    sender = world.sender(patience=0.2)
    assert sender.turn() == 0
    over.set()
    assert until(lambda: len(channel.taken) == 1)
    assert world.message("slow").state == "waiting"
    world.now += timedelta(minutes=2)
    assert sender.turn() == 1
    assert len(channel.taken) == 1
    assert world.message("slow").state == "sent"


def test_a_sender_stops_within_two_seconds_even_while_a_channel_hangs(world):
    over = threading.Event()
    world.add("hanging", over)
    world.fire("hanging")
    stop = threading.Event()
    thread = threading.Thread(target=world.sender().run, args=(stop,))
    thread.start()
    assert until(lambda: world.message("hanging").state == "sending")
    began = time.monotonic()
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
    assert time.monotonic() - began < 2 + 3
    over.set()


def test_what_was_begun_when_a_sender_stops_is_still_noted(world):
    slow = threading.Event()
    channel = world.add("slow", slow)
    world.fire("slow")
    sender = world.sender()
    with running(sender):
        assert until(lambda: not channel.acts)
        threading.Timer(0.3, slow.set).start()
    assert until(lambda: world.message("slow").state == "sent")


def test_a_lease_is_longer_than_the_longest_time_a_channel_may_take(world):
    assert sending.PATIENCE > sending.TIME_OUT
    for patience in (0.1, sending.PATIENCE, 300.0):
        assert world.sender(patience=patience).lease > timedelta(seconds=patience)


def test_a_message_whose_lease_is_nearly_over_is_left_to_whoever_claims_it_next(world):
    over = threading.Event()
    channel = world.add("a", over)
    sender = world.sender(patience=1.0)
    world.fire("a", topic="one")
    world.fire("a", topic="two")
    sender.lease = timedelta(seconds=1.3)
    threading.Timer(0.6, over.set).start()
    assert sender.turn() == 1
    assert sorted(each.state for each in world.outbox.messages()) == ["sending", "sent"]
    world.now += timedelta(seconds=2)
    assert sender.turn() == 1
    assert len(channel.taken) == 2


def test_records_that_cannot_be_reached_are_told_and_waited_for(world, monkeypatch, caplog):
    channel, down = world.add("a"), threading.Event()
    claim, sent = world.outbox.claim, world.outbox.sent

    def unless_down(ask):
        def asked(*given, **options):
            if down.is_set():
                raise StoreError("PostgreSQL database 'd' at h:5432 cannot be reached; start it")
            return ask(*given, **options)

        return asked

    monkeypatch.setattr(world.outbox, "claim", unless_down(claim))
    monkeypatch.setattr(world.outbox, "sent", unless_down(sent))
    monkeypatch.setattr(sending, "TICK", 0.02)
    down.set()
    sender = world.sender()
    with caplog.at_level(logging.INFO), running(sender) as thread:
        assert until(lambda: sender.trouble is not None)
        assert "cannot be reached" in sender.trouble
        down.clear()
        world.fire("a")
        assert until(lambda: world.states() == {"a": "sent"})
        assert until(lambda: sender.trouble is None)
        assert thread.is_alive()
    said = [record.getMessage() for record in caplog.records if record.name == sending.__name__]
    assert said[0].startswith("messages cannot be sent now, it is tried again: PostgreSQL database")
    assert said[1:] == ["messages can be sent again"]
    assert len(channel.taken) == 1


def test_what_was_sent_while_the_records_are_away_is_noted_later_and_not_sent_twice(world, monkeypatch):
    channel, sent, tries = world.add("a"), world.outbox.sent, []

    def late(message):
        tries.append(message)
        if len(tries) < 4:
            raise StoreError("the records are locked; wait")
        return sent(message)

    monkeypatch.setattr(world.outbox, "sent", late)
    world.fire("a")
    assert world.sender().turn() == 1
    assert len(channel.taken) == 1
    assert len(tries) == 4


def test_even_an_error_that_nobody_thought_of_does_not_end_a_sender(world, monkeypatch):
    world.add("a")
    faults = [ZeroDivisionError("what"), RuntimeError("ever")]
    escalate = world.outbox.escalate

    def shaky():
        if faults:
            raise faults.pop()
        return escalate()

    monkeypatch.setattr(world.outbox, "escalate", shaky)
    world.fire("a")
    sender = world.sender()
    assert sender.turn() + sender.turn() + sender.turn() == 1


def test_many_messages_go_by_one_worker_for_each_channel(world):
    for name in "abc":
        world.add(name)
    for topic in range(20):
        world.fire("a", "b", "c", topic=f"t{topic}")
    sender = world.sender()
    threads = threading.active_count()
    assert sender.turn() == 60
    assert until(lambda: threading.active_count() <= threads)
    assert {each.state for each in world.outbox.messages()} == {"sent"}


def test_two_senders_send_nothing_twice(world):
    channel = world.add("a")
    for topic in range(30):
        world.fire("a", topic=f"t{topic}")
    both = [threading.Thread(target=world.sender().turn) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(30)
    assert len(channel.taken) == len({each.key for each in channel.taken}) == 30


def test_messages_reach_a_real_mail_server_and_a_real_webhook(database, tmp_path):
    now = MOMENT
    outbox = Outbox(database, lambda: now)
    with smtp_sink() as post, webhook_sink(fail=1.0) as hook:
        settings = load_settings(
            home=tmp_path, channels={"post": post.url, "hook": hook.url}, alert_hosts=("127.0.0.1",)
        )
        with database.writing() as connection:
            raise_alert(connection, "run:1", "It has failed", "Look", now, usual=("lab", "post", "hook"))
        sender = Sender(outbox, settings, lambda: now)
        now += timedelta(seconds=2)
        assert sender.turn() == 2
        hook.fail = 0.0
        now += timedelta(minutes=2)
        assert sender.turn() == 1
        assert {each.channel: each.state for each in outbox.messages()} == dict.fromkeys(
            ["lab", "post", "hook"], "sent"
        )
        assert (len(post.received), len(hook.received), hook.refused) == (1, 1, 1)
        keys = {each.channel: each.key for each in outbox.messages()}
        assert (post.received[0].key, hook.received[0].key) == (keys["post"], keys["hook"])


def test_what_was_sent_while_the_records_were_away_for_longer_than_a_lease_is_not_sent_twice(world, monkeypatch):
    channel, sent, away = world.add("a"), world.outbox.sent, True

    def unless_away(message):
        if away:
            raise StoreError("the records cannot be reached")
        return sent(message)

    monkeypatch.setattr(world.outbox, "sent", unless_away)
    world.fire("a")
    sender = world.sender(patience=0.1)
    sender.lease = timedelta(seconds=0.5)
    assert sender.turn() == 0
    away, world.now = False, world.now + timedelta(minutes=10)
    assert sender.turn() == 1
    assert len(channel.taken) == 1
    assert world.states() == {"a": "sent"}


def test_a_sender_that_was_stopped_while_it_claimed_does_not_send_what_another_may_have(world, monkeypatch):
    channel, claim = world.add("a"), world.outbox.claim

    def slowly(*given, **options):
        messages = claim(*given, **options)
        time.sleep(0.5)
        return messages

    monkeypatch.setattr(world.outbox, "claim", slowly)
    world.fire("a")
    sender = world.sender(patience=0.1)
    sender.lease = timedelta(seconds=0.5)
    assert sender.turn() == 0
    assert channel.taken == []


def test_a_sender_whose_machine_slept_does_not_send_what_another_may_have(world, monkeypatch):
    channel, claim = world.add("a"), world.outbox.claim

    def asleep(*given, **options):
        messages = claim(*given, **options)
        # The clock goes on meanwhile, the stopwatch does not.
        world.now += timedelta(minutes=5) if messages else timedelta(0)
        return messages

    monkeypatch.setattr(world.outbox, "claim", asleep)
    world.fire("a")
    sender = world.sender()
    assert sender.turn() == 0
    assert channel.taken == []
    monkeypatch.setattr(world.outbox, "claim", claim)
    assert sender.turn() == 1


def test_a_slow_channel_does_not_gather_messages_in_memory_and_holds_up_no_other(world, monkeypatch):
    over = threading.Event()
    slow, quick = world.add("slow", over), world.add("quick")
    monkeypatch.setattr(workers, "FULL", 5)
    monkeypatch.setattr(sending, "MOST", 3)
    for number in range(20):
        world.fire("slow", topic=f"t{number}")
    sender = world.sender()
    with running(sender):
        assert until(lambda: [each.state for each in world.outbox.messages()].count("sending") >= 6)
        world.fire("quick")
        assert until(lambda: len(quick.taken) == 1)
        assert [each.state for each in world.outbox.messages()].count("gathering") >= 20 - 5 - 3 - 1
        over.set()
        assert until(lambda: len(slow.taken) == 20)
