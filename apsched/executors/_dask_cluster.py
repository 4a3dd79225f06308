"""Keep a connection to a Dask cluster and give it calls, in a thread of its own (layer 7).

Rule 1: Dask's client lives in the asyncio loop of that thread; no event loop of a scheduler waits for it, and what
blocks that does not cut the client off.
Rule 2: a call is entered only when its worker has asked and was told that it may; so it is known of each call whether
it was entered, also of those whose answer is lost.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import anyio
from distributed import Client, Event, KilledWorker, Queue
from distributed.client import FutureCancelledError

from apsched import _eventloop
from apsched._eventloop import Waiter
from apsched.exceptions import ExecutorRefusedError
from apsched.executors._dask_worker import dump_request, read_answer, run_call
from apsched.executors._remote import LEFT, Errand
from apsched.executors.base import Call

CONNECT = 5.0  # seconds for one try to connect
RETRY = 1.0  # seconds between two
LEAVE = 10.0  # seconds that leaving waits for the connection to close

logger = logging.getLogger(__name__)


class _Sent:
    """
    A call that the cluster has.

    Attributes:
        errand: The call.
        key: The key of its task.
        worker: The address of the worker that has entered it.
        carrier: What brings it there and its answer back.
    """

    def __init__(self, errand: Errand) -> None:
        self.errand = errand
        self.key: str = f"apsched-{uuid.uuid4().hex}"
        self.worker: str | None = None
        self.carrier: asyncio.Task[None]

    def lose(self, how: str) -> None:
        """Let the call end, whose worker is out of reach."""
        self.errand.settle(None, self.errand.lost(how))
        self.carrier.cancel()


class DaskCluster:
    """
    A cluster, as long as it is entered.

    Args:
        address: That of its scheduler.
        options: Further arguments of `distributed.Client`.
    """

    def __init__(self, address: str, options: Mapping[str, Any]) -> None:
        self._address = address
        self._options = options
        self._asks = f"apsched-{uuid.uuid4().hex}"  # the name of a queue
        self._problem: str = "it was not entered"  # why no calls are taken
        self._client: Client | None = None
        self._is_away: bool = False
        self._sent: dict[str, _Sent] = {}  # by key
        self._carriers: set[asyncio.Task[None]] = set()
        self._there: asyncio.AbstractEventLoop = asyncio.new_event_loop()
        self._stop = asyncio.Event()

    async def open(self) -> None:
        """Connect; if that fails, go on trying in the background."""
        here = _eventloop.current()
        ready: Waiter[None] = here.waiter()
        self._ended: Waiter[bool] = here.waiter()

        def tell(waiter: Waiter[Any]) -> None:
            with suppress(RuntimeError):  # the scheduler has ended: nobody waits
                here.call_soon_threadsafe(partial(waiter.set, True))

        def work() -> None:
            try:
                with asyncio.Runner(loop_factory=lambda: self._there) as runner:
                    runner.run(self._serve(partial(tell, ready)))
            finally:
                tell(ready)
                tell(self._ended)

        self._thread = threading.Thread(target=work, name="apsched-dask", daemon=True)
        self._thread.start()
        try:
            await ready.wait()
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Give up what is under way, and disconnect."""
        self._call_there(self._stop.set)
        with anyio.CancelScope(shield=True):
            if await self._ended.wait_for(LEAVE, False):
                self._thread.join()
            else:
                logger.warning("left the connection to the Dask scheduler at %s, which does not close", self._address)

    async def execute(self, call: Call) -> Any:
        """Run *call* on a worker; see `Executor.execute`."""
        errand = Errand(call)
        if not self._call_there(partial(self._start, errand)):
            raise ExecutorRefusedError(LEFT)
        try:
            return await errand.outcome()
        except BaseException:
            errand.give_up()
            self._call_there(errand.cancel_there)
            raise

    def _call_there(self, callback: Callable[[], object]) -> bool:
        try:
            self._there.call_soon_threadsafe(callback)
        except RuntimeError:  # it has ended
            return False
        return True

    # in the thread

    async def _serve(self, tell_ready: Callable[[], None]) -> None:
        keeper = asyncio.create_task(self._keep_connected(tell_ready))
        await self._stop.wait()
        self._problem = "it was left"
        for tasks in ({*self._carriers}, {keeper}):
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def _keep_connected(self, tell_ready: Callable[[], None]) -> None:
        options: dict[str, Any] = {"timeout": CONNECT, **self._options, "asynchronous": True, "set_as_default": False}
        while True:
            client: Any = None
            try:
                client = Client(self._address, **options)
                await client
                await self._answer_asks(client, tell_ready)
            except Exception as exc:
                self._note_problem(exc)
            finally:
                self._client = None
                tell_ready()
                if client is not None:
                    with suppress(Exception):  # it is of no use any more
                        await client.close()
            await anyio.sleep(RETRY)

    def _note_problem(self, exc: Exception) -> None:
        is_new = not self._is_away
        self._is_away = True
        self._problem = f"there is no connection to the Dask scheduler at {self._address} ({exc})"
        if is_new:
            logger.warning("%s; trying again", self._problem)

    async def _answer_asks(self, client: Client, tell_ready: Callable[[], None]) -> None:
        """Let calls be entered that their workers ask for, until the connection breaks."""
        client.subscribe_topic("all", self._note_event)
        queue = await Queue(self._asks, client=client)
        self._client, self._is_away = client, False
        tell_ready()
        try:
            while True:
                key, worker = await queue.get()
                if (sent := self._sent.get(key)) is not None:
                    self._spawn(self._answer(client, sent, worker))
        finally:
            queue.close()

    async def _answer(self, client: Client, sent: _Sent, worker: str) -> None:
        """Say yes to a worker that asks for the first time; else it gives up by itself."""
        try:
            if sent.errand.enter():
                sent.worker = worker
                with suppress(OSError):  # the connection is lost, and the call with it
                    await Event(sent.key, client=client).set()
            elif sent.worker is not None:  # Dask runs a task again whose worker has died
                sent.lose(f"the Dask worker {sent.worker} ended")
        except ExecutorRefusedError as exc:
            sent.errand.settle(None, exc)
            sent.carrier.cancel()

    def _note_event(self, event: tuple[Any, Any]) -> None:
        _, message = event
        if isinstance(message, dict) and message.get("action") == "remove-worker":
            for sent in list(self._sent.values()):
                if sent.worker is not None and sent.worker == message.get("worker"):
                    sent.lose(f"the Dask worker {sent.worker} ended")

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(coroutine)
        self._carriers.add(task)
        task.add_done_callback(self._carriers.discard)
        return task

    def _start(self, errand: Errand) -> None:
        if self._stop.is_set():
            errand.settle(None, ExecutorRefusedError(LEFT))
        elif not errand.is_given_up:
            sent = _Sent(errand)
            self._sent[sent.key] = sent
            sent.carrier = self._spawn(self._carry(sent))
            errand.cancel_there = sent.carrier.cancel

    async def _carry(self, sent: _Sent) -> None:
        """Bring a call to a worker, and its answer back."""
        value: Any = None
        error: BaseException | None = None
        try:
            value = await self._run(sent)
        except asyncio.CancelledError:
            error = sent.errand.lost("the executor was left")
        except BaseException as exc:
            error = exc
        sent.errand.settle(value, error)
        del self._sent[sent.key], error

    async def _run(self, sent: _Sent) -> Any:
        client, call = self._client, sent.errand.call
        if client is None:
            raise ExecutorRefusedError(f"the executor takes no calls: {self._problem}")
        request = dump_request(call.func, call.args, dict(call.kwargs))
        future: Any = client.submit(run_call, request, self._asks, sent.key, key=sent.key, pure=False)
        try:
            answer = await future.result()
        except FutureCancelledError:
            raise sent.errand.lost(f"the connection to the Dask scheduler at {self._address} broke") from None
        except KilledWorker as exc:
            raise sent.errand.lost(f"the Dask workers that were to run it ended ({exc})") from None
        except Exception as exc:
            raise sent.errand.lost(f"a Dask worker cannot take them ({type(exc).__name__}: {exc})") from exc
        finally:
            future.release()
            if sent.worker is not None and client.status == "running":
                with suppress(OSError):
                    await Event(sent.key, client=client).clear()
        if answer is None:
            raise ExecutorRefusedError(
                "the executor takes no calls: a Dask worker has asked for one, and got no answer"
            )
        return read_answer(answer)
