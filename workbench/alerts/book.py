"""The rules of a home: added, listed, snoozed, removed. A rule that cannot work is refused when it is added."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from workbench.alerts.evaluate import NamedRule
from workbench.alerts.policy import Policy, make_policy
from workbench.alerts.rules import AlertRule, find_kind, kinds, make_rule
from workbench.alerts.tables import RULES
from workbench.core.clock import Clock
from workbench.core.database import Database
from workbench.core.errors import FailureError, ParameterError, UnknownNameError, WorkbenchError
from workbench.core.spans import read_span

_NAME = re.compile(r"[a-zA-Z0-9._][a-zA-Z0-9._ -]{0,62}")
_KEPT = RULES.c.removed.is_(None)
_COLUMNS = ("kind", "condition", "symbols", "dataset", "channels", "priority", "snoozed", "created")


def any_policy(policy: Policy) -> None:
    """Let every policy pass: a book that is asked by nobody who sends messages."""


class RuleBook:
    """The alert rules of a home; several processes may change them at once.

    Parameters
    ----------
    database : Database
    clock : callable
        The present instant.
    dataset : str
        What is meant where a rule names none.
    check : callable
        Raises an ``InputError`` for a rule that cannot work on the data as they are.
    check_policy : callable
        Raises an ``InputError`` for a policy whose messages could not be sent, as over a channel that is not set.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        dataset: str,
        check: Callable[[AlertRule], None],
        check_policy: Callable[[Policy], None] = any_policy,
    ) -> None:
        self.database = database
        self.clock = clock
        self.dataset = dataset
        self.check = check
        self.check_policy = check_policy

    def draft(
        self, kind: str, name: str = "", /, *, policy: Policy | Mapping[str, Any] | None = None, **values: Any
    ) -> NamedRule:
        """Return a checked rule that is not kept; see ``add``."""
        own, told = self._divided(kind, values)
        base = policy.plain() if isinstance(policy, Policy) else dict(policy or {})
        agreed = make_policy(self._dated({**base, **told}))
        if "symbols" in own:
            own["symbols"] = _symbols(own["symbols"])
        usual = {"dataset": self.dataset} if find_kind(kind).on_bars else {}
        rule = make_rule(kind, {**usual, **own})
        _check_release(rule, agreed.release)
        self.check(rule)
        return NamedRule(name or rule.condition, kind, rule, policy=agreed)

    def add(
        self, kind: str, name: str, /, *, policy: Policy | Mapping[str, Any] | None = None, **values: Any
    ) -> NamedRule:
        """Keep a rule.

        Parameters
        ----------
        kind : str
            Out of ``kinds``, such as ``"price"``, ``"indicator"`` or ``"all"``.
        name : str
            Letters, digits, ``. _ -`` and blanks, at most 63 characters.
        policy : Policy or mapping, optional
            How it is told; see ``workbench.alerts.policy.Policy``.
        values
            ``symbols``, by wish ``dataset`` and ``near``, and what the kind takes. A name that the kind does not take
            and a policy does, such as ``channels`` or ``cool_down``, is the policy's.

        Raises
        ------
        UnknownNameError
            For a kind, a dataset, a symbol, an indicator, a strategy or a channel that there is none of.
        ParameterError
            For a value that does not fit, a name that is taken, or a policy that has expired.
        InputError
            If the dataset lacks what the rule looks at.
        """
        if not _NAME.fullmatch(name):
            raise ParameterError(f"name={name!r:.80} is no name of a rule; give letters, digits, . _ - and blanks")
        made = self.draft(kind, name, policy=policy, **values)
        id_, now = str(uuid4()), self.clock()
        if made.policy.expires is not None and made.policy.expires <= now:
            when = f"{made.policy.expires:%Y-%m-%d %H:%M} UTC"
            raise ParameterError(f"expires={when!r} has passed, the rule would never fire; give a time to come")
        self.check_policy(made.policy)
        row = {"id": id_, "name": name, "kind": kind, "definition": made.rule.plain(), "created": now}
        try:
            with self.database.writing() as connection:
                connection.execute(RULES.insert().values(policy=made.policy.plain(), **row))
        except IntegrityError as error:
            raise ParameterError(f"there is an alert rule named {name!r} already; choose another name") from error
        return NamedRule(name, kind, made.rule, id_, now, made.policy)

    def list(self) -> list[NamedRule]:
        """Return the rules by name; those that cannot be watched any more are told by ``unusable``.

        Raises
        ------
        StoreError
            If the records cannot be read.
        """
        return [*self._read()[0]]

    def unusable(self) -> dict[str, str]:
        """Return why rules cannot be watched, by name: the package of their kind is gone, or has changed."""
        return self._read()[1]

    def get(self, name: str) -> NamedRule:
        """Return a rule by its name or id.

        Raises
        ------
        UnknownNameError
        FailureError
            For one that cannot be watched any more.
        """
        rules, faults = self._read()
        for each in rules:
            if name in (each.name, each.id):
                return each
        if name in faults:
            raise FailureError(f"alert rule {name!r} cannot be watched ({faults[name]}); remove it, or mend that")
        raise UnknownNameError("alert rule", name, [each.name for each in rules])

    def snooze(self, name: str, until: datetime | None) -> NamedRule:
        """Let a rule tell nobody until then; what it finds is noted. ``None`` ends it.

        Raises
        ------
        UnknownNameError
        ParameterError
            For a moment that has passed.
        """
        if until is not None and until <= self.clock():
            raise ParameterError(f"until={until.isoformat()!r} has passed; give a time to come")
        self._change(name, snoozed=until)
        return self.get(name)

    def remove(self, name: str) -> None:
        """Remove a rule by its name or id; the alerts that it raised stay.

        Raises
        ------
        UnknownNameError
        """
        self._change(name, removed=self.clock())

    def table(self) -> pd.DataFrame:
        """Return the rules by name: what they watch, how they are told, and until when they are snoozed (UTC)."""
        found, faults = self._read()
        rows: dict[str, tuple[Any, ...]] = {each.name: self._shown(each) for each in found}
        # Its condition says why it is not watched.
        rows |= {name: (None, fault, *[None] * (len(_COLUMNS) - 2)) for name, fault in faults.items()}
        return pd.DataFrame.from_dict(rows, orient="index", columns=list(_COLUMNS)).rename_axis("name")

    def kinds(self) -> dict[str, str]:
        """Return the installed kinds of rules, and what each watches."""
        return {name: (kind.__doc__ or name).strip().splitlines()[0] for name, kind in kinds().items()}

    def _dated(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return a policy's values with the moment at which it expires, where a length of time was given."""
        if isinstance(values.get("expires"), str | timedelta):
            with suppress(ParameterError):
                return {**values, "expires": self.clock() + read_span("expires", values["expires"])}
        return values

    def _divided(self, kind: str, values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return what the kind takes, or nobody does, and what is the policy's."""
        taken = find_kind(kind).model_fields
        told = {name: value for name, value in values.items() if name in Policy.model_fields and name not in taken}
        return {name: value for name, value in values.items() if name not in told}, told

    def _shown(self, named: NamedRule) -> tuple[Any, ...]:
        rule, policy, now = named.rule, named.policy, self.clock()
        snoozed = named.snoozed if named.snoozed is not None and named.snoozed > now else None
        channels = "usual" if policy.channels is None else ", ".join(policy.channels)
        watched = named.kind, rule.condition, ", ".join(rule.symbols), rule.dataset
        return *watched, channels, policy.priority, snoozed, named.created

    def _read(self) -> tuple[tuple[NamedRule, ...], dict[str, str]]:
        found, faults = deque[NamedRule](), dict[str, str]()
        with self.database.reading() as connection:
            for row in connection.execute(RULES.select().where(_KEPT).order_by(RULES.c.name)):
                try:
                    found.append(_named(row))
                except WorkbenchError as error:
                    faults[row.name] = str(error)
        return tuple(found), faults

    def _change(self, name: str, **values: Any) -> None:
        found = sa.or_(RULES.c.name == name, RULES.c.id == name)
        with self.database.writing() as connection:
            if not connection.execute(RULES.update().where(found, _KEPT).values(**values)).rowcount:
                known = connection.execute(sa.select(RULES.c.name).where(_KEPT)).scalars().all()
                raise UnknownNameError("alert rule", name, known)


def _check_release(rule: AlertRule, release: float) -> None:
    """Raise for a release that a rule cannot reach: it would fire once and never again."""
    widest = rule.widest_gap
    if release <= widest:
        return
    far = f"is never more than {widest:g} from holding; give at most {widest:g}"
    remedy = far if widest else "does not say how far it is; leave release out"
    raise ParameterError(f"release={release:g} can never be reached, {rule.condition} {remedy}")


def _symbols(given: Any) -> Any:
    return (given,) if isinstance(given, str) else given


def _named(row: sa.Row[Any]) -> NamedRule:
    rule, policy = make_rule(row.kind, row.definition), make_policy(row.policy)
    return NamedRule(row.name, row.kind, rule, row.id, row.created, policy, row.snoozed)
