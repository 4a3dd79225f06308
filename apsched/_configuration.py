"""Turn options in any of the three styles of APScheduler 3 into keyword arguments (layer 5).

The styles are keyword arguments with objects, the same with mappings that describe the objects, and one dictionary with
dotted keys and text values, as configuration files hold it.

Rule 1: what a user passes is never changed: the same dictionary may configure several schedulers.
Rule 2: a text is converted where the parameter's annotation takes no text, so plugins need not convert theirs.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import types
import typing
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, ParamSpec

from apsched import _plugins, _refs
from apsched.job import JobDefaults

P = ParamSpec("P")

PREFIXES = ("apsched.", "apscheduler.")
SECTIONS = ("executors", "job_defaults", "jobstores")
SUFFIXES: Mapping[str, str] = {"executor": "an executor", "jobstore": "a job store"}
TRUE = ("true", "yes", "on", "y", "t", "1")
FALSE = ("false", "no", "off", "n", "f", "0")
RETIRED: Mapping[str, str] = {
    "logger": "apsched logs to the loggers under 'apsched'; configure those",
    "jobstore_retry_interval": "a job store that fails is tried again after 0.1 to 30 seconds",
}


def configurable(method: Callable[P, None]) -> Callable[P, None]:
    """
    Let *method* take its keyword arguments from a dictionary too, its parameters `gconfig` and `prefix`.

    *method* itself gets neither. Its keyword arguments are those of the dictionary, each replaced by the one of the
    call where that is not None. Parameters, types and help stay.
    """
    parameters = inspect.signature(method).parameters.values()
    names = [each.name for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY and each.name != "prefix"]

    carry_out: Callable[..., None] = method

    @functools.wraps(method)
    def call(*args: P.args, **options: P.kwargs) -> None:
        self, *others = args
        is_constructor = method.__name__ == "__init__"
        subject = type(self).__name__ if is_constructor else method.__name__
        known = [name for cls in type(self).__mro__ for name in _option_names(cls, method.__name__)]
        given: dict[str, Any] = dict(options)
        config = others.pop(0) if others else given.pop("gconfig", None)
        prefix = others.pop(0) if others and not is_constructor else given.pop("prefix", PREFIXES)
        if others:
            raise TypeError(f"{subject} takes one dictionary and keywords, got also {others[0]!r}")
        merged = _merge(subject, dict.fromkeys(known), config, prefix, given)
        merged = from_text(method, merged, subject)
        if isinstance(defaults := merged.get("job_defaults"), Mapping):
            merged["job_defaults"] = _read_defaults(defaults)
        carry_out(self, **merged)

    vars(call)["option_names"] = names
    return call


def make_part(kind: str, bases: tuple[type[Any], ...], value: object, options: Mapping[str, Any] | None = None) -> Any:
    """
    Return the store or executor that *value* is, names or describes.

    Args:
        kind: `"jobstore"` or `"executor"`.
        bases: Of one of them it must be.
        value: It, or the alias of a plugin, or a mapping with that under `type`, or with a class or the reference of
            one under `class`, beside its arguments.
        options: More arguments.

    Raises:
        LookupError: The alias is not known, or the reference leads to nothing.
        MissingExtraError: It needs a package that is not installed.
        TypeError: *value* is nothing of that kind, or the arguments do not fit.
        ValueError: An argument is out of range.
    """
    if isinstance(value, bases):
        if options:
            raise TypeError(f"arguments go with the alias of a plugin, got {', '.join(options)} beside {value!r}")
        return value
    reference: object = None
    given = value
    if isinstance(value, Mapping):
        options = {**value, **(options or {})}
        value, reference = options.pop("type", None), options.pop("class", None)
    if value is not None and reference is not None:
        raise TypeError(f"{SUFFIXES[kind]} must have either 'type' or 'class', got {value!r} and {reference!r}")
    if isinstance(value, str):
        make, subject = _plugins.find(kind, value), f"{_plugins.NOUNS[kind]} {value!r}"
    elif reference is not None:
        make, subject = _resolve(reference), f"{_plugins.NOUNS[kind]} class {reference!r}"
    else:
        raise TypeError(
            f"{SUFFIXES[kind]} must be an instance, the alias of a plugin, or a mapping with that under 'type' or a "
            f"class under 'class', got {given!r}"
        )
    made = _plugins.call(make, from_text(make, options or {}, subject), subject)
    if not isinstance(made, bases):
        raise TypeError(f"{subject} must make {SUFFIXES[kind]}, an instance of {bases[0].__name__}, got {made!r}")
    return made


def by_alias(name: str, value: object) -> Mapping[str, Any]:
    """
    Return the stores or executors that an option of a scheduler holds by alias; none if it is None.

    Raises:
        TypeError: *value* is no mapping; the message begins with *name*, that of the option.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping of aliases to {name}, such as {{'default': ...}}, got {value!r}")
    return value


def check_instance(name: str, value: object, kind: type[Any]) -> None:
    """
    Check that an option of a scheduler is None or of a class.

    Raises:
        TypeError: It is not; the message begins with *name*, that of the option.
    """
    if not (value is None or isinstance(value, kind)):
        raise TypeError(f"{name} must be None or an instance of {kind.__module__}.{kind.__name__}, got {value!r}")


def from_text(make: Callable[..., Any], options: Mapping[str, Any], subject: str) -> dict[str, Any]:
    """
    Return *options* with each text converted whose parameter of *make* is a number, a truth value or a duration.

    A duration is given in seconds. The empty text and `"none"` are None where the parameter may be None.

    Raises:
        ValueError: A text is no truth value where one is wanted; the message begins with *subject*.
    """
    if not any(isinstance(value, str) for value in options.values()):
        return dict(options)
    hints = _hints(make)
    return {
        name: _convert(value, _alternatives(hints[name]), f"{subject}: {name}")
        if isinstance(value, str) and name in hints
        else value
        for name, value in options.items()
    }


