"""What every request needs: the backend, and who may do what (layer 10)."""

from __future__ import annotations

from datetime import tzinfo

from starlette.requests import Request

from apsched.web.backend import Backend
from apsched.web.refusals import RefusedError
from apsched.web.security import Access
from apsched.web.sightings import Sightings
from apsched.web.words import zone_name


class Web:
    """
    What the application holds; `Web.of(request)` finds it.

    Attributes:
        access: Who may do what.
        title: Heads the pages.
        sightings: What was seen of nodes.
    """

    def __init__(self, *, access: Access, title: str, zone: tzinfo | None) -> None:
        self.access = access
        self.title = title
        self.sightings = Sightings()
        self._zone = zone
        self._backend: Backend | None = None

    @staticmethod
    def of(request: Request) -> Web:
        """Return that of the application that *request* came to."""
        web: Web = request.app.state.web
        return web

    def take(self, backend: Backend | None) -> None:
        """Work on *backend* from now on; None: on none."""
        self._backend = backend

    @property
    def backend(self) -> Backend:
        """
        What is worked on.

        Raises:
            RefusedError: The job store is not open.
        """
        if self._backend is None:
            raise RefusedError(
                503,
                "The job store is not open: the application around the dashboard must run its lifespan, "
                "or be given a Backend of open_store().",
            )
        return self._backend

    @property
    def zone(self) -> tzinfo:
        """In which times are shown."""
        return self.backend.zone if self._zone is None else self._zone

    @property
    def zone_name(self) -> str:
        """The name of that zone."""
        return zone_name(self.backend.now, self.zone)
