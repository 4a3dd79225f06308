"""Name callables, find them again and check how they are called (layer 0).

Rule 1: a reference that `ref_of` gives was looked up and leads to the very callable.
Rule 2: nothing here calls a user's function.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial, reduce
from importlib import import_module
from inspect import CO_COROUTINE, Parameter, isclass, iscoroutinefunction, ismethod, signature
from math import inf
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary

import attrs


def ref_of(func: Callable[..., Any]) -> str | None:
    """
    Return the text by which `resolve` finds *func* again, `"package.module:qualified.name"`.

    Functions and classes of a module, static methods and class methods have one. Lambdas, nested functions, partials,
    methods of an instance and other instances have none, nor has a callable that its module holds under another name.

    Returns:
        The reference, or None if there is none.
    """
    if ismethod(func):
        owner = func.__self__
        if not isclass(owner):
            return None
        module: object = owner.__module__
        name: object = f"{owner.__qualname__}.{func.__name__}"
    else:
        module, name = getattr(func, "__module__", None), getattr(func, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module not in sys.modules:
        return None
    try:
        found: Any = reduce(getattr, name.split("."), sys.modules[module])
    except AttributeError:
        return None
    return f"{module}:{name}" if found == func else None


def resolve(ref: str) -> Any:
    """
    Return what *ref* refers to; its module is imported if need be.

    Args:
        ref: `"package.module:qualified.name"`.

    Raises:
        TypeError: It is not text.
        ValueError: It is not of that form.
        LookupError: The module cannot be imported, or has no such name.
    """
    if not isinstance(ref, str):
        raise TypeError(f"a reference must be text of the form 'package.module:name', got {ref!r}; pass such text")
    module_name, colon, path = ref.partition(":")
    if not (colon and all(module_name.split(".")) and all(path.split("."))):
        raise ValueError(f"a reference must be of the form 'package.module:name', got {ref!r}; part them by a colon")
    with suppress(LookupError):
        return find_loaded(ref)
    try:
        found: Any = import_module(module_name)
    except Exception as exc:  # a module may raise anything while it is imported
        raise LookupError(
            f"the reference {ref!r} leads to nothing: importing {module_name!r} fails ({type(exc).__name__}: {exc}); "
            f"make the module importable in this process"
        ) from exc
    reached = module_name
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            raise LookupError(
                f"the reference {ref!r} leads to nothing: {reached!r} has no {name!r}; "
                f"define it there, or name something else"
            ) from None
        reached += ("." if ":" in reached else ":") + name
    return found


def find_loaded(ref: str) -> Any:
    """
    Return what *ref* refers to, if its module has it already; nothing is imported, and nobody's import waited for.

    Whoever imports the module may wait for the thread that asks.

    Args:
        ref: `"package.module:qualified.name"`.

    Raises:
        LookupError: It is not there, or not yet.
    """
    module_name, _, path = ref.partition(":")
    try:
        return reduce(getattr, path.split("."), sys.modules[module_name])
    except (AttributeError, KeyError):
        raise LookupError(f"{ref!r} is not loaded; import its module") from None


def is_being_imported(ref: str) -> bool:
    """
    Whether the module of *ref* is just being imported, and has not come to what *ref* names.

    Who asks for it then waits for whoever imports it.
    """
    module = sys.modules.get(ref.partition(":")[0])
    if not getattr(getattr(module, "__spec__", None), "_initializing", False):
        return False
    try:
        find_loaded(ref)
    except LookupError:
        return True
    return False


def name_of(func: Callable[..., Any]) -> str:
    """
    Return the name of *func* for people: `function`, `Class.method`, `Class`, for a callable instance its class.

    Raises:
        TypeError: It is not callable.
    """
    if type(func) is FunctionType:
        return func.__qualname__
    if not callable(func):
        raise TypeError(f"func must be callable, got {func!r}; pass a function, a method or an object with __call__")
    if ismethod(func):
        owner = func.__self__
        return f"{(owner if isclass(owner) else type(owner)).__qualname__}.{func.__name__}"
    name = getattr(func, "__qualname__", None)
    return name if isinstance(name, str) else type(func).__qualname__


def is_coroutine_callable(func: Callable[..., Any]) -> bool:
    """Tell whether calling *func* gives a coroutine; looks through partials, methods and `__call__` of instances."""
    if type(func) is FunctionType and func.__code__.co_flags & CO_COROUTINE:
        return True  # by far the most; asked for every run
    while isinstance(func, partial):
        func = func.func
    return iscoroutinefunction(func) or (not isclass(func) and iscoroutinefunction(getattr(func, "__call__", None)))  # noqa: B004


@attrs.frozen
class _Shape:
    """What a signature takes; the names in their order."""

    positional: tuple[str, ...]
    positional_only: tuple[str, ...]
    keyword_only: tuple[str, ...]
    required: tuple[str, ...]
    takes_args: bool
    takes_kwargs: bool
    fewest: float  # positional arguments of a call without keywords, at least and at most
    most: float


_shapes: WeakKeyDictionary[Callable[..., Any], _Shape | None] = WeakKeyDictionary()  # None: it has no signature


def check_arguments(func: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """
    Check that *func* can be called with these arguments.

    Decorators are not looked through: what counts is the signature of the callable itself. One without a signature, as
    some built-in functions are, passes.

    Raises:
        ValueError: Arguments are missing, too many, unknown, given twice, or by keyword where only position counts.

    Cost:
        Less than a microsecond for a function that has been checked before, if there are no keyword arguments.
    """
    try:
        shape = _shapes[func]
    except (KeyError, TypeError):  # not seen before; or a method, which lives for a moment only; or unhashable
        shape = _shape_of(func)
    bound = (func.__self__,) if ismethod(func) else ()
    if shape is None or (not kwargs and shape.fewest <= len(bound) + len(args) <= shape.most):
        return
    if problems := _problems(shape, (*bound, *args), kwargs, len(bound)):
        raise ValueError(
            f"the arguments for {name_of(func)} must fit its signature, got args={tuple(args)!r} and "
            f"kwargs={dict(kwargs)!r}; {', '.join(problems)}"
        )


def _shape_of(func: Callable[..., Any]) -> _Shape | None:
    if ismethod(func):
        func = func.__func__
    with suppress(KeyError, TypeError):
        return _shapes[func]
    shape = _read_signature(func)
    with suppress(TypeError):
        _shapes[func] = shape
    return shape


def _read_signature(func: Callable[..., Any]) -> _Shape | None:
    try:
        parameters = signature(func, follow_wrapped=False).parameters.values()
    except ValueError:
        return None

    def names(*kinds: Any) -> tuple[str, ...]:
        return tuple(parameter.name for parameter in parameters if parameter.kind in kinds)

    positional = names(Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
    keyword_only = names(Parameter.KEYWORD_ONLY)
    takes_args = bool(names(Parameter.VAR_POSITIONAL))
    takes_kwargs = bool(names(Parameter.VAR_KEYWORD))
    required = tuple(
        parameter.name
        for parameter in parameters
        if parameter.default is Parameter.empty and parameter.name in positional + keyword_only
    )
    return _Shape(
        positional=positional,
        positional_only=names(Parameter.POSITIONAL_ONLY),
        keyword_only=keyword_only,
        required=required,
        takes_args=takes_args,
        takes_kwargs=takes_kwargs,
        fewest=inf if set(required) & set(keyword_only) else len(required),
        most=inf if takes_args else len(positional),
    )


def _problems(shape: _Shape, args: Sequence[Any], kwargs: Mapping[str, Any], bound: int) -> list[str]:
    filled, open_ = set(shape.positional[: len(args)]), shape.positional[len(args) :]
    by_keyword = {*shape.positional, *shape.keyword_only} - {*shape.positional_only}
    misplaced = [
        name
        for name in open_
        if name in kwargs and name in shape.positional_only and (name in shape.required or not shape.takes_kwargs)
    ]
    given = filled | (by_keyword & set(kwargs)) | set(misplaced)
    missing = [name for name in shape.required if name not in given]
    unknown = [name for name in kwargs if name not in by_keyword and name not in misplaced]
    findings = {
        "given twice": [name for name in kwargs if name in filled and name in by_keyword],
        "not to be given by keyword": misplaced,
        "missing": missing,
        "unknown": [] if shape.takes_kwargs else unknown,
    }
    problems = [f"{what}: {', '.join(map(str, names))}" for what, names in findings.items() if names]
    if len(args) > shape.most:
        problems.append(f"positional arguments: {len(args) - bound} given, {len(shape.positional) - bound} taken")
    return problems
