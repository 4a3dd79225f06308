"""Write jobs, arguments and results as bytes, and read them again (layer 7).

What is written begins with its format and its serializer, `1:json:`, and goes on as the serializer wants.

Rule 1: reading a job or a result never raises. What cannot be read comes back as what says so.
Rule 2: what is read wholly or not at all is the definition of a job; a trigger without its options is no schedule.
Rule 3: an entry that this release does not know is passed over, and gone when the job is changed here. What older
releases must not pass over gets a new format, which they do not read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache, partial
from inspect import ismethod
from typing import Any
from uuid import UUID

import attrs

from apsched import _plugins, _refs
from apsched.exceptions import TransientJobError, UnstorableError, _shown
from apsched.job import NO_KWARGS, OPTION_CHECKS, Job, check_args, check_kwargs
from apsched.jobstores._callables import Callables
from apsched.jobstores._triggers import trigger_from_document, trigger_to_document, zone_of
from apsched.run import Run
from apsched.serializers._closed import ClosedSerializer
from apsched.serializers.base import Serializer, Unstorable
from apsched.serializers.json import JSONSerializer
from apsched.serializers.pickle import PickleSerializer
from apsched.triggers.base import BaseTrigger

FORMAT = 1
RESULT_LIMIT = 65_536  # bytes
CACHED = 4_096  # definitions
SAFE = ("json", "cbor")  # serializers that every store may read

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
EARLIEST = (datetime.min.replace(tzinfo=UTC) - EPOCH) // MICROSECOND
LATEST = (datetime.max.replace(tzinfo=UTC) - EPOCH) // MICROSECOND

NOT_OPTIONS = {"id", "func", "trigger", "args", "kwargs"}
NOT_STORED = {"next_run_time", "next_nominal_time", "quarantine", "is_pending", "jobstore"}
OPTIONS: tuple[str, ...] = tuple(
    field.name
    for field in attrs.fields(Job)
    if field.name not in NOT_OPTIONS | NOT_STORED and not field.name.startswith("_")
)
DEFAULTS: Mapping[str, Any] = {field.name: field.default for field in attrs.fields(Job)}
IMMUTABLE = frozenset(
    {type(None), bool, int, float, str, bytes, datetime, date, time, timedelta, Decimal, UUID}
)  # arguments that jobs may share

UNREADABLE = "unreadable:unreadable"  # the callable of a job that cannot be read


def to_micros(moment: datetime) -> int:
    """Return whole microseconds from 1970 in UTC to *moment*, which is aware; exact."""
    return (moment - EPOCH) // MICROSECOND


def from_micros(value: int) -> datetime:
    """
    Return the instant, in UTC, that is *value* microseconds after 1970 began; exact.

    Raises:
        OverflowError: It is not within the years 1 to 9999.
    """
    return EPOCH + value * MICROSECOND  # in half the time that `timedelta` takes to be called


class UnreadableTrigger(BaseTrigger):
    """
    Stands for a trigger that cannot be read; has no fire times.

    Attributes:
        reason: Why.
    """

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return None

    def __getstate__(self) -> dict[str, Any]:
        return {"reason": self.reason}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.reason = state["reason"]

    def __str__(self) -> str:
        return "unreadable"


@attrs.define(eq=False)
class _Definition:
    """
    What was read of a job; shared by all jobs that are made of the same bytes.

    Attributes:
        options: Arguments of `Job` but for the following, without those that are its defaults.
        trigger: The trigger.
        zone: In which it answers.
        func: The callable, or its reference as long as it is not resolved.
        pickled: The callable as a pickle, where it has no reference.
        args: Positional arguments, if jobs may share them.
        kwargs: Keyword arguments, whose values jobs may share.
        arguments: Both as bytes, if jobs may not share them.
        reader: What reads these.
    """

    options: dict[str, Any]
    trigger: BaseTrigger
    zone: tzinfo
    func: Callable[..., Any] | str
    pickled: bytes | None
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    arguments: bytes | None
    reader: Serializer


class JobCodec:
    """
    Writes and reads what a store keeps of jobs, runs and results.

    Safe to use in several threads at a time.

    Args:
        serializer: Writes; a serializer or the alias of one. What JSON or CBOR has written is read all the same.
        allowed_modules: Names of modules: callables and triggers of jobs must be defined in one of them or below. None:
            any.

    Raises:
        LookupError: There is no such serializer.
        MissingExtraError: It needs a package that is not installed.
        TypeError: An argument is of the wrong type.
        ValueError: *allowed_modules* is given to a store of pickles, which can name any callable by themselves.
    """

    def __init__(self, serializer: Serializer | str = "json", allowed_modules: Collection[str] | None = None) -> None:
        if isinstance(serializer, str):
            serializer = _plugins.find("serializer", serializer)()
        if not isinstance(serializer, Serializer):
            raise TypeError(f"serializer must be a serializer or the alias of one such as 'json', got {serializer!r}")
        if allowed_modules is not None and isinstance(serializer, PickleSerializer):
            raise ValueError(
                f"allowed_modules must be None with serializer='pickle', got {allowed_modules!r}; "
                f"reading a pickle can call anything, so use 'json' or 'cbor' to limit what is called"
            )
        self._serializer = serializer
        self._head = f"{FORMAT}:{serializer.name}:".encode()
        self._readers = {serializer.name: serializer}
        self._callables = Callables(allowed_modules)
        self._read_cached = lru_cache(CACHED)(self._read)

    # jobs

    def encode(self, job: Job) -> bytes:
        """
        Return the definition of *job*: all but its id, its times and what is found out about it.

        Raises:
            TransientJobError: Something of it cannot be stored; the message says what, and what to do.
        """
        try:
            return self._head + self._serializer.dumps(self._document(job))
        except ValueError as exc:
            raise TransientJobError(job.id, str(exc)) from exc

    def _document(self, job: Job) -> dict[str, Any]:
        trigger, func = job.trigger, job.func
        if isinstance(trigger, UnreadableTrigger) or (isinstance(func, str) and func == UNREADABLE):
            reason = trigger.reason if isinstance(trigger, UnreadableTrigger) else "its callable is lost"
            raise ValueError(
                f"it cannot be changed because it cannot be read ({reason}); "
                f"remove it, or add it anew with replace_existing=True"
            )
        document: dict[str, Any] = {
            "func": self._func_to_document(func),
            "trigger": trigger_to_document(trigger, self._callables),
            "args": list(job.args),
            "kwargs": dict(job.kwargs),
        }
        for name in OPTIONS:
            document[name] = _exact_text(getattr(job, name))
        document["retry"] = job.retry and job.retry.state
        document["tags"] = {_exact_text(name): _exact_text(value) for name, value in job.tags.items()}
        return document

    def _func_to_document(self, func: Callable[..., Any] | str) -> str | bytes:
        if isinstance(func, str):
            self._callables.check_ref(func)
            return func
        ref = _refs.ref_of(func)
        if ref is not None:
            self._callables.check_found(ref, func)
            return ref
        if not isinstance(self._serializer, PickleSerializer):
            raise ValueError(f"{_shown(func)} cannot be found by a name: {_why_nameless(func)}")
        try:
            return self._serializer.dumps(func)
        except UnstorableError as exc:
            raise ValueError(f"{_shown(func)} cannot be pickled: {_why_nameless(func)}") from exc

    def decode(
        self,
        job_id: str,
        definition: bytes,
        next_nominal: int | None,
        next_run: int | None,
        quarantine: str | None,
        *,
        resolve: bool,
    ) -> Job:
        """
        Return the job of which these are stored; never raises.

        A job that cannot be read comes back quarantined, with a trigger that never fires, and `encode` refuses it.

        Args:
            job_id: Its id.
            definition: What `encode` returned.
            next_nominal: Its next nominal time, in microseconds; comes back in the zone of its trigger.
            next_run: Its next run time, likewise.
            quarantine: Why it is quarantined already; is kept.
            resolve: Whether it is to run: its module is imported, and the job is quarantined if its callable is not
                found or not allowed. (While that is being imported the reference stays, for the run to resolve.)
                Otherwise nothing is imported for the callable, and its reference stands for it where it is not at hand.

        Cost:
            Some microseconds if the same definition was read before.
        """
        try:
            read = self._read_cached(definition if type(definition) is bytes else _bytes(definition))
            args, kwargs = self._arguments(read)
            func = read.func if read.pickled is None else self._unpickled(read)
            nominal_time = None if next_nominal is None else _moment(next_nominal, read.zone)
            run_time = nominal_time  # but for jitter
            if next_run != next_nominal:
                run_time = None if next_run is None else _moment(next_run, read.zone)
        except Exception as exc:  # of what is damaged, and of classes of the user, anything may come
            return _unreadable(job_id, exc, next_nominal, next_run, quarantine)
        if isinstance(func, str):
            ref = func
            if resolve and not self._callables.must_wait_for(func):
                try:
                    func = read.func = self._callables.resolve_callable(func)
                except ValueError as exc:
                    quarantine = quarantine or str(exc)
            elif not resolve and (found := self._callables.find_loaded(func)) is not None:
                func = read.func = found
            if not isinstance(func, str) and _refs.ref_of(func) is None:  # to be stored again, it needs the one it has
                read.func = ref
                func = func if resolve else ref
        job = Job(
            id=job_id,
            func=func,
            trigger=read.trigger,
            args=args,
            kwargs=kwargs,
            next_run_time=run_time,
            next_nominal_time=nominal_time,
            quarantine=quarantine,
            **read.options,
        )
        if job.tags:
            job.tags = dict(job.tags)
        return job

    def _read(self, definition: bytes) -> _Definition:
        reader, document = self._load(definition)
        func, pickled = _func_from_document(document.get("func"), reader)
        options = {name: OPTION_CHECKS[name](document[name]) for name in OPTIONS if name in document}
        if "name" not in options:
            raise ValueError("it has no name")
        trigger = trigger_from_document(document.get("trigger"), self._callables)
        args, kwargs = check_args(document.get("args")), check_kwargs(document.get("kwargs"))
        is_shared = IMMUTABLE.issuperset(map(type, args)) and IMMUTABLE.issuperset(map(type, kwargs.values()))
        return _Definition(
            options={name: value for name, value in options.items() if value != DEFAULTS[name]},
            trigger=trigger,
            zone=zone_of(trigger),
            func=func,
            pickled=pickled,
            args=args if is_shared else (),
            kwargs=kwargs if is_shared else NO_KWARGS,
            arguments=None if is_shared else reader.dumps([list(args), dict(kwargs)]),
            reader=reader,
        )

    def _arguments(self, read: _Definition) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
        if read.arguments is None:
            return read.args, dict(read.kwargs) if read.kwargs else NO_KWARGS
        args, kwargs = read.reader.loads(read.arguments)
        return tuple(args), kwargs

    def _unpickled(self, read: _Definition) -> Callable[..., Any]:
        found = read.reader.loads(read.pickled or b"")
        if not callable(found):
            raise ValueError(f"its func must be callable, got {_shown(found)}")
        return found  # type: ignore[no-any-return]  # it is callable

    # arguments

    def encode_arguments(self, run: Run) -> bytes | None:
        """
        Return the arguments of a run that is started by hand; None if it has none of its own.

        Raises:
            UnstorableError: One of them cannot be stored; the message says which.
        """
        if run.args is None and run.kwargs is None:
            return None
        args = None if run.args is None else list(run.args)
        kwargs = None if run.kwargs is None else dict(run.kwargs)
        return self._head + self._serializer.dumps({"args": args, "kwargs": kwargs})

    def decode_arguments(self, data: bytes | None) -> tuple[tuple[Any, ...] | None, Mapping[str, Any] | None]:
        """
        Return the args and kwargs that `encode_arguments` wrote.

        Raises:
            ValueError: They cannot be read; the message says why.
        """
        if data is None:
            return None, None
        try:
            _, document = self._load(_bytes(data))
            args, kwargs = document["args"], document["kwargs"]
            return None if args is None else check_args(args), None if kwargs is None else check_kwargs(kwargs)
        except Exception as exc:
            raise ValueError(f"its arguments cannot be read: {_told(exc)}") from exc

    # results

    def encode_result(self, value: Any) -> bytes | None:
        """Return what a run returned, or a note if it cannot be stored or takes more than 64 KiB; never raises."""
        if value is None:
            return None
        if type(value) is Unstorable:
            return _note(value.text)
        try:
            data = self._head + self._serializer.dumps({"result": value})
        except Exception as exc:  # of a serializer of the user, anything may come
            return _note(_told(exc))
        if len(data) > RESULT_LIMIT:
            return _note(f"{_shown(value)} is not kept: it takes {len(data)} bytes, more than {RESULT_LIMIT}")
        return data

    def decode_result(self, data: bytes | None) -> Any:
        """Return what `encode_result` wrote; `Unstorable` for a note, and if it cannot be read; never raises."""
        if data is None:
            return None
        try:
            _, document = self._load(_bytes(data))
            return Unstorable(str(document["unstorable"])) if "unstorable" in document else document["result"]
        except Exception as exc:
            return Unstorable(f"the result cannot be read: {_told(exc)}")

    # documents

    def _load(self, data: bytes) -> tuple[Serializer, dict[str, Any]]:
        version, _, rest = data.partition(b":")
        name, colon, body = rest.partition(b":")
        if not colon or not version.isdigit():
            raise ValueError(f"it must begin with a format and a serializer as in '1:json:', got {_shown(data[:20])}")
        if version != str(FORMAT).encode():
            raise ValueError(
                f"it is of format {version[:20].decode()}, and this release reads format {FORMAT}; "
                f"update apsched in this process"
            )
        reader = self._reader(name[:50].decode("ascii", "replace"))
        document = reader.loads(body)
        if type(document) is not dict:
            raise ValueError(f"it must hold a dictionary, got {type(document).__name__}")
        return reader, document

    def _reader(self, name: str) -> Serializer:
        if name in self._readers:
            return self._readers[name]
        if name not in SAFE:
            raise ValueError(
                f"it was written by the serializer {name!r}, and this store reads only its own "
                f"({self._serializer.name}), json and cbor; open the store with serializer={name!r} "
                f"if you trust whoever can write to it"
            )
        types_of = self._serializer if isinstance(self._serializer, ClosedSerializer) else None
        reader: Serializer = _plugins.find("serializer", name)(types_of)
        self._readers[name] = reader
        return reader


def _func_from_document(func: Any, reader: Serializer) -> tuple[str, bytes | None]:
    if type(func) is bytes and isinstance(reader, PickleSerializer):
        return "", func
    if type(func) is not str or ":" not in func:
        raise ValueError(f"its func must be a reference 'package.module:qualified.name', got {_shown(func)}")
    return func, None


def _unreadable(job_id: str, exc: Exception, nominal: Any, run: Any, quarantine: str | None) -> Job:
    reason = f"its definition cannot be read: {_told(exc)}"
    return Job(
        id=job_id,
        name=job_id,
        func=UNREADABLE,
        trigger=UnreadableTrigger(reason),
        next_run_time=_moment_or_none(run),
        next_nominal_time=_moment_or_none(nominal),
        quarantine=quarantine or reason,
    )


def _moment(value: int, zone: tzinfo) -> datetime:
    if type(value) is not int:
        raise ValueError(f"its times must be whole numbers of microseconds, got {_shown(value)}")
    moment = from_micros(value)
    if zone is UTC:
        return moment
    try:
        return moment.astimezone(zone)
    except OverflowError:  # the last day of the year 9999, seen from the east
        return moment


def _moment_or_none(value: Any) -> datetime | None:
    try:
        return None if value is None else _moment(value, UTC)
    except (ValueError, OverflowError):
        return None


def _bytes(data: Any) -> bytes:
    if type(data) is bytes:
        return data
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise ValueError(f"it must be bytes, got {type(data).__name__}")


def _note(text: str) -> bytes:
    valid = text.encode("utf-8", "backslashreplace").decode()
    return f"{FORMAT}:{JSONSerializer.name}:".encode() + JSONSerializer().dumps({"unstorable": valid})


def _told(exc: Exception) -> str:
    """Return what *exc* says, in at most some hundred characters."""
    text = str(exc) if isinstance(exc, ValueError) else f"{type(exc).__name__}: {exc}"
    return text if len(text) <= 1000 else f"{text[:1000]}..."


def _exact_text(value: Any) -> Any:
    """Return *value*; if it is of a subclass of str, as a member of a StrEnum is, as a plain text."""
    return str.__str__(value) if isinstance(value, str) else value


def _why_nameless(func: Callable[..., Any]) -> str:
    if isinstance(func, partial):
        return "it is a partial; add the function itself, and pass its arguments as args and kwargs"
    if ismethod(func):
        return "it is a method of an instance; add a function of a module that finds or makes the instance"
    name = getattr(func, "__qualname__", None)
    if not isinstance(name, str):
        return f"it is an instance of {type(func).__qualname__}; add a function of a module that finds or makes it"
    if "<lambda>" in name:
        return "it is a lambda; define a function at the top level of a module"
    if "<locals>" in name:
        return f"{name} is defined within a function; define it at the top level of a module"
    return f"its module has no {name}, or something else of that name; define it at the top level of a module"
