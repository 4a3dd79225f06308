"""What the serializers of the closed types share (layer 5)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from apsched.serializers._flatten import PLAIN, Flattener, Types
from apsched.serializers._refused import Refused
from apsched.serializers._registered import register
from apsched.serializers.base import Serializer

C = TypeVar("C", bound=type)


class ClosedSerializer(Serializer):
    """
    Base of the serializers that write a closed set of types.

    These are None, bool, int, float, str, bytes, list, dict, tuple, set, frozenset, datetime, date, time, timedelta,
    ZoneInfo, timezone, Decimal and UUID, and the types that are registered with the serializer. Values come back equal
    and of the same type: an aware datetime in its own zone, a dictionary with keys of any of these types. Subclasses
    are refused, and so are members of enumerations, until they are registered. Reading runs no code but that of
    registered types.

    Args:
        types_of: Another such serializer; the types that are registered with it, now or later, are known to this one
            too.
    """

    plain: Collection[type] = PLAIN

    def __init__(self, types_of: ClosedSerializer | None = None) -> None:
        self._types: Types = Types() if types_of is None else types_of._types
        self._hasty = Flattener(self._types, self.plain, is_careful=False)
        self._careful = Flattener(self._types, self.plain, is_careful=True)

    def register_type(
        self,
        cls: C,
        name: str | None = None,
        *,
        to_state: Callable[[Any], Any] | None = None,
        from_state: Callable[[Any], Any] | None = None,
    ) -> C:
        """
        Let instances of *cls* be stored, and return *cls*; serves as a class decorator, too.

        Every process that reads them must have registered the class under the same name.

        Args:
            cls: The class. Its subclasses are others.
            name: Stands for it in what is stored; by default its own name. Must stay the same if the class is renamed.
            to_state: Turns an instance into a value that can be stored. By default a member of an enumeration is
                stored by its name (of a `Flag`: by its value), an instance of an attrs class or a dataclass by its
                fields.
            from_state: Builds an equal instance of what *to_state* gave. By default the class is called.

        Raises:
            TypeError: An argument is of the wrong type; or there is no default for such a class.
            ValueError: The class or the name is taken by another registration, or the class can be stored as it is.
        """
        self._types.add(register(cls, name, to_state, from_state))
        return cls

    def dumps(self, value: Any) -> bytes:
        try:
            try:
                return self._write(self._hasty.flatten(value))
            except ValueError:  # a number or a text in it that this form cannot hold
                return self._write(self._careful.flatten(value))
        except RecursionError:
            raise Refused(
                value, "it is nested too deep for this point of the program; pass something flatter"
            ).error() from None
        except Refused as exc:
            raise exc.error() from exc.__cause__

    def loads(self, data: bytes) -> Any:
        try:
            return self._read(data)
        except RecursionError:
            raise ValueError("it is nested deeper than anything that is ever written") from None

    @abstractmethod
    def _write(self, flat: Any) -> bytes:
        """Return the document; raises ValueError if *flat* has numbers or texts that it cannot hold."""

    @abstractmethod
    def _read(self, data: bytes) -> Any:
        """Return what the document holds, each dictionary passed through `Types.restore`."""
