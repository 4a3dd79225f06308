"""Run calls in the thread of a Qt program's user interface (layer 7)."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

from apsched.exceptions import MissingExtraError
from apsched.executors._arguments import whole_number
from apsched.executors._elsewhere import ElsewhereExecutor, ForeignLoop, call_there
from apsched.executors.base import Call, Ending

BINDINGS = ("PySide6", "PyQt6", "PySide2", "PyQt5")


class QtLoop(ForeignLoop):
    """The event loop of the application, in the thread in which its object was made; the application may come later."""

    def __init__(self) -> None:
        self._core = _qt_core()
        self._receiver: Any = None

    def attach(self) -> None:
        self._receiver = None  # the application may be another one by now

    @property
    def is_known(self) -> bool:
        if self._receiver is None and (application := self._core.QCoreApplication.instance()) is not None:
            receiver = _receiver_class()()
            receiver.moveToThread(application.thread())
            self._receiver = receiver
        return self._receiver is not None

    @property
    def is_over(self) -> bool:
        return self._receiver is not None and self._core.QCoreApplication.instance() is None

    @property
    def is_running(self) -> bool:
        return self.is_known and not self.is_over

    @property
    def is_here(self) -> bool:
        application = self._core.QCoreApplication.instance()
        return application is not None and application.thread() == self._core.QThread.currentThread()

    def call_soon(self, callback: Callable[[], object]) -> None:
        if not self.is_running:
            raise RuntimeError("there is no QApplication")
        self._receiver.called.emit(callback)


class QtGuiExecutor(ElsewhereExecutor[QtLoop]):
    """
    Calls plain functions in the thread of the user interface, one at a time, by a queued signal.

    They may use widgets, and hold up the interface while they run. What a call returns is, if awaitable, awaited in the
    scheduler's own event loop. Works with PySide6, PyQt6, PySide2 and PyQt5.

    Args:
        max_concurrent: Most calls that may be on their way at a time, from 1 on.

    Raises:
        TypeError: *max_concurrent* is no whole number.
        ValueError: It is less than 1.
    """

    def __init__(self, max_concurrent: int = 100) -> None:
        super().__init__(QtLoop(), whole_number("max_concurrent", max_concurrent))

    def _start(self, call: Call, end: Ending) -> None:
        call_there(call, end)


@cache
def _qt_core() -> Any:
    """Return the module QtCore of the binding that the program uses."""
    for name in sorted(BINDINGS, key=lambda name: name not in sys.modules):
        try:
            return import_module(f"{name}.QtCore")
        except ImportError:
            continue
    raise MissingExtraError("executor 'qt-gui'", "qt")


@cache
def _receiver_class() -> Any:
    core = _qt_core()
    signal: Any = getattr(core, "Signal", None) or core.pyqtSignal

    class Receiver(core.QObject):  # type: ignore[misc, name-defined]  # its base is known at run time only
        called = signal(object)

        def __init__(self) -> None:
            super().__init__()
            self.called.connect(self.take, core.Qt.ConnectionType.QueuedConnection)

        def take(self, callback: Callable[[], object]) -> None:
            callback()

    return Receiver
