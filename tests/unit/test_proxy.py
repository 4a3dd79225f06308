"""The proxy that breaks the network of tests."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.servers import Proxy

HANG = 10.0  # seconds until a test that hangs fails
SILENCE = 0.05  # seconds in which nothing may come


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while received := self.request.recv(65536):
            self.request.sendall(received)


class EchoServer(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of connections that the proxy resets."""


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with EchoServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        with Proxy(server.server_address[1]) as proxy:
            yield proxy
        server.shutdown()


def connect(proxy: Proxy) -> closing[socket.socket]:
    return closing(socket.create_connection((proxy.host, proxy.port), HANG))


def ask(connection: socket.socket, question: bytes) -> bytes:
    connection.sendall(question)
    return connection.recv(len(question))


def read(connection: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        received += connection.recv(count)
    return bytes(received)


def is_silent(connection: socket.socket) -> bool:
    connection.settimeout(SILENCE)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(HANG)
    return False


def test_all_bytes_pass_both_ways(proxy: Proxy) -> None:
    sent = bytes(range(256)) * 40_000
    with connect(proxy) as connection:
        sender = threading.Thread(target=connection.sendall, args=(sent,))
        sender.start()

        received = read(connection, len(sent))

        sender.join()
        assert received == sent


def test_what_was_sent_before_an_end_closed_arrives() -> None:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as listener,
        Proxy(listener.getsockname()[1]) as proxy,
        connect(proxy) as connection,
    ):
        server, _ = listener.accept()
        server.sendall(b"bye")

        server.close()

        assert connection.recv(10) + connection.recv(10) == b"bye"


def test_a_cut_resets_connections(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert ask(connection, b"hello") == b"hello"

        proxy.cut()

        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_a_cut_refuses_new_connections_until_it_is_healed(proxy: Proxy) -> None:
    proxy.cut()

    with pytest.raises(ConnectionRefusedError):
        connect(proxy)

    proxy.heal()
    with connect(proxy) as connection:
        assert ask(connection, b"hello") == b"hello"


def test_a_freeze_lets_nothing_through(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert ask(connection, b"hello") == b"hello"

        proxy.freeze()

        connection.sendall(b"hello")
        assert is_silent(connection)
        with connect(proxy) as newcomer:
            newcomer.sendall(b"hello")
            assert is_silent(newcomer)


def test_healing_resets_what_has_lost_bytes(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert ask(connection, b"hello") == b"hello"
        proxy.freeze()
        connection.sendall(b"hello")
        assert is_silent(connection)

        proxy.heal()

        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        with connect(proxy) as newcomer:
            assert ask(newcomer, b"hello") == b"hello"


def test_a_connection_that_was_idle_while_frozen_goes_on(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert ask(connection, b"hello") == b"hello"
        proxy.freeze()

        proxy.heal()

        assert ask(connection, b"hello") == b"hello"


def test_what_was_sent_while_held_comes_later(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert ask(connection, b"hello") == b"hello"
        proxy.hold()
        connection.sendall(b"later")
        with connect(proxy) as newcomer:
            newcomer.sendall(b"later too")
            assert is_silent(connection)

            proxy.heal()

            connection.settimeout(HANG)
            assert read(connection, 5) == b"later"
            assert read(newcomer, 9) == b"later too"


def test_a_cut_ends_what_was_held(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert ask(connection, b"hello") == b"hello"
        proxy.hold()

        proxy.cut()

        with pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_a_client_is_reset_where_no_server_is() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    with Proxy(port) as proxy, pytest.raises(ConnectionResetError), connect(proxy) as connection:
        connection.recv(1)
