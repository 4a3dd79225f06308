"""State what a store keeps exactly, and what it must say if it cannot (layer 10)."""
# ruff: noqa: S101  # assert is how pytest works

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import pytest

from apsched.exceptions import JobLookupError, TransientJobError
from apsched.jobstores.base import JobFilter, JobStore, RunFilter
from apsched.testing.contract._fixtures import StoreFixtures
from apsched.testing.contract._values import (
    FAILED,
    FAR,
    FREE,
    RUNNING,
    SUCCEEDED,
    T0,
    TICK,
    claim,
    claim_last,
    ended,
    get_job,
    history,
    ids_of,
    make_job,
    make_run,
    outcomes_of,
    run_values_of,
    take,
    take_one,
    values_of,
)
from apsched.triggers.cron import CronTrigger

BERLIN = ZoneInfo("Europe/Berlin")
ODD = 'it\'s "odd" \\ %s %(a)s :b {c} $d .e ;-- /* \r\n\t \u202e \U0001f600'
WITH_NUL = "a\0b"
ARGUMENTS: dict[str, Any] = {
    "none": None,
    "truths": [True, False],
    "numbers": [0, -1, 10**30, 0.1, 1e300],
    "texts": ["", ODD, WITH_NUL],
    "bytes": bytes(range(256)),
    "containers": [(1, (2,)), {3, 4}, frozenset({5}), {"a": {"b": []}}, {1: "one", (2, 3): "two"}],
    "instants": [datetime(2026, 10, 25, 2, 30, 0, 1, tzinfo=BERLIN, fold=1), T0, datetime(2026, 7, 1, 12)],  # noqa: DTZ001
    "times": [date(2026, 7, 1), time(12, 0, 0, 1), timedelta(days=-1, microseconds=1)],
    "others": [Decimal("1.10"), UUID(int=7)],
}


