"""Finds services and runners that died, and lets others go on with what they had.

A process on this machine is asked after by its identity. One elsewhere lives as long as its beat grows: a stopwatch of
the watcher's own says how long it has stood still, so that no clock that is wrong or set anew kills anything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from workbench.jobs.driver import Driver, identity_of
from workbench.jobs.identity import lives
from workbench.jobs.records import AttemptRecord, Identity, ServiceRecord
from workbench.jobs.services import Services

STANDS = 20.0
"""A beat that stood still for so long is that of a dead process, where nobody can ask after it; in seconds."""

BEGINS = 60.0
"""How long a runner may take until it begins, in seconds."""

HANGS = 30.0
"""How long a process of this machine that lives may hang: a service without a beat, a runner after its time-out; in
seconds."""

LOOKS = 3
"""So often at least a beat is found unchanged: a watcher that itself stood still has seen nothing in that time."""


@dataclass(slots=True)
class _Seen:
    beat: int
    since: float
    first: float
    looks: int = 0


class Watch:
    """How long each beat has stood still.

    Parameters
    ----------
    stopwatch : callable
        Seconds that no clock's setting changes.
    """

    def __init__(self, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self.stopwatch = stopwatch
        self._seen: dict[str, _Seen] = {}

    def look(self, key: str, beat: int) -> tuple[float, float]:
        """Note a beat; return for how many seconds it has stood still, and for how many it is known.

        The former is 0 until it was found so ``LOOKS`` times.
        """
        now = self.stopwatch()
        seen = self._seen.setdefault(key, _Seen(beat, now, now))
        if seen.beat != beat:
            seen.beat, seen.since, seen.looks = beat, now, 0
        seen.looks += 1
        return (now - seen.since if seen.looks > LOOKS else 0.0), now - seen.first

    def keep(self, keys: Collection[str]) -> None:
        """Forget all others."""
        self._seen = {key: seen for key, seen in self._seen.items() if key in keys}


class Reaper:
    """Looks after the services and the attempts of a home.

    Parameters
    ----------
    services : Services
    driver : Driver
        Ends the attempts.
    stopwatch : callable
        Seconds that no clock's setting changes.
    """

    def __init__(self, services: Services, driver: Driver, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self.services = services
        self.driver = driver
        self._services, self._attempts = Watch(stopwatch), Watch(stopwatch)
        self._time_outs: dict[str, float] = {}

    def bury_dead_services(self, me: str) -> list[str]:
        """End the other services that are dead; return those that this call ended."""
        found = self.services.services()
        self._services.keep({each.id for each in found})
        dead = [each for each in found if each.id != me and self._is_dead(each)]
        return [each.id for each in dead if self.services.bury(each.id, each.beat)]

    def settle_dead_attempts(self) -> list[AttemptRecord]:
        """End the attempts whose runners are dead, or hang; return those that were at work still."""
        found = self.driver.attempts.at_work()
        self._attempts.keep({_key(each) for each in found})
        self._time_outs = {each.run: self._time_outs.get(each.run, 0.0) for each in found}
        reasons = {_key(each): self._fault(each) for each in found}
        for each in found:
            if reason := reasons[_key(each)]:
                self.driver.settle(each, reason)
        return [each for each in found if not reasons[_key(each)]]

    def _is_dead(self, service: ServiceRecord) -> bool:
        still, _ = self._services.look(service.id, service.beat)
        living = lives(Identity(service.host, service.boot, service.pid, service.ticks))
        # One that hangs is told of it when it beats again; what it had is another one's by then.
        return living is False or still >= (HANGS if living else STANDS)

    def _fault(self, attempt: AttemptRecord) -> str:
        """Return why an attempt is to be ended, or nothing."""
        still, known = self._attempts.look(_key(attempt), attempt.beat)
        if attempt.state == "starting":
            return f"its runner did not begin within {BEGINS:.0f} s" if still >= BEGINS else ""
        living = lives(identity_of(attempt))
        if living is False:
            return "its runner was killed"
        if living is None and still >= STANDS:
            return f"its runner on {attempt.host} has not been heard of for {STANDS:.0f} s"
        longest = self._time_out(attempt.run) + HANGS
        return f"its runner hung {HANGS:.0f} s after its time-out" if living and known >= longest else ""

    def _time_out(self, run: str) -> float:
        if not self._time_outs[run]:
            self._time_outs[run] = self.driver.ledger.run(run).job.policies.time_out.total_seconds()
        return self._time_outs[run]


def _key(attempt: AttemptRecord) -> str:
    return f"{attempt.run}:{attempt.n}"
