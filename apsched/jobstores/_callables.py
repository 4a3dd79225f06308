"""Find the callables and classes that stored references name, within the modules that a store allows (layer 7).

Rule 1: the module of a reference is checked before anything is imported, and what it leads to once more: a reference
may begin in an allowed module and end in what that has imported.
Rule 2: a reference that failed is left alone for some seconds; an import can be slow, and a store may name it often.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from apsched import _refs
from apsched.clock import SystemClock

RETRY_AFTER = 5.0  # seconds
FAILURES = 1000  # references that are remembered to have failed; more are forgotten all at once


class Callables:
    """
    Looks references up.

    Args:
        allowed_modules: Names of modules; a reference must lead to something that is defined in one of them or below.
            None: any.

    Raises:
        TypeError: *allowed_modules* is no collection of texts.
    """

    def __init__(self, allowed_modules: Collection[str] | None) -> None:
        if allowed_modules is not None and (
            isinstance(allowed_modules, (str, bytes))
            or not isinstance(allowed_modules, Collection)
            or not all(isinstance(name, str) and name for name in allowed_modules)
        ):
            raise TypeError(
                f"allowed_modules must be None or a list of names such as ['myapp'], got {allowed_modules!r}"
            )
        self._allowed = None if allowed_modules is None else tuple(sorted(allowed_modules))
        self._failed: dict[str, tuple[float, str]] = {}  # reference -> when to look again (monotonic), what was wrong
        self._monotonic = SystemClock().monotonic

    @property
    def are_limited(self) -> bool:
        """Whether not all modules are allowed."""
        return self._allowed is not None

    def check_ref(self, ref: str) -> None:
        """
        Check that the module of *ref* is allowed; imports nothing.

        Raises:
            ValueError: It is not.
        """
        if self._allowed is not None:
            self._check(ref.partition(":")[0], ref)

    def check_found(self, ref: str, found: object) -> None:
        """
        Check that *found*, which *ref* leads to, is defined in an allowed module.

        Raises:
            ValueError: It is not.
        """
        if self._allowed is not None:
            self._check(getattr(found, "__module__", None), ref)

    def _check(self, module: object, ref: str) -> None:
        allowed = self._allowed or ()
        if not isinstance(module, str) or not any(module == name or module.startswith(f"{name}.") for name in allowed):
            place = f"defined in {module}" if isinstance(module, str) else "not defined in any module"
            raise ValueError(
                f"{ref!r} must lead to something defined in the modules that the store allows "
                f"({', '.join(allowed) or 'none'}), and is {place}; add its module to allowed_modules"
            )

    def resolve(self, ref: str) -> Any:
        """
        Return what *ref* leads to; its module is imported if need be and allowed.

        Raises:
            ValueError: It leads to nothing, or is not allowed. The answer is up to 5 seconds old.
        """
        failure = self._failed.get(ref)
        if failure is not None and self._monotonic() < failure[0]:
            raise ValueError(failure[1])
        try:
            return self._look_up(ref)
        except (Exception, SystemExit) as exc:  # a script that is imported may end the program
            reason = _reason(ref, exc)
            if len(self._failed) >= FAILURES:
                self._failed.clear()
            self._failed[ref] = (self._monotonic() + RETRY_AFTER, reason)
            raise ValueError(reason) from exc

    def _look_up(self, ref: str) -> Any:
        self.check_ref(ref)
        found = _refs.resolve(ref)
        self.check_found(ref, found)
        return found

    def resolve_callable(self, ref: str) -> Callable[..., Any]:
        """
        Return the callable that *ref* leads to, as `resolve` does.

        Raises:
            ValueError: It leads to nothing, to what cannot be called, or is not allowed.
        """
        found = self.resolve(ref)
        if not callable(found):
            raise ValueError(f"{ref!r} must lead to a callable, got {type(found).__qualname__}; correct the job")
        return found  # type: ignore[no-any-return]  # it is callable

    def must_wait_for(self, ref: str) -> bool:
        """
        Whether *ref* can be looked up only when an import has ended that another thread is at.

        It may be at `start()` of the very scheduler. Not where modules are limited: what is found must be checked.
        """
        return not self.are_limited and _refs.is_being_imported(ref)

    def find_loaded(self, ref: str) -> Callable[..., Any] | None:
        """Return the callable that *ref* leads to if its module is imported already; None otherwise."""
        try:
            self.check_ref(ref)
            found = _refs.find_loaded(ref)
            self.check_found(ref, found)
        except Exception:  # it is said when the job is to run; and the module may be in the middle of its import
            return None
        return found if callable(found) else None


def _reason(ref: str, exc: BaseException) -> str:
    if isinstance(exc, LookupError) and ref.startswith("__main__:"):
        return (
            f"{ref!r} was defined in the program that added the job, and the main module of this process has no such "
            f"name; move it to a module that every process can import"
        )
    if isinstance(exc, (LookupError, ValueError)):
        return str(exc)
    return f"the reference {ref!r} leads to nothing: looking it up raises {type(exc).__name__}: {exc}; mend its module"
