"""Run the calls of one thread in a worker process of its own (layer 7)."""

from __future__ import annotations

import logging
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from apsched._current import reporting
from apsched.exceptions import ExecutorRefusedError, WorkerDiedError
from apsched.executors._arguments import Context
from apsched.executors._threads import LEFT, Runner, Work
from apsched.executors._worker import EndedError, Worker
from apsched.executors._worker_process import Answer, name_of
from apsched.executors.base import Call
from apsched.run import Report, Run

logger = logging.getLogger(__name__)


class ProcessRunner(Runner):
    """
    Starts a worker process with the first call and again when it has ended; made in the thread that uses it.

    Args:
        context: Of multiprocessing, that starts the process.
        initialize: Called in it first; what it raises fails the call that the process was started for.
        max_runs: After how many calls it is replaced; None for never.
        max_rss: It is replaced after a call which leaves it with more memory, in bytes; None for any.
    """

    can_end = True

    def __init__(
        self,
        context: Context,
        initialize: Callable[[], object] | None,
        max_runs: int | None,
        max_rss: int | None,
    ) -> None:
        self._context = context
        self._initialize = initialize
        self._max_runs = max_runs
        self._max_rss = max_rss
        self._rss = 0  # of the worker, after its last call
        self._worker: Worker | None = None
        self._current: Work | None = None
        self._lock = threading.Lock()  # so that `end` hits the worker of its call, and no later one

    def run(self, work: Work) -> None:
        with self._lock:
            self._current = work
        try:
            work.value = self._run(work)
        except BaseException as exc:
            work.error = exc.with_traceback(None)  # its frames are ours and say nothing
        with self._lock:
            self._current = None

    def end(self, work: Work) -> None:
        with self._lock:
            work.is_ending = True
            if self._current is work and self._worker is not None:
                self._worker.kill()

    def rest(self) -> None:
        worker = self._worker
        if worker is None:
            return
        if is_large := self._max_rss is not None and self._rss > self._max_rss:
            logger.info(
                "worker process %d uses %d bytes, more than max_rss=%d, and is replaced",
                worker.pid,
                self._rss,
                self._max_rss,
            )
        if is_large or worker.is_killed or worker.runs == self._max_runs:
            self._end_worker()

    def close(self) -> None:
        self._end_worker()

    def _run(self, work: Work) -> Any:
        request = dump_request(work.call)
        if self._worker is not None and not self._worker.is_alive():
            self._end_worker()  # it has died since its last call
        worker = self._worker or self._start_worker(work)
        if work.is_ending:
            raise ExecutorRefusedError(LEFT)
        work.call.started()
        try:
            answer = open_answer(worker.ask(request, partial(take_report, work.call.run)))
        except EndedError as exc:
            self._take_worker()
            raise _died(f"the worker process that ran {name_of(work.call.func)}", exc, work) from None
        self._rss = answer.rss or 0
        return read_answer(answer, worker.pid)

    def _start_worker(self, work: Work) -> Worker:
        try:
            worker = Worker(self._context, self._initialize, tells_rss=self._max_rss is not None)
        except OSError as exc:
            raise ExecutorRefusedError(f"the executor takes no calls: no process can be started ({exc})") from None
        with self._lock:
            self._worker = worker
            if work.is_ending:
                worker.kill()
        try:
            read_answer(open_answer(worker.receive()), worker.pid)
        except EndedError as exc:
            self._take_worker()
            error = _died(f"the worker process started for {name_of(work.call.func)}", exc, work)
            error.add_note("A main module must start its scheduler under if __name__ == '__main__'.")
            raise error from None
        except BaseException:
            self._end_worker()
            raise
        return worker

    def _end_worker(self) -> None:
        if (worker := self._take_worker()) is not None:
            worker.end()

    def _take_worker(self) -> Worker | None:
        with self._lock:
            worker, self._worker = self._worker, None
        return worker


