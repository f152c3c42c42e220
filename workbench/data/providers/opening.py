"""Open a provider by its name, with its key and its options."""

from __future__ import annotations

import pandas as pd

from workbench.core.clock import Clock, utc_now
from workbench.core.credentials import find_key
from workbench.core.plugins import available, load
from workbench.core.settings import Settings
from workbench.data.providers.base import GROUP, Access, Provider, Table


def open_provider(name: str, settings: Settings, clock: Clock = utc_now, table: Table | None = None) -> Provider:
    """Return a provider.

    Parameters
    ----------
    name : str
        As registered under ``workbench.providers``.
    settings : Settings
        Its options are ``settings.providers[name]``.
    clock : callable
    table : Table, optional
        The catalog's table, for a provider that reads one.

    Raises
    ------
    UnknownNameError
        If no installed package offers it.
    """
    kind: type[Provider] = load(GROUP, "provider", name)
    key = find_key(settings, name) if kind.needs_key else None
    options = settings.providers.get(name, {})
    return kind(Access(key=key, options=options, clock=clock, state=settings.home / "providers" / name, table=table))


def provider_table(settings: Settings) -> pd.DataFrame:
    """Return the installed providers.

    Returns
    -------
    pandas.DataFrame
        Index ``provider``; columns ``offers``, ``description``, ``licence`` and ``key`` (``"there"``, ``"missing"``, or
        empty where none is needed).
    """
    rows = []
    for name in sorted(available(GROUP)):
        kind: type[Provider] = load(GROUP, "provider", name)
        key = "" if not kind.needs_key else "there" if find_key(settings, name) else "missing"
        rows.append((name, ", ".join(kind.offers()), kind.description, kind.licence, key))
    return pd.DataFrame(rows, columns=["provider", "offers", "description", "licence", "key"]).set_index("provider")
