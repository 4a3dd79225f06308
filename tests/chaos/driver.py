"""Break nodes, networks and servers, one thing after the other and several at a time; mend all of it in the end.

Rule 1: what is done depends on the seed alone, apart from when exactly it happens.
Rule 2: every fault that is not final comes with its undoing and the time of that.
"""

from __future__ import annotations

import heapq
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import attrs

from tests.chaos.arena import Arena
from tests.chaos.faults import Fault, Faults
from tests.chaos.ledger import FOLDER
from tests.cluster.harness import ROOT, Node
from tests.cluster.stores import through
from tests.servers import Proxy

PAUSE = 2.5  # seconds between two faults, on average
REST = 15.0  # seconds between two faults of the server or the file, which are everybody's
START_LIMIT = 60.0  # seconds until the first node has started, on a busy machine
DRAIN_LIMIT = 90.0  # seconds that a node may take to end after SIGTERM
UNHEARD = "cannot take leave"  # logged by a node that ends while the store does not answer
NODE_FAULTS = ("kill", "freeze", "freeze", "leave")
NETWORK_FAULTS = ("cut", "hold", "swallow", "hold")
SERVER_FAULTS = ("server killed", "server stopped")
FILE_FAULTS = ("lock", "lock")


@attrs.define(eq=False)
class Member:
    """
    One node.

    Attributes:
        node: Its process.
        pid: The id of that.
        said: Where it writes its id when it has started.
        proxy: The network between it and the server; None if there is none.
        is_hit: Whether something is done to it at present.
        asked: Since when it has been ending; None if it was not asked to.
    """

    node: Node
    pid: int
    said: Path
    proxy: Proxy | None
    is_hit: bool = False
    asked: float | None = None

    @property
    def has_started(self) -> bool:
        """Whether it has said so."""
        return bool(self.said.read_text())


