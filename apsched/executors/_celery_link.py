"""Send calls to Celery workers and look what became of them, in a thread of its own (layer 7).

Rule 1: everything that talks to Redis is done in that thread; no event loop waits for it.
Rule 2: a call has a permit in Redis before it is sent. Where the permit and the sign of life are both gone, and there
is no result, the call was never entered or its worker has died: which of them is known from the look before.
Rule 3: Redis may be away for a while; looks go on, and what is known of each call is as it was.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import anyio
from celery import Celery
from celery.backends.redis import RedisBackend, SentinelBackend
from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from apsched import _eventloop
from apsched._eventloop import Waiter
from apsched.clock import SystemClock
from apsched.exceptions import ExecutorRefusedError
from apsched.executors._celery_task import ALIVE, TASK, alive_key, dump_request, permit_key, read_answer
from apsched.executors._remote import LEFT, Errand
from apsched.executors.base import Call
from apsched.serializers.json import JSONSerializer

SOCKET = 5.0  # seconds that one call to Redis may take
PERMIT = 10  # seconds that a permit lasts without being renewed; less than a lease, so that none outlives its node
RENEW = 3.0  # seconds between two renewals
LOOK = 0.02  # seconds between two looks, at least
LONGEST_LOOK = 1.0  # seconds, at most
SHARE = 20  # a look may take so small a part of the time
WITHDRAW = 2.0  # seconds that giving a call up waits for Redis to say whether it was entered
LEAVE = 10.0  # seconds that leaving waits for the thread

logger = logging.getLogger(__name__)


def check_app(app: object) -> Celery:
    """
    Return *app*.

    Raises:
        TypeError: It is no Celery app.
        ValueError: Its result backend is not a Redis server.
    """
    if not isinstance(app, Celery):
        raise TypeError(f"app must be a Celery app or a text such as 'myapp.celery:app', got {app!r}")
    if not isinstance(app.backend, RedisBackend) or isinstance(app.backend, SentinelBackend):
        raise ValueError(
            f"the result backend of the Celery app must be a Redis server, got {app.backend.as_uri()!r}; "
            f"set result_backend to redis://..."
        )
    return app


class _Sent:
    """
    A call that was sent, or was going to be.

    Attributes:
        errand: The call.
        id: The id of its task.
        is_doubtful: Whether it may not have arrived; then its permit is not renewed.
    """

    def __init__(self, errand: Errand) -> None:
        self.errand = errand
        self.id: str = uuid.uuid4().hex
        self.is_doubtful: bool = False


class CeleryLink:
    """
    The broker and the result backend of an app, as long as they are entered.

    Args:
        app: The app.
        queue: The queue to send to; None for what the app's routes say.
        patience: Seconds that Redis may be away until calls that are under way count as lost.
        serializer: Writes calls and reads answers.
    """

    def __init__(self, app: Celery, queue: str | None, patience: float, serializer: JSONSerializer) -> None:
        self._app = app
        self._queue = queue
        self._patience = patience
        self._serializer = serializer
        self._monotonic = SystemClock().monotonic
        self._sent: dict[str, _Sent] = {}
        self._errands: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._is_closed = False
        self._seen_at = self._renewed_at = self._look_at = 0.0  # monotonic
        self._producer: Any = None

    def open(self) -> None:
        """Start the thread; it connects when the first call comes."""
        here = _eventloop.current()
        self._ended: Waiter[bool] = here.waiter()

        def work() -> None:
            try:
                self._work()
            finally:
                with suppress(RuntimeError):  # the scheduler has ended: nobody waits
                    here.call_soon_threadsafe(partial(self._ended.set, True))

        self._thread = threading.Thread(target=work, name="apsched-celery", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Give up what is under way, and disconnect."""
        self._is_closed = True
        self._errands.put(None)
        with anyio.CancelScope(shield=True):
            if await self._ended.wait_for(LEAVE, False):
                self._thread.join()
            else:
                logger.warning("left the thread of a Celery executor, which is in a call to Redis that does not end")

    async def execute(self, call: Call) -> Any:
        """Run *call* in a worker; see `Executor.execute`."""
        if self._is_closed:
            raise ExecutorRefusedError(LEFT)
        sent = _Sent(Errand(call))
        self._errands.put(partial(self._send, sent))
        try:
            return await sent.errand.outcome()
        except BaseException:
            await self._give_up(sent)
            raise

    async def _give_up(self, sent: _Sent) -> None:
        here = _eventloop.current()
        told: Waiter[bool] = here.waiter()
        sent.errand.give_up()

        def withdraw() -> None:
            was_entered = self._withdraw(sent)
            with suppress(RuntimeError):  # the scheduler has ended: nobody waits
                here.call_soon_threadsafe(partial(told.set, was_entered))

        self._errands.put(withdraw)
        may_be_entered = True
        with anyio.CancelScope(shield=True):
            may_be_entered = await told.wait_for(WITHDRAW, True)
        if may_be_entered and sent.errand.call.started_at is None:
            with suppress(ExecutorRefusedError):
                sent.errand.call.started()

    # in the thread

    def _work(self) -> None:
        backend = self._app.backend
        options = {**backend.connparams, "socket_timeout": SOCKET, "socket_connect_timeout": SOCKET}
        self._redis = Redis.from_pool(backend.ConnectionPool(**options))
        self._redis.set_retry(Retry(NoBackoff(), 0))
        try:
            while self._do_next():
                if self._sent and self._monotonic() >= self._look_at:
                    self._look()
        finally:
            for sent in list(self._sent.values()):
                sent.errand.settle(None, sent.errand.lost("the executor was left"))
                self._withdraw(sent)
            self._disconnect()
            self._redis.close()

    def _do_next(self) -> bool:
        """Do what was asked for, or wait until it is time to look; False when that was to end."""
        timeout = max(0.0, self._look_at - self._monotonic()) if self._sent else None
        try:
            errand = self._errands.get(timeout=timeout)
        except Empty:
            return True
        if errand is None:
            return False
        errand()
        return True

    def _send(self, sent: _Sent) -> None:
        errand, call = sent.errand, sent.errand.call
        if errand.is_given_up:
            return
        try:
            request = dump_request(call.func, call.args, call.kwargs, self._serializer)
        except Exception as exc:
            errand.settle(None, exc)
            return
        try:
            self._redis.set(permit_key(sent.id), 1, ex=PERMIT)
        except Exception as exc:
            errand.settle(None, errand.lost(f"the result backend of Celery is away ({exc})"))
            return
        if not self._sent:
            self._seen_at = self._renewed_at = self._monotonic()
            self._look_at = self._seen_at + LOOK
        self._sent[sent.id] = sent
        try:
            self._publish(sent.id, request)
        except Exception as exc:
            self._disconnect()
            sent.is_doubtful = True
            with suppress(Exception):  # then its permit expires
                if self._redis.delete(permit_key(sent.id)):
                    self._end(sent, None, errand.lost(f"the broker of Celery is away ({exc})"))

    def _publish(self, task_id: str, request: str) -> None:
        """Send a message as `send_task` does, which would also subscribe to the result in this process."""
        amqp = self._app.amqp
        if self._producer is None:
            options = {"max_retries": 1, "socket_timeout": SOCKET, "socket_connect_timeout": SOCKET}
            self._producer = amqp.Producer(self._app.connection_for_write(transport_options=options))
        route = amqp.router.route({} if self._queue is None else {"queue": self._queue}, TASK, (request,), {})
        message = amqp.create_task_message(task_id, TASK, (request,), {}, ignore_result=False, argsrepr="(...)")
        amqp.send_task_message(self._producer, TASK, message, serializer="json", retry=False, **route)

    def _disconnect(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(Exception):  # it is of no use any more
                producer.connection.close()

    def _look(self) -> None:
        """Look what became of all calls."""
        began = self._monotonic()
        every = list(self._sent.values())
        try:
            found = self._fetch(every)
        except Exception as exc:
            if began - self._seen_at > self._patience:
                for sent in every:
                    self._note_entered(sent)  # for all that is known
                    self._end(sent, None, sent.errand.lost(f"the result backend of Celery went away ({exc})"))
        else:
            is_gap = began - self._seen_at > ALIVE - SOCKET  # a sign of life may have come and gone
            for sent, (permit, alive, result) in zip(every, found, strict=True):
                self._judge(sent, permit, alive, result, is_gap)
            self._seen_at = began
        now = self._monotonic()
        self._look_at = now + min(LONGEST_LOOK, max(LOOK, (now - began) * SHARE))

    def _fetch(self, every: Sequence[_Sent]) -> list[tuple[Any, Any, Any]]:
        keys = [
            key
            for sent in every
            for key in (permit_key(sent.id), alive_key(sent.id), self._app.backend.get_key_for_task(sent.id))
        ]
        values: Any = self._redis.mget(keys)
        now = self._monotonic()
        if now - self._renewed_at > RENEW:
            with self._redis.pipeline(transaction=False) as pipeline:
                for sent in every:
                    if not (sent.errand.is_entered or sent.is_doubtful):
                        pipeline.expire(permit_key(sent.id), PERMIT)
                pipeline.execute()
            self._renewed_at = now
        return list(zip(values[::3], values[1::3], values[2::3], strict=True))

    def _judge(self, sent: _Sent, permit: Any, alive: Any, result: Any, is_gap: bool) -> None:
        errand = sent.errand
        if permit is None and (alive is not None or is_gap):
            self._note_entered(sent)
        if result is not None:
            self._end(sent, *self._read(sent, result))
        elif permit is None and alive is None:
            how = "the Celery worker ended" if errand.is_entered else "no Celery worker has taken a call in time"
            self._end(sent, None, errand.lost(how))

    def _note_entered(self, sent: _Sent) -> None:
        with suppress(ExecutorRefusedError):  # it is entered all the same; the engine knows what to do about it
            sent.errand.enter()

    def _read(self, sent: _Sent, result: Any) -> tuple[Any, BaseException | None]:
        try:
            told = self._app.backend.decode(result)
            if told["status"] == "SUCCESS":
                self._note_entered(sent)
                return read_answer(told["result"], self._serializer), None
            problem = told["result"]
            text = f"{problem.get('exc_type')}: {problem.get('exc_message')}" if isinstance(problem, dict) else problem
            return None, sent.errand.lost(f"Celery noted {told['status']} ({text})")
        except BaseException as exc:
            return None, exc

    def _end(self, sent: _Sent, value: Any, error: BaseException | None) -> None:
        del self._sent[sent.id]
        sent.errand.settle(value, error)
        keys = (permit_key(sent.id), alive_key(sent.id), self._app.backend.get_key_for_task(sent.id))
        with suppress(Exception):  # they expire
            self._redis.delete(*keys)

    def _withdraw(self, sent: _Sent) -> bool:
        """Let a call not be entered any more, and end it if it was; True if it may have been."""
        if self._sent.pop(sent.id, None) is None:
            return False
        try:
            if self._redis.delete(permit_key(sent.id)):
                return False
            self._app.control.revoke(sent.id, terminate=True)
        except Exception as exc:
            logger.warning("a call of %s could not be withdrawn from Celery (%s)", sent.errand.name, exc)
        return True
