"""Callables of the jobs of these tests."""

from __future__ import annotations


def succeed(*args: object, **kwargs: object) -> str:
    return "done"


def fail() -> None:
    raise RuntimeError("<script>alert('traceback')</script>")
