"""Tables of facts in PostgreSQL.

A write copies its rows into a temporary table and inserts from there what is new or differs, all in one transaction.
Writers of one table wait for each other at its row of ``workbench.versions``; readers never wait.
"""

# ruff: noqa: S608 - names come from our own schemas and are quoted, and every value is a parameter

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pyarrow as pa
from pydantic import SecretStr

from workbench.core.errors import StoreError
from workbench.data.tables.base import INSTANT, FactTable, Panel, check_name, scatter
from workbench.data.tables.postgres_connection import LOCK_SECONDS, SNAPSHOT, Database, Session
from workbench.data.tables.postgres_layout import VERSIONS, Layout, kind, listed

ONE = "WHERE dataset = $1 AND name = $2"


class PostgresTables:
    """The tables of one database.

    Parameters
    ----------
    url : pydantic.SecretStr or str
        ``postgresql://user:password@host/name``, as libpq takes it.

    Raises
    ------
    InputError
        If the address is not valid.
    """

    def __init__(self, url: SecretStr | str) -> None:
        self.database = Database(url)

    def __repr__(self) -> str:
        return f"PostgresTables({self.database.name!r})"

    def table(self, dataset: str, name: str, schema: pa.Schema, keys: Sequence[str]) -> FactTable:
        """Return one table of a dataset, which may still be empty.

        Raises
        ------
        InputError
            If a name has other than small letters, digits and ``_``.
        """
        check_name(dataset)
        check_name(name)
        return PostgresFacts(self.database, dataset, name, schema, keys)

    def close(self) -> None:
        """Close the connections that are idle."""
        self.database.close()