def _option_names(cls: type[Any], method: str) -> Sequence[str]:
    return getattr(vars(cls).get(method), "option_names", ())


def _merge(
    subject: str, known: Collection[str], config: object, prefix: object, given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the options of the dictionary *config*, each replaced by the one in *given* if that is there."""
    merged = dict(_known(_nest(subject, config, prefix), known, subject))
    merged.update((name, value) for name, value in _known(given, known, subject) if value is not None)
    return merged


def _known(options: Mapping[str, Any], known: Collection[str], subject: str) -> Iterator[tuple[str, Any]]:
    for name, value in options.items():
        if name in known:
            yield name, value
        elif name in RETIRED:
            warnings.warn(f"{subject}: {name} has no effect: {RETIRED[name]}", stacklevel=4)
        else:
            hint = _plugins.suggestion(name, known) or ";"
            raise TypeError(f"{subject} has no argument {name!r}{hint} there are: {', '.join(known)}")


def _nest(subject: str, config: object, prefix: object) -> dict[str, Any]:
    """Return the part of *config* under *prefix*, with dotted keys taken apart."""
    if config is None:
        return {}
    if not isinstance(config, Mapping):
        raise TypeError(
            f"{subject} takes a dictionary with keys such as 'apscheduler.timezone' before its keywords, got {config!r}"
        )
    prefixes = _prefixes(prefix)
    nested: dict[str, Any] = {}
    for key, value in config.items():
        found = next((each for each in prefixes if isinstance(key, str) and key.startswith(each)), None)
        if found is not None:
            _insert(nested, key[len(found) :].split("."), value, key)
        elif isinstance(key, str):
            _check_foreign(subject, key, prefixes)
    return nested


def _prefixes(prefix: object) -> tuple[str, ...]:
    if isinstance(prefix, str) or prefix is None:
        return (prefix or "",)
    if isinstance(prefix, Sequence) and prefix and all(isinstance(each, str) for each in prefix):
        return tuple(prefix)
    raise TypeError(f"prefix must be a text such as 'apscheduler.', several, or None for all keys, got {prefix!r}")


def _insert(nested: dict[str, Any], path: Sequence[str], value: object, key: str) -> None:
    *parents, last = path
    for name in parents:
        nested = nested.setdefault(name, {})
        if not isinstance(nested, dict):
            raise ValueError(f"the configuration has a value where {key!r} needs a section; leave one of them out")
    if isinstance(value, Mapping):
        section = nested.setdefault(last, {})
        if isinstance(section, dict):
            for name, part in value.items():
                _insert(section, [name], part, f"{key}.{name}")
            return
    if last in nested:
        raise ValueError(f"the configuration has {key!r} twice, under two prefixes or in two styles; leave one out")
    nested[last] = value


def _check_foreign(subject: str, key: str, prefixes: Sequence[str]) -> None:
    """Refuse a key without the prefix if it is meant for the scheduler all the same; others are not ours."""
    first = key.partition(".")[0]
    known = [prefix.rstrip(".") for prefix in prefixes]
    if first in SECTIONS:
        hint = f"; did you mean {prefixes[-1] + key!r}?"
    elif first in known:
        hint = f"; did you mean {key + '.'!r} in each key?"
    else:
        hint = _plugins.suggestion(first, known)
    if hint:
        allowed = " or ".join(map(repr, prefixes))
        raise TypeError(f"{subject} takes keys that begin with {allowed} from its dictionary, got {key!r}{hint}")


def _read_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    known = inspect.signature(JobDefaults).parameters
    for name in options:
        if name not in known:
            hint = _plugins.suggestion(str(name), known) or ";"
            raise TypeError(f"job_defaults has no option {name!r}{hint} there are: {', '.join(known)}")
    return from_text(JobDefaults, options, "job_defaults")


def _resolve(reference: object) -> Any:
    """Return the class that *reference* is or refers to; names of APScheduler 3 lead to their namesakes."""
    if isinstance(reference, str):
        if reference.startswith("apscheduler."):
            reference = "apsched." + reference.removeprefix("apscheduler.")
        reference = _refs.resolve(reference)
    if not callable(reference):
        raise TypeError(f"class must be a class or a text 'package.module:name' that leads to one, got {reference!r}")
    return reference


@functools.cache
def _hints(make: Callable[..., Any]) -> Mapping[str, Any]:
    """Return what the parameters of *make* are annotated with, as far as that can be found out."""
    try:
        return typing.get_type_hints(inspect.getattr_static(make, "__init__") if isinstance(make, type) else make)
    except (AttributeError, NameError, TypeError):  # annotations that only a type checker can read
        return {}


def _alternatives(hint: Any) -> Sequence[Any]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _convert(text: str, wanted: Sequence[Any], subject: str) -> Any:
    """Return what *text* says, or *text* itself where it says nothing of that: who gets it knows what is allowed."""
    word = text.strip().lower()
    if type(None) in wanted and word in ("", "none"):
        return None
    if str in wanted:
        return text
    if bool in wanted:
        if word not in TRUE + FALSE:
            raise ValueError(f"{subject} must be one of {', '.join(TRUE + FALSE)}, got {text!r}")
        return word in TRUE
    if timedelta in wanted:
        with contextlib.suppress(ValueError):
            return timedelta(seconds=float(word))
    for kind, kinds in ((int, (int, float)), (float, (float,))):
        if any(each in wanted for each in kinds):
            with contextlib.suppress(ValueError):
                return kind(word)
    return text
