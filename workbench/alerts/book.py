"""The rules of a home: added, listed, removed. A rule that cannot work is refused when it is added."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from workbench.alerts.evaluate import NamedRule
from workbench.alerts.rules import AlertRule, kinds, make_rule
from workbench.alerts.tables import RULES
from workbench.core.clock import Clock
from workbench.core.database import Database
from workbench.core.errors import ParameterError, UnknownNameError

_NAME = re.compile(r"[a-zA-Z0-9._][a-zA-Z0-9._ -]{0,62}")


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
    """

    def __init__(self, database: Database, clock: Clock, dataset: str, check: Callable[[AlertRule], None]) -> None:
        self.database = database
        self.clock = clock
        self.dataset = dataset
        self.check = check

    def draft(self, kind: str, name: str = "", **values: Any) -> NamedRule:
        """Return a checked rule that is not kept; see ``add``."""
        rule = make_rule(kind, {"dataset": self.dataset, **values, "symbols": _symbols(values.get("symbols", ()))})
        self.check(rule)
        return NamedRule(name or rule.condition, kind, rule)

    def add(self, kind: str, name: str, **values: Any) -> NamedRule:
        """Keep a rule.

        Parameters
        ----------
        kind : str
            Out of ``kinds``: ``"price"``, ``"move"``, ``"volume"``, ``"indicator"``, ``"signal"``, ``"missing"``.
        name : str
            Letters, digits, ``. _ -`` and blanks, at most 63 characters.
        values
            ``symbols``, by wish ``dataset`` and ``near``, and what the kind takes.

        Raises
        ------
        UnknownNameError
            For a kind, a dataset, a symbol, an indicator or a strategy that there is none of.
        ParameterError
            For a value that does not fit, or a name that is taken.
        InputError
            If the dataset lacks what the rule looks at.
        """
        if not _NAME.fullmatch(name):
            raise ParameterError(f"name={name!r:.80} is no name of a rule; give letters, digits, . _ - and blanks")
        made = self.draft(kind, name, **values)
        id_, now = str(uuid4()), self.clock()
        row = {"id": id_, "name": name, "kind": kind, "definition": made.rule.plain(), "created": now}
        try:
            with self.database.writing() as connection:
                connection.execute(RULES.insert().values(row))
        except IntegrityError as error:
            raise ParameterError(f"there is an alert rule named {name!r} already; choose another name") from error
        return NamedRule(name, kind, made.rule, id_, now)

    def list(self) -> list[NamedRule]:
        """Return the rules by name.

        Raises
        ------
        FailureError
            If the package of a rule's kind is gone.
        """
        wanted = RULES.select().where(RULES.c.removed.is_(None)).order_by(RULES.c.name)
        with self.database.reading() as connection:
            return [_named(row) for row in connection.execute(wanted)]

    def remove(self, name: str) -> None:
        """Remove a rule by its name or id; the alerts that it raised stay.

        Raises
        ------
        UnknownNameError
        """
        found = sa.or_(RULES.c.name == name, RULES.c.id == name)
        with self.database.writing() as connection:
            wanted = RULES.update().where(found, RULES.c.removed.is_(None)).values(removed=self.clock())
            if not connection.execute(wanted).rowcount:
                known = connection.execute(sa.select(RULES.c.name).where(RULES.c.removed.is_(None))).scalars().all()
                raise UnknownNameError("alert rule", name, known)

    def table(self) -> pd.DataFrame:
        """Return the rules: ``kind``, ``condition``, ``symbols``, ``dataset`` and ``created`` by name."""
        rows = {
            each.name: (each.kind, each.rule.condition, ", ".join(each.rule.symbols), each.rule.dataset, each.created)
            for each in self.list()
        }
        columns = ["kind", "condition", "symbols", "dataset", "created"]
        return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("name")

    def kinds(self) -> dict[str, str]:
        """Return the installed kinds of rules, and what each watches."""
        return {name: (kind.__doc__ or name).strip().splitlines()[0] for name, kind in kinds().items()}


def _symbols(given: Any) -> Any:
    return (given,) if isinstance(given, str) else given


def _named(row: sa.Row[Any]) -> NamedRule:
    return NamedRule(row.name, row.kind, make_rule(row.kind, row.definition), row.id, row.created)