class PostgresFacts(FactTable):
    """One table; see ``workbench.data.tables.base.FactTable``.

    Threads may share it. NaN is stored as NULL and read as NaN.

    Parameters
    ----------
    database : Database
    dataset, name : str
        Names that were checked.
    schema : pyarrow.Schema
    keys : sequence of str
    """

    def __init__(self, database: Database, dataset: str, name: str, schema: pa.Schema, keys: Sequence[str]) -> None:
        super().__init__(schema, keys)
        self.database = database
        self.name = f"{dataset}.{name}"
        self.layout = Layout(dataset, name, self.schema, keys)
        self._reading = f"read table {self.name}"

    def version(self) -> int | None:
        """Return how many writes added rows, ``None`` where nothing was ever written."""
        with self.database.transaction(self._reading) as session:
            return self._version(session) or None

    def exists(self) -> bool:
        """Say whether the table was made, with rows or without."""
        with self.database.transaction(self._reading) as session:
            return self._version(session) is not None

    def symbols(self) -> list[str]:
        """Return the values of the column ``symbol``, sorted."""
        rows = self._rows(f'SELECT DISTINCT "symbol" FROM {self.layout.table} ORDER BY "symbol"', ["symbol"], ())
        return [str(symbol) for symbol in rows["symbol"]]

    def read(
        self,
        symbols: Sequence[str] | None = None,
        as_of: pd.Timestamp | None = None,
        *,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
        columns: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return each key's latest row; see ``FactTable.read``."""
        names = [*self.keys, *(self.values if columns is None else columns), "learned_at"]
        keys = listed(self.keys)
        where, parameters = _conditions(symbols, as_of, start, end)
        statement = (
            f"SELECT DISTINCT ON ({keys}) {listed(names)} FROM {self.layout.table}{where} "
            f'ORDER BY {keys}, "learned_at" DESC'
        )
        return self._rows(statement, names, parameters)

    def history(
        self,
        symbols: Sequence[str] | None = None,
        *,
        start: pd.Timestamp | None = None,
        end: pd.Timestamp | None = None,
    ) -> pd.DataFrame:
        """Return every row that was ever learned; see ``FactTable.history``."""
        names = self.schema.names
        where, parameters = _conditions(symbols, None, start, end)
        order = listed([*self.keys, "learned_at"])
        return self._rows(f"SELECT {listed(names)} FROM {self.layout.table}{where} ORDER BY {order}", names, parameters)

    def panel(
        self, columns: Sequence[str], symbols: Sequence[str] | None = None, as_of: pd.Timestamp | None = None
    ) -> Panel:
        """Return columns as wide arrays; see ``FactTable.panel``."""
        names = ["symbol", "time", *columns, "learned_at"]
        where, parameters = _conditions(symbols, as_of, None, None)
        # Laying out picks the latest rows: the server need not sort them.
        rows, version = self._answer(f"SELECT {listed(names)} FROM {self.layout.table}{where}", names, parameters)
        coded = rows["symbol"].combine_chunks().dictionary_encode()
        return scatter(
            coded.indices.to_numpy(),
            coded.dictionary.to_pylist(),
            rows["time"].to_numpy(),
            rows["learned_at"].to_numpy(),
            {name: rows[name].cast(pa.float64()).to_numpy() for name in columns},
            version=version,
        )

    def write(self, rows: pd.DataFrame, learned_at: pd.Timestamp) -> int:
        """Add the rows that are new or differ from what is known; see ``FactTable.write``."""
        rows = self.prepare(rows, learned_at)
        self.layout.make(self.database, self._years(rows))
        if rows.empty:
            return 0
        data = pa.Table.from_pandas(rows, schema=self.schema, preserve_index=False)
        with self.database.transaction(f"write table {self.name}") as session:
            session.run(f"CREATE TEMPORARY TABLE incoming (LIKE {self.layout.table}) ON COMMIT DROP")
            session.load("incoming", data)
            session.run("ANALYZE pg_temp.incoming")
            session.run(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'")
            # From here on the only writer; what others have committed is seen, as each statement looks anew.
            if not session.run(f"SELECT version FROM {VERSIONS} {ONE} FOR UPDATE", *self.layout.row).num_rows:
                raise StoreError(f"table {self.name} has no row in {VERSIONS}; restore it, or drop the table")
            added = int(session.run(self._insert(), *self._span(rows))["added"][0].as_py())
            if added:
                session.run(f"UPDATE {VERSIONS} SET version = version + 1 {ONE}", *self.layout.row)
        return added

    def _insert(self) -> str:
        """Return the statement that adds what is new or differs, the twin of ``FactTable.new_rows``."""
        facts, keys = [*self.keys, *self.values], listed(self.keys)
        # Only the partitions of these times are looked at.
        within = ' WHERE k."time" BETWEEN $1 AND $2' if self.layout.cut else ""
        differs = [f'k."{name}" IS DISTINCT FROM i."{name}"' for name in self.values]
        return f"""
            WITH known AS (
                SELECT DISTINCT ON ({listed(self.keys, "k")}) k.*
                FROM {self.layout.table} k JOIN pg_temp.incoming USING ({keys}){within}
                ORDER BY {listed(self.keys, "k")}, k."learned_at" DESC
            ), added AS (
                INSERT INTO {self.layout.table} ({listed([*facts, "learned_at"])})
                SELECT {listed(facts, "i")},
                    greatest(i."learned_at", k."learned_at" + INTERVAL '1 microsecond')
                FROM pg_temp.incoming i LEFT JOIN known k USING ({keys})
                WHERE {" OR ".join(['k."learned_at" IS NULL', *differs])}
                RETURNING 1
            )
            SELECT count(*) AS added FROM added"""

    def _span(self, rows: pd.DataFrame) -> tuple[pa.Array, ...]:
        if not self.layout.cut:
            return ()
        return pa.array([rows["time"].min()], INSTANT), pa.array([rows["time"].max()], INSTANT)

    def _years(self, rows: pd.DataFrame) -> list[int]:
        return sorted({int(year) for year in rows["time"].dropna().dt.year.unique()}) if self.layout.cut else []

    def _rows(self, statement: str, names: Sequence[str], parameters: Sequence[pa.Array]) -> pd.DataFrame:
        found, version = self._answer(statement, names, parameters)
        frame: pd.DataFrame = found.to_pandas()
        frame.attrs["version"] = version
        return frame

    def _answer(self, statement: str, names: Sequence[str], parameters: Sequence[pa.Array]) -> tuple[pa.Table, int]:
        """Return rows, and the version that they are of."""
        schema = pa.schema([self.schema.field(name) for name in names])
        with self.database.transaction(self._reading) as session:
            version = self._version(session)
            found = schema.empty_table() if version is None else session.run(statement, *parameters)
        return found.cast(schema), version or 0

    def _version(self, session: Session) -> int | None:
        session.run(SNAPSHOT)
        if kind(session, VERSIONS) is None:
            return None
        found = session.run(f"SELECT version FROM {VERSIONS} {ONE}", *self.layout.row)["version"].to_pylist()
        return int(found[0]) if found else None


def _conditions(
    symbols: Sequence[str] | None, as_of: pd.Timestamp | None, start: pd.Timestamp | None, end: pd.Timestamp | None
) -> tuple[str, list[pa.Array]]:
    """Return the condition of a question, and its parameters."""
    asked: list[tuple[str, pa.Array]] = []
    if symbols is not None:
        asked.append(('"symbol" = ANY(${})', pa.array([[str(symbol) for symbol in symbols]], pa.list_(pa.string()))))
    if as_of is not None:
        asked.append(('"learned_at" <= ${}', pa.array([as_of.floor("us")], INSTANT)))
    if start is not None:
        asked.append(('"time" >= ${}', pa.array([start.ceil("us")], INSTANT)))
    if end is not None:
        asked.append(('"time" <= ${}', pa.array([end.floor("us")], INSTANT)))
    text = " AND ".join(condition.format(place) for place, (condition, _) in enumerate(asked, 1))
    return f" WHERE {text}" if asked else "", [parameter for _, parameter in asked]
