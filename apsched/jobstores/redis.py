"""Keep jobs and runs in Redis (layer 7).

Rule 1: a transaction is one Lua script. Where Python decides in between (`plan`, `merge`, `change`, `after_crash`) it
is two: the second one writes only what still stands as the first one read it. Every state of a job has a revision,
which any change of the job, and any open run that is added, replaces; a run is guarded by the epoch of its claim.
Rule 2: a node that plans for a job holds it for `HOLD`, so that others do not plan for it in vain. Nothing depends on
that: a hold that is lost or outlived costs a plan.
Rule 3: whoever is cancelled between the two scripts gives back what the first one claimed.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeAlias

import anyio
import anyio.lowlevel
import attrs

from apsched import _plugins
from apsched._bridge import Bridge
from apsched._redis_clients import Client, RedisClients
from apsched.exceptions import (
    ConflictingIdError,
    JobLookupError,
    JobStoreUnavailableError,
    JobStoreVersionError,
    LeaseLostError,
    TransientJobError,
)
from apsched.job import Job
from apsched.jobstores._blocking import BlockingMethods
from apsched.jobstores._codec import JobCodec, from_micros, to_micros
from apsched.jobstores._notes import notes_to_text
from apsched.jobstores._redis._connection import Connection
from apsched.jobstores._redis._packing import Argument, rows_of
from apsched.jobstores._redis._rows import (
    CODES,
    ORPHANED_REASON,
    StoredJob,
    claim_of,
    followed_key_of,
    id_of,
    is_retired,
    key_of,
    micros,
    name_of,
    node_of,
    read_job,
    read_run,
    state_after,
    state_of,
    write_run,
)
from apsched.jobstores._unfit import Unfit
from apsched.jobstores.base import AfterCrash, Beat, Change, JobFilter, Merge, Node, RunFilter
from apsched.notifiers.base import Notifier
from apsched.run import Outcome, Plan, Planner, Run, following
from apsched.serializers.base import Serializer, unreadable_arguments
from apsched.serializers.pickle import PickleSerializer

logger: logging.Logger = logging.getLogger("apsched.jobstores")

FORMAT = b"1"  # of what is stored
OLDEST_SERVER = (6, 2)
HOLD = timedelta(seconds=2)  # by the clock of the server; long for a plan, short for what a dead node held
MICROSECOND = timedelta(microseconds=1)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
CHUNK = 500  # jobs or runs of one script that may be parted into several
LARGEST_COMMIT = 2000  # jobs and runs of one script; more comes where many jobs catch up with many nominal times
FOLLOWED = 10_000  # jobs of which it is remembered who follows them
ATTEMPTS = 50  # changes of a job that others keep changing

PENDING = Outcome.PENDING
STORED = 1  # what the script `finish` answers if a run is stored as it came

Put: TypeAlias = tuple[Job, bytes]
"""A job to store, and the state that it must have; empty if it must be new."""

Followers: TypeAlias = dict[bytes, tuple[bytes, list[Job]]]
"""Id of a job -> what stands for its followers, and these, as they were read."""


class RedisJobStore(BlockingMethods):
    """
    A job store in Redis 6.2 or later, or in what speaks its protocol and runs its scripts.

    All keys begin with one hash tag, `{jobs_key}:`, so a cluster will do; nodes share jobs if they name the same one.
    What Redis loses, for example at a power cut between two writes of its append-only file or at a failover, is lost
    here; a warning tells on entering if the server is set up to lose more than that.

    `clear` and `prune` go in steps of some hundred, and listings page by page: each step is a transaction.

    Args:
        db: The number of the database.
        jobs_key: What the keys begin with.
        run_times_key: Is taken because APScheduler 3 has it, and has no meaning.
        pickle_protocol: That of `serializer="pickle"`, and only allowed with it.
        url: `redis://user:password@host:6379/0`, `rediss://...` or `unix://...`, instead of *connect_args*.
        client: A `redis.asyncio.Redis` whose settings are taken over and which itself is left alone. For a cluster and
            for Sentinel: a function that makes a client, since a store needs several.
        serializer: Writes jobs, arguments and results; a serializer or the alias of one.
        allowed_modules: Modules in which, or below which, callables of jobs must be defined; None: any.
        keep_runs: How many finished runs are kept of each job that does not name a number of its own, from 0 on.
        timeout: Seconds that one call to the server may take, more than 0.
        **connect_args: Further arguments of `redis.asyncio.Redis`, such as *host*, *port* and *password*.

    Raises:
        MissingExtraError: The package redis, or that of the serializer, is not installed.
        ValueError: A value is out of range, or two contradict each other.
        TypeError: A value is of the wrong type.
        LookupError: There is no such serializer.
    """

    def __init__(
        self,
        db: int = 0,
        jobs_key: str = "apsched.jobs",
        run_times_key: str | None = None,
        pickle_protocol: int | None = None,
        *,
        url: str | None = None,
        client: Client | Callable[[], Client] | None = None,
        serializer: Serializer | str = "json",
        allowed_modules: Collection[str] | None = None,
        keep_runs: int = 100,
        timeout: float = 5.0,
        **connect_args: Any,
    ) -> None:
        if not isinstance(jobs_key, str) or not jobs_key or set(jobs_key) & {"{", "}"}:
            raise ValueError(f"jobs_key must be a text of at least 1 character without braces, got {jobs_key!r}")
        if isinstance(keep_runs, bool) or not isinstance(keep_runs, int) or keep_runs < 0:
            raise ValueError(f"keep_runs must be a whole number from 0 on, got {keep_runs!r}")
        if pickle_protocol is not None:
            if serializer != "pickle":
                raise ValueError(
                    f"pickle_protocol must be None unless serializer is 'pickle', got {pickle_protocol!r} "
                    f"and serializer={serializer!r}; leave it out"
                )
            serializer = PickleSerializer(protocol=pickle_protocol)
        if db:
            connect_args["db"] = db
        self._clients = RedisClients(url, client, timeout, connect_args)
        self._notifier_args = {"url": url, "client": client, "timeout": timeout, **connect_args}
        self._codec = JobCodec(serializer, allowed_modules)
        self._tag = f"{{{jobs_key}}}"
        self._keep_runs = keep_runs
        self._timeout = timeout
        self._unfit = Unfit()
        self._followers: Followers = {}  # as they were read last
        self._bridge = Bridge()
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        await self._bridge.__aenter__()
        try:
            await self._bridge.call(self._open)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._bridge.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            if self._connection is not None:
                await self._bridge.call(self._connection.close)
                self._connection = None
            await self._bridge.__aexit__(exc_type, exc, traceback)

    async def _open(self) -> None:
        connection = Connection(self._clients, self._tag, self._timeout)
        try:
            found, info, has_old_jobs = await connection.run("enter", FORMAT)
            self._check_server(found, _read_info(info), has_old_jobs=bool(has_old_jobs))
        except BaseException:
            await connection.close()
            raise
        self._connection = connection

    def _check_server(self, found: bytes, info: Mapping[str, str], *, has_old_jobs: bool) -> None:
        place = self._clients.place
        version = info.get("redis_version", "6.2")  # the user may have no right to ask
        if tuple(map(int, version.split(".")[:2])) < OLDEST_SERVER:
            raise JobStoreUnavailableError(f"Redis at {place} is of version {version}; it must be 6.2 or later")
        if found != FORMAT:
            raise JobStoreVersionError(
                f"the keys of {self._tag} in Redis at {place} are of format {found.decode(errors='replace')!r}, and "
                f"this release of apsched knows {FORMAT.decode()!r}; update apsched, or pass another jobs_key="
            )
        policy = info.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            logger.warning(
                "Redis at %s drops keys when its memory is full (maxmemory-policy %s), so jobs and runs may be lost; "
                "set maxmemory-policy noeviction",
                place,
                policy,
            )
        if info.get("aof_enabled") == "0":
            logger.warning(
                "Redis at %s writes no append-only file, so what has changed since its last snapshot is lost when it "
                "ends; set appendonly yes",
                place,
            )
        if has_old_jobs:
            logger.warning(
                "Redis at %s has jobs of APScheduler 3 under %s, which are not read here; add them anew",
                place,
                self._tag[1:-1],
            )

    async def _run(self, name: str, *args: Argument) -> Any:
        if self._connection is None:
            raise JobStoreUnavailableError(f"the job store on Redis at {self._clients.place} is not open; enter it")
        return await self._connection.run(name, *args)

    # jobs

    async def add(self, jobs: Sequence[Job], merge: Merge | None = None) -> list[Job]:
        return await self._bridge.call(self._add, jobs, merge)

    async def _add(self, jobs: Sequence[Job], merge: Merge | None) -> list[Job]:
        puts: list[Put] = [(job, b"") for job in jobs]
        rows = [row async for row in self._encoded(puts)]
        refused: list[int] = await self._put(rows)
        if refused and merge is None:
            raise ConflictingIdError(jobs[refused[0]].id)
        for _ in range(ATTEMPTS):
            if not refused or merge is None:
                return [job for job, _ in puts]
            for place, stored in zip(refused, await self._fetch([key_of(jobs[i].id) for i in refused]), strict=True):
                puts[place] = _merged(jobs[place], stored, merge)
            for place, row in zip(
                refused, [row async for row in self._encoded([puts[i] for i in refused])], strict=True
            ):
                rows[place] = row
            refused = await self._put(rows)
        raise self._too_busy(puts[refused[0]][0].id)

    async def update(self, job_id: str, change: Change) -> Job:
        return await self._bridge.call(self._update, job_id, change)

    async def _update(self, job_id: str, change: Change) -> Job:
        key = _known_key(job_id)
        for _ in range(ATTEMPTS):
            (stored,) = await self._fetch([key])
            if stored is None:
                raise JobLookupError(job_id)
            changed = change(stored.job)
            if not await self._put([row async for row in self._encoded([(changed, stored.state)])]):
                return changed
        raise self._too_busy(job_id)

    async def _encoded(self, puts: Iterable[Put]) -> AsyncGenerator[tuple[bytes, ...]]:
        """Give what the script `put` takes of each job."""
        for number, (job, expected) in enumerate(puts, 1):
            if number % CHUNK == 0:
                await anyio.lowlevel.checkpoint()  # thousands take a while
            yield (
                key_of(job.id),
                expected,
                state_of(job),
                micros(job.next_run_time),
                self._codec.encode(job),
                (job.quarantine or "").encode("utf-8", "backslashreplace"),
                job.lane.encode(),
                followed_key_of(job),
                b"" if job.expect_success_within is None else b"1",
            )

    async def _put(self, rows: Sequence[tuple[bytes, ...]]) -> list[int]:
        """Store jobs; return the places of those whose state is not what it must be, in which case none is stored."""
        if not rows:
            return []
        refused: list[int] = await self._run("put", *[value for row in rows for value in row])
        return refused

    def _too_busy(self, job_id: str) -> JobStoreUnavailableError:
        return JobStoreUnavailableError(
            f"job {job_id!r} in Redis at {self._clients.place} was changed by others {ATTEMPTS} times while it was to "
            f"be changed here; try again"
        )

    async def _fetch(self, keys: Sequence[bytes]) -> list[StoredJob | None]:
        """Return the jobs in the list that have these keys."""
        rows = rows_of(await self._run("fetch", *keys))
        return [
            read_job(self._codec, key, *row) if row[0] and not is_retired(row[0]) else None
            for key, row in zip(keys, rows, strict=True)
        ]

    async def remove(self, job_id: str) -> None:
        if not await self._bridge.call(self._run, "remove", _known_key(job_id)):
            raise JobLookupError(job_id)

    async def clear(self) -> None:
        while await self._bridge.call(self._run, "clear", CHUNK):
            pass

    async def get(self, job_id: str) -> Job | None:
        try:
            key = key_of(job_id)
        except TransientJobError:
            return None
        (stored,) = await self._bridge.call(self._fetch, [key])
        return None if stored is None else stored.job

    async def select(self, where: JobFilter, limit: int | None = None, after: str | None = None) -> list[Job]:
        return await self._bridge.call(self._select, where, limit, after)

    async def _select(self, where: JobFilter, limit: int | None, after: str | None) -> list[Job]:
        last, score = b"", b""
        if after is not None:
            last = _known_key(after)
            if await self._fetch([last]) == [None]:
                raise JobLookupError(after)
        if where.expects_success:
            return await self._select_expecting(where, limit, last)
        found: dict[bytes, Job] = {}  # a job that moves on while pages are read may come twice
        is_plain = where == JobFilter()
        while limit is None or len(found) < limit:
            count = min(CHUNK, limit - len(found)) if is_plain and limit is not None else CHUNK
            rows = rows_of(await self._run("select", count, last, score))
            for key, _, state, definition, quarantine in rows:
                job = read_job(self._codec, key, state, definition, quarantine).job
                if where.accepts(job) and (limit is None or len(found) < limit):
                    found.setdefault(key, job)
            if len(rows) < count:
                break
            last, score = rows[-1][:2]
        return list(found.values())

    async def _select_expecting(self, where: JobFilter, limit: int | None, after: bytes) -> list[Job]:
        """Return jobs from the index of those that are to succeed now and then."""
        score, reply = await self._run("expecting", after)
        rows = rows_of(reply)
        keys = [key for key, place in rows if not after or (float(place), key) > (float(score or "inf"), after)]
        found: list[Job] = []
        for first in range(0, len(keys), CHUNK):
            some = await self._fetch(keys[first : first + CHUNK])
            found += [stored.job for stored in some if stored is not None and where.accepts(stored.job)]
            if limit is not None and len(found) >= limit:
                break
        return found[:limit]

    # claims

    async def next_run_time(self, slots: Mapping[str, int], owner: str) -> datetime | None:
        args = self._unfit_args(owner)
        args += [alias.encode("utf-8", "surrogatepass") for alias, free in slots.items() if free > 0]
        moment = await self._bridge.call(lambda: self._run("next", *args))
        if moment is None:
            return None
        return LONG_AGO if moment == b"now" else from_micros(int(moment))

    async def lanes(self) -> list[str]:
        found: list[bytes] = await self._bridge.call(self._run, "lanes")
        return [name.decode("utf-8", "replace") for name in found]

    async def take_due(self, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str) -> list[Plan]:
        return await self._bridge.call(self._take_due, now, slots, plan, owner)

    async def _take_due(self, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str) -> list[Plan]:
        taken: list[Plan] = []
        free = dict(slots)
        try:
            for _ in range(ATTEMPTS):
                some, is_complete = await self._take(now, free, plan, owner, may_raise=not taken)
                taken += some
                if is_complete:
                    break
                for each in some:
                    if each.quarantine is None:
                        free[each.job.lane] -= 1
        except anyio.get_cancelled_exc_class():  # after any other error the node asks what it has claimed
            await self._undo([run for each in taken for run in each.runs], owner)
            raise
        return taken

    async def _take(
        self, now: datetime, slots: Mapping[str, int], plan: Planner, owner: str, *, may_raise: bool
    ) -> tuple[list[Plan], bool]:
        """Claim once; return what was stored, and whether no job was changed by others meanwhile."""
        look: list[Argument] = [name_of(owner), micros(now), HOLD // MICROSECOND]
        look += self._unfit_args(owner)
        for alias, free in slots.items():
            if free > 0:
                look += (alias.encode("utf-8", "surrogatepass"), str(free))
        reply: list[Any] | None = None
        with anyio.CancelScope(shield=True):  # to know what was claimed
            reply = await self._run("look", *look)
        if reply is None:
            raise LeaseLostError(owner)
        claims = self._read_claims(reply[0])
        held = [read_job(self._codec, *row, resolve=True) for row in rows_of(reply[1])]
        marks: dict[Any, bytes] = dict(rows_of(reply[3]))  # type: ignore[arg-type]  # they are pairs
        for each in [known for known, _ in claims] + held:
            self._unfit.note(each.job, owner, now, marks.get(each.key, b"").decode(errors="replace"))
        if not claims and not held:
            return [], True
        planned: list[tuple[StoredJob, Plan]] = []
        stored: list[Plan] = []
        try:
            await anyio.lowlevel.checkpoint_if_cancelled()
            sound = await self._sort_out(claims, owner)
            self._plan(held, self._read_open(held, reply[2]), plan, now, owner, planned, may_raise and not claims)
            with anyio.CancelScope(shield=True):
                stored = await self._commit(planned, owner)
            await anyio.lowlevel.checkpoint_if_cancelled()
            if held and not planned:
                await self._run("release", name_of(owner))
        except BaseException:
            await self._undo([*(run for _, run in claims), *(run for _, each in planned for run in each.runs)], owner)
            raise
        return [*sound, *stored], len(stored) == len(planned)

    def _read_claims(self, reply: bytes) -> list[tuple[StoredJob, Run]]:
        found = []
        for key, state, definition, nominal, row, notes in rows_of(reply):
            stored = read_job(self._codec, key, state, definition, resolve=True)
            run = read_run(self._codec, stored.job.id, nominal, row, notes)
            if run is not None:
                found.append((stored, run))
        return found

    def _read_open(self, held: Sequence[StoredJob], reply: bytes) -> dict[int, list[Run]]:
        """Return the open runs of each held job by its place."""
        found: dict[int, list[Run]] = {}
        for place, nominal, row in rows_of(reply):
            run = read_run(self._codec, held[int(place)].job.id, nominal, row)
            if run is not None:
                found.setdefault(int(place), []).append(run)
        return found

    def _unfit_args(self, owner: str) -> list[Argument]:
        """Return which jobs *owner* has tried in vain, for a script."""
        unfit = self._unfit.of(owner)
        return [len(unfit), *(part for job_id, mark in unfit.items() for part in (key_of(job_id), mark.encode()))]

    async def _sort_out(self, claims: Sequence[tuple[StoredJob, Run]], owner: str) -> list[Plan]:
        """Return plans of pending runs that were claimed; give back those of jobs that cannot run here."""
        plans = []
        unfit: dict[bytes, Plan] = {}
        back: list[Run] = []
        for stored, run in claims:
            if stored.job.quarantine is not None:
                unfit[stored.key] = Plan(job=stored.job, quarantine=stored.job.quarantine)
                back.append(attrs.evolve(run, outcome=PENDING))
            elif unreadable_arguments(run) is not None:
                back.append(attrs.evolve(run, outcome=Outcome.FAILED, finished_at=run.claimed_at, args=None))
            else:
                plans.append(Plan(job=stored.job, runs=(run,)))
        if unfit:
            rows = [(key, _reason(each), self._unfit.mark_of(each.job, owner) or "") for key, each in unfit.items()]
            await self._run("quarantine", *[part for row in rows for part in row])
        if back:
            await self._finish(back)
        return [*plans, *unfit.values()]

    def _plan(
        self,
        held: Sequence[StoredJob],
        open_runs: Mapping[int, Sequence[Run]],
        plan: Planner,
        now: datetime,
        owner: str,
        planned: list[tuple[StoredJob, Plan]],
        may_raise: bool,
    ) -> None:
        """Add to *planned*; an error of *plan* ends it, and is raised if there is nothing to tell before it."""
        for place, stored in enumerate(held):
            job = stored.job
            if job.quarantine is not None:
                planned.append((stored, Plan(job=job, quarantine=job.quarantine)))
                continue
            try:
                planned.append((stored, plan(job, open_runs.get(place, ()), now, owner)))
            except Exception:
                if may_raise and not planned:
                    raise
                return

    async def _commit(self, planned: Sequence[tuple[StoredJob, Plan]], owner: str) -> list[Plan]:
        """Store plans, each for itself, in as many scripts as let the server do something else in between."""
        stored: list[Plan] = []
        some: list[tuple[StoredJob, Plan]] = []
        size = 0
        for each in planned:
            some.append(each)
            size += 1 + len(each[1].runs)
            if size >= LARGEST_COMMIT:
                stored += await self._commit_some(some, owner)
                some, size = [], 0
        return stored + await self._commit_some(some, owner)

    async def _commit_some(self, planned: Sequence[tuple[StoredJob, Plan]], owner: str) -> list[Plan]:
        if not planned:
            return []
        answers = await self._run(
            "commit",
            name_of(owner),
            [stored.key for stored, _ in planned],
            [stored.state for stored, _ in planned],
            [self._change(stored, plan, owner) for stored, plan in planned],
            [micros(plan.next_run_time) for _, plan in planned],
            [stored.executor for stored, _ in planned],
            [b"%d" % self._limit(plan.job) for _, plan in planned],
            [b"%d" % len(plan.runs) for _, plan in planned],
            *_columns([write_run(self._codec, run) for _, plan in planned for run in plan.runs], 3),
        )
        if answers is None:
            raise LeaseLostError(owner)
        return [_as_stored(plan, bits) for (_, plan), bits in zip(planned, answers.split(b","), strict=True) if bits]

    def _limit(self, job: Job) -> int:
        return self._keep_runs if job.keep_runs is None else job.keep_runs

    def _change(self, stored: StoredJob, plan: Plan, owner: str) -> bytes:
        """Return what the script `commit` makes of the state of a job."""
        if plan.quarantine is None:
            return state_after(stored.state, plan)
        mark = self._unfit.mark_of(plan.job, owner)
        return b"Q|" + _reason(plan) if mark is None else b"M|" + mark.encode()

    async def _undo(self, claims: Sequence[Run], owner: str) -> None:
        """Give back what *owner* has claimed, or may have, and what it plans for: nobody will be told of it."""
        runs = [attrs.evolve(run, outcome=PENDING) for run in claims if run.outcome is Outcome.RUNNING]
        try:
            with anyio.move_on_after(self._timeout, shield=True):
                await self._finish(runs)
                await self._run("release", name_of(owner))
        except JobStoreUnavailableError:
            logger.debug("claims on Redis at %s could not be given back", self._clients.place, exc_info=True)

    async def claimed(self, owner: str) -> list[Plan]:
        reply = await self._bridge.call(self._run, "claimed", name_of(owner))
        return [Plan(job=stored.job, runs=(run,)) for stored, run in self._read_claims(reply)]

    async def add_run(self, run: Run) -> Run:
        return await self._bridge.call(self._add_run, run)

    async def _add_run(self, run: Run) -> Run:
        nominal, _, row = write_run(self._codec, run)
        key, moves = _known_key(run.job_id), int(run.is_manual)
        reply = await self._run("add_run", key, nominal, row, self._keep_runs, moves)
        if reply is None:
            raise JobLookupError(run.job_id)
        ((nominal, taken, notes),) = rows_of(reply)
        if taken:
            return read_run(self._codec, run.job_id, nominal, taken, notes) or run
        moment = from_micros(int(nominal))
        return run if moment == run.nominal_time else attrs.evolve(run, nominal_time=moment)

    async def finish(self, runs: Sequence[Run]) -> list[Run]:
        answers, followers = await self._bridge.call(self._finish, runs)
        return [run for run, answer in zip(runs, answers, strict=True) if answer] + followers

    async def _finish(self, runs: Sequence[Run], claims: Sequence[bytes] | None = None) -> tuple[list[int], list[Run]]:
        """
        Store *runs*, each if its claim holds, and those that follow.

        Where other jobs follow than this store remembers, the script writes nothing and tells which, and is run again.

        Args:
            runs: The runs.
            claims: Their claims, where *runs* tell no more of them.

        Returns:
            What became of each, and the runs that follow.
        """
        if not runs:
            return [], []
        keys = [key_of(run.job_id) for run in runs]
        nominals, own_claims, rows = _columns([write_run(self._codec, run) for run in runs], 3)
        noted = [number for number, run in enumerate(runs, 1) if run.attempts or run.report is not None]
        args: list[Argument] = [
            self._keep_runs,
            keys,
            nominals,
            own_claims if claims is None else claims,
            rows,
            [b"%d" % number for number in noted],
            [(notes_to_text(runs[number - 1]) or "").encode() for number in noted],
        ]
        known: Followers = {}
        if self._followers:
            known = {key: self._followers[key] for key in keys if key in self._followers}
        for _ in range(ATTEMPTS):
            followers, more = self._follow(runs, keys, known) if known else ([], ())
            reply: bytes | list[bytes] = await self._run("finish", *args, *more)
            if isinstance(reply, bytes):
                answers = [digit - ord("0") for digit in reply]
                made = zip(followers, answers[len(runs) :], strict=True)
                return answers[: len(runs)], [run for run, answer in made if answer]
            known |= self._read_followers(*reply)
            self._remember(known)
        raise self._too_busy(runs[0].job_id)

    def _read_followers(self, marks: bytes, rows: bytes) -> Followers:
        found: Followers = {key: (mark, []) for key, mark in rows_of(marks)}
        for followed, key, state, definition, quarantine in rows_of(rows):
            if state and not is_retired(state):
                found[followed][1].append(read_job(self._codec, key, state, definition, quarantine).job)
        return found

    def _remember(self, known: Followers) -> None:
        if len(self._followers) > FOLLOWED:
            self._followers = {}
        self._followers = {key: each for key, each in (self._followers | known).items() if each[0]}

    def _follow(
        self, runs: Sequence[Run], keys: Sequence[bytes], known: Followers
    ) -> tuple[list[Run], Sequence[list[bytes]]]:
        """Return the runs that follow *runs*, of jobs with these *keys*, and what the script `finish` takes of them."""
        made: list[Run] = []
        origins: list[bytes] = []
        for number, (run, key) in enumerate(zip(runs, keys, strict=True), 1):
            for job in known.get(key, (b"", ()))[1]:
                if (follower := following(job, run)) is not None:
                    made.append(follower)
                    origins.append(b"%d" % number)
        marks = [mark for mark, _ in known.values()]
        rows = [write_run(self._codec, run)[2] for run in made]
        return made, (list(known), marks, origins, [key_of(run.job_id) for run in made], rows)

    async def report(self, runs: Sequence[Run]) -> None:
        args: list[Argument] = []
        for run in runs:
            args += (key_of(run.job_id), micros(run.nominal_time), run.epoch, notes_to_text(run) or "")
        if args:
            await self._bridge.call(lambda: self._run("report", *args))

    async def ask_to_cancel(self, run: Run, reason: str) -> bool:
        args = (key_of(run.job_id), micros(run.nominal_time), run.epoch, reason.encode("utf-8", "backslashreplace"))
        return bool(await self._bridge.call(self._run, "ask", *args))

    async def asked_to_cancel(self, owner: str) -> list[Run]:
        rows = rows_of(await self._bridge.call(self._run, "asked", name_of(owner)))
        return [run for row in rows if (run := self._read_named(*row)) is not None and run.cancel_reason is not None]

    # history

    async def runs(self, where: RunFilter, limit: int, after: Run | None = None) -> list[Run]:
        return await self._bridge.call(self._runs, where, limit, after)

    async def _runs(self, where: RunFilter, limit: int, after: Run | None) -> list[Run]:
        if where.job_id is not None or where.outcomes is None or Outcome.SUCCEEDED in where.outcomes:
            return await self._runs_of(where, b"", limit, after)
        found = []
        for outcome in set(where.outcomes):
            if outcome is Outcome.RUNNING:
                found += await self._runs_under_way(where, after)
            else:
                found += await self._runs_of(where, CODES[outcome], limit, after)
        return sorted(found, key=_place, reverse=True)[:limit]

    async def _runs_under_way(self, where: RunFilter, after: Run | None) -> list[Run]:
        named = [self._read_named(*row) for row in rows_of(await self._run("running"))]
        runs = [run for run in named if run is not None and where.accepts(run)]
        return runs if after is None else [run for run in runs if _place(run) < _place(after)]

    async def _runs_of(self, where: RunFilter, code: bytes, limit: int, after: Run | None) -> list[Run]:
        """Return runs from the index of one job, of one outcome (that has one), or of all."""
        try:
            key = b"" if where.job_id is None else key_of(where.job_id)
        except TransientJobError:
            return []
        latest = None if where.until is None else to_micros(where.until)
        earliest = b"-inf" if where.since is None else micros(where.since)
        last = b""
        if after is not None:
            last = b"%s:%s" % (micros(after.nominal_time), key_of(after.job_id))
            latest = to_micros(after.nominal_time) if latest is None else min(latest, to_micros(after.nominal_time))
        found: list[Run] = []
        while len(found) < limit:
            count = min(CHUNK, limit - len(found)) if where == RunFilter(job_id=where.job_id) else CHUNK
            bound = "+inf" if latest is None else latest
            rows = rows_of(await self._run("runs", key, code, bound, earliest, last, count))
            for name, row, notes, cancel_reason in rows:
                run = self._read_named(name, row, notes, cancel_reason)
                if run is not None and where.accepts(run) and (after is None or _place(run) < _place(after)):
                    found.append(run)
            if len(rows) < count or (where.since is not None and _nominal(rows[-1][0]) < to_micros(where.since)):
                break
            last = rows[-1][0]
        return found[:limit]

    def _read_named(self, name: bytes, row: bytes, notes: bytes, cancel_reason: bytes) -> Run | None:
        nominal, _, key = name.partition(b":")
        return read_run(self._codec, id_of(key), nominal, row, notes, cancel_reason)

    async def prune(self, before: datetime, limit: int) -> int:
        forgotten = skip = is_last = 0
        while forgotten < limit and not is_last:
            count = min(CHUNK, limit - forgotten)
            some, skip, is_last = await self._bridge.call(
                self._run, "prune", micros(before), self._keep_runs, count, skip
            )
            forgotten += some
        return forgotten

    # nodes

    async def join(self, node: str, lease: float, now: datetime) -> None:
        await self._bridge.call(self._run, "join", name_of(node), repr(float(lease)), micros(now))
        self._unfit.forget()

    async def leave(self, node: str) -> None:
        await self._bridge.call(self._run, "leave", name_of(node))

    def pulse(self, node: str) -> AbstractAsyncContextManager[Beat]:
        return self._pulse(name_of(node))

    @asynccontextmanager
    async def _pulse(self, name: bytes) -> AsyncGenerator[Beat]:
        connection = Connection(self._clients, self._tag, self._timeout)

        async def beat() -> bool:
            return bool(await connection.run("beat", name))

        try:
            yield beat
        finally:
            await connection.close()

    async def nodes(self) -> list[Node]:
        reply = await self._bridge.call(self._run, "nodes")
        return [
            Node(
                id=node_of(name) or "",
                beat=int(beat),
                lease=float(lease),
                started_at=from_micros(int(started)),
                seen_at=from_micros(int(seen)),
                is_dead=dead == b"1",
            )
            for name, beat, lease, started, seen, dead in rows_of(reply)
        ]

    async def reap(self, dead: Mapping[str, int], after_crash: AfterCrash) -> list[Run]:
        return await self._bridge.call(self._reap, dead, after_crash)

    async def _reap(self, dead: Mapping[str, int], after_crash: AfterCrash) -> list[Run]:
        doomed: list[Argument] = [part for node, beat in dead.items() for part in (name_of(node), beat)]
        settled: list[Run] = []
        followers: list[Run] = []
        while rows := rows_of(await self._run("reap", CHUNK, *doomed)):
            doomed = []
            claims, successors = [], []
            for key, state, definition, nominal, row, notes, cancel_reason in rows:
                stored = read_job(self._codec, key, state, definition) if state else None
                run = self._read_named(b"%s:%s" % (nominal, key), row, notes, cancel_reason)
                if run is not None:
                    claims.append(claim_of(run))
                    successor = after_crash(None if stored is None else stored.job, run)
                    successor.cancel_reason = None
                    successors.append(successor)
            answers, made = await self._finish(successors, claims)
            followers += made
            settled += [_settled(run, answer) for run, answer in zip(successors, answers, strict=True) if answer]
            if not any(answers):  # what is left is damaged
                break
        return settled + followers

    def notifier(self) -> Notifier | None:
        if not self._clients.can_listen:
            return None
        made: Notifier = _plugins.find("notifier", "redis")(channel=f"{self._tag}:hints", **self._notifier_args)
        return made


def _columns(rows: Sequence[tuple[bytes, ...]], width: int) -> list[Sequence[bytes]]:
    return list(zip(*rows, strict=True)) or [()] * width


def _known_key(job_id: str) -> bytes:
    """Return the key of a job that is looked for."""
    try:
        return key_of(job_id)
    except TransientJobError:
        raise JobLookupError(job_id) from None


def _merged(job: Job, stored: StoredJob | None, merge: Merge) -> Put:
    """Return what is to be stored where *stored* stands."""
    if stored is None:
        return job, b""
    return merge(stored.job, job), stored.state


def _settled(run: Run, answer: int) -> Run:
    """Return *run* as it is stored: cancelled if it was to wait and its job is gone."""
    return run if answer == STORED else attrs.evolve(run, outcome=Outcome.CANCELLED, reason=ORPHANED_REASON)


def _reason(plan: Plan) -> bytes:
    return (plan.quarantine or "").encode("utf-8", "backslashreplace")


def _as_stored(plan: Plan, bits: bytes) -> Plan:
    """Return *plan* without the runs that were recorded before, which *bits* tells, and bring its job up to date."""
    if plan.quarantine is not None:
        return plan
    plan.job.next_nominal_time, plan.job.next_run_time = plan.next_nominal_time, plan.next_run_time
    if b"0" not in bits:
        return plan
    dropped = [run for run, bit in zip(plan.runs, bits[1:], strict=True) if bit == ord("0")]
    kept = tuple(run for run in plan.runs if run not in dropped)
    is_replaced = any(run.outcome is Outcome.RUNNING for run in dropped)  # nothing is replaced by a run that is dropped
    return attrs.evolve(plan, runs=kept, cancel=() if is_replaced else plan.cancel)


def _place(run: Run) -> tuple[int, str]:
    return (to_micros(run.nominal_time), run.job_id)


def _nominal(name: bytes) -> int:
    return int(name.partition(b":")[0])


def _read_info(text: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in text.decode(errors="replace").splitlines())
    return {name: value.strip() for name, separator, value in lines if separator}
