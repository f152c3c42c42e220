"""Senders of messages, and those who raise alerts, to be killed; forked from one process that has imported everything.

As a script it reads a line of JSON for each process to fork, and answers with its id. In a test, ``Post`` holds such a
process, and what is asked of the records beside it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

FIRST = datetime(2026, 1, 5, 12, tzinfo=UTC)
CHANNELS = ("mail", "hook")
OPEN = ("gathering", "sending", "waiting")

POINTS = ("claimed", "delivered", "noted", "raised")
"""Where a process dies: with messages in hand, with one delivered and not noted, or noted, with an alert in the air."""


def clock_of(start: float, speed: float):
    """A clock that runs ``speed`` times as fast, the same in each process."""
    return lambda: FIRST + timedelta(seconds=(time.time() - start) * speed)


@dataclass(frozen=True)
class KeptRule:
    """As much of a rule as its alerts need."""

    id: str
    name: str
    policy: object

    @property
    def rule(self):
        return SimpleNamespace(condition=f"condition of {self.name}")


# ---------------------------------------------------------------- the process that forks others


def main() -> None:
    import pg8000  # noqa: F401

    from workbench.alerts import firings, sender  # noqa: F401
    from workbench.alerts.channels import apprised, webhook  # noqa: F401

    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        process = os.fork()
        if process == 0:
            _work(order)
        print(process, flush=True)


def _work(order) -> None:
    from workbench.core.database import open_database
    from workbench.core.settings import load_settings

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = 0
    try:
        settings = load_settings()
        database, clock = open_database(settings), clock_of(order["start"], order["speed"])
        {"send": _send, "fire": _fire, "hush": _hush, "burst": _burst}[order["do"]](order, settings, database, clock)
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    os._exit(code)


def _die_after(owner, name, wanted=bool):
    method = getattr(owner, name)

    def deadly(*arguments, **options):
        answer = method(*arguments, **options)
        if wanted(answer):
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(owner, name, deadly)


def _send(order, settings, database, clock) -> None:
    import threading

    from workbench.alerts import sender
    from workbench.alerts.channels.apprised import MailChannel
    from workbench.alerts.channels.webhook import WebhookChannel
    from workbench.alerts.outbox import Outbox

    # As the clock is a fast one.
    sender.TICK = 0.1
    if order["die"] == "claimed":
        _die_after(Outbox, "claim")
    elif order["die"] == "delivered":
        for kind in (MailChannel, WebhookChannel):
            _die_after(kind, "send", lambda _: True)
    elif order["die"] == "noted":
        _die_after(Outbox, "sent")
    sender.Sender(Outbox(database, clock), settings, clock, patience=order["patience"]).run(threading.Event())


def _fire(order, _settings, database, clock) -> None:
    """Raise alerts of all rules and list what was committed; who is to die does so in its third transaction."""
    from workbench.alerts.firings import Firing, raise_alerts

    rules, me, symbol = read_rules(database), os.getpid(), order["symbol"]
    committed = os.open(order["committed"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for turn in range(order["turns"]):
        with database.writing() as connection:
            now = clock()
            keys = [f"rule:{rule.id}:{symbol}:{me}-{turn}" for rule in rules]
            firings = [
                Firing(key, f"<{key}>", "fired", now, now, rule, symbol) for key, rule in zip(keys, rules, strict=True)
            ]
            raise_alerts(connection, firings, now)
            if order["die"] == "raised" and turn == 2:
                os.kill(me, signal.SIGKILL)
        os.write(committed, "".join(f"{key}\n" for key in keys).encode())
        time.sleep(order["pause"])


def _hush(order, _settings, database, clock) -> None:
    """Silence a symbol, acknowledge the newest alert, and die at once."""
    from workbench.alerts.firings import Alerts
    from workbench.alerts.silences import Silences

    alerts = Alerts(database, clock)
    Silences(database, clock).add({"symbol": order["symbol"]}, clock() + timedelta(days=30), "noise")
    alerts.acknowledge(alerts.list(most=1)[0].id, order["symbol"])
    os.kill(os.getpid(), signal.SIGKILL)


def _burst(order, _settings, database, _clock) -> None:
    """Raise many alerts within a minute, as a stream does, while a sender takes them; tell what that took."""
    import resource

    from workbench.alerts.outbox import Outbox
    from workbench.alerts.streaming import Step, Told
    from workbench.alerts.telling import write

    rules, now = read_rules(database), FIRST
    outbox, lease = Outbox(database, lambda: now), timedelta(minutes=1)
    before, began, raised = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic(), 0
    for start in range(0, order["count"], 100):
        now = FIRST + timedelta(seconds=60 * start / order["count"])
        numbers = range(start, start + 100)
        fired = [Told(rules[n % len(rules)], "sample", f"S{n}", now, 1.0, "x" * 500) for n in numbers]
        raised += write(database, Step(fired=tuple(fired)), outbox.clock, CHANNELS)
        for message in outbox.claim("burst", lease):
            outbox.sent(message)
    seconds = time.monotonic() - began
    for _ in range(30):
        now += timedelta(minutes=1)
        for message in outbox.claim("burst", lease):
            outbox.sent(message)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    told = {"raised": raised, "burst_seconds": round(seconds, 1), "peak_mb": round(grown / 1024, 1)}
    Path(order["tell"]).write_text(json.dumps(told))


def read_rules(database):
    """The rules that are kept, in their order."""
    from workbench.alerts.policy import make_policy
    from workbench.alerts.tables import RULES

    with database.reading() as connection:
        rows = connection.execute(RULES.select().order_by(RULES.c.id)).all()
    return [KeptRule(row.id, row.name, make_policy(row.policy)) for row in rows]


# ---------------------------------------------------------------- what a test holds


@dataclass
class Post:
    """A home with rules, whose alerts go to a mail server and to a webhook server."""

    settings: object
    folder: Path
    speed: float = 1.0
    patience: float = 55.0
    up: list[int] = field(default_factory=list)

    def __post_init__(self):
        from workbench.alerts.firings import Alerts
        from workbench.alerts.outbox import Outbox
        from workbench.core.database import open_database

        self.folder.mkdir(parents=True, exist_ok=True)
        self.start = time.time()
        self.clock = clock_of(self.start, self.speed)
        self.database = open_database(self.settings)
        self.outbox, self.alerts = Outbox(self.database, self.clock), Alerts(self.database, self.clock)

    def add_rules(self, count, **policy):
        from workbench.alerts.policy import make_policy
        from workbench.alerts.tables import RULES

        kept = make_policy({"channels": list(CHANNELS), **policy}).plain()
        with self.database.writing() as connection:
            for number in range(count):
                row = {"id": f"id{number}", "name": f"rule {number}", "kind": "price", "definition": {}}
                connection.execute(RULES.insert().values({**row, "policy": kept, "created": FIRST}))

    @contextmanager
    def forking(self):
        environment = {**os.environ, **self.settings.environment()}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen([sys.executable, __file__], env=environment, **pipes) as self.forks:
            try:
                assert self.forks.stdout.readline() == "ready\n"
                yield self
            finally:
                for process in self.up:
                    with suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
                self.forks.stdin.close()
                self.forks.kill()
                self.database.close()

    def fork(self, do, die="", **words):
        order = {"do": do, "die": die, "start": self.start, "speed": self.speed, "patience": self.patience, **words}
        order["committed"] = str(self.folder / "committed")
        self.forks.stdin.write(json.dumps({**order, "log": str(self.folder / "log")}) + "\n")
        self.forks.stdin.flush()
        self.up.append(int(self.forks.stdout.readline()))
        return self.up[-1]

    def wait_for_end(self, process, seconds=60.0):
        """Wait until a process has ended; return whether it has."""
        until = time.monotonic() + seconds
        while _is_up(process) and time.monotonic() < until:
            time.sleep(0.02)
        return not _is_up(process)

    def kill(self, process):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        self.up.remove(process)

    def wait_until_sent(self, seconds=30.0):
        """Wait until no message is open; return those that still are."""
        until = time.monotonic() + seconds
        while (left := self.outbox.messages(OPEN)) and time.monotonic() < until:
            time.sleep(0.2)
        return left

    def count(self, sinks):
        """What has become of each alert that was to be told, by the records and by what has come to each channel."""
        told = self._told()
        counts = Counter(alerts=len(told), alerts_lost=len(self._vanished()))
        for channel, sink in sinks.items():
            keys = Counter(each.key for each in sink.received)
            counts["alerts_repeated"] += sum(times - 1 for times in keys.values())
            words = {(each.key, each.subject, each.text) for each in sink.received}
            # As one key with other words, so the same words with another key.
            counts["repeats_with_other_key"] += len(words) - len(keys)
            for messages in told.values():
                came = [key for key in messages[channel] if key in keys]
                counts["alerts_lost"] += not came
                counts["repeats_with_other_key"] += max(0, len(came) - 1)
            counts["unknown"] += sum(not each.key.startswith("message:") for each in sink.received)
        return dict(counts)

    def _vanished(self):
        """The alerts that were committed and are not there."""
        import sqlalchemy as sa

        from workbench.alerts.tables import ALERTS

        with self.database.reading() as connection:
            kept = set(connection.execute(sa.select(ALERTS.c.key)).scalars())
        return set((self.folder / "committed").read_text().split()) - kept

    def _told(self):
        """The keys of messages by channel, of each alert that nothing holds."""
        import sqlalchemy as sa

        from workbench.alerts.tables import ALERTS, MESSAGES, TELL

        joined = sa.outerjoin(ALERTS, TELL, TELL.c.alert == ALERTS.c.id)
        joined = joined.outerjoin(MESSAGES, MESSAGES.c.id == TELL.c.message)
        wanted = sa.select(ALERTS.c.id, MESSAGES.c.channel, MESSAGES.c.key).select_from(joined)
        told = defaultdict(lambda: defaultdict(list))
        with self.database.reading() as connection:
            # What was acknowledged before it was told is told no more.
            meant = ALERTS.c.held.is_(None), sa.or_(ALERTS.c.acknowledged.is_(None), MESSAGES.c.id.is_not(None))
            for alert, channel, key in connection.execute(wanted.where(*meant)):
                told[alert][channel].append(key)
        return told

    def most_in_a_window(self, window):
        """The most messages of one topic that went to a channel within any window, each by when it went last."""
        went = defaultdict(list)
        for each in self.outbox.messages("sent", most=100_000):
            went[each.channel, each.topic].append(each.claimed)
        return max(
            sum(first <= other < first + window for other in times) for times in went.values() for first in times
        )


def _is_up(process) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


if __name__ == "__main__":
    main()