class Driver:
    """
    Runs nodes and breaks them; to be entered, which takes until the first one has started.

    Args:
        arena: Where they meet.
        folder: Where their logs are kept.
        nodes: How many there are, most of the time.
        lease: Their lease, in seconds.
        seed: What the faults depend on.

    Attributes:
        faults: What was done.
        failures: What no fault explains.
    """

    def __init__(self, arena: Arena, folder: Path, nodes: int, lease: float, seed: str) -> None:
        self._arena = arena
        self._folder = folder
        self._count = nodes
        self._lease = lease
        self._random = random.Random(seed)  # noqa: S311  # to be repeated, not to be secret
        self._members: list[Member] = []
        self._numbers = count()
        self._undoings: list[tuple[float, int, Callable[[], None]]] = []
        self._is_server_hit = False
        self._server_rests_until = 0.0
        self._stack = ExitStack()
        self._log = (folder / "faults.log").open("w")
        self._began = time.monotonic()
        (folder / "ledger").mkdir()
        self.faults = Faults()
        self.failures: list[str] = []

    def __enter__(self) -> Driver:
        for _ in range(self._count):
            self._join()
        until = time.monotonic() + START_LIMIT
        while not any(member.has_started for member in self._members) and time.monotonic() < until:
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        for member in self._members:
            member.node.close()
        self._stack.close()
        self._log.close()

    def run(self, seconds: float) -> None:
        """Do one thing after the other for so long, then mend everything."""
        until = time.monotonic() + seconds
        next_fault = time.monotonic() + 2 * PAUSE
        while time.monotonic() < until:
            self._undo(time.monotonic())
            self._look_after()
            if time.monotonic() >= next_fault:
                self._break_something()
                next_fault = time.monotonic() + min(self._random.expovariate(1 / PAUSE), 4 * PAUSE)
            time.sleep(0.02)
        self.mend()

    def mend(self) -> None:
        """Undo what was done, and see that there are nodes."""
        self._undo(float("inf"))
        self._look_after()

    def stop(self) -> None:
        """Let all nodes end in good order."""
        for member in self._members:
            self._ask_to_end(member)
        until = time.monotonic() + DRAIN_LIMIT
        while self._members and time.monotonic() < until:
            self._look_after(tops_up=False)
            time.sleep(0.02)
        self.failures += [f"node {member.pid} does not end:\n{member.node.log}" for member in self._members]

    # nodes

    def _join(self) -> None:
        number = next(self._numbers)
        proxy = None if self._arena.server is None else self._stack.enter_context(Proxy(self._arena.server.port))
        url = self._arena.url if proxy is None else through(proxy, self._arena.url)
        log, said = self._folder / f"node-{number}.log", self._folder / f"node-{number}.id"
        with log.open("w") as errors, said.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.node", url, str(self._lease), ("asyncio", "trio")[number % 2]],
                cwd=ROOT,
                env={**os.environ, FOLDER: str(self._folder / "ledger")},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=errors,
                text=True,
            )
        self._members.append(Member(Node(process, log), process.pid, said, proxy))
        self._tell(f"join {process.pid}")

    def _look_after(self, *, tops_up: bool = True) -> None:
        """See who has ended, and start others in their places."""
        for member in list(self._members):
            if not member.node.is_alive:
                self._members.remove(member)
                self._judge(member)
                member.node.close()
            elif member.asked is not None and time.monotonic() - member.asked > DRAIN_LIMIT and not member.is_hit:
                self._members.remove(member)
                self.failures.append(f"node {member.pid} does not end:\n{member.node.log}")
                member.node.close()
        while tops_up and sum(member.asked is None for member in self._members) < self._count:
            if self._is_server_hit and self._arena.server is not None:
                break  # a node does not start where no server is
            self._join()

    def _judge(self, member: Member) -> None:
        """Say what is wrong with the end of a node that was not killed; one that nobody heard leave is as if it was."""
        status = member.node.wait()
        if UNHEARD in member.node.log:
            self.faults.begin("left unheard", member.pid, time.monotonic())
        if member.asked is not None and member.has_started and status != 0:
            self.failures.append(f"node {member.pid} ended with {status}:\n{member.node.log}")
        elif member.asked is None and member.has_started:
            self.failures.append(f"node {member.pid} ended by itself with {status}:\n{member.node.log}")
        else:
            self._tell(f"ended {member.pid} {status}")

    def _ask_to_end(self, member: Member) -> None:
        if member.asked is None:
            member.asked = time.monotonic()
            member.node.stop()

    # faults

    def _break_something(self) -> None:
        free = [member for member in self._members if not member.is_hit and member.has_started]
        kinds: list[str] = []
        if free:
            kinds += NODE_FAULTS
            if sum(member.has_started and member.asked is None for member in self._members) == 1:
                kinds = [kind for kind in kinds if kind not in {"kill", "leave"}]  # a busy machine starts others slowly
            kinds += NETWORK_FAULTS if self._arena.server is not None else ()
        if not self._is_server_hit and time.monotonic() >= self._server_rests_until:
            kinds += SERVER_FAULTS if self._arena.server is not None else FILE_FAULTS
        if not kinds:
            return
        kind = self._random.choice(kinds)
        is_short = self._random.random() < 1 / 2
        seconds = self._random.uniform(0.1, 0.6) * self._lease if is_short else self._random.uniform(1, 2) * self._lease
        if kind in SERVER_FAULTS:
            self._break_server(kind, seconds)
        elif kind in FILE_FAULTS:
            self._lock_file(kind, seconds)
        else:
            self._break_node(self._random.choice(free), kind, seconds)

    def _break_node(self, member: Member, kind: str, seconds: float) -> None:
        now = time.monotonic()
        name = kind if seconds < self._lease or kind in {"kill", "leave"} else f"long {kind}"
        fault = self.faults.begin(name, member.pid, now)
        self._tell(f"{name} {member.pid} {seconds:.1f}")
        proxy = member.proxy
        match kind:
            case "kill":
                self._members.remove(member)
                member.node.kill()
                member.node.close()
                return
            case "leave":
                fault.ended = now
                self._ask_to_end(member)
                return
            case "freeze":
                member.node.freeze()
                undo = member.node.thaw
            case _:
                assert proxy is not None
                {"cut": proxy.cut, "hold": proxy.hold, "swallow": proxy.freeze}[kind]()
                undo = proxy.heal
        member.is_hit = True

        def undo_it() -> None:
            undo()
            member.is_hit = False
            if member.asked is not None:
                member.asked = time.monotonic()

        self._undo_later(now + seconds, fault, undo_it)

    def _break_server(self, kind: str, seconds: float) -> None:
        server = self._arena.server
        assert server is not None
        now = time.monotonic()
        fault = self.faults.begin(kind, None, now)
        self._tell(f"{kind} {seconds:.1f}")
        self._is_server_hit = True
        if kind == "server killed":
            server.kill()
        else:
            server.stop()

        def undo() -> None:
            server.restart()
            self._let_server_rest()

        self._undo_later(now + seconds, fault, undo)

    def _lock_file(self, kind: str, seconds: float) -> None:
        """Hold the lock that writers need."""
        now = time.monotonic()
        connection = sqlite3.connect(self._arena.file or "", timeout=0.05, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            connection.close()  # somebody else has it
            return
        fault = self.faults.begin(kind, None, now)
        self._tell(f"{kind} {seconds:.1f}")
        self._is_server_hit = True

        def undo() -> None:
            connection.rollback()
            connection.close()
            self._let_server_rest()

        self._undo_later(now + seconds, fault, undo)

    def _let_server_rest(self) -> None:
        self._is_server_hit = False
        self._server_rests_until = time.monotonic() + REST

    def _undo_later(self, at: float, fault: Fault, undo: Callable[[], None]) -> None:
        def undo_and_note() -> None:
            undo()
            fault.ended = time.monotonic()
            self._tell(f"undone: {fault.kind} {fault.pid or ''}")

        heapq.heappush(self._undoings, (at, next(self._numbers), undo_and_note))

    def _undo(self, now: float) -> None:
        while self._undoings and self._undoings[0][0] <= now:
            heapq.heappop(self._undoings)[2]()

    def _tell(self, what: str) -> None:
        self._log.write(f"{time.monotonic() - self._began:8.2f} {what}\n")
        self._log.flush()
