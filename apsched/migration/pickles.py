"""Read pickles of plain data without the pickle module (layer 7).

A pickle is a program for a small machine. Pickles are dangerous because its instructions may import and call anything.
The machine in this file has the same instructions, but looks every name up in one closed table.

Rule 1: no module is imported and no attribute is looked up by a name that stands in a pickle.
Rule 2: nothing is called but the makers of the table that the caller gives, and these get plain data only.
Rule 3: lists, dictionaries and sets are filled only if they are exactly that; state is given to records only.
"""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import attrs

Maker: TypeAlias = Callable[..., Any]
"""Makes a value of the arguments in a pickle; what it cannot make raises ValueError or TypeError."""

LONGEST = 16 * 1024 * 1024  # bytes; more than any store of jobs takes


class RefusedPickleError(ValueError):
    """A pickle is damaged, or wants what is not in the table; the message says what."""


@attrs.frozen
class Name:
    """A name in a pickle that is in the table: `package.module:qualified.name`."""

    text: str


@attrs.define(eq=False)
class Record:
    """
    An instance in a pickle, as what it was made of.

    Attributes:
        name: Its class, or the function that made it: `package.module:qualified.name`.
        args: What that was given.
        state: What the instance then got; None if nothing.
    """

    name: str
    args: tuple[Any, ...] = ()
    state: Any = None


def read_pickle(data: bytes, makers: Mapping[str, Maker]) -> Any:
    """
    Return the value in a pickle, of any protocol.

    Args:
        data: The pickle.
        makers: Name -> what makes a value of it; any other name is refused. `Name` objects stand for names.

    Raises:
        RefusedPickleError: It names something else, uses persistent ids, buffers or the registry of extensions, is
            damaged, or takes more than 16 MiB.
    """
    if len(data) > LONGEST:
        raise RefusedPickleError(f"its pickle must have at most {LONGEST} bytes, got {len(data)}")
    machine = _Machine(makers)
    try:
        for opcode, argument, _ in pickletools.genops(data):
            machine.step(opcode.name, argument)
        return machine.result()
    except RefusedPickleError:
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError, struct.error) as exc:
        raise RefusedPickleError(f"its pickle is damaged ({type(exc).__name__}: {exc})") from exc


