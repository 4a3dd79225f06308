"""Make a call in a Celery worker, if its executor still lets it (layer 7).

Rule 1: a call is entered once, by whoever takes its permit away. The executor renews permits and withdraws them; those
of one that has died expire.
Rule 2: what travels is JSON of the closed types. A callable goes by its reference, which must lead into the modules
that the worker allows; an exception class is looked up only where its module has been imported already.
"""

from __future__ import annotations

import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager, suppress
from functools import reduce
from inspect import isclass
from typing import Any

from celery import Celery
from celery.exceptions import Ignore, WorkerShutdown, WorkerTerminate

from apsched import _refs
from apsched.exceptions import UnstorableError
from apsched.executors._calling import call_to_end
from apsched.serializers.base import Serializer, Unstorable
from apsched.serializers.json import JSONSerializer

TASK = "apsched.run"  # executors and workers of all releases must agree on it
ALIVE = 30  # seconds after its last sign of life until a worker process counts as dead
BEAT = 10.0  # seconds between two of them
TERMINATED = signal.SIGTERM - 256  # the exit code that pool processes raise SystemExit with when they are terminated
ENTER = """
if redis.call('DEL', KEYS[1]) == 0 then return 0 end
redis.call('SET', KEYS[2], 1, 'EX', ARGV[1])
return 1
"""


def permit_key(task_id: str) -> str:
    """Return the name of the key whose being there permits to enter a call."""
    return f"apsched-permit-{task_id}"


def alive_key(task_id: str) -> str:
    """Return the name of the key that tells that a call is under way."""
    return f"apsched-alive-{task_id}"


def register(app: Celery, *, allowed_modules: Collection[str] | None, serializer: JSONSerializer | None = None) -> None:
    """
    Let the workers of *app* run what a `CeleryExecutor` sends, by a task of the name `apsched.run`.

    Call it in the module that makes the app.

    Args:
        app: With Redis as its result backend.
        allowed_modules: Names of modules; a callable must be defined in one of them or below. None: any that can be
            imported, so that whoever can write to the broker can run anything in the workers.
        serializer: Knows the types that are registered besides the closed ones.

    Raises:
        TypeError: *allowed_modules* is no collection of texts.
    """
    allowed = _checked(allowed_modules)
    reader = JSONSerializer() if serializer is None else serializer

    def run(task: Any, request: str) -> str:
        redis, task_id = task.backend.client, task.request.id
        if not redis.eval(ENTER, 2, permit_key(task_id), alive_key(task_id), ALIVE):
            raise Ignore
        with _beating(redis, alive_key(task_id)):
            return _answer(request, allowed, reader)

    app.task(run, name=TASK, bind=True, ignore_result=False, acks_late=False, rate_limit=None)


def _checked(allowed_modules: Collection[str] | None) -> tuple[str, ...] | None:
    if allowed_modules is None:
        return None
    if isinstance(allowed_modules, (str, bytes)) or not all(isinstance(name, str) and name for name in allowed_modules):
        raise TypeError(f"allowed_modules must be None or a list of names such as ['myapp'], got {allowed_modules!r}")
    return tuple(sorted(allowed_modules))


@contextmanager
def _beating(redis: Any, key: str) -> Generator[None]:
    """Give signs of life, in a thread; the last one stays until the result is there."""
    has_ended = threading.Event()

    def beat() -> None:
        while not has_ended.wait(BEAT):
            with suppress(Exception):  # it may be there again for the next one
                redis.set(key, 1, ex=ALIVE)

    thread = threading.Thread(target=beat, name="apsched-beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        has_ended.set()


def _answer(request: str, allowed: tuple[str, ...] | None, serializer: Serializer) -> str:
    try:
        document = serializer.loads(request.encode())
        func = _resolve(document["func"], allowed)
        value = call_to_end(func, tuple(document["args"]), document["kwargs"])
    except (WorkerShutdown, WorkerTerminate):
        raise
    except BaseException as exc:
        if isinstance(exc, SystemExit) and exc.code == TERMINATED:
            raise
        return _answer_of_error(exc, serializer)
    try:
        return serializer.dumps({"value": value}).decode()
    except UnstorableError as exc:
        return serializer.dumps({"unstorable": _plain(str(exc))}).decode()


def _resolve(ref: str, allowed: tuple[str, ...] | None) -> Callable[..., Any]:
    if allowed is not None:
        _check_module(ref.partition(":")[0], ref, allowed)
    found = _refs.resolve(ref)
    if allowed is not None:
        _check_module(getattr(found, "__module__", None), ref, allowed)
    return found  # type: ignore[no-any-return]  # whatever it is, calling it tells


def _check_module(module: object, ref: str, allowed: tuple[str, ...]) -> None:
    if not isinstance(module, str) or not any(module == name or module.startswith(f"{name}.") for name in allowed):
        raise ValueError(
            f"{ref!r} must lead to something defined in the modules that register() was given "
            f"({', '.join(allowed) or 'none'}), got one of {module}; add its module to allowed_modules"
        )


def _answer_of_error(exc: BaseException, serializer: Serializer) -> str:
    details = "".join(traceback.format_exception(exc))
    error = {
        "class": f"{type(exc).__module__}:{type(exc).__qualname__}",
        "args": list(exc.args),
        "summary": _plain("".join(traceback.format_exception_only(exc)).strip()),
        "details": _plain(details),
    }
    try:
        return serializer.dumps({"error": error}).decode()
    except UnstorableError:
        return serializer.dumps({"error": {**error, "args": None}}).decode()


def _plain(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


# the executor's side


def dump_request(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], serializer: Serializer
) -> str:
    """
    Return a call as JSON.

    Raises:
        ValueError: The callable has no reference.
        UnstorableError: An argument is of a type that the serializer does not take; the message says which.
    """
    ref = _refs.ref_of(func)
    if ref is None:
        raise ValueError(
            f"{func!r} cannot be run by a Celery worker, which finds callables by module and name; "
            f"use a function at the top level of a module"
        )
    return serializer.dumps({"func": ref, "args": list(args), "kwargs": dict(kwargs)}).decode()


def read_answer(answer: str, serializer: Serializer) -> Any:
    """
    Return what the call returned; `Unstorable` if that is of a type that the serializer does not take.

    Raises:
        ValueError: The answer is none.
        BaseException: What the call raised, with the traceback in the worker as a note. An exception that cannot be
            made of its arguments here is stood for by a RuntimeError with its type and message.
    """
    document = serializer.loads(answer.encode())
    if "value" in document:
        return document["value"]
    if "unstorable" in document:
        return Unstorable(document["unstorable"])
    told = document["error"]
    error = _error_of(told["class"], told["args"]) or RuntimeError(told["summary"])
    error.add_note(f"In a Celery worker:\n{told['details']}")
    raise error


def _error_of(ref: str, args: list[Any] | None) -> BaseException | None:
    module, _, name = ref.partition(":")
    if args is None or module not in sys.modules:
        return None
    try:
        found: Any = reduce(getattr, name.split("."), sys.modules[module])
        error = found(*args) if isclass(found) and issubclass(found, BaseException) else None
    except Exception:  # it takes other arguments than it passes on, or is not there
        return None
    return error if isinstance(error, BaseException) else None
