"""Forget runs that no rule keeps (layer 7).

Rule 1: a transaction looks at a few hundred jobs, or forgets a bounded number of runs; then others have their turn.
Rule 2: what is looked at is found by an index, and looking at a job takes as long as it has runs to keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, FromClause, case, delete, func, select

from apsched.jobstores._sql.schema import OPEN, Tables, outcome_in

BATCH = 500  # jobs that one transaction looks at

Old = tuple[str, int]
"""(id of a job, nominal time of its latest run that may be forgotten)"""


class Rule(NamedTuple):
    """
    What is kept of some jobs.

    Attributes:
        keep: Their last runs, so many.
        before: And those that ended at this time or after it; None: no others.
    """

    keep: int
    before: int | None


class Pruning:
    """
    What a store does to forget, as functions of a connection.

    Args:
        tables: The tables.
    """

    def __init__(self, tables: Tables) -> None:
        self._jobs = tables.jobs
        self._runs = tables.runs

    def own_numbers(self, connection: Connection) -> list[int]:
        """Return the numbers that jobs name as their `keep_runs`."""
        numbers = self._jobs.c.keep_runs
        return list(connection.execute(select(numbers).where(numbers.is_not(None)).distinct()).scalars())

    def has_older(self, connection: Connection, before: int) -> bool:
        """Whether there is a run of a nominal time before *before*."""
        oldest = connection.execute(select(func.min(self._runs.c.nominal_time))).scalar()
        return oldest is not None and oldest < before

    def look(self, connection: Connection, rule: Rule, after: str) -> tuple[list[Old], str | None]:
        """
        Look at the next jobs to which *rule* applies, after the id *after*.

        Returns:
            Those of which runs may be forgotten, and the id after which to go on; None if those were the last.
        """
        ids = self._others(connection, after) if rule.before is not None else self._owners(rule.keep, after)
        runs = self._runs
        is_theirs = runs.c.job_id == ids.c.id
        latest = (
            select(runs.c.nominal_time)
            .where(is_theirs, ~outcome_in(OPEN))
            .order_by(runs.c.nominal_time.desc())
            .limit(1)
            .offset(rule.keep)
            .correlate(ids)
            .scalar_subquery()
        )
        oldest = select(func.min(runs.c.nominal_time)).where(is_theirs).correlate(ids).scalar_subquery()
        own = select(self._jobs.c.keep_runs).where(self._jobs.c.id == ids.c.id).correlate(ids).scalar_subquery()
        rows = connection.execute(select(ids.c.id, latest, oldest, own).order_by(ids.c.id)).all()
        found = [
            (row[0], row[1])
            for row in rows
            if row[1] is not None and (rule.before is None or (row[3] is None and row[2] < rule.before))
        ]
        return found, rows[-1][0] if len(rows) == BATCH else None

    def forget(self, connection: Connection, jobs: Sequence[Old], rule: Rule, limit: int) -> int:
        """Forget at most *limit* runs of *jobs*, the oldest first, and return how many that were."""
        runs = self._runs
        forgotten = 0
        for job_id, latest in jobs:
            where = [runs.c.job_id == job_id, runs.c.nominal_time <= latest, ~outcome_in(OPEN)]
            if rule.before is not None:
                where += [runs.c.nominal_time < rule.before, self._end() < rule.before]
            last = select(runs.c.nominal_time).where(*where).order_by(runs.c.nominal_time)
            bound = connection.execute(last.limit(1).offset(limit - forgotten - 1)).scalar()
            if bound is not None:
                where.append(runs.c.nominal_time <= bound)
            forgotten += connection.execute(delete(runs).where(*where)).rowcount
            if forgotten >= limit:
                break
        return forgotten

    def _owners(self, keep: int, after: str) -> FromClause:
        """Return the next ids of the jobs that name *keep*."""
        jobs = self._jobs
        ids = select(jobs.c.id).where(jobs.c.keep_runs == keep, jobs.c.id > after)
        return ids.order_by(jobs.c.id).limit(BATCH).subquery("ids")

    def _others(self, connection: Connection, after: str) -> FromClause:
        """
        Return the next ids of jobs that have runs, by hops from one to the next.

        MySQL and MariaDB hop by themselves; the others are led, since they would walk over all runs.
        """
        job_id = self._runs.c.job_id
        if connection.dialect.name in ("mysql", "mariadb"):
            ids = select(job_id.label("id")).where(job_id > after).group_by(job_id)
            return ids.order_by(job_id).limit(BATCH).subquery("ids")
        hops = select(func.min(job_id).label("id")).where(job_id > after).cte("hops", recursive=True)
        following = select(func.min(job_id)).where(job_id > hops.c.id).correlate(hops).scalar_subquery()
        hops = hops.union_all(select(following).where(hops.c.id.is_not(None)))
        return select(hops.c.id).where(hops.c.id.is_not(None)).limit(BATCH).subquery("ids")

    def _end(self) -> ColumnElement[Any]:
        runs = self._runs
        return case((runs.c.started_at.is_(None), runs.c.nominal_time), else_=runs.c.finished_at)