_MARK: Final = object()


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self, makers: Mapping[str, Maker]) -> None:
        self._makers = makers
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """Carry out one instruction."""
        if opcode in _PUSHES:
            self._stack.append(argument)
        elif opcode in _CONSTANTS:
            self._stack.append(_CONSTANTS[opcode]())
        elif opcode in _STEPS:
            _STEPS[opcode](self, argument)
        elif opcode not in _SILENT:
            raise RefusedPickleError(f"its pickle uses {opcode}, which plain data never needs")

    def result(self) -> Any:
        """Return what the pickle has left on the stack."""
        value = self.pop()
        if self._stack:
            raise ValueError("more than one value")
        return value

    # the stack

    def pop(self) -> Any:
        value = self._stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value should be")
        return value

    def pop_to_mark(self) -> list[Any]:
        values: list[Any] = []
        while (value := self._stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def mark(self, argument: Any) -> None:
        self._stack.append(_MARK)

    def drop(self, argument: Any) -> None:
        self._stack.pop()

    def drop_to_mark(self, argument: Any) -> None:
        self.pop_to_mark()

    def double(self, argument: Any) -> None:
        self._stack.append(self._stack[-1])

    # the memo

    def put(self, argument: Any) -> None:
        self._memo[argument] = self._stack[-1]

    def memoize(self, argument: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def get(self, argument: Any) -> None:
        self._stack.append(self._memo[argument])

    # containers

    def make_list(self, argument: Any) -> None:
        self._stack.append(self.pop_to_mark())

    def make_tuple(self, argument: Any) -> None:
        self._stack.append(tuple(self.pop_to_mark()))

    def make_tuple_of(self, count: int) -> None:
        values = [self.pop() for _ in range(count)]
        self._stack.append(tuple(values[::-1]))

    def make_dict(self, argument: Any) -> None:
        self._stack.append(_pairs(self.pop_to_mark()))

    def make_frozenset(self, argument: Any) -> None:
        self._stack.append(frozenset(self.pop_to_mark()))

    def append(self, argument: Any) -> None:
        self._extend([self.pop()], list)

    def append_all(self, argument: Any) -> None:
        self._extend(self.pop_to_mark(), list)

    def add_all(self, argument: Any) -> None:
        self._extend(self.pop_to_mark(), set)

    def set_item(self, argument: Any) -> None:
        value, key = self.pop(), self.pop()
        self._extend(_pairs([key, value]), dict)

    def set_items(self, argument: Any) -> None:
        self._extend(_pairs(self.pop_to_mark()), dict)

    def _extend(self, values: Any, kind: type[Any]) -> None:
        target = self._stack[-1]
        if type(target) is not kind:
            raise TypeError(f"{type(target).__name__} where a {kind.__name__} should be")
        if kind is list:
            target.extend(values)
        else:
            target.update(values)

    # names and instances

    def name(self, argument: str) -> None:
        module, _, name = argument.partition(" ")  # so pickletools parts the two lines of the instruction
        self._push_name(module, name)

    def name_of_stack(self, argument: Any) -> None:
        name, module = self.pop(), self.pop()
        self._push_name(module, name)

    def _push_name(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise TypeError("a name that is no text")
        text = f"{_RENAMED.get(module, module)}:{name}"
        if text not in self._makers:
            raise RefusedPickleError(f"it needs {module}.{name}, and only plain data and APScheduler's own are read")
        self._stack.append(Name(text))

    def call(self, argument: Any) -> None:
        args, func = self.pop(), self.pop()
        self._make(func, args)

    def call_with_keywords(self, argument: Any) -> None:
        keywords, args, cls = self.pop(), self.pop(), self.pop()
        if keywords != {}:
            raise RefusedPickleError("its pickle makes an instance by keywords, which plain data never needs")
        self._make(cls, args)

    def call_class(self, argument: str) -> None:
        args = tuple(self.pop_to_mark())
        self.name(argument)
        self._make(self.pop(), args)

    def call_class_of_stack(self, argument: Any) -> None:
        cls, *args = self.pop_to_mark()
        self._make(cls, tuple(args))

    def _make(self, func: Any, args: Any) -> None:
        if type(func) is not Name or type(args) is not tuple:
            raise RefusedPickleError(f"its pickle calls a {type(func).__name__}, where only names may be called")
        try:
            self._stack.append(self._makers[func.text](*args))
        except RefusedPickleError:
            raise
        except (ValueError, TypeError, LookupError, ArithmeticError) as exc:
            raise RefusedPickleError(f"it has a {func.text.replace(':', '.')} that cannot be made ({exc})") from exc

    def give_state(self, argument: Any) -> None:
        state, target = self.pop(), self._stack[-1]
        if type(target) is not Record:
            raise RefusedPickleError(f"its pickle gives state to a {type(target).__name__}, which takes none")
        target.state = state


def _pairs(values: list[Any]) -> dict[Any, Any]:
    return dict(zip(values[::2], values[1::2], strict=True))


_RENAMED: Final = {"__builtin__": "builtins", "copy_reg": "copyreg"}  # by Python 2, and by pickles for it
_SILENT: Final = {"PROTO", "FRAME", "STOP"}
_CONSTANTS: Final[Mapping[str, Callable[[], Any]]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_PUSHES: Final = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_STEPS: Final[Mapping[str, Callable[[_Machine, Any], None]]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.drop,
    "POP_MARK": _Machine.drop_to_mark,
    "DUP": _Machine.double,
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.memoize,
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "LIST": _Machine.make_list,
    "TUPLE": _Machine.make_tuple,
    "TUPLE1": lambda machine, _: machine.make_tuple_of(1),
    "TUPLE2": lambda machine, _: machine.make_tuple_of(2),
    "TUPLE3": lambda machine, _: machine.make_tuple_of(3),
    "DICT": _Machine.make_dict,
    "FROZENSET": _Machine.make_frozenset,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.append_all,
    "ADDITEMS": _Machine.add_all,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": _Machine.name_of_stack,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "NEWOBJ_EX": _Machine.call_with_keywords,
    "INST": _Machine.call_class,
    "OBJ": _Machine.call_class_of_stack,
    "BUILD": _Machine.give_state,
}
