"""A dashboard in a thread of its own, and the browser of this machine."""

from __future__ import annotations

import shutil
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import anyio
import attrs
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal
from playwright.sync_api import Browser, sync_playwright

from apsched import AsyncScheduler
from apsched.web.app import create_app
from tests.servers import MissingServerError

T = TypeVar("T")
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@attrs.frozen
class Served:
    """
    A scheduler and its dashboard.

    Attributes:
        url: Of the dashboard, with no slash at its end.
        scheduler: The scheduler, of the event loop of the thread.
        portal: Leads there.
    """

    url: str
    scheduler: AsyncScheduler
    portal: BlockingPortal

    def call(self, func: Callable[..., Coroutine[Any, Any, T]], *args: object) -> T:
        """Call a coroutine function in that event loop."""
        result: T = self.portal.call(func, *args)
        return result


@contextmanager
def served(scheduler: AsyncScheduler, **options: Any) -> Generator[Served]:
    """Run *scheduler* and its dashboard until the end of the block."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_serving(scheduler, listener, options)),
    ):
        yield Served(f"http://127.0.0.1:{listener.getsockname()[1]}", scheduler, portal)


@asynccontextmanager
async def _serving(scheduler: AsyncScheduler, listener: socket.socket, options: dict[str, Any]) -> AsyncGenerator[None]:
    async with scheduler, anyio.create_task_group() as tasks:
        app = create_app(scheduler, **options)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1, lifespan="off"))
        tasks.start_soon(server.serve, [listener])
        try:
            yield
        finally:
            server.should_exit = True


@contextmanager
def chromium() -> Generator[Browser]:
    """
    Start the browser, without a window.

    Raises:
        MissingServerError: There is none.
    """
    path = next((found for program in PROGRAMS if (found := shutil.which(program))), None)
    if path is None:
        raise MissingServerError("chromium is missing; apt-get install chromium")
    with sync_playwright() as playwright:
        # As root, which is what containers run as, it starts without its sandbox only.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()