class DataTests(StoreFixtures):
    """Instants, texts, arguments, sizes."""

    # instants

    async def test_instants_are_kept_to_the_microsecond_and_shown_in_the_zone_of_the_trigger(
        self, store: JobStore
    ) -> None:
        trigger = CronTrigger(minute=30, timezone="Europe/Berlin")
        due = datetime(2026, 7, 1, 14, 30, 0, 999_999, tzinfo=BERLIN)
        nominal = due - TICK
        await store.add([attrs.evolve(make_job(), trigger=trigger, next_run_time=due, next_nominal_time=nominal)])

        job = await get_job(store, "job")

        assert (job.next_run_time, job.next_nominal_time) == (due, nominal)
        assert job.next_run_time is not None
        assert job.next_run_time.utcoffset() == timedelta(hours=2)
        assert job.trigger == trigger
        assert await store.next_run_time(FREE, "a") == due
        assert await take(store, due - TICK) == []
        assert (await take_one(store, due)).nominal_time == nominal

    async def test_the_two_instants_of_a_local_time_that_comes_twice_differ(self, store: JobStore) -> None:
        trigger = CronTrigger(minute=30, timezone="Europe/Berlin")
        first = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)
        second = first.replace(fold=1)
        job = attrs.evolve(make_job(max_instances=2), trigger=trigger, next_run_time=first, next_nominal_time=first)
        await store.add([job])

        runs = [await take_one(store, moment.astimezone(UTC)) for moment in (first, second)]

        instants = [first.astimezone(UTC), second.astimezone(UTC)]
        assert [run.nominal_time.astimezone(UTC) for run in runs] == instants
        assert len(await store.finish([ended(run) for run in runs])) == 2
        assert [run.nominal_time.astimezone(UTC) for run in await history(store)] == instants[::-1]
        assert len(await store.runs(RunFilter(since=second), 9)) == 1

    async def test_distant_instants_are_kept(self, store: JobStore) -> None:
        moments = [datetime(1, 1, 2, tzinfo=UTC), T0, datetime(9999, 12, 30, 23, 59, 59, 999_999, tzinfo=UTC)]
        await store.add([make_job(str(number), due=moment) for number, moment in enumerate(moments)])

        assert [job.next_run_time for job in await store.select(JobFilter())] == moments
        assert await store.next_run_time(FREE, "a") == moments[0]
        assert len(await take(store, plan=claim_last)) == 2

    # texts

    @pytest.mark.parametrize("text", [ODD, "\U0001f600" * 191, " ", "a%00", "\uffff", "..", "null"])
    async def test_any_text_can_be_an_id(self, store: JobStore, text: str) -> None:
        await store.add([make_job(text), make_job("other", due=FAR)])

        assert (await get_job(store, text)).id == text
        await store.update(text, lambda job: attrs.evolve(job, name="changed"))
        assert ids_of(await store.select(JobFilter(), after=text)) == ["other"]
        run = await take_one(store)
        assert run.job_id == text
        await store.finish([ended(run)])
        assert [run.job_id for run in await store.runs(RunFilter(job_id=text), 9)] == [text]
        await store.remove(text)
        assert await store.get(text) is None

    async def test_any_text_can_be_a_name_an_executor_a_node_and_a_tag(self, store: JobStore) -> None:
        tags = {ODD: ODD, "a.b": "$c", "$d": "", "": "e"}
        await store.add([make_job(name=ODD, executor=ODD, tags=tags), make_job("other", tags={"a": "b"})])
        await store.join(ODD, 1.0, T0)

        assert (await get_job(store, "job")).tags == tags
        for name, value in tags.items():
            assert ids_of(await store.select(JobFilter(tags={name: value}))) == ["job"]
        assert await store.next_run_time({ODD: 0, "default": 0}, "a") is None
        (made,) = await take(store, T0, {ODD: 1, "default": 0}, owner=ODD)
        assert (made.job.name, made.runs[0].node) == (ODD, ODD)
        assert [plan.job.id for plan in await store.claimed(ODD)] == ["job"]
        assert len(await store.runs(RunFilter(node=ODD), 9)) == 1

    @pytest.mark.parametrize("where", ["id", "name", "tag"])
    @pytest.mark.parametrize("text", [WITH_NUL, "\ud800"], ids=["NUL", "lone surrogate"])
    async def test_a_text_that_cannot_be_kept_is_refused(self, store: JobStore, where: str, text: str) -> None:
        job = {
            "id": lambda: make_job(text),
            "name": lambda: make_job(name=text),
            "tag": lambda: make_job(tags={"a": text}),
        }[where]()
        expected = values_of(job)

        try:
            await store.add([make_job("sound"), job])
        except TransientJobError:
            assert await store.select(JobFilter()) == []
        else:
            assert values_of(await get_job(store, job.id)) == expected

    @pytest.mark.parametrize("text", [WITH_NUL, "\ud800", "a" * 100_000], ids=["NUL", "lone surrogate", "long"])
    async def test_what_cannot_be_kept_is_looked_for_and_not_found(self, store: JobStore, text: str) -> None:
        await store.add([make_job(tags={"a": "b"})])
        await take_one(store)

        assert await store.get(text) is None
        for tags in ({"a": text}, {text: "b"}):
            assert await store.select(JobFilter(tags=tags)) == []
        for where in (RunFilter(job_id=text), RunFilter(node=text)):
            assert await store.runs(where, 9) == []
        with pytest.raises(JobLookupError):
            await store.select(JobFilter(), after=text)
        with pytest.raises(JobLookupError):
            await store.update(text, lambda job: job)
        with pytest.raises(JobLookupError):
            await store.remove(text)
        with pytest.raises(JobLookupError):
            await store.add_run(attrs.evolve(make_run(), job_id=text))

    async def test_runs_are_listed_after_one_whose_id_cannot_be_kept(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = await take_one(store)

        assert [each.id for each in await store.runs(RunFilter(), 9, make_run(WITH_NUL, at=FAR))] == [run.id]

    async def test_how_a_run_ended_is_stored_even_if_its_texts_cannot_be_kept(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = attrs.evolve(
            ended(await take_one(store), FAILED), error="before \0 \ud800 after", reason="before \0 \ud800 after"
        )

        assert await store.finish([run]) == [run]

        (kept,) = await history(store)
        assert kept.outcome is FAILED
        for text in (kept.error, kept.reason):
            assert text is not None
            assert text.startswith("before ")
            assert text.endswith(" after")

    async def test_how_a_run_ended_is_stored_even_if_what_it_returned_cannot_be_kept(self, store: JobStore) -> None:
        await store.add([make_job(name) for name in "abc"])
        values = [object(), "x" * 10_000_000, {"a": {lambda: None}}]
        runs = [
            attrs.evolve(ended(plan.runs[0]), retval=value)
            for plan, value in zip(await take(store), values, strict=True)
        ]

        assert await store.finish(runs) == runs

        assert outcomes_of(await history(store)) == [SUCCEEDED] * 3

    async def test_a_long_traceback_is_kept_at_least_in_part(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = attrs.evolve(ended(await take_one(store), FAILED), error="E" * 300_000)

        assert await store.finish([run]) == [run]

        (kept,) = await history(store)
        assert kept.error is not None
        assert "E" * 1000 in kept.error

    # arguments

    async def test_arguments_come_back_as_they_were(self, store: JobStore) -> None:
        await store.add([make_job(args=tuple(ARGUMENTS.values()), kwargs=ARGUMENTS)])

        job = await get_job(store, "job")
        (made,) = await take(store)

        for found in (job, made.job):
            assert repr(found.args) == repr(tuple(ARGUMENTS.values()))
            assert repr(found.kwargs) == repr(ARGUMENTS)

    async def test_arguments_of_a_run_come_back_as_they_were(self, store: JobStore) -> None:
        await store.add([make_job(due=FAR)])
        await store.add_run(make_run(args=tuple(ARGUMENTS.values()), kwargs=ARGUMENTS))
        await store.add_run(make_run(args=(), kwargs=None))

        (second, first) = await history(store)

        assert repr(first.args) == repr(tuple(ARGUMENTS.values()))
        assert repr(first.kwargs) == repr(ARGUMENTS)
        assert (second.args, second.kwargs) == ((), None)

    async def test_large_arguments_come_back_as_they_were(self, store: JobStore) -> None:
        await store.add([make_job(args=("x" * 1_000_000,))])

        (made,) = await take(store)

        assert made.job.args == ("x" * 1_000_000,)

    async def test_what_a_job_does_to_its_arguments_is_not_kept(self, store: JobStore) -> None:
        if not self.is_persistent:
            return  # it keeps the very objects
        await store.add([make_job(args=([],), max_instances=2)])

        (first,) = await take(store)
        first.job.args[0].append("spoilt")
        (second,) = await take(store, T0 + timedelta(seconds=10))

        assert second.job.args == ([],)

    async def test_a_job_that_cannot_be_kept_is_refused_and_none_is_added(self, store: JobStore) -> None:
        job = attrs.evolve(make_job("odd"), func=lambda: None, args=(object(),))

        try:
            await store.add([make_job("sound"), job])
        except TransientJobError as exc:
            assert exc.job_id == "odd"  # noqa: PT017  # a store may keep it instead
            assert await store.select(JobFilter()) == []
        else:
            assert (await get_job(store, "odd")).args == job.args

    async def test_a_change_that_cannot_be_kept_changes_nothing(self, store: JobStore) -> None:
        await store.add([make_job(args=(1,))])
        values = (object(),)

        try:
            await store.update("job", lambda job: attrs.evolve(job, args=values, name="changed"))
        except TransientJobError:
            assert (await get_job(store, "job")).args == (1,)
            assert (await get_job(store, "job")).name == "noop"
        else:
            assert (await get_job(store, "job")).args == values

    # sizes

    async def test_thousands_of_jobs_can_be_added_at_once(self, store: JobStore) -> None:
        jobs = [make_job(f"{number:04}", due=T0 + number * TICK) for number in range(2000)]

        kept = await store.add(jobs)

        assert len(kept) == 2000
        assert ids_of(await store.select(JobFilter())) == [f"{number:04}" for number in range(2000)]
        assert [plan.job.id for plan in await take(store, FAR, {"default": 3})] == ["0000", "0001", "0002"]

    async def test_of_thousands_of_jobs_none_is_added_if_one_is_refused(self, store: JobStore) -> None:
        await store.add([make_job("1999", name="first")])

        with pytest.raises(KeyError):
            await store.add([make_job(f"{number:04}") for number in range(2000)])

        assert ids_of(await store.select(JobFilter())) == ["1999"]

    async def test_a_run_is_kept_with_all_its_values(self, store: JobStore) -> None:
        await store.add([make_job()])
        run = make_run(
            outcome=RUNNING,
            first_nominal_time=T0 - timedelta(days=1),
            count=None,
            epoch=1,
            node="a",
            claimed_at=T0 + TICK,
            args=(1,),
            kwargs={"a": "b"},
            reason="stands for many",
        )

        def plan(*args: Any) -> Any:
            return attrs.evolve(claim(*args), runs=(attrs.evolve(run, is_manual=False),))

        await take(store, plan=plan)

        assert [run_values_of(kept) for kept in await history(store)] == [
            run_values_of(attrs.evolve(run, is_manual=False))
        ]

    # lifetime

    async def test_what_was_stored_is_there_when_the_store_is_entered_again(self, store: JobStore) -> None:
        if not self.is_persistent:
            return
        await store.add([make_job(args=(1,)), make_job("paused", due=None)])
        run = await take_one(store)
        jobs = [values_of(job) for job in await store.select(JobFilter())]

        await store.__aexit__(None, None, None)
        await store.__aenter__()

        assert [values_of(job) for job in await store.select(JobFilter())] == jobs
        assert [run_values_of(kept) for kept in await history(store)] == [run_values_of(run)]
        assert [plan.runs[0].id for plan in await store.claimed("a")] == [run.id]
        assert outcomes_of(await store.finish([ended(run)])) == [SUCCEEDED]
