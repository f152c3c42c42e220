"""The delivering side of a workbench: channels, messages, rules on streams, and the service that tells."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, get_args
from uuid import uuid4

from workbench.bench.running import Running
from workbench.bench.watching import Watching
from workbench.core.calendar import instant
from workbench.core.errors import DateRangeError, FailureError, ParameterError, UnknownNameError
from workbench.core.known import limit
from workbench.core.spans import read_span

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd
    import xarray as xr

    from workbench.alerts.evaluate import NamedRule
    from workbench.alerts.messages import Message
    from workbench.alerts.monitor import Monitor
    from workbench.alerts.outbox import Outbox
    from workbench.alerts.rules import AlertRule
    from workbench.alerts.runs import RunFact
    from workbench.core.market import Adjustment
    from workbench.data.live.feed import Feed
    from workbench.jobs.records import ScheduleRecord

_LOG = logging.getLogger(__name__)

RUNS_SINCE = timedelta(days=7)
"""How old a run may be that a rule still looks at."""

LOOKBACK = 5
"""At how many of the last bars a service looks: of what it did not look at in time, nothing is missed."""


class Delivering(Watching, Running):
    """Where alerts go, what waits to be told, and who watches and tells."""

    @cached_property
    def outbox(self) -> Outbox:
        """The messages: what waits, what was sent, what could not be."""
        from workbench.alerts.outbox import Outbox

        return Outbox(self.records, self.clock)

    def channels(self) -> pd.DataFrame:
        """Return where messages can go, by name, with addresses that hold no secret; ``usual`` where no rule says."""
        import pandas as pd

        from workbench.alerts.channels import channels

        usual = self.settings.alert_channels
        rows = [(name, where, name in usual) for name, where in channels(self.settings).items()]
        return pd.DataFrame(rows, columns=["channel", "where", "usual"]).set_index("channel")

    def test_channel(self, name: str) -> dict[str, str]:
        """Send a message over a channel, at once and without repeating it, and return what went where.

        That to JupyterLab is queued as an alert of its own: a server that is up shows it within some seconds.

        Raises
        ------
        UnknownNameError, ParameterError
            For a channel that is not set, or whose address may not be used.
        FailureError
            If it was not taken.
        """
        from workbench.alerts.channels import LAB, find_channel
        from workbench.alerts.channels.base import DeliveryError
        from workbench.alerts.messages import Message

        channel, now = find_channel(self.settings, name), self.clock()
        subject, text = (
            f"Test of the channel {name}",
            f"Asked for at {now:%Y-%m-%d %H:%M:%S} UTC. Nothing has happened.",
        )
        message = Message(f"test:{uuid4()}", name, "test", subject, text, alerts=0, attempts=1, created=now)
        if name == LAB:
            self._queue_test(message, now)
        else:
            try:
                channel.send(message)
            except DeliveryError as error:
                raise FailureError(f"{error.sentence}; mend that and test it again") from error
        done = "queued" if name == LAB else "sent"
        return {"channel": name, "state": done, "where": channel.described(), "key": message.key, "subject": subject}

    def messages(self, *, state: str | Sequence[str] = (), most: int = 200) -> pd.DataFrame:
        """Return messages by number, the newest first: what waits, what was sent, and why what failed did.

        Parameters
        ----------
        state : str or sequence of str
            Only those in one of these: ``gathering``, ``sending``, ``waiting``, ``sent``, ``failed``, ``dropped``.
        most : int
        """
        import pandas as pd

        from workbench.alerts.messages import MessageState

        states, chosen = get_args(MessageState), [state] if isinstance(state, str) else list(state)
        for each in chosen:
            if each not in states:
                raise UnknownNameError("state of a message", each, states)
        columns = ["channel", "topic", "state", "priority", "alerts", "attempts", "not_before", "settled", "error"]
        found = self.outbox.messages([each for each in states if each in chosen], most)
        rows = {each.id: [getattr(each, name) for name in columns] for each in found}
        frame = pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("message")
        return frame.astype(dict.fromkeys(("not_before", "settled"), "datetime64[us, UTC]"))

    def watch(self, symbols: Sequence[str] | str | None = None, source: str = "replay", **wanted: Any) -> Monitor:
        """Watch the kept rules on a stream, in a thread, until the monitor is stopped or the stream ends.

        Parameters
        ----------
        symbols : sequence of str or str, optional
            Those of the rules where ``None``: of a replay, those of its dataset.
        source, wanted
            See ``live``; a replay tells every bar, in prices as they were traded and today's shares, unless
            ``interval`` and ``adjust`` say otherwise.

        Raises
        ------
        InputError
            For a stream that could not be followed.
        """
        from workbench.alerts.monitor import Monitor
        from workbench.alerts.trees import is_streamed

        given = [symbols] if isinstance(symbols, str) else symbols
        if source == "replay":
            # Of each bar: a replay in haste would pass some over, and what fires at one of them.
            wanted = {"adjust": "splits", "interval": 0.0, **wanted}

        def feed(names: Sequence[str]) -> Feed:
            return self.live(given or self._replayed(names, source, wanted), source, **wanted)

        names = given or [
            name for each in self.alert_rules.list() if is_streamed(each.rule) for name in each.rule.symbols
        ]
        if names:
            # What cannot be opened is told here rather than in the monitor's thread; nothing is asked yet.
            feed(names).close()
        usual = self.settings.alert_channels
        return Monitor(feed, self.alert_rules, self.records, self.clock, self._closed_bars, usual=usual)

    def serve_alerts(
        self, *, stream: str | None = None, every: str | timedelta = "5 min", until_parent: bool = False
    ) -> NoReturn:
        """Evaluate the kept rules, send what is to be told, by wish watch a stream, until this process is to end.

        Parameters
        ----------
        stream : str, optional
            Such as ``"yahoo"``; rules on prices and moves are watched on it.
        every : str or timedelta
            From one evaluation of all rules to the next, at least a second. It looks back on the last five bars.
        until_parent : bool
            End with the standard input.
        """
        from workbench.alerts.serving import serve
        from workbench.data.live.opening import open_stream

        span = read_span("every", every)
        if span < timedelta(seconds=1):
            raise ParameterError(f"every={str(every)!r} is too often; give a second at least")
        if stream not in (None, "replay"):
            open_stream(self.settings, stream, self.clock)
        serve(
            self.settings,
            rules=self._usable_rules,
            evaluate=lambda rules: self.evaluate_rules(rules, lookback=LOOKBACK),
            watch=None if stream is None else lambda: self.watch(source=stream),
            until_parent=until_parent,
            every=span.total_seconds(),
            database=self.records,
            clock=self.clock,
        )

    def run_facts(self) -> list[RunFact]:
        """Return the runs of the last seven days, and due times that no service has planned, for rules on runs."""
        from workbench.alerts.runs import RunFact

        now = self.clock()
        runs = self.history.search(since=now - RUNS_SINCE, most=10_000)
        facts = [RunFact(run.job.name, run.due, run.started, run.finished, run.state, run.reason or "") for run in runs]
        for record in self.jobs.list():
            facts += [
                RunFact(record.schedule.name, due, None, None, "due", "no service has planned it")
                for due in _unplanned(record, now)
            ]
        return facts

    def _usable_rules(self) -> list[NamedRule]:
        for name, fault in self.alert_rules.unusable().items():
            _LOG.warning("alert rule %r is not watched: %s", name, fault)
        return self.alert_rules.list()

    def _check_rule(self, rule: AlertRule) -> None:
        from workbench.alerts.runs import RunRule

        if isinstance(rule, RunRule):
            known = [each.schedule.name for each in self.jobs.list()]
            for name in rule.schedules:
                if name not in known:
                    raise UnknownNameError("schedule", name, known)
        super()._check_rule(rule)

    def _queue_test(self, message: Message, now: datetime) -> None:
        from workbench.alerts.firings import raise_alert
        from workbench.alerts.policy import Policy

        policy = Policy(channels=(message.channel,), window=timedelta(0))
        with self.records.writing() as connection:
            raise_alert(connection, message.key, message.subject, message.text, now, policy=policy)

    def _closed_bars(self, dataset: str, symbols: Sequence[str], adjust: Adjustment) -> xr.Dataset:
        return self._watched(dataset, symbols, adjust, self._now(), None)

    def _replayed(self, names: Sequence[str], source: str, wanted: Mapping[str, Any]) -> Sequence[str]:
        """Return symbols without those that a replay does not have."""
        if source != "replay":
            return names
        known = set(self.symbols(wanted.get("dataset")))
        return [name for name in names if name in known]

    def _now(self) -> pd.Timestamp:
        return instant(limit() or self.clock())


def _unplanned(record: ScheduleRecord, now: datetime) -> list[datetime]:
    """Return the last due time that has passed and that no service has looked at, if there is one."""
    if not record.schedule.active or record.planned_until >= now:
        return []
    try:
        passed = deque(record.schedule.dues(max(record.planned_until, now - RUNS_SINCE), now), maxlen=1)
    except DateRangeError:
        return []
    return list(passed)
