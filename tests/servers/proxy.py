"""
Stand between a client and a server, and break their network.

1. One thread does everything with sockets; the methods hand it their work and return when it is done.
2. While frozen, bytes are acknowledged and lost, as by a broken middlebox. A connection that lost some cannot go on:
   healing closes it. While held, bytes and connections wait, as on a line that is far too slow; none is lost.
3. Sockets do not block. What a peer does not take yet is kept, and beyond a limit the other side is not read.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum, auto
from typing import Self

from tests.servers._process import HOST, free_port

CHUNK = 65536  # bytes read at a time
UNSENT_LIMIT = 1 << 20  # bytes kept for a peer that does not take them
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: forget what is unsent


class State(Enum):
    """What the network does."""

    OPEN = auto()
    CUT = auto()
    FROZEN = auto()
    HELD = auto()


class End:
    """One end of a connection through the proxy: a socket, and what is still to be sent to it."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.peer: End | None = None  # none for a client that came while frozen
        self.unsent = bytearray()
        self.closes_when_sent = False
        self.has_lost_bytes = False
        self.waits_for_server = False  # a client that came while held


class Proxy:
    """
    A TCP proxy on a port of its own, which runs from entering to leaving it and whose network can be broken.

    Its methods may be called from any thread, and from async code: they take less than a millisecond. When one end of
    a connection closes, so does the other.

    Args:
        target_port: The port that it connects to.
        target_host: The machine that it connects to.
    """

    def __init__(self, target_port: int, target_host: str = HOST) -> None:
        self.host = HOST
        self.port = free_port()
        self._target = (target_host, target_port)
        self._state = State.OPEN
        self._ends: set[End] = set()
        self._work: deque[Callable[[], None]] = deque()

    def __enter__(self) -> Self:
        self._selector = selectors.DefaultSelector()
        self._waker, self._wakened = socket.socketpair()
        self._selector.register(self._wakened, selectors.EVENT_READ)
        self._is_running = True
        self._listener: socket.socket | None = None
        self._listen()
        self._thread = threading.Thread(target=self._serve, name=f"proxy-{self.port}", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._stop)
        self._thread.join()
        for resource in (self._selector, self._waker, self._wakened):
            resource.close()

    def cut(self) -> None:
        """Reset all connections and refuse new ones."""
        self._do(self._cut)

    def freeze(self) -> None:
        """Accept connections and bytes, and let nothing through."""
        self._do(self._freeze)

    def hold(self) -> None:
        """Let everything wait: what comes meanwhile goes through after healing."""
        self._do(self._hold)

    def heal(self) -> None:
        """Accept connections and let everything through; connections that have lost bytes are reset."""
        self._do(self._heal)

    def _do(self, work: Callable[[], None]) -> None:
        """Let the thread do that work, and wait until it has."""
        done = threading.Event()
        self._work.extend((work, done.set))
        self._waker.send(b"!")
        done.wait()

    def _serve(self) -> None:
        while self._is_running:
            for key, events in self._selector.select():
                if key.fileobj is self._wakened:
                    self._wakened.recv(CHUNK)
                elif key.fileobj is self._listener:
                    self._accept()
                elif key.data in self._ends:  # an event before this one may have closed it
                    self._pass_on(key.data, events)
            while self._work:
                self._work.popleft()()

    def _cut(self) -> None:
        self._state = State.CUT
        if self._listener:
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
        self._reset(list(self._ends))

    def _freeze(self) -> None:
        self._state = State.FROZEN
        self._listen()
        for end in self._ends:
            self._watch(end)

    def _hold(self) -> None:
        if self._state is State.OPEN:
            self._state = State.HELD
            for end in self._ends:
                self._watch(end)

    def _heal(self) -> None:
        was_held, self._state = self._state is State.HELD, State.OPEN
        self._listen()
        if was_held:
            for end in [end for end in self._ends if end.waits_for_server]:
                end.waits_for_server = False
                self._connect(end)
        lossy = {end for end in self._ends if end.has_lost_bytes or not (end.peer or was_held)}
        self._reset(lossy | {end.peer for end in lossy if end.peer})
        for end in self._ends:
            self._watch(end)

    def _stop(self) -> None:
        self._cut()
        self._is_running = False

    def _listen(self) -> None:
        if not self._listener:
            self._listener = socket.create_server((self.host, self.port))
            self._listener.setblocking(False)
            self._selector.register(self._listener, selectors.EVENT_READ)

    def _accept(self) -> None:
        assert self._listener
        with suppress(BlockingIOError):  # the client has gone again
            client = End(self._listener.accept()[0])
            self._add(client)
            client.waits_for_server = self._state is State.HELD
            if self._state is State.OPEN:
                self._connect(client)

    def _connect(self, client: End) -> None:
        try:
            server = End(socket.create_connection(self._target, 1.0))
        except OSError:
            self._reset([client])
        else:
            client.peer, server.peer = server, client
            self._add(server)

    def _add(self, end: End) -> None:
        end.socket.setblocking(False)
        end.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ends.add(end)
        self._watch(end)

    def _watch(self, end: End) -> None:
        """Wait for what may be done with an end now."""
        is_open = self._state is State.OPEN
        is_held = self._state is State.HELD
        reads = not (is_held or (is_open and end.peer and len(end.peer.unsent) >= UNSENT_LIMIT))
        events = selectors.EVENT_READ * reads | selectors.EVENT_WRITE * (is_open and bool(end.unsent))
        if end.socket in self._selector.get_map():
            self._selector.unregister(end.socket)
        if events:
            self._selector.register(end.socket, events, end)

    def _pass_on(self, end: End, events: int) -> None:
        peer = end.peer
        try:
            if events & selectors.EVENT_WRITE:
                del end.unsent[: end.socket.send(end.unsent)]
            if events & selectors.EVENT_READ:
                self._take(end, end.socket.recv(CHUNK))
        except BlockingIOError:
            return
        except OSError:
            self._reset([end] if self._state is State.FROZEN or not peer else [end, peer])
        for changed in self._ends & {end, peer}:
            if changed.closes_when_sent and not changed.unsent:
                self._close(changed)
            else:
                self._watch(changed)

    def _take(self, end: End, received: bytes) -> None:
        """Do with what an end has sent as the network does; no bytes mean that it has closed."""
        peer = end.peer
        if not received:
            self._close(end)
        if self._state is State.FROZEN:
            end.has_lost_bytes = True
        elif peer:
            peer.unsent += received
            peer.closes_when_sent = not received

    def _reset(self, ends: Iterable[End]) -> None:
        for end in ends:
            end.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self._close(end)

    def _close(self, end: End) -> None:
        if end.socket in self._selector.get_map():
            self._selector.unregister(end.socket)
        self._ends.discard(end)
        end.socket.close()
        if end.peer:
            end.peer.peer = None
