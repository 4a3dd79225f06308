from __future__ import annotations

import os.path
from collections.abc import Callable
from functools import lru_cache, partial, wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from apsched._refs import check_arguments, find_loaded, is_coroutine_callable, name_of, ref_of, resolve


def plain() -> None: ...


def various(a: int, /, b: int, c: int = 0, *, d: int, e: int = 0) -> None: ...


def open_ended(*args: int, **kwargs: int) -> None: ...


def named_like_open(a: int = 0, /, **kwargs: int) -> None: ...


async def coroutine_function() -> None: ...


@lru_cache
def cached() -> None: ...


@wraps(plain)
def impostor() -> None: ...


class Thing:
    def method(self, a: int) -> None: ...

    @classmethod
    def class_method(cls) -> None: ...

    @staticmethod
    def static_method() -> None: ...

    async def coroutine_method(self) -> None: ...

    def __call__(self) -> None: ...


class AsyncThing:
    __hash__ = None  # type: ignore[assignment]  # to be one that no dictionary keeps

    async def __call__(self, a: int) -> None: ...


@pytest.mark.parametrize(
    "func", [plain, cached, Thing, Thing.method, Thing.class_method, Thing.static_method, print, os.path.join]
)
def test_what_has_a_reference_is_found_by_it(func: Callable[..., Any]) -> None:
    ref = ref_of(func)

    assert ref is not None
    assert resolve(ref) == func


@pytest.mark.parametrize(
    "func",
    [lambda: None, partial(plain), Thing().method, Thing(), [].append, impostor, wraps(plain)(lambda: None)],
    ids=["lambda", "partial", "method", "instance", "builtin method", "impostor", "disguised lambda"],
)
def test_what_has_no_importable_name_has_no_reference(func: Callable[..., Any]) -> None:
    assert ref_of(func) is None


def test_a_nested_function_has_no_reference() -> None:
    def nested() -> None: ...

    assert ref_of(nested) is None


@pytest.mark.parametrize(
    ("ref", "error", "message"),
    [
        ("os.path", ValueError, "a reference must be of the form 'package.module:name', got 'os.path'"),
        (":x", ValueError, "got ':x'"),
        ("os:", ValueError, "got 'os:'"),
        ("os:a..b", ValueError, "got 'os:a..b'"),
        (".os:path", ValueError, r"got '\.os:path'"),
        (5, TypeError, "a reference must be text of the form 'package.module:name', got 5"),
        ("nowhere.at_all:x", LookupError, "importing 'nowhere.at_all' fails"),
        ("os:nothing", LookupError, "'os' has no 'nothing'"),
        ("os:path.join.nothing", LookupError, "'os:path.join' has no 'nothing'"),
    ],
)
def test_a_reference_that_leads_nowhere_says_where_it_ends(ref: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        resolve(ref)


@pytest.mark.parametrize(
    ("func", "name"),
    [
        (plain, "plain"),
        (Thing, "Thing"),
        (Thing().method, "Thing.method"),
        (Thing.class_method, "Thing.class_method"),
        (Thing.static_method, "Thing.static_method"),
        (Thing(), "Thing"),
        (partial(plain), "partial"),
        (print, "print"),
    ],
)
def test_a_callable_has_a_name_for_people(func: Callable[..., Any], name: str) -> None:
    assert name_of(func) == name


def test_what_is_not_callable_has_no_name() -> None:
    with pytest.raises(TypeError, match="func must be callable, got 5"):
        name_of(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("func", "expected"),
    [
        (plain, False),
        (coroutine_function, True),
        (partial(partial(coroutine_function)), True),
        (Thing().coroutine_method, True),
        (Thing().method, False),
        (AsyncThing(), True),
        (AsyncThing, False),
        (Thing(), False),
        (print, False),
    ],
)
def test_a_coroutine_function_is_seen_through_its_wrappings(func: Callable[..., Any], expected: bool) -> None:
    assert is_coroutine_callable(func) is expected


@pytest.mark.parametrize(
    ("func", "args", "kwargs"),
    [
        (plain, (), {}),
        (various, (1, 2), {"d": 3}),
        (various, (1,), {"b": 2, "c": 3, "d": 4, "e": 5}),
        (open_ended, (1, 2, 3), {"x": 1}),
        (named_like_open, (1,), {"a": 2}),
        (named_like_open, (), {"a": 2}),
        (Thing().method, (1,), {}),
        (Thing().method, (), {"a": 1}),
        (Thing.method, (None, 1), {}),
        (partial(various, 1, d=2), (2,), {}),
        (AsyncThing(), (1,), {}),
        (dict, (1, 2, 3), {}),
    ],
)
def test_arguments_that_fit_pass(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    for _ in range(2):  # the second time from what is kept of the signature
        check_arguments(func, args, kwargs)


@pytest.mark.parametrize(
    ("func", "args", "kwargs", "problem"),
    [
        (plain, (1,), {}, "positional arguments: 1 given, 0 taken"),
        (plain, (), {"x": 1}, "unknown: x"),
        (various, (), {}, "missing: a, b, d"),
        (various, (1, 2), {}, "missing: d"),
        (various, (), {"a": 1, "b": 2, "d": 3}, "not to be given by keyword: a"),
        (various, (1, 2), {"b": 2, "d": 3}, "given twice: b"),
        (various, (1, 2, 3, 4), {"d": 3}, "positional arguments: 4 given, 3 taken"),
        (various, (1, 2), {"a": 1, "d": 3}, "unknown: a"),
        (Thing().method, (), {}, "missing: a"),
        (Thing().method, (1, 2), {}, "positional arguments: 2 given, 1 taken"),
        (AsyncThing(), (), {}, "missing: a"),
        (partial(various, 1), (), {"d": 1}, "missing: b"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_the_reason(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], problem: str
) -> None:
    for _ in range(2):
        with pytest.raises(ValueError, match=rf"must fit its signature, got .*; {problem}$"):
            check_arguments(func, args, kwargs)


def test_what_a_module_has_is_found_by_another_thread_while_it_is_being_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (
        "import threading",
        "from apsched import _refs",
        "def func(): ...",
        "found = []",
        "thread = threading.Thread(target=lambda: found.append(_refs.resolve('starting_up:func')), daemon=True)",
        "thread.start()",
        "thread.join(10)",
    )
    (tmp_path / "starting_up.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)

    module = import_module("starting_up")

    assert module.found == [module.func]


def test_what_a_module_does_not_have_yet_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (
        "import threading",
        "from apsched import _refs",
        "errors = []",
        "def look():",
        "    try: _refs.find_loaded('in_the_middle:later')",
        "    except LookupError as exc: errors.append(str(exc))",
        "thread = threading.Thread(target=look, daemon=True)",
        "thread.start()",
        "thread.join(10)",
        "def later(): ...",
    )
    (tmp_path / "in_the_middle.py").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)

    module = import_module("in_the_middle")

    assert module.errors == ["'in_the_middle:later' is not loaded; import its module"]
    assert find_loaded("in_the_middle:later") is module.later
