"""The alerting side of a workbench: rules that are rehearsed and armed, and what people do with alerts."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from workbench.bench.delivering import Delivering
from workbench.core.calendar import Moment, instant
from workbench.core.errors import DateRangeError, ParameterError, UnsupportedError
from workbench.core.spans import read_span

if TYPE_CHECKING:
    from datetime import datetime

    import holoviews as hv
    import pandas as pd
    import xarray as xr

    from workbench.alerts.evaluate import NamedRule
    from workbench.alerts.history import Alert
    from workbench.alerts.policy import Policy
    from workbench.alerts.rehearsal import Rehearsal
    from workbench.alerts.services import AlertServices
    from workbench.alerts.silences import Silence, Silences
    from workbench.core.market import Adjustment


class Alerting(Delivering):
    """Rules from their rehearsal to the message that arrives, and what people do with alerts."""

    @cached_property
    def silences(self) -> Silences:
        """Who is told nothing of what, until when, and why: ``add``, ``list``, ``remove``."""
        from workbench.alerts.silences import Silences

        return Silences(self.records, self.clock)

    @cached_property
    def alert_services(self) -> AlertServices:
        """Which services evaluate rules and send messages: ``served`` says whether there is one."""
        from workbench.alerts.services import AlertServices

        return AlertServices(self.records, self.clock)

    def rehearse(
        self,
        rule: str | NamedRule,
        /,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        policy: Policy | Mapping[str, Any] | None = None,
        **values: Any,
    ) -> Rehearsal:
        """Say when a rule would have fired, and how many messages that would have been.

        Parameters
        ----------
        rule : str or NamedRule
            A kind, with what it takes as ``values``; the name of a rule that is kept; or a rule, such as
            ``alert_rules.draft`` gives.
        start, end : date-like, optional
            Over which bars; all where ``None``. Earlier bars are known to the rule.
        policy, values
            See ``arm``.
        """
        from workbench.alerts.rehearsal import rehearse

        if isinstance(rule, str) and not values and policy is None and rule not in self.alert_rules.kinds():
            rule = self.alert_rules.get(rule)
        named = self._drafted(rule, policy, values)
        if not named.rule.on_bars:
            raise UnsupportedError(f"a rule of kind {named.kind!r} looks at no bars to be rehearsed on; arm it")
        # Sessions to come are not missing.
        moment = self._now() if end is None else min(instant(end, end_of_day=True), self._now())
        last = None if end is None else moment
        return rehearse(named, self._bars_by(named, moment), start, last, self.settings.alert_channels)

    def arm(
        self,
        rule: str | NamedRule,
        name: str | None = None,
        /,
        *,
        policy: Policy | Mapping[str, Any] | None = None,
        **values: Any,
    ) -> NamedRule:
        """Keep a rule: from now on it is watched by ``workbench alerts serve``, which JupyterLab brings along.

        Parameters
        ----------
        rule : str or NamedRule
            A kind such as ``"price"``; or a draft, as it was rehearsed.
        name : str, optional
            The draft's own where ``None``.
        policy : Policy or mapping, optional
            How it is told: ``channels``, ``priority``, ``window``, ``cool_down``, ``release``, ``quiet``, ...
        values
            What the kind takes; a policy's where the kind takes no such name: ``channels=["mail"]``.

        Raises
        ------
        InputError
            For whatever could not work or be told; see ``workbench.alerts.book.RuleBook.add``.
        """
        if isinstance(rule, str):
            if name is None:
                raise ParameterError(f"a rule of kind {rule!r} needs a name; give one as the second argument")
            return self.alert_rules.add(rule, name, policy=policy, **values)
        draft = self._drafted(rule, policy, values)
        return self.alert_rules.add(draft.kind, name or draft.name, policy=draft.policy, **draft.rule.plain())

    def snooze(self, name: str, until: timedelta | Moment | None) -> NamedRule:
        """Let a rule tell nobody, for ``"2 h"`` or until a moment (UTC); ``None`` ends it."""
        return self.alert_rules.snooze(name, None if until is None else self._until(until))

    def silence(
        self,
        until: timedelta | Moment,
        *,
        rule: str | None = None,
        symbol: str | None = None,
        source: str | None = None,
        reason: str = "",
    ) -> Silence:
        """Make no message of alerts that all of these are true of; they are noted.

        Parameters
        ----------
        until : str, timedelta or date-like
            For how long, ``"2 h"``, or until when (UTC).
        rule : str, optional
            Name or id.
        symbol : str, optional
        source : str, optional
            Where alerts come from: ``rule``, ``run``, ``schedule``, ``parity``.
        reason : str

        Raises
        ------
        ParameterError
            If nothing is said of what is silenced, or ``until`` is neither a length of time nor a moment.
        DateRangeError
            For a moment that has passed.
        UnknownNameError
            For a rule that there is none of.
        """
        about = {"rule": rule, "symbol": symbol, "source": source}
        given = {name: value for name, value in about.items() if value is not None}
        return self.silences.add(given, self._until(until), reason)

    def acknowledge(self, alerts: int | Iterable[int], by: str | None = None) -> int:
        """Note that somebody, by default the user of this process, has seen alerts, and return how many are new."""
        ids = [alerts] if isinstance(alerts, int) else list(alerts)
        return self.alerts.acknowledge(ids, by or _user())

    def moment(self, alert: Alert | int) -> hv.Layout:
        """Draw the moment at which an alert fired: the bars around it, and what its rule looked at.

        Parameters
        ----------
        alert : Alert or int
            Out of ``alerts``, or its number.

        Raises
        ------
        UnknownNameError
            For a number that there is no alert of.
        InputError
            If it tells of no symbol, or its bars cannot be had.
        """
        from workbench.alerts.moment import picture_of_alert

        found = self.alerts.get(alert) if isinstance(alert, int) else alert
        return picture_of_alert(found, self.alert_rules.list(), self._closed_bars, self.settings.dataset)

    def _drafted(self, rule: str | NamedRule, policy: Policy | Mapping[str, Any] | None, values: Any) -> NamedRule:
        """Return a checked rule."""
        if isinstance(rule, str):
            return self.alert_rules.draft(rule, policy=policy, **values)
        if policy is not None or values:
            raise ParameterError(f"rule {rule.name!r} has its values and its policy; give a kind to give others")
        return rule

    def _bars_by(self, named: NamedRule, moment: pd.Timestamp) -> dict[Adjustment, xr.Dataset]:
        rule = named.rule
        return {adjust: self._watched(rule.dataset, rule.symbols, adjust, moment, None) for adjust in rule.adjusts}

    def _until(self, text: timedelta | Moment) -> datetime:
        """Return a moment to come: a length of time from now, or itself."""
        if isinstance(text, timedelta):
            return self.clock() + text
        if isinstance(text, str):
            with suppress(ParameterError):
                return self.clock() + read_span("until", text)
        try:
            return instant(text, end_of_day=True).floor("us").to_pydatetime()
        except DateRangeError as error:
            wanted = "write '2 h' or '2012-03-01 17:00'"
            raise ParameterError(f"{str(text)[:60]!r} is neither a length of time nor a moment; {wanted}") from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # In a container, a user id may have no name.
        return f"user {os.getuid()}"
