"""Keep what leads to a server open, and leave it in any case (layer 6)."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio

logger: logging.Logger = logging.getLogger("apsched.scheduler")

CLOSE_PATIENCE = 5.0  # seconds that leaving may take


@asynccontextmanager
async def entered(part: AbstractAsyncContextManager[Any], what: str) -> AsyncGenerator[None]:
    """
    Enter *part*, and leave it even if this is cancelled; that it cannot be left in time is logged and changes nothing.

    Args:
        part: A store or a notifier.
        what: Its name in the log.
    """
    await part.__aenter__()
    try:
        yield
    finally:
        try:
            with anyio.fail_after(CLOSE_PATIENCE, shield=True):
                await part.__aexit__(None, None, None)
        except Exception:
            logger.warning("%s cannot be closed", what, exc_info=True)
