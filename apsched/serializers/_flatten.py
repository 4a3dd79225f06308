"""Turn values of the closed types into what a document can hold, and back (layer 5).

A document holds None, truth values, numbers, texts, lists, and dictionaries whose keys are texts that do not begin with
the tag sign. Everything else is a dictionary of one key, its tag: `{"$date": "2026-01-31"}`.

Rule 1: a value goes by its exact type. A subclass is another type: it would come back as its base.
Rule 2: what needs no change is passed on as it is, not copied, and a container of plain values is looked at by C code
alone.
Rule 3: reading builds instances of the closed types and of registered ones; no name in the data leads to a class by
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from apsched.exceptions import _shown
from apsched.serializers._refused import Refused
from apsched.serializers._registered import RegisteredType
from apsched.serializers._tags import FROM_STATE, SIGN, TO_STATE, checked

DEEPEST = 100  # levels of containers
REGISTERED = "$type"
PLAIN = frozenset({type(None), bool, int, float, str})  # what every document can hold
TEXT = frozenset({str})
LARGEST = 10**600  # Python may refuse to read a decimal number of more than 640 digits

ADVICE = (
    "allowed are None, bool, int, float, str, bytes, list, dict, tuple, set, frozenset, datetime, date, time, "
    "timedelta, ZoneInfo, Decimal and UUID, but no subclasses; "
    "register the class with register_type() of the serializer, or open the store with serializer='pickle'"
)


class Types:
    """The types that are registered with a serializer."""

    def __init__(self) -> None:
        self.by_class: dict[type, RegisteredType] = {}
        self.by_name: dict[str, RegisteredType] = {}

    def add(self, registered: RegisteredType) -> None:
        """
        Register a type.

        Raises:
            ValueError: It is one of the closed types, or it or its name is taken.
        """
        cls, name = registered.cls, registered.name
        if cls in PLAIN or cls in TO_STATE or cls in (list, dict, tuple, set, frozenset):
            raise ValueError(f"a type that can be stored as it is must not be registered, got {cls!r}")
        for taken in (self.by_class.get(cls), self.by_name.get(name)):
            if taken is not None and (taken.cls, taken.name) != (cls, name):
                raise ValueError(
                    f"types and names must be registered once, got {cls!r} as {name!r}; "
                    f"{taken.cls!r} is registered as {taken.name!r}"
                )
        self.by_class[cls] = self.by_name[name] = registered

    def restore(self, found: dict[Any, Any]) -> Any:
        """
        Return what a dictionary of a document stands for, its values being restored already.

        Raises:
            ValueError: It has an unknown tag, or its state is damaged.
        """
        if len(found) != 1:
            if any(type(key) is not str or key.startswith(SIGN) for key in found):
                raise ValueError(f"it holds a dictionary of a form that is never written: keys {list(found)[:5]!r}")
            return found
        ((tag, state),) = found.items()
        if type(tag) is str and not tag.startswith(SIGN):
            return found
        build = self._instance if tag == REGISTERED else FROM_STATE.get(tag)
        if build is None:
            raise ValueError(f"it holds a value of an unknown kind, {tag!r}; a newer release may have written it")
        try:
            return build(state)
        except Exception as exc:  # of damaged data, and of users' functions, anything may come
            raise ValueError(f"it holds a damaged {tag!r}: {exc}") from exc

    def _instance(self, state: Any) -> Any:
        name, stored = checked(state, list)
        if name not in self.by_name:
            raise ValueError(
                f"no type is registered as {name!r}; call register_type() of the serializer in this process"
            )
        return self.by_name[name].from_state(stored)


class Flattener:
    """
    Turns values into what a document can hold.

    Args:
        types: The registered types.
        plain: The types that the document can hold as they are.
        is_careful: Whether texts and numbers are looked at one by one, which takes longer: for values that the document
            has refused.
    """

    def __init__(self, types: Types, plain: Collection[type], is_careful: bool) -> None:
        self._types = types
        self._plain = frozenset({type(None), bool} if is_careful else plain)
        self._makers: dict[type, Callable[[Any, int], Any]] = {
            kind: _scalar_maker(tag, to_state) for kind, (tag, to_state) in TO_STATE.items() if kind not in plain
        }
        self._makers |= {
            list: self._list,
            dict: self._dict,
            tuple: lambda value, level: {"$tuple": self._items(value, level)},
            set: lambda value, level: {"$set": self._unordered(value, level)},
            frozenset: lambda value, level: {"$frozenset": self._unordered(value, level)},
        }
        if is_careful:
            self._makers |= {str: _text, int: _int, float: _float, bytes: _scalar_maker(*TO_STATE[bytes])}

    def flatten(self, value: Any, level: int = 0) -> Any:
        """
        Return *value* in the form in which a document can hold it.

        Raises:
            Refused: It cannot be stored.
        """
        kind = type(value)
        if kind in self._plain:
            return value
        if level > DEEPEST:
            raise Refused(
                value, f"it is nested deeper than {DEEPEST} levels, or contains itself; pass something flatter"
            )
        make = self._makers.get(kind)
        if make is not None:
            return make(value, level + 1)
        return self._registered(value, kind, level + 1)

    def _list(self, value: list[Any], level: int) -> list[Any]:
        return value if self._plain.issuperset(map(type, value)) else self._items(value, level)

    def _items(self, values: Iterable[Any], level: int) -> list[Any]:
        flat: list[Any] = []
        try:
            for item in values:
                flat.append(self.flatten(item, level))  # noqa: PERF401  # its length says where it broke off
        except Refused as exc:
            exc.steps.append(f"[{len(flat)}]")
            raise
        return flat

    def _unordered(self, values: Iterable[Any], level: int) -> list[Any]:
        try:
            return sorted(self._items(values, level), key=repr)  # equal sets are written alike
        except Refused as exc:
            exc.steps[-1] = "{...}"
            raise

    def _dict(self, value: dict[Any, Any], level: int) -> dict[str, Any]:
        plain = self._plain
        if not _is_untagged(value):
            return {"$dict": [[self._key(key, level), self._value(value, key, level)] for key in value]}
        if str not in plain:
            return {self._key(key, level): self._value(value, key, level) for key in value}
        if plain.issuperset(map(type, value.values())):
            return value
        return {key: item if type(item) in plain else self._value(value, key, level) for key, item in value.items()}

    def _key(self, key: Any, level: int) -> Any:
        try:
            return self.flatten(key, level)
        except Refused as exc:
            exc.steps.append(".keys()")
            raise

    def _value(self, value: dict[Any, Any], key: Any, level: int) -> Any:
        try:
            return self.flatten(value[key], level)
        except Refused as exc:
            exc.steps.append(f"[{_shown(key)}]")
            raise

    def _registered(self, value: Any, kind: type, level: int) -> dict[str, Any]:
        registered = self._types.by_class.get(kind)
        if registered is None:
            raise Refused(value, f"its type is {kind.__module__}.{kind.__qualname__}; {ADVICE}")
        try:
            state = registered.to_state(value)
        except Exception as exc:  # it is the user's
            raise Refused(value, f"to_state() of {registered.name} raised {type(exc).__name__}: {exc}") from exc
        if not registered.is_by_field:
            return {REGISTERED: [registered.name, self.flatten(state, level)]}
        flat: dict[str, Any] = {}
        for name in state:
            try:
                flat[name] = self.flatten(state[name], level)
            except Refused as exc:
                exc.steps.append(f".{name}")
                raise
        return {REGISTERED: [registered.name, flat]}


def _is_untagged(value: dict[Any, Any]) -> bool:
    return TEXT.issuperset(map(type, value)) and not (
        SIGN in "".join(value) and any(key.startswith(SIGN) for key in value)
    )


def _scalar_maker(tag: str, to_state: Callable[[Any], Any]) -> Callable[[Any, int], Any]:
    return lambda value, level: {tag: to_state(value)}


def _text(value: str, level: int) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as exc:
        raise Refused(
            value, f"it is no valid Unicode ({exc.reason} at {exc.start}); pass bytes, or mend the text"
        ) from exc
    return value


def _int(value: int, level: int) -> Any:
    return value if -LARGEST < value < LARGEST else {"$int": hex(value)}


def _float(value: float, level: int) -> Any:
    return value if value - value == 0 else {"$float": str(value)}  # not so for nan and inf
