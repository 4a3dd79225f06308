"""Claim due jobs and pending runs (layer 7).

Rule 1: whoever counts the runs of a job, in order to start one more, holds the row of the job; the count is a statement
of its own after that, since a statement sees what was committed before it began.
Rule 2: locks are taken where they are free and skipped where they are not, so that claimers never wait for each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import Any

import attrs
from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError

from apsched.exceptions import LeaseLostError
from apsched.job import Job
from apsched.jobstores._codec import EARLIEST, LATEST, JobCodec, to_micros
from apsched.jobstores._sql.among import among, among_these
from apsched.jobstores._sql.bulk import Change, bulk_of, columns_of
from apsched.jobstores._sql.errors import OvertakenError
from apsched.jobstores._sql.jobs import Jobs
from apsched.jobstores._sql.rows import (
    RUN_COLUMNS,
    Key,
    Values,
    clip,
    job_of,
    key_of,
    micros_of,
    run_columns,
    run_of,
)
from apsched.jobstores._sql.runs import Runs
from apsched.jobstores._sql.schema import OPEN, State, Tables, outcome_in
from apsched.jobstores._sql.untimed import end_untimed
from apsched.jobstores._unfit import Unfit
from apsched.run import Outcome, Plan, Planner, Run
from apsched.serializers.base import unreadable_arguments

RUNNING, PENDING = Outcome.RUNNING, Outcome.PENDING

ADVANCE_COLUMNS = ("id", "next_run_time", "next_nominal_time", "due_time", "state", "quarantine")


@attrs.define
class Look:
    """
    One call of `take_due`, which may need several transactions.

    Attributes:
        now: The time.
        slots: Executor alias -> how many runs may be claimed for it.
        plan: What is to become of a due job.
        owner: The node that claims.
        is_careful: Whether to ask first which nominal times are recorded; after they have turned out to be.
        marks: Job id -> mark, of the due jobs that bear one.
    """

    now: datetime
    slots: Mapping[str, int]
    plan: Planner
    owner: str
    is_careful: bool = False
    marks: Mapping[str, str] = attrs.field(factory=dict)


class Claims:
    """
    What a store does to claim, as functions of a connection.

    Args:
        tables: The tables.
        codec: Reads and writes what jobs and runs consist of.
        jobs: The jobs of the same store.
        runs: The runs of the same store.
        unfit: The jobs that nodes of this process cannot run.
    """

    def __init__(self, tables: Tables, codec: JobCodec, jobs: Jobs, runs: Runs, unfit: Unfit) -> None:
        self._tables = tables
        self._codec = codec
        self._jobs = jobs
        self._runs = runs
        self._unfit = unfit
        self._insert = Change(tables.runs, RUN_COLUMNS)
        self._advance = Change(tables.jobs, ADVANCE_COLUMNS, key=1)
        self._claim = Change(
            tables.runs,
            ("job_id", "nominal_time", "outcome", "node", "claimed_at", "epoch"),
            key=2,
            is_set=4,
            guard="t.outcome = 'pending' AND t.epoch = {epoch} - 1",
        )
        self._run_columns = [tables.runs.c[name] for name in RUN_COLUMNS]
        self._is_waiting = (outcome_in(OPEN), outcome_in([PENDING]))
        self._is_pending = (*self._is_waiting, tables.runs.c.due_time <= bindparam("now"))
        is_pending = exists(select(literal_column("1")).where(*self._is_pending).select_from(tables.runs))
        nodes = tables.nodes
        self._ask_node = (
            select(nodes.c.is_dead, is_pending.label("is_pending"))
            .where(nodes.c.id == bindparam("owner"))
            .with_for_update(read=True, key_share=True)
        )
        self._open = lru_cache(2)(self._make_open)
        self._due = lru_cache(64)(self._make_due)
        self._node_and_due = lru_cache(64)(self._make_node_and_due)
        self._next = lru_cache(64)(self._make_next)

    def take_due(self, connection: Connection, look: Look) -> list[Plan]:
        """Claim; see `JobStore.take_due`."""
        free = _free_of(look.slots)
        is_pending, due = self._look(connection, free, look)
        plans: list[Plan] = []
        if is_pending:
            for alias, count in free.items():
                claimed = self._claim_pending(connection, alias, count, look)
                free[alias] = count - sum(len(plan.runs) for plan in claimed)
                plans += claimed
            free = {alias: count for alias, count in free.items() if count}
        if due is None:
            due = self._due_jobs(connection, free, look) if free else []
        return plans + self._take_jobs(connection, due, look)

    def _look(self, connection: Connection, free: Mapping[str, int], look: Look) -> tuple[bool, list[Job] | None]:
        """
        Return whether pending runs are due, and the due jobs if one statement told both.

        Raises:
            LeaseLostError: The node that claims was taken for dead.
        """
        is_one = bool(free) and connection.dialect.name == "postgresql"  # others may not lock what a join is made of
        if is_one:
            values = self._due_values(free, look)
            rows = connection.execute(self._node_and_due(len(free), "unfit" in values), {"owner": look.owner, **values})
        else:
            rows = connection.execute(self._ask_node, {"owner": look.owner, "now": to_micros(look.now)})
        found = iter(rows)
        node = next(found, None)
        if node is None or node.is_dead:
            raise LeaseLostError(look.owner)
        if node.is_pending or not is_one:
            return bool(node.is_pending), None
        return False, [] if node.id is None else self._read(chain([node], found), free, look)

    # due jobs

    def _take_jobs(self, connection: Connection, jobs: Sequence[Job], look: Look) -> list[Plan]:
        if not jobs:
            return []
        open_runs = self._open_runs(connection, [job.id for job in jobs])
        plans = [self._plan(job, open_runs, look) for job in jobs]
        if look.is_careful:
            plans = self._drop_recorded(connection, plans)
        runs = run_columns([run for plan in plans for run in plan.runs], self._codec)
        rows = columns_of([self._advanced(plan, look.marks.get(plan.job.id), look.owner) for plan in plans])
        try:
            bulk_of(connection).write_both(connection, (self._insert, runs), (self._advance, rows))
        except IntegrityError:
            look.is_careful = True
            raise
        tagged = [plan.job.id for plan in plans if plan.removes_job and plan.job.tags]
        if tagged:
            self._jobs.forget_tags(connection, tagged)
        ended = [plan.job.id for plan in plans if plan.removes_job and not _leaves_open(plan, open_runs)]
        if ended:
            self._jobs.forget_retired(connection, ended)
        for plan in plans:
            if plan.quarantine is None:
                plan.job.next_nominal_time, plan.job.next_run_time = plan.next_nominal_time, plan.next_run_time
        return plans

    def _due_jobs(self, connection: Connection, free: Mapping[str, int], look: Look) -> list[Job]:
        values = self._due_values(free, look)
        return self._read(connection.execute(self._due(len(free), "unfit" in values), values), free, look)

    def _read(self, rows: Iterable[Any], free: Mapping[str, int], look: Look) -> list[Job]:
        """Return the due jobs of *rows* in the order in which they are due; each row is dropped when it is read."""
        jobs: list[Job] = []
        marks: dict[str, str] = {}
        due_times: dict[str, int] = {}
        for row in rows:
            jobs.append(self._job_of(row, look))
            due_times[row[0]] = row[5]
            if row[3] is not None:
                marks[row[0]] = row[3]
        look.marks = marks
        if len(free) > 1:
            jobs.sort(key=lambda job: due_times[job.id])
        return jobs

    def _due_values(self, free: Mapping[str, int], look: Look) -> dict[str, Any]:
        """Return the values for `_make_due`."""
        values = {"now": to_micros(look.now), **self._unfit_values(look.owner)}
        for place, (alias, count) in enumerate(free.items()):
            values |= {f"alias_{place}": alias, f"count_{place}": count}
        return values

    def _make_due(self, aliases: int, has_unfit: bool) -> Any:
        """Return the query of the due jobs of so many executors, each with a limit of its own."""
        if aliases == 1:
            return self._due_of(0, has_unfit)
        parts = [self._due_of(place, has_unfit).subquery() for place in range(aliases)]
        return union_all(*(select(part) for part in parts))

    def _make_node_and_due(self, aliases: int, has_unfit: bool) -> Any:
        """Return the query of the due jobs, each with what is asked of the node; without due jobs one row of nulls."""
        node = self._ask_node.cte("node")
        due = self._make_due(aliases, has_unfit).subquery("due")
        return select(*due.c, node.c.is_dead, node.c.is_pending).select_from(
            node.outerjoin(due, node.c.is_dead.is_(False))
        )

    def _due_of(self, place: int, has_unfit: bool) -> Any:
        jobs = self._tables.jobs
        return (
            select(*self._jobs.columns, jobs.c.due_time)
            .where(jobs.c.executor == bindparam(f"alias_{place}"), jobs.c.due_time <= bindparam("now"))
            .where(*self._is_fit(has_unfit))
            .order_by(jobs.c.due_time)
            .limit(bindparam(f"count_{place}"))
            .with_for_update(skip_locked=True)
        )

    def _is_fit(self, has_unfit: bool) -> Iterator[ColumnElement[bool]]:
        """Say that a job is none of those that the node has marked."""
        if has_unfit:
            jobs = self._tables.jobs
            yield or_(
                jobs.c.quarantine.is_(None),
                jobs.c.id.not_in(bindparam("unfit", expanding=True)),
                jobs.c.quarantine.not_in(bindparam("marks", expanding=True)),
            )

    def _unfit_values(self, owner: str) -> dict[str, Any]:
        """Return the values for `_is_fit`; none if there is nothing to pass over."""
        unfit = self._unfit.of(owner)
        return {"unfit": list(unfit), "marks": sorted(set(unfit.values()))} if unfit else {}

    def _open_runs(self, connection: Connection, ids: Sequence[str]) -> dict[str, list[Run]]:
        found: dict[str, list[Run]] = {}
        for row in connection.execute(self._open(connection.dialect.name), {"ids": ids}):
            found.setdefault(row[0], []).append(run_of(row, self._codec))
        return found

    def _make_open(self, dialect: str) -> Any:
        """Return the query of the open runs of jobs, made once since that takes as long as to read many rows."""
        runs = self._tables.runs
        query = select(*self._run_columns).where(among_these(runs.c.job_id, "ids", dialect), outcome_in(OPEN))
        return query.order_by(runs.c.nominal_time)

    def _plan(self, job: Job, open_runs: Mapping[str, list[Run]], look: Look) -> Plan:
        if job.quarantine is not None:
            return Plan(job=job, quarantine=job.quarantine)
        return look.plan(job, open_runs.get(job.id, ()), look.now, look.owner)

    def _drop_recorded(self, connection: Connection, plans: Sequence[Plan]) -> list[Plan]:
        recorded = self._runs.states(connection, [key_of(run) for plan in plans for run in plan.runs])
        return [_without(plan, recorded) for plan in plans]

    # pending runs

    def _claim_pending(self, connection: Connection, alias: str, limit: int, look: Look) -> list[Plan]:
        jobs = self._tables.jobs
        query = select(*self._jobs.columns, jobs.c.max_instances, jobs.c.state)
        unfit = self._unfit_values(look.owner)
        query = query.where(jobs.c.executor == alias, *self._may_start(), *self._is_fit(bool(unfit)))
        query = query.where(jobs.c.id.in_(select(self._tables.runs.c.job_id).where(*self._is_pending)))
        query = query.order_by(self._oldest_pending()).limit(limit).with_for_update(skip_locked=True, of=jobs)
        now = {"now": to_micros(look.now)}
        rows = connection.execute(query, unfit | now).all()
        known = {row[0]: _Locked(self._job_of(row, look), row[5], row[6]) for row in rows}
        broken = [locked for locked in known.values() if locked.job.quarantine is not None]
        sound = {job_id: locked for job_id, locked in known.items() if locked.job.quarantine is None}
        claims = []
        for run in self._choose(connection, sound, limit, now):
            if (reason := unreadable_arguments(run)) is not None:
                self._fail(connection, run, reason, to_micros(look.now))
                continue
            claims.append(attrs.evolve(run, outcome=RUNNING, epoch=run.epoch + 1, node=look.owner, claimed_at=look.now))
        self._store_claims(connection, claims)
        for locked in broken:
            self._quarantine(connection, locked, look.owner)
        return [Plan(job=locked.job, quarantine=locked.job.quarantine) for locked in broken] + [
            Plan(job=known[run.job_id].job, runs=(run,)) for run in claims
        ]

    def _may_start(self) -> Iterator[ColumnElement[bool]]:
        """Say that one more run of a job may start."""
        jobs, runs = self._tables.jobs, self._tables.runs
        running = (
            select(func.count())
            .where(runs.c.job_id == jobs.c.id, outcome_in(OPEN), outcome_in([RUNNING]))
            .correlate(jobs)
            .scalar_subquery()
        )
        yield or_(jobs.c.quarantine.is_(None), jobs.c.state == State.MARKED.value)
        yield or_(jobs.c.max_instances.is_(None), running < jobs.c.max_instances)

    def _oldest_pending(self) -> ColumnElement[int]:
        jobs, runs = self._tables.jobs, self._tables.runs
        return (
            select(func.min(runs.c.nominal_time))
            .where(runs.c.job_id == jobs.c.id, *self._is_pending)
            .correlate(jobs)
            .scalar_subquery()
        )

    def _choose(
        self, connection: Connection, known: Mapping[str, _Locked], limit: int, now: Mapping[str, int]
    ) -> list[Run]:
        """Return the oldest pending runs that may start now, of jobs which nobody else can start now."""
        if not known:
            return []
        runs = self._tables.runs
        is_theirs = among(runs.c.job_id, list(known), connection)
        counted = select(runs.c.job_id).where(is_theirs, outcome_in(OPEN), outcome_in([RUNNING]))
        running = Counter(connection.execute(counted).scalars())
        place = func.row_number().over(partition_by=runs.c.job_id, order_by=runs.c.nominal_time).label("place")
        ranked = select(*self._run_columns, place).where(is_theirs, *self._is_pending).subquery()
        first = select(ranked).where(ranked.c.place <= limit).order_by(ranked.c.nominal_time)
        chosen: list[Run] = []
        for row in connection.execute(first, now):
            most = known[row[0]].max_instances
            if len(chosen) < limit and (most is None or row[-1] + running[row[0]] <= most):
                chosen.append(run_of(row, self._codec))
        return chosen

    def _store_claims(self, connection: Connection, claims: Sequence[Run]) -> None:
        rows = [(*key_of(run), run.outcome.value, run.node, micros_of(run.claimed_at), run.epoch) for run in claims]
        if bulk_of(connection).write(connection, self._claim, sorted(rows)) < len(rows):
            raise OvertakenError("a pending run was cancelled while it was being claimed")

    def _fail(self, connection: Connection, run: Run, reason: str, now: int) -> None:
        """End a pending run that cannot be started."""
        runs = self._tables.runs
        ended = connection.execute(
            update(runs)
            .where(runs.c.job_id == run.job_id, runs.c.nominal_time == to_micros(run.nominal_time))
            .where(runs.c.outcome == PENDING.value)
            .values(outcome=Outcome.FAILED.value, finished_at=now, reason=clip(reason))
        )
        if not ended.rowcount:
            end_untimed(connection, runs, [run.job_id], PENDING, now)
        self._jobs.forget_retired(connection, [run.job_id])

    def _quarantine(self, connection: Connection, locked: _Locked, owner: str) -> None:
        jobs, job = self._tables.jobs, locked.job
        values: dict[str, Any]
        if locked.state != State.RETIRED.value and (mark := self._unfit.mark_of(job, owner)) is not None:
            values = {"quarantine": mark, "state": State.MARKED.value}
        else:
            state = State.QUARANTINED.value if locked.state != State.RETIRED.value else locked.state
            values = {"quarantine": clip(job.quarantine), "state": state, "due_time": None}
        connection.execute(update(jobs).where(jobs.c.id == job.id).values(values))

    def _advanced(self, plan: Plan, mark: str | None, owner: str) -> Values:
        """Return what becomes of the row of a job that has this *mark*, as `ADVANCE_COLUMNS`."""
        job = plan.job
        if plan.quarantine is not None:
            run_time, nominal_time = micros_of(job.next_run_time), micros_of(job.next_nominal_time)
            if (own := self._unfit.mark_of(job, owner)) is not None:
                return (job.id, run_time, nominal_time, run_time, State.MARKED.value, own)
            return (job.id, run_time, nominal_time, None, State.QUARANTINED.value, clip(plan.quarantine))
        if plan.removes_job:
            return (job.id, None, None, None, State.RETIRED.value, None)
        due = micros_of(plan.next_run_time)
        state = None if mark is None else State.MARKED.value
        return (job.id, due, micros_of(plan.next_nominal_time), due, state, mark)

    def _job_of(self, row: Sequence[Any], look: Look) -> Job:
        """Return the job of *row*; it is quarantined if this node cannot run it, whatever others have found."""
        job = job_of(row, self._codec, resolve=True, is_quarantined=False)
        if job.quarantine is not None:
            self._unfit.note(job, look.owner, look.now, row[3])
        return job

    # what is to come, and what was claimed

    def next_due(self, connection: Connection, slots: Mapping[str, int], owner: str) -> int | None:
        """Return the time of `JobStore.next_run_time`."""
        aliases, unfit = list(_free_of(slots)), self._unfit_values(owner)
        if not aliases:
            return None
        values = {f"alias_{place}": alias for place, alias in enumerate(aliases)} | unfit
        moments = connection.execute(self._next(len(aliases), bool(unfit)), values).one()
        known = [moment for moment in moments if isinstance(moment, int) and moment <= LATEST]  # rows may be damaged
        return max(min(known), EARLIEST) if known else None

    def _make_next(self, aliases: int, has_unfit: bool) -> Any:
        """Return the query of when the next pending run is due, and the next job of each of so many executors."""
        jobs, runs = self._tables.jobs, self._tables.runs
        names: list[Any] = [bindparam(f"alias_{place}") for place in range(aliases)]
        is_fit = list(self._is_fit(has_unfit))
        can_run = exists(
            select(literal_column("1"))
            .where(jobs.c.id == runs.c.job_id, jobs.c.executor.in_(names), *self._may_start(), *is_fit)
            .correlate(runs)
        )
        pending = select(runs.c.due_time).where(*self._is_waiting, can_run).order_by(runs.c.due_time).limit(1)
        earliest = select(jobs.c.due_time).where(jobs.c.due_time.is_not(None), *is_fit)
        earliest = earliest.order_by(jobs.c.due_time).limit(1)
        return select(
            pending.scalar_subquery(), *(earliest.where(jobs.c.executor == name).scalar_subquery() for name in names)
        )

    def claimed(self, connection: Connection, owner: str) -> list[Plan]:
        """Return claims; see `JobStore.claimed`."""
        jobs, runs = self._tables.jobs, self._tables.runs
        query = (
            select(*self._run_columns, *self._jobs.columns)
            .join_from(runs, jobs, jobs.c.id == runs.c.job_id)
            .where(outcome_in(OPEN), outcome_in([RUNNING]), runs.c.node == owner)
            .order_by(runs.c.nominal_time, runs.c.job_id)
        )
        width = len(RUN_COLUMNS)
        return [
            Plan(job=job_of(row[width:], self._codec, resolve=True), runs=(run_of(row[:width], self._codec),))
            for row in connection.execute(query)
        ]


@attrs.frozen
class _Locked:
    """A job whose row this transaction holds; `max_instances` is None where any number may run."""

    job: Job
    max_instances: int | None
    state: int | None


def _free_of(slots: Mapping[str, int]) -> dict[str, int]:
    return {alias: free for alias, free in slots.items() if free > 0}


def _leaves_open(plan: Plan, open_runs: Mapping[str, list[Run]]) -> bool:
    return plan.job.id in open_runs or any(not run.outcome.is_final for run in plan.runs)


def _without(plan: Plan, recorded: Collection[Key]) -> Plan:
    """Return *plan* without the runs whose nominal times are recorded, and without what these were to replace."""
    dropped = [run for run in plan.runs if key_of(run) in recorded]
    if not dropped:
        return plan
    runs = tuple(run for run in plan.runs if run not in dropped)
    cancel = () if any(run.outcome is RUNNING for run in dropped) else plan.cancel
    return attrs.evolve(plan, runs=runs, cancel=cancel)
