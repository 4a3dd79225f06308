"""Say why a request is refused (layer 10)."""

from __future__ import annotations

from collections.abc import Mapping

from apsched.exceptions import (
    ApschedError,
    JobLookupError,
    JobStoreUnavailableError,
    RunLookupError,
    SchedulerNotRunningError,
)

STATUSES: Mapping[type[ApschedError], int] = {  # error -> what a request that meets it is answered
    JobLookupError: 404,
    RunLookupError: 404,
    JobStoreUnavailableError: 503,
    SchedulerNotRunningError: 503,
}


class RefusedError(Exception):
    """
    A request is refused.

    Attributes:
        status: The HTTP status.
        detail: Why, one sentence.
        offers_login: Whether the token would open the door, so that a page asks for it.
        offers_basic: Whether the browser is to ask for a user and a password.
    """

    def __init__(self, status: int, detail: str, *, offers_login: bool = False, offers_basic: bool = False) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.offers_login = offers_login
        self.offers_basic = offers_basic
