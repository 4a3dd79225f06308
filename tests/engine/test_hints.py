"""Telling other nodes of changes, and hearing of theirs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Self

import anyio
import pytest
from anyio.streams.memory import MemoryObjectSendStream

from apsched.async_scheduler import AsyncScheduler
from apsched.clock import SystemClock
from apsched.engine.hints import Hints
from apsched.exceptions import ExecutorRefusedError
from apsched.executors.base import Call, Executor
from apsched.jobstores.memory import MemoryJobStore
from apsched.notifiers.base import Notifier
from apsched.testing.clock import VirtualClock
from tests.engine.cluster import Line


class Wire:
    """What the notifiers of several nodes are at."""

    def __init__(self) -> None:
        self.listeners: list[MemoryObjectSendStream[str]] = []
        self.sent: list[str] = []


class WireNotifier(Notifier):
    """
    One node's end of the wire.

    Attributes:
        refused: How often it cannot be opened.
        is_deaf: Whether notifying fails.
        is_hung: Whether notifying never comes back.
        may_hear: Set when the server lets it listen.
    """

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.refused = 0
        self.is_deaf = False
        self.is_hung = False
        self.may_hear = anyio.Event()
        self.may_hear.set()
        self.opened = 0
        self._own: MemoryObjectSendStream[str] | None = None

    async def __aenter__(self) -> Self:
        self.opened += 1
        if self.opened <= self.refused:
            raise ConnectionRefusedError("nobody is there")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._own = None

    async def notify(self, store: str) -> None:
        if self.is_deaf:
            raise ConnectionResetError("the line is dead")
        if self.is_hung:
            await anyio.sleep_forever()
        self.wire.sent.append(store)
        for listener in self.wire.listeners:
            if listener is not self._own:
                listener.send_nowait("whatever it is called there")

    def listen(self) -> AbstractAsyncContextManager[AsyncIterator[str]]:
        return self._listen()

    @asynccontextmanager
    async def _listen(self) -> AsyncGenerator[AsyncIterator[str]]:
        await self.may_hear.wait()
        sender, receiver = anyio.create_memory_object_stream[str](100)
        self._own = sender
        self.wire.listeners.append(sender)
        try:
            with sender, receiver:
                yield receiver
        finally:
            self.wire.listeners.remove(sender)


class Refusing(Executor):
    capacity = 5

    async def execute(self, call: Call) -> Any:
        raise ExecutorRefusedError("no room")


class Node:
    """A scheduler on a shared store whose server carries hints."""

    def __init__(self, core: MemoryJobStore, clock: VirtualClock, wire: Wire) -> None:
        self.line = Line(core, clock)
        self.line.own = self.notifier = WireNotifier(wire)
        self.scheduler = AsyncScheduler(clock=clock, timezone="UTC", jobstores={"default": self.line}, max_idle=3600)


async def moment(clock: VirtualClock) -> None:
    """Let hints go there and back, which takes no virtual time, and then a tenth of a second pass."""
    for _ in range(3):
        await clock.run_until_idle()
        await anyio.wait_all_tasks_blocked()
    await clock.advance(0.1)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
async def nodes(clock: VirtualClock, wire: Wire) -> AsyncIterator[tuple[Node, Node]]:
    core = MemoryJobStore()
    one, two = Node(core, clock, wire), Node(core, clock, wire)
    async with one.scheduler, two.scheduler:
        await clock.advance(1)
        yield one, two


async def test_a_change_on_one_node_is_acted_on_by_another_at_once(
    nodes: tuple[Node, Node], clock: VirtualClock, notes: Any
) -> None:
    one, two = nodes
    await one.scheduler.pause()

    await one.scheduler.add_job(notes.time, id="job")
    await moment(clock)

    assert notes == [1]
    assert [run.node for run in await one.scheduler.get_runs("job")] == [two.scheduler.node]


async def test_a_run_that_is_started_by_hand_is_told(nodes: tuple[Node, Node], clock: VirtualClock, notes: Any) -> None:
    one, _ = nodes
    await one.scheduler.add_job(notes.time, "interval", hours=1, id="job")
    await one.scheduler.pause()
    await clock.advance(1)

    await one.scheduler.run_job("job")
    await moment(clock)

    assert notes == [2]


async def test_what_is_handed_back_is_told(
    nodes: tuple[Node, Node], clock: VirtualClock, wire: Wire, notes: Any
) -> None:
    one, two = nodes
    await two.scheduler.pause()
    await one.scheduler.add_executor(Refusing(), "refusing")
    await one.scheduler.add_job(notes.time, id="job", executor="refusing")
    await moment(clock)
    wire.sent.clear()

    await clock.advance(1)  # after which a refused run goes back
    await moment(clock)

    assert wire.sent


async def test_pending_runs_of_a_dead_node_are_told(clock: VirtualClock, notes: Any) -> None:
    wire, core = Wire(), MemoryJobStore()
    one, two, three = (Node(core, clock, wire) for _ in range(3))
    async with one.scheduler, two.scheduler, three.scheduler:
        await two.scheduler.pause()
        await three.scheduler.pause()
        await one.scheduler.add_job(clock.sleep, args=[1000], id="job")
        await clock.advance(1)
        one.line.cut = {"all"}
        await clock.advance(10)
        wire.sent.clear()
        await clock.advance(20)
        one.line.heal()

    assert wire.sent


async def test_a_hint_that_never_gets_through_holds_up_no_verb(
    nodes: tuple[Node, Node], clock: VirtualClock, notes: Any
) -> None:
    one, _ = nodes
    one.notifier.is_hung = True

    with anyio.fail_after(5), clock.parked():
        await one.scheduler.add_job(notes.time, "interval", hours=1, id="job")
        await anyio.wait_all_tasks_blocked()
        await one.scheduler.remove_job("job")
        await one.scheduler.shutdown()


async def test_a_hint_that_fails_fails_no_verb_and_is_logged_once(
    nodes: tuple[Node, Node], clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    one, _ = nodes
    one.notifier.is_deaf = True

    for name in ("a", "b", "c"):
        await one.scheduler.add_job(int, "interval", hours=1, id=name)
        await clock.advance(1)

    assert caplog.text.count("other nodes cannot be told of changes in job store 'default'") == 1
    assert len(await one.scheduler.get_jobs()) == 3


async def test_a_notifier_that_cannot_be_opened_is_tried_again(clock: VirtualClock, notes: Any) -> None:
    wire, core = Wire(), MemoryJobStore()
    one, two = Node(core, clock, wire), Node(core, clock, wire)
    two.notifier.refused = 3
    async with one.scheduler, two.scheduler:
        await one.scheduler.pause()
        await clock.advance(10)
        await one.scheduler.add_job(notes.time)
        await moment(clock)

    assert two.notifier.opened == 4
    assert notes == [10]


async def test_what_changed_while_nobody_listened_is_looked_for(clock: VirtualClock, notes: Any) -> None:
    wire, core = Wire(), MemoryJobStore()
    one, two = Node(core, clock, wire), Node(core, clock, wire)
    two.notifier.refused = 3
    async with one.scheduler, two.scheduler:
        await one.scheduler.pause()
        await one.scheduler.add_job(notes.time)
        await clock.advance(2)

    assert len(notes) == 1


@pytest.mark.parametrize("brought_by", ["store", "user"])
async def test_what_changed_before_the_server_let_a_node_listen_is_looked_for(
    clock: VirtualClock, notes: Any, brought_by: str
) -> None:
    wire, core = Wire(), MemoryJobStore()
    one, two = Node(core, clock, wire), Node(core, clock, wire)
    two.notifier.may_hear = anyio.Event()
    if brought_by == "user":
        two.line.own = None
        options: dict[str, Any] = {"jobstores": {"default": two.line}, "notifier": two.notifier}
        two.scheduler = AsyncScheduler(clock=clock, timezone="UTC", max_idle=3600, **options)
    async with one.scheduler, two.scheduler:
        with clock.parked():  # the one that waits for the server
            await one.scheduler.pause()
            await clock.advance(1)
            await one.scheduler.add_job(notes.time)
            await moment(clock)
        before = list(notes)
        two.notifier.may_hear.set()
        await moment(clock)

    assert before == []
    assert notes == [1.1]


async def test_a_hint_that_is_lost_costs_max_idle(nodes: tuple[Node, Node], clock: VirtualClock, notes: Any) -> None:
    one, _ = nodes
    one.notifier.is_deaf = True
    await one.scheduler.pause()

    await one.scheduler.add_job(notes.time)
    await clock.advance(3600)

    assert len(notes) == 1


async def test_many_changes_in_a_moment_are_told_together() -> None:
    notifier = WireNotifier(Wire())
    hints = Hints("default", SystemClock(), [notifier], None, lambda: None)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hints.run)
            await anyio.wait_all_tasks_blocked()
            for _ in range(100):
                hints.send()
                await anyio.lowlevel.checkpoint()
            first = len(notifier.wire.sent)
            hints.close()

    assert 1 <= first < 10
    assert len(notifier.wire.sent) == first + 1
