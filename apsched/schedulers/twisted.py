"""A scheduler for Twisted programs (layer 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from apsched import _refs
from apsched._configuration import PREFIXES, configurable
from apsched.exceptions import MissingExtraError
from apsched.schedulers._framework import FrameworkScheduler

try:
    from twisted.internet.interfaces import IReactorThreads

    from apsched.executors.twisted import ReactorLoop
except ImportError as exc:
    raise MissingExtraError("TwistedScheduler", "twisted") from exc


class TwistedScheduler(FrameworkScheduler[ReactorLoop]):
    """
    Runs plain functions in the reactor's thread pool, and coroutine functions in the reactor.

    Jobs with `executor="twisted-reactor"` are called in the reactor's own thread. Deferreds that jobs return are waited
    for. It keeps time in a thread of its own, so its verbs are plain calls, as in APScheduler 3. Jobs wait for the
    reactor to run.
    """

    _executors_of_framework: ClassVar[Mapping[str, str]] = {
        "asyncio": "twisted-reactor",
        "default": "twisted",
        "twisted-reactor": "twisted-reactor",
    }

    @configurable
    def __init__(
        self,
        gconfig: Mapping[str, Any] | None = None,
        *,
        prefix: str | Sequence[str] | None = PREFIXES,
        reactor: Any = None,
        **options: Any,
    ) -> None:
        """
        Make a scheduler that has not started.

        Args:
            gconfig: A dictionary of all options with dotted keys and texts, as in APScheduler 3.
            prefix: What its keys begin with.
            reactor: The reactor, or the reference `"package.module:name"` of one; None: the global one, which the start
                installs if there is none yet.
            **options: As in `BaseScheduler`.

        Raises:
            LookupError: An alias is not known, or a reference leads to nothing.
            TypeError: A value is of the wrong type, or there is no such parameter.
            ValueError: A value is out of range.
        """
        del gconfig, prefix  # `configurable` has read them
        self._loop = ReactorLoop()
        self._use(reactor)
        super().__init__(**options)

    @configurable
    def configure(
        self,
        gconfig: Mapping[str, Any] | None = None,
        prefix: str | Sequence[str] | None = PREFIXES,
        *,
        reactor: Any = None,
        **options: Any,
    ) -> None:
        """
        Change what the constructor was given, before the start.

        Jobs that were added already have the defaults of the start, and keep the zones of their triggers.

        Args:
            gconfig: A dictionary of all options, as in the constructor.
            prefix: What its keys begin with.
            reactor: As in the constructor.
            **options: As in `AsyncScheduler.configure`.

        Raises:
            SchedulerAlreadyRunningError: The scheduler runs.
            LookupError: An alias is not known, or a reference leads to nothing.
            TypeError: A value is of the wrong type.
            ValueError: A value is out of range.
        """
        del gconfig, prefix  # `configurable` has read them
        super().configure(**options)
        self._use(reactor)

    def _use(self, reactor: object) -> None:
        if isinstance(reactor, str):
            reactor = _refs.resolve(reactor)
        if reactor is not None:
            if not IReactorThreads.providedBy(reactor):
                raise TypeError(f"reactor must be a Twisted reactor or the reference of one, got {reactor!r}")
            self._loop.give(reactor)
