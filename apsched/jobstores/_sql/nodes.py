"""Let nodes join, beat, leave and die (layer 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs
from sqlalchemy import Connection, case, delete, exists, insert, null, select, update

from apsched.job import Job
from apsched.jobstores._codec import EPOCH, JobCodec, from_micros
from apsched.jobstores._sql.among import among, chunks
from apsched.jobstores._sql.bulk import Change, bulk_of
from apsched.jobstores._sql.cancellations import Cancellations
from apsched.jobstores._sql.followers import Followers
from apsched.jobstores._sql.jobs import ORPHANED, Jobs
from apsched.jobstores._sql.rows import RUN_COLUMNS, job_of, run_of, run_values
from apsched.jobstores._sql.schema import OPEN, State, Tables, outcome_in
from apsched.jobstores._sql.untimed import end_untimed
from apsched.jobstores.base import AfterCrash, Node
from apsched.run import Outcome, Run

SETTLED = (
    "job_id",
    "nominal_time",
    "outcome",
    "epoch",
    "node",
    "claimed_at",
    "finished_at",
    "reason",
    "due_time",
    "notes",
)
SETTLED_PLACES = tuple(RUN_COLUMNS.index(name) for name in SETTLED)

LEASE = 60.0  # seconds; of a node whose row is damaged


class Nodes:
    """
    What a store does with nodes, as functions of a connection.

    Args:
        tables: The tables.
        codec: Reads jobs and runs.
        jobs: The jobs of the same store.
        cancellations: Those of the same store.
        followers: Those of the same store.
    """

    def __init__(
        self, tables: Tables, codec: JobCodec, jobs: Jobs, cancellations: Cancellations, followers: Followers
    ) -> None:
        self._tables = tables
        self._nodes = tables.nodes
        self._codec = codec
        self._jobs = jobs
        self._cancellations = cancellations
        self._followers = followers
        self._settle = Change(tables.runs, SETTLED, key=2, guard="t.outcome = 'running'")

    def join(self, connection: Connection, node: str, lease: float, now: int) -> None:
        """Make a node known; see `JobStore.join`."""
        nodes, jobs = self._nodes, self._tables.jobs
        connection.execute(delete(nodes).where(nodes.c.id == node))
        values = {"id": node, "beat": 0, "lease": lease, "started_at": now, "seen_at": now, "is_dead": False}
        connection.execute(insert(nodes).values(values))
        is_retired = jobs.c.state == State.RETIRED.value
        is_never_due = is_retired | jobs.c.follows.is_not(None)
        connection.execute(
            update(jobs)
            .where(jobs.c.state.is_not(None), jobs.c.quarantine.is_not(None))
            .values(
                quarantine=None,
                due_time=case((is_never_due, null()), else_=jobs.c.next_run_time),
                state=case((is_retired, jobs.c.state), else_=null()),
            )
        )

    def beat(self, connection: Connection, node: str, now: int) -> bool:
        """Raise the beat of a node, and return whether it is known and lives."""
        nodes = self._nodes
        raised = {"beat": nodes.c.beat + 1, "seen_at": now}
        alive = update(nodes).where(nodes.c.id == node, nodes.c.is_dead.is_(False))
        return connection.execute(alive.values(raised)).rowcount == 1

    def leave(self, connection: Connection, node: str) -> None:
        """Forget a node; see `JobStore.leave`."""
        nodes = self._nodes
        connection.execute(update(nodes).where(nodes.c.id == node).values(is_dead=True))
        self._forget_dead(connection)

    def nodes(self, connection: Connection) -> list[Node]:
        """Return the nodes; see `JobStore.nodes`."""
        return [
            Node(
                id=row.id,
                beat=row.beat,
                lease=row.lease if isinstance(row.lease, (int, float)) else LEASE,
                started_at=_moment(row.started_at),
                seen_at=_moment(row.seen_at),
                is_dead=bool(row.is_dead),
            )
            for row in connection.execute(select(self._nodes).order_by(self._nodes.c.started_at, self._nodes.c.id))
        ]

    def reap(self, connection: Connection, dead: Mapping[str, int], after_crash: AfterCrash, now: int) -> list[Run]:
        """Settle the runs of dead nodes; see `JobStore.reap`."""
        self._declare_dead(connection, dead)
        lost = self._cancellations.tell(connection, self._lost_runs(connection))
        if not lost:
            self._forget_dead(connection)
            return []
        jobs = self._lock_jobs(connection, sorted({run.job_id for run in lost}))
        settled = []
        for run in lost:
            job = jobs.get(run.job_id)
            successor = after_crash(job, run)
            if job is None and successor.outcome is Outcome.PENDING:
                successor = attrs.evolve(
                    successor, outcome=Outcome.CANCELLED, finished_at=from_micros(now), reason=ORPHANED
                )
            settled.append(attrs.evolve(successor, cancel_reason=None))
        rows = [run_values(_bare(run), self._codec) for run in settled]
        bulk_of(connection).write(
            connection, self._settle, [tuple(row[place] for place in SETTLED_PLACES) for row in rows]
        )
        if damaged := {run.job_id for run in lost if run.nominal_time == EPOCH}:
            end_untimed(connection, self._tables.runs, damaged, Outcome.RUNNING, now)
        self._jobs.forget_retired(connection, [run.job_id for run in settled if run.outcome.is_final])
        self._forget_dead(connection)
        ended = [run for run in settled if run.nominal_time != EPOCH]
        return settled + self._followers.queue(connection, self._followers.of(connection, ended), ended)

    def _declare_dead(self, connection: Connection, dead: Mapping[str, int]) -> None:
        nodes = self._nodes
        if not dead:
            return
        known = select(nodes.c.id, nodes.c.beat).where(nodes.c.id.in_(sorted(dead))).order_by(nodes.c.id)
        rows = connection.execute(known.with_for_update()).all()  # waits for claims that are on their way
        still = [row.id for row in rows if row.beat == dead[row.id]]
        if still:
            connection.execute(update(nodes).where(nodes.c.id.in_(still)).values(is_dead=True))

    def _lost_runs(self, connection: Connection) -> list[Run]:
        """Return the runs under way on nodes that do not live, but not those that somebody else is about to settle."""
        runs, nodes = self._tables.runs, self._nodes
        alive = exists().where(nodes.c.id == runs.c.node, nodes.c.is_dead.is_(False))
        query = (
            select(*(runs.c[name] for name in RUN_COLUMNS))
            .where(outcome_in(OPEN), outcome_in([Outcome.RUNNING]), ~alive)
            .order_by(runs.c.job_id, runs.c.nominal_time)
            .with_for_update(skip_locked=True)
        )
        return [run_of(row, self._codec) for row in connection.execute(query)]

    def _lock_jobs(self, connection: Connection, ids: Sequence[str]) -> dict[str, Job]:
        """Return the jobs, retired ones too; none of them goes before the transaction ends."""
        column = self._tables.jobs.c.id
        query = select(*self._jobs.columns).order_by(column).with_for_update(read=True, key_share=True)
        return {
            row[0]: job_of(row, self._codec, resolve=False)
            for some in chunks(ids)
            for row in connection.execute(query.where(among(column, some, connection)))
        }

    def _forget_dead(self, connection: Connection) -> None:
        """Delete the dead nodes of which no run is left to settle."""
        runs, nodes = self._tables.runs, self._nodes
        has_runs = exists().where(runs.c.node == nodes.c.id, outcome_in(OPEN), outcome_in([Outcome.RUNNING]))
        connection.execute(delete(nodes).where(nodes.c.is_dead.is_(True), ~has_runs))


def _bare(run: Run) -> Run:
    """Return *run* without what settling leaves as it is, and which may be damaged."""
    return attrs.evolve(run, args=None, kwargs=None, retval=None, error=None)


def _moment(value: object) -> datetime:
    """Return a time that is for people only; that of a damaged row is long ago."""
    try:
        return from_micros(value) if isinstance(value, int) else EPOCH
    except OverflowError:
        return EPOCH
