"""Make a call on a Dask worker, when its executor lets it (layer 7).

Rule: a worker asks before it enters a call, since Dask runs a task again whose worker has died, and a task may still
wait in the cluster when its scheduler has given the run away.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import cloudpickle
from distributed import Client, Event, Queue, get_client, get_worker

from apsched.executors._calling import is_awaitable

PATIENCE = 10  # looks, of a second each, until a call is not entered because nobody answers
LOOK = 0.5  # seconds between two looks whether somebody waits for a coroutine


def run_call(request: bytes, asks: str, key: str) -> bytes | None:
    """
    Ask whether the call may be entered, and make it; a task of Dask.

    Args:
        request: The pickled callable and arguments.
        asks: The name of the queue that the executor looks into.
        key: The key of the task.

    Returns:
        What `read_answer` reads; None if the call was not entered.
    """
    worker = get_worker()

    def is_wanted() -> bool:
        task = worker.state.tasks.get(key)
        return task is not None and task.state != "cancelled"

    if not _may_enter(get_client(), asks, key, worker.address, is_wanted):
        return None
    return _answer(request, is_wanted)


def dump_request(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Pickle a call; what the main module defines goes by value."""
    return bytes(cloudpickle.dumps((func, args, kwargs)))


def read_answer(answer: bytes) -> Any:
    """
    Return what the call returned.

    Raises:
        BaseException: What it raised, with the traceback on the worker as a note.
    """
    value, parts, details = cloudpickle.loads(answer)
    if parts is None:
        return value
    error = _made_of(*parts)
    error.add_note(details)
    raise error


def _made_of(make: Callable[..., BaseException], args: tuple[Any, ...], state: Any = None) -> BaseException:
    """Return an exception made of what its `__reduce_ex__` gave."""
    error = make(*args)
    if state:
        error.__setstate__(state)
    return error


def _may_enter(client: Client, asks: str, key: str, address: str, is_wanted: Callable[[], bool]) -> bool:
    queue = Queue(asks, client=client)
    queue.put((key, address))
    queue.close()
    permission = Event(key, client=client)
    return any(is_wanted() and permission.wait(timeout=1) for _ in range(PATIENCE))


def _answer(request: bytes, is_wanted: Callable[[], bool]) -> bytes:
    try:
        func, args, kwargs = cloudpickle.loads(request)
        value = func(*args, **kwargs)
        if is_awaitable(value):
            value = asyncio.run(_await_while(value, is_wanted))
        return bytes(cloudpickle.dumps((value, None, "")))
    except BaseException as exc:
        details = f"On Dask worker {get_worker().address}:\n{''.join(traceback.format_exception(exc))}"
        return _answer_of_error(exc.with_traceback(None), details)


def _answer_of_error(exc: BaseException, details: str) -> bytes:
    try:
        # Not the exception itself: Dask lets all of them be pickled in its own way, which loses the code of SystemExit.
        parts = exc.__reduce_ex__(2)
        answer = cloudpickle.dumps((None, parts, details))
        _made_of(*cloudpickle.loads(answer)[1])
    except Exception:
        summary = "".join(traceback.format_exception_only(exc)).strip()
        answer = cloudpickle.dumps((None, (RuntimeError, (summary,)), details))
    return bytes(answer)


async def _await_while(value: Awaitable[Any], is_wanted: Callable[[], bool]) -> Any:
    """Await *value*, and cancel it when nobody wants it any more."""
    task = asyncio.ensure_future(value)
    while not (await asyncio.wait([task], timeout=LOOK))[0]:
        if not is_wanted():
            task.cancel()
    return task.result()
