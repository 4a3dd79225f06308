"""
Start, kill and end the process of a server, and give it a port and a folder.

1. A server ends with the tests, however they end: see `_launch.py`.
2. It keeps its port and its data from one start to the next; leaving `own_folder` removes the data.
3. Ports are below those that the system gives to clients: while a server is away, no client may get its port, and none
   may connect to itself there.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

HOST = "127.0.0.1"
PORTS = range(15_000, 32_000)  # Linux gives clients ports from 32768 on
START_LIMIT = 30.0  # seconds until a server must be ready
STOP_LIMIT = 10.0  # seconds that a server has to end by itself
LOG_TAIL = 3000  # characters of a server's log that an error shows

_LAUNCH = Path(__file__).with_name("_launch.py")
_starter = ThreadPoolExecutor(1, thread_name_prefix="test-servers")  # servers end with the thread that starts them
_random = random.SystemRandom()  # hypothesis seeds the common one


class MissingServerError(Exception):
    """A server is not on this machine; the text says what to install."""


class User(NamedTuple):
    """Whom a server runs as."""

    uid: int
    gid: int


class Process:
    """
    One server, which can be started again and again.

    Args:
        command: The name that the server goes by, and its arguments.
        folder: Where the server runs and its output is kept, in the file `log`.
        program: The file to execute; None for the first word of *command*.
        is_ready: Tells whether the server with that process id serves; OSError means not yet.
        environment: What the server's environment has besides that of the tests.
        user: Whom to run it as; None for whoever runs the tests.
        stop_signal: What makes the server end in good order.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        is_ready: Callable[[int], bool],
        *,
        program: Path | None = None,
        environment: Mapping[str, str] | None = None,
        user: User | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        owner = f"{user.uid}:{user.gid}" if user else ""
        launch = (sys.executable, "-I", "-S", str(_LAUNCH), str(os.getpid()), str(int(stop_signal)), owner)
        self._command = (*launch, str(program or command[0]), *command)
        self._log = folder / "log"
        self._folder = folder
        self._is_ready = is_ready
        self._environment = {**os.environ, "LC_ALL": "C", **(environment or {})}
        self._stop_signal = stop_signal
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """
        Start the server and wait until it serves.

        Raises:
            RuntimeError: It ended, or does not serve within 30 seconds; the end of its log is in the text.
        """
        self._running = _starter.submit(self._spawn).result()
        try:
            self._wait_until_ready(self._running)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End the server and its children by SIGKILL; nothing happens if it is not running."""
        if self._running is None:
            return
        for pid in (self._running.pid, *_children(self._running.pid)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._running.wait()
        self._running = None

    def stop(self) -> None:
        """End the server in good order, within 10 seconds or else by force; nothing happens if it is not running."""
        if self._running is None:
            return
        self._running.send_signal(self._stop_signal)
        with suppress(subprocess.TimeoutExpired):
            self._running.wait(STOP_LIMIT)
        self.kill()

    def _spawn(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # an interrupt from the terminal is for the tests
            )

    def _wait_until_ready(self, running: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + START_LIMIT
        while time.monotonic() < end:
            if running.poll() is not None:
                raise RuntimeError(f"{self._folder.name} ended with {running.returncode}: {self._tail()}")
            with suppress(OSError):
                if self._is_ready(running.pid):
                    return
            time.sleep(0.01)
        raise RuntimeError(f"{self._folder.name} does not serve after {START_LIMIT} seconds: {self._tail()}")

    def _tail(self) -> str:
        return self._log.read_text(errors="replace")[-LOG_TAIL:]


@contextmanager
def own_folder(name: str, user: User | None = None) -> Generator[Path]:
    """Make a folder that *user* owns, and remove it at the end; its path is short, as those of Unix sockets must be."""
    folder = Path(tempfile.mkdtemp(prefix=f"apsched-{name}-"))
    if user:
        os.chown(folder, *user)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """Return a port that nobody listens on."""
    while True:
        port = _random.choice(PORTS)
        with socket.socket() as listener, suppress(OSError):
            listener.bind((HOST, port))
            return port


def first_bytes(port: int, request: bytes = b"") -> bytes:
    """Connect to a server, send it *request*, and return how it answers or greets; OSError if it does not."""
    with closing(socket.create_connection((HOST, port), 1.0)) as connection:
        connection.sendall(request)
        return connection.recv(64)


def run(command: Sequence[str], folder: Path, user: User | None = None) -> None:
    """Run a command that prepares a server; RuntimeError with its output if it fails."""
    group = user.gid if user else None
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C"},
        capture_output=True,
        check=False,
        user=user.uid if user else None,
        group=group,
        extra_groups=[] if user else None,
    )
    if done.returncode:
        output = (done.stdout + done.stderr).decode(errors="replace")
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {output[-LOG_TAIL:]}")


def find_program(name: str) -> Path | None:
    """Return the path of a program, also where only an administrator's PATH leads."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin"])
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def _children(pid: int) -> list[int]:
    """List the children of a process; none where the system does not tell (outside of Linux)."""
    children: list[int] = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            after_the_name = status.read_text().rpartition(")")[2].split()
            if int(after_the_name[1]) == pid:
                children.append(int(status.parent.name))
    return children
