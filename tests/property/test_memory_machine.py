"""Whatever is done to the memory store, in any order: it agrees with a model made of two dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from apsched._portal import drive
from apsched.exceptions import ConflictingIdError, JobLookupError, LeaseLostError
from apsched.job import Job
from apsched.jobstores.base import JobFilter, RunFilter
from apsched.jobstores.memory import MemoryJobStore
from apsched.run import Outcome, Plan, Run
from apsched.triggers.interval import IntervalTrigger

T0 = datetime(2026, 7, 1, 12, tzinfo=UTC)
PERIOD = 4  # seconds between two nominal times of a job
TRIGGER = IntervalTrigger(seconds=PERIOD, start_date=T0, timezone="UTC")
TICK = timedelta(microseconds=1)
ALIASES = ["x", "y", "unknown"]
PENDING, RUNNING, CANCELLED, ABANDONED = Outcome.PENDING, Outcome.RUNNING, Outcome.CANCELLED, Outcome.ABANDONED

ids = st.sampled_from("abcde")
seconds = st.integers(0, 40)


def after(moment: int) -> datetime:
    return T0 + timedelta(seconds=moment)


@attrs.define
class ModelJob:
    due: datetime | None
    executor: str
    most: int
    may_overlap: bool
    is_last: bool
    is_quarantined: bool = False
    is_finished: bool = False


@attrs.define
class ModelRun:
    outcome: Outcome
    epoch: int
    job: ModelJob
    node: str | None = None


def plan(job: Job, open_runs: Sequence[Run], now: datetime, owner: str) -> Plan:
    """Claim the next nominal time, or queue it if a run is open; go on after *now*, or end."""
    if job.executor == "unknown":
        return Plan(job=job, quarantine="unknown")
    assert job.next_run_time is not None
    claim: dict[str, Any] = {"outcome": RUNNING, "epoch": 1, "node": owner, "claimed_at": now}
    run = Run(
        job_id=job.id,
        nominal_time=job.next_run_time,
        due_time=job.next_run_time,
        **({"outcome": PENDING} if open_runs else claim),
    )
    following = None if job.tags else TRIGGER.get_next_fire_time(now, now)
    return Plan(
        job=job, runs=(run,), next_nominal_time=following, next_run_time=following, removes_job=following is None
    )


def after_crash(job: Job | None, run: Run) -> Run:
    """Let the run wait again; without a job it is abandoned."""
    return attrs.evolve(run, outcome=ABANDONED if job is None else PENDING, epoch=run.epoch + 1, node=None)


class MemoryStoreMachine(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.store = MemoryJobStore(keep_runs=10_000)
        self.now = T0
        self.jobs: dict[str, ModelJob] = {}
        self.runs: dict[tuple[str, datetime], ModelRun] = {}
        self.claims: list[Run] = []  # every claim ever given out, lost and ended ones too
        self.nodes: list[str] = []
        self.unsettled: set[str] = set()  # nodes that have left, and may have left runs
        self.joined = 0
        self.join()

    # jobs

    @rule(
        names=st.lists(ids, unique=True, min_size=1, max_size=4),
        due=st.none() | seconds,
        executor=st.sampled_from(ALIASES),
        most=st.integers(1, 2),
        may_overlap=st.booleans(),
        is_last=st.booleans(),
        merges=st.booleans(),
    )
    def add(
        self,
        names: list[str],
        due: int | None,
        executor: str,
        most: int,
        may_overlap: bool,
        is_last: bool,
        merges: bool,
    ) -> None:
        moment = None if due is None else after(due)
        jobs = [
            Job(
                id=name,
                name=name,
                func="m:f",
                trigger=TRIGGER,
                executor=executor,
                max_instances=most,
                overlap="allow" if may_overlap else "skip",
                tags={"last": "yes"} if is_last else {},
                next_run_time=moment,
                next_nominal_time=moment,
            )
            for name in names
        ]
        if not merges and self.jobs.keys() & set(names):
            with pytest.raises(ConflictingIdError):
                drive(self.store.add(jobs))
            return
        drive(self.store.add(jobs, (lambda old, new: new) if merges else None))
        for name in names:
            new = ModelJob(moment, executor, most, may_overlap, is_last)
            self.jobs[name] = new
            for (job_id, _), run in self.runs.items():
                if job_id == name:
                    run.job = new

    @rule(name=ids, due=st.none() | seconds, executor=st.sampled_from(ALIASES))
    def update(self, name: str, due: int | None, executor: str) -> None:
        moment = None if due is None else after(due)

        def change(job: Job) -> Job:
            return attrs.evolve(job, next_run_time=moment, next_nominal_time=moment, executor=executor, quarantine=None)

        if name not in self.jobs:
            with pytest.raises(JobLookupError):
                drive(self.store.update(name, change))
            return
        drive(self.store.update(name, change))
        job = self.jobs[name]
        job.due, job.executor, job.is_quarantined = moment, executor, False

    @rule(name=ids)
    def remove(self, name: str) -> None:
        if name not in self.jobs:
            with pytest.raises(JobLookupError):
                drive(self.store.remove(name))
            return
        drive(self.store.remove(name))
        del self.jobs[name]
        for (job_id, _), run in self.runs.items():
            if job_id == name and run.outcome is PENDING:
                run.outcome = CANCELLED

    @precondition(lambda self: len(self.jobs) > 3)
    @rule()
    def clear(self) -> None:
        drive(self.store.clear())
        self.jobs.clear()
        for run in self.runs.values():
            if run.outcome is PENDING:
                run.outcome = CANCELLED

    # nodes

    @rule()
    def join(self) -> None:
        self.joined += 1
        node = f"node {self.joined}"
        drive(self.store.join(node, 15.0, self.now))
        self.nodes.append(node)
        for job in self.jobs.values():
            job.is_quarantined = False

    @precondition(lambda self: self.nodes)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        node = data.draw(st.sampled_from(self.nodes))
        drive(self.store.leave(node))
        self.nodes.remove(node)
        self.unsettled.add(node)

    @rule(data=st.data())
    def reap(self, data: st.DataObject) -> None:
        dead = data.draw(st.sets(st.sampled_from([*self.nodes, "unknown"])))
        self.nodes = [node for node in self.nodes if node not in dead]
        expected = {}
        for (job_id, moment), run in self.runs.items():
            if run.outcome is RUNNING and run.node in dead | self.unsettled:
                has_job = job_id in self.jobs or run.job.is_finished
                run.outcome, run.epoch, run.node = PENDING if has_job else ABANDONED, run.epoch + 1, None
                expected[job_id, moment] = (run.outcome, run.epoch)
        self.unsettled.clear()

        settled = drive(self.store.reap(dict.fromkeys(dead, 0), after_crash))

        assert {(run.job_id, run.nominal_time): (run.outcome, run.epoch) for run in settled} == expected
        assert len(settled) == len(expected)

    @rule(node=st.sampled_from(["unknown", "node 0"]))
    def claim_as_nobody(self, node: str) -> None:
        with pytest.raises(LeaseLostError):
            drive(self.store.take_due(self.now, {"x": 9}, plan, node))

    # runs

    @rule(name=ids, by_hand=st.booleans())
    def add_run(self, name: str, by_hand: bool) -> None:
        run = Run(job_id=name, nominal_time=self.now, due_time=self.now, outcome=PENDING, is_manual=by_hand)
        if name not in self.jobs:
            with pytest.raises(JobLookupError):
                drive(self.store.add_run(run))
            return
        moment = self.now
        if not by_hand and (name, moment) in self.runs:
            assert drive(self.store.add_run(run)) is not run
            return
        while (name, moment) in self.runs:
            moment += TICK
        assert drive(self.store.add_run(run)).nominal_time == moment
        self.runs[name, moment] = ModelRun(PENDING, 0, self.jobs[name])

    @precondition(lambda self: self.nodes)
    @rule(data=st.data(), step=st.integers(0, 6), free_x=st.integers(0, 3), free_y=st.integers(0, 3))
    def take(self, data: st.DataObject, step: int, free_x: int, free_y: int) -> None:
        self.owner = data.draw(st.sampled_from(self.nodes))
        self.now += timedelta(seconds=step)
        free = {"x": free_x, "y": free_y}
        due = {alias: sorted(self.due(alias)) for alias in ALIASES}

        plans = drive(self.store.take_due(self.now, free, plan, self.owner))

        for alias in ALIASES:
            of_alias = [made for made in plans if made.job.executor == alias]
            pending = [made for made in of_alias if made.next_run_time is None and not made.removes_job]
            if alias == "unknown":
                assert len(of_alias) == len(due[alias])
                for made in of_alias:
                    assert made.quarantine == "unknown"
                    self.jobs[made.job.id].is_quarantined = True
                continue
            for made in pending:
                self.take_pending(made, free)
            assert not free[alias] or not self.claimable(alias)
            for made in of_alias[len(pending) :]:
                self.take_job(made, free, due)
            assert not free[alias] or not due[alias]

    def take_pending(self, made: Plan, free: dict[str, int]) -> None:
        (run,) = made.runs
        known = self.runs[run.job_id, run.nominal_time]
        assert (run.job_id, run.nominal_time) in self.claimable(known.job.executor)
        assert (run.outcome, run.epoch, run.node) == (RUNNING, known.epoch + 1, self.owner)
        free[known.job.executor] -= 1
        assert free[known.job.executor] >= 0
        known.outcome, known.epoch, known.node = RUNNING, run.epoch, self.owner
        self.claims.append(run)

    def take_job(self, made: Plan, free: dict[str, int], due: dict[str, list[datetime]]) -> None:
        job = self.jobs[made.job.id]
        assert job.due is not None
        assert job.due == due[job.executor].pop(0)  # the earliest
        assert not job.is_quarantined
        free[job.executor] -= 1
        assert free[job.executor] >= 0
        key = (made.job.id, job.due)
        assert len(made.runs) == (key not in self.runs)
        for run in made.runs:
            has_open = any(name == run.job_id and not known.outcome.is_final for (name, _), known in self.runs.items())
            assert run.outcome is (PENDING if has_open else RUNNING)
            self.runs[key] = ModelRun(run.outcome, run.epoch, job, run.node)
            if run.outcome is RUNNING:
                self.claims.append(run)
        job.due = made.next_run_time
        if job.is_last:
            assert made.removes_job
            job.is_finished = True
            del self.jobs[made.job.id]

    def due(self, alias: str) -> list[datetime]:
        return [
            job.due
            for job in self.jobs.values()
            if job.executor == alias and job.due is not None and job.due <= self.now and not job.is_quarantined
        ]

    def claimable(self, alias: str) -> list[tuple[str, datetime]]:
        """Return the next pending run of each job that has one which may start."""
        found = []
        for name in "abcde":
            pending = [key for key, run in self.runs.items() if key[0] == name and run.outcome is PENDING]
            running = sum(key[0] == name and run.outcome is RUNNING for key, run in self.runs.items())
            if pending:
                job = self.runs[min(pending)].job
                if job.executor == alias and (job.may_overlap or running < job.most):
                    found.append(min(pending))
        return found

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), outcome=st.sampled_from([Outcome.SUCCEEDED, Outcome.FAILED, PENDING]))
    def finish(self, data: st.DataObject, outcome: Outcome) -> None:
        claims = data.draw(st.lists(st.sampled_from(self.claims), min_size=1, max_size=3, unique_by=id))
        runs = [attrs.evolve(claim, outcome=outcome) for claim in claims]
        expected = []
        for run in runs:
            known = self.runs[run.job_id, run.nominal_time]
            if known.outcome is RUNNING and known.epoch == run.epoch:
                expected.append(run)
                is_orphaned = run.job_id not in self.jobs and not known.job.is_finished
                known.outcome = CANCELLED if outcome is PENDING and is_orphaned else outcome
            elif known.outcome is outcome and known.epoch == run.epoch:
                expected.append(run)  # once more

        assert drive(self.store.finish(runs)) == expected

    @rule(data=st.data())
    def cancel_pending(self, data: st.DataObject) -> None:
        pending = drive(self.store.runs(RunFilter(outcomes=[PENDING]), 1000))
        if pending:
            run = data.draw(st.sampled_from(pending))
            cancelled = attrs.evolve(run, outcome=CANCELLED)
            assert drive(self.store.finish([cancelled])) == [cancelled]
            self.runs[run.job_id, run.nominal_time].outcome = CANCELLED

    # what can be seen

    @invariant()
    def the_jobs_agree(self) -> None:
        kept = drive(self.store.select(JobFilter()))
        expected = sorted(self.jobs, key=lambda name: (self.jobs[name].due or datetime.max.replace(tzinfo=UTC), name))

        assert [job.id for job in kept] == expected
        assert [job.next_run_time for job in kept] == [self.jobs[name].due for name in expected]
        assert [job.quarantine is not None for job in kept] == [self.jobs[name].is_quarantined for name in expected]

    @invariant()
    def the_runs_agree(self) -> None:
        kept = drive(self.store.runs(RunFilter(), 1000))
        expected = sorted(self.runs, key=lambda key: (key[1], key[0]), reverse=True)

        assert [(run.job_id, run.nominal_time) for run in kept] == expected
        assert [(run.outcome, run.epoch) for run in kept] == [
            (self.runs[key].outcome, self.runs[key].epoch) for key in expected
        ]

    @invariant()
    def the_claims_agree(self) -> None:
        for node in self.nodes:
            told = {(plan.runs[0].job_id, plan.runs[0].nominal_time) for plan in drive(self.store.claimed(node))}
            assert told == {
                (job_id, moment)
                for (job_id, moment), run in self.runs.items()
                if run.outcome is RUNNING and run.node == node and (job_id in self.jobs or run.job.is_finished)
            }

    @invariant()
    def the_nodes_agree(self) -> None:
        assert {node.id for node in drive(self.store.nodes()) if not node.is_dead} == set(self.nodes)

    @invariant()
    def what_comes_next_agrees(self) -> None:
        for alias in ALIASES:
            moment = drive(self.store.next_run_time({other: int(other == alias) for other in ALIASES}, "a"))
            dues = [
                job.due for job in self.jobs.values() if job.executor == alias and not job.is_quarantined and job.due
            ]
            if self.claimable(alias):
                assert moment is not None
                assert moment <= self.now
            else:
                assert moment == min(dues, default=None)


TestMemoryStore = MemoryStoreMachine.TestCase
TestMemoryStore.settings = settings(max_examples=150, stateful_step_count=40)
