"""Which services live. No clock decides it: a beat that stands still does, as its watcher's own stopwatch says."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa

from workbench.jobs.records import Identity, Records, ServiceRecord, one_at_a_time
from workbench.jobs.tables import RUNS, SERVICES
from workbench.jobs.transitions import claims_of, release_run


class Services(Records):
    """The services of a home."""

    def register(self, service: str, identity: Identity) -> None:
        """Say that a service lives; its id must be new."""
        with self.database.writing() as connection:
            row = {"id": service, **asdict(identity), "beat": 0, "started": self.clock()}
            connection.execute(SERVICES.insert().values(row))

    def beat(self, service: str) -> bool:
        """Let a service beat; ``False`` if it was taken for dead: it must register anew, under another id."""
        living = SERVICES.update().where(SERVICES.c.id == service, SERVICES.c.ended.is_(None))
        with self.database.writing() as connection:
            return connection.execute(living.values(beat=SERVICES.c.beat + 1)).rowcount == 1

    def services(self) -> list[ServiceRecord]:
        """Return the services that have neither ended nor been buried."""
        wanted = SERVICES.select().where(SERVICES.c.ended.is_(None)).order_by(SERVICES.c.started, SERVICES.c.id)
        with self.database.reading() as connection:
            return [ServiceRecord(**row._mapping) for row in connection.execute(wanted)]

    def bury(self, service: str, beat: int | None = None) -> bool:
        """End a service that stands still, so that what it claimed is due again; of several that try, one does.

        Parameters
        ----------
        service : str
        beat : int, optional
            At which it stands: if it has beaten since, it lives. None for a service that ends by itself.

        Returns
        -------
        bool
            ``False`` if it lives, or had ended already.
        """
        still = [SERVICES.c.id == service, SERVICES.c.ended.is_(None)]
        if beat is not None:
            still.append(SERVICES.c.beat == beat)
        with one_at_a_time(self.database) as connection:
            now = self.clock()
            if connection.execute(SERVICES.update().where(*still).values(ended=now)).rowcount == 0:
                return False
            for run in claims_of(connection, service):
                release_run(connection, run, service, now)
            return True

    def adopt(self, service: str) -> dict[str, str]:
        """Take the running runs that no living service sees to into a service's hands.

        Returns
        -------
        dict of str to str
            For each run's id, who saw to it before.
        """
        living = sa.select(SERVICES.c.id).where(SERVICES.c.ended.is_(None))
        left = (RUNS.c.state == "running", RUNS.c.owner.not_in(living))
        with one_at_a_time(self.database) as connection:
            if not connection.execute(living.where(SERVICES.c.id == service)).scalar():
                return {}
            wanted = sa.select(RUNS.c.id, RUNS.c.owner).where(*left).order_by(RUNS.c.id).with_for_update()
            found = {row.id: row.owner for row in connection.execute(wanted)}
            connection.execute(RUNS.update().where(RUNS.c.id.in_(found), *left).values(owner=service))
        return found