def dump_request(call: Call) -> bytes:
    """
    Pickle *call* for a worker process.

    Raises:
        pickle.PicklingError: A part of it cannot be pickled; the message names it.
    """
    kwargs = dict(call.kwargs)
    try:
        return pickle.dumps((call.func, call.args, kwargs, details_of(call.run)), pickle.HIGHEST_PROTOCOL)
    except Exception as exc:
        for path, value in (("", call.func), ("args", call.args), ("kwargs", kwargs)):
            if (culprit := _find_unpicklable(value, path)) is not None:
                where, reason = culprit
                break
        else:
            where, reason = "args", exc
        raise pickle.PicklingError(
            f"{name_of(call.func)} cannot be run in a worker process, because "
            f"{where or 'it'} cannot be pickled ({reason}); use functions and classes of modules, or a thread pool"
        ) from None


def check_callable(func: Callable[..., Any]) -> None:
    """
    Raise an error if *func* cannot be sent to a worker process.

    Raises:
        ValueError: It cannot be pickled; the message says why.
    """
    try:
        pickle.dumps(func, pickle.HIGHEST_PROTOCOL)
    except Exception as exc:
        raise ValueError(
            f"func must be a function or class of a module to run in a worker process, got {name_of(func)}, which "
            f"cannot be pickled ({exc}); define it at module level, or use a thread pool"
        ) from None


def details_of(run: Run | None) -> dict[str, Any] | None:
    """Return what a callable in a worker process can ask of its run."""
    if run is None:
        return None
    return {
        "job_id": run.job_id,
        "nominal_time": run.nominal_time,
        "due_time": run.due_time,
        "first_nominal_time": run.first_nominal_time,
        "count": run.count,
        "is_manual": run.is_manual,
        "epoch": run.epoch,
        "node": run.node,
        "claimed_at": run.claimed_at,
        "attempts": run.attempts,
    }


def take_report(run: Run | None, data: bytes) -> None:
    """Let *run* tell what its worker process has told."""
    if run is not None:
        progress, message, log = pickle.loads(data)  # noqa: S301  # from our own child
        with reporting:
            run.report = Report(progress=progress, message=message, log=log or None)


def open_answer(data: bytes) -> Answer:
    """Return the answer that a worker process has sent."""
    return Answer(*pickle.loads(data))  # noqa: S301  # from our own child


def read_answer(answer: Answer, pid: int) -> Any:
    """
    Return what the call in the worker process *pid* returned.

    Raises:
        BaseException: What it raised, with the traceback in the worker process as a note. An exception that cannot be
            unpickled is stood for by a RuntimeError with its type and message.
    """
    payload, summary, details, _ = answer
    try:
        result = None if payload is None else pickle.loads(payload)  # noqa: S301  # from our own child
    except Exception as exc:
        if summary is None:
            raise pickle.PicklingError(f"what a call returned in worker process {pid} cannot be read ({exc})") from None
        result = None
    if summary is None:
        return result
    error = result if isinstance(result, BaseException) else RuntimeError(summary)
    error.add_note(f"In worker process {pid}:\n{details}")
    raise error


def describe_end(exit_code: int | None) -> str:
    """Say how a process ended, after "the process"."""
    if exit_code is None:
        return "ended"
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        name = f"{signal.Signals(-exit_code).name} ({-exit_code})"
    except ValueError:
        name = f"signal {-exit_code}"
    return f"was ended by {name}" + ("; perhaps out of memory" if name.startswith("SIGKILL") else "")


def _died(subject: str, end: EndedError, work: Work) -> WorkerDiedError:
    how = "was ended, because the executor was left" if work.is_ending else describe_end(end.exit_code)
    return WorkerDiedError(f"{subject} {how}", end.exit_code)


def _find_unpicklable(value: object, path: str) -> tuple[str, Exception] | None:
    """Return the path of the innermost part of *value* that cannot be pickled, and why; None if it can."""
    try:
        pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except RecursionError as exc:
        return path, exc
    except Exception as exc:
        for key, part in _parts(value):
            if (culprit := _find_unpicklable(part, f"{path}[{key!r}]")) is not None:
                return culprit
        return path, exc
    return None


def _parts(value: object) -> Iterator[tuple[object, object]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, (list, tuple)):
        yield from enumerate(value)
