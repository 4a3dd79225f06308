"""State what holds for every notifier (layer 10).

Rule 1: what is awaited comes within seconds; `PATIENCE` is only for what hangs.
"""
# ruff: noqa: S101  # assert is how pytest works

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from apsched.notifiers.base import Notifier

PATIENCE = 30  # seconds
ODD = 'it\'s "odd" \\ %s :b {c} $d \n\t \U0001f600'
DEADLINES = (0.0, 0.0005, 0.002, 0.008)  # seconds; before, inside and after a call


class NotifierContract:
    """The contract of notifiers; subclass it, name the subclass `Test...`, and override both fixtures."""

    pytestmark: pytest.MarkDecorator = pytest.mark.anyio

    @pytest.fixture
    def notifier(self) -> Notifier:
        """Return the notifier to test, entered."""
        raise NotImplementedError("a subclass of NotifierContract must override the fixture 'notifier'")

    @pytest.fixture
    def other_notifier(self) -> Notifier:
        """Return a second notifier, entered, that uses the same server in the same way."""
        raise NotImplementedError("a subclass of NotifierContract must override the fixture 'other_notifier'")

    async def test_a_hint_reaches_another_notifier(self, notifier: Notifier, other_notifier: Notifier) -> None:
        async with other_notifier.listen() as hints:
            await notifier.notify("default")

            assert await following(hints) == "default"

    async def test_hints_go_both_ways(self, notifier: Notifier, other_notifier: Notifier) -> None:
        async with notifier.listen() as hints, other_notifier.listen() as other_hints:
            await notifier.notify("from the first")
            await until(other_hints, "from the first")
            await other_notifier.notify("from the second")
            await until(hints, "from the second")

    @pytest.mark.parametrize("alias", [ODD, "a" * 191, "\U0001f600" * 191], ids=["odd", "long", "long in bytes"])
    async def test_a_hint_names_its_store_exactly(
        self, notifier: Notifier, other_notifier: Notifier, alias: str
    ) -> None:
        async with other_notifier.listen() as hints:
            await notifier.notify(alias)

            assert await following(hints) == alias

    async def test_nobody_need_listen(self, notifier: Notifier, other_notifier: Notifier) -> None:
        for _ in range(3):
            await notifier.notify("default")
        async with other_notifier.listen() as hints:
            await notifier.notify("heard")
            await until(hints, "heard")

    async def test_one_may_listen_again_after_leaving(self, notifier: Notifier, other_notifier: Notifier) -> None:
        for number in range(3):
            async with other_notifier.listen() as hints:
                await notifier.notify(f"time {number}")
                await until(hints, f"time {number}")

    async def test_of_many_hints_each_store_is_named(self, notifier: Notifier, other_notifier: Notifier) -> None:
        async with other_notifier.listen() as hints:
            for _ in range(200):
                for alias in "xyz":
                    await notifier.notify(alias)

            named = {await following(hints)}
            while named != set("xyz"):
                named.add(await following(hints))

    async def test_hints_may_be_sent_at_once(self, notifier: Notifier, other_notifier: Notifier) -> None:
        async with other_notifier.listen() as hints, anyio.create_task_group() as group:
            for alias in "vwxyz":
                group.start_soon(notifier.notify, alias)

            named = {await following(hints)}
            while named != set("vwxyz"):
                named.add(await following(hints))

    async def test_listening_can_be_cancelled(self, notifier: Notifier, other_notifier: Notifier) -> None:
        async with other_notifier.listen() as hints:
            with anyio.move_on_after(0.01) as scope:
                await anext(hints)
            assert scope.cancelled_caught
        for deadline in DEADLINES:
            with anyio.move_on_after(deadline):
                async with other_notifier.listen() as hints:
                    await anext(hints)

        async with other_notifier.listen() as hints:
            await notifier.notify("heard")
            await until(hints, "heard")

    async def test_notifying_can_be_cancelled(self, notifier: Notifier, other_notifier: Notifier) -> None:
        async with other_notifier.listen() as hints:
            for deadline in DEADLINES:
                with anyio.move_on_after(deadline):
                    await notifier.notify("perhaps")

            await notifier.notify("surely")
            await until(hints, "surely")

    async def test_a_notifier_can_be_entered_again(self, notifier: Notifier, other_notifier: Notifier) -> None:
        await notifier.__aexit__(None, None, None)
        await notifier.__aenter__()

        async with other_notifier.listen() as hints:
            await notifier.notify("heard")
            await until(hints, "heard")


async def following(hints: AsyncIterator[str]) -> str:
    """Return the next hint."""
    with anyio.fail_after(PATIENCE):
        return await anext(hints)


async def until(hints: AsyncIterator[str], alias: str) -> None:
    """Listen until *alias* is named; own and older hints may come before."""
    with anyio.fail_after(PATIENCE):
        while await anext(hints) != alias:
            pass
