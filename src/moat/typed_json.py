"""Dataclasses read from JSON, checked against their annotations. Pure.

One reader for everything that Moat writes as JSON and reads again, perhaps in another version: the
specification of a run, the messages of a supervisor, what a workspace was like before a run. A
field that is missing takes its default, at every depth, so a class may grow as long as each new field
has one. A field that is missing and has no default, or that holds another kind of value than its
annotation says, is a `ValueError` that names it.

An annotation may be a `str`, `bool`, `int` or `float`; a `Literal` of strings; a `NewType` of one of
these; another dataclass; `X | None`; and a `tuple[X, ...]`, `list[X]`, `dict[str, X]` or
`Mapping[str, X]` of any of them. Annotations are looked at while the program runs. So the module of such
a dataclass imports the names in them for more than the type checker, and best does without
`from __future__ import annotations`, because to evaluate a string takes longer than to read a field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, partial
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast, get_args, get_origin
from typing import get_type_hints as evaluated_annotations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


def parse(text: str | bytes) -> object:
    """Return the JSON value in `text`. Raises `ValueError`, for one that is nested too deep as well."""
    try:
        return json.loads(text)
    except RecursionError as exc:
        raise ValueError("nested too deep") from exc


def read(kind: type[T], value: object, *, ignore_unknown: bool = False) -> T:
    """Return the parsed JSON object `value` as an instance of the dataclass `kind`.

    A field that `kind` doesn't have is an error, unless `ignore_unknown` says to skip it. Raises
    `ValueError`, which names the field that doesn't fit.
    """
    return _instance(kind, value, kind.__name__, ignore_unknown)


def object_of(value: object, where: str) -> dict[str, Any]:
    """Return `value` where it is a JSON object. Raises `ValueError` that begins with `where`."""
    if not isinstance(value, dict):
        raise _wrong(where, value, "an object")
    return cast("dict[str, Any]", value)


def _instance(kind: type[T], value: object, where: str, ignore_unknown: bool) -> T:
    given = object_of(value, where)
    known = _fields_of(kind)
    values: dict[str, Any] = {}
    for name, each in given.items():
        if name in known:
            values[name] = _convert(known[name][0], each, f"{kind.__name__}.{name}", ignore_unknown)
        elif not ignore_unknown:
            raise ValueError(f"{kind.__name__} has no field {name!r}")
    for name, (_, required) in known.items():
        if required and name not in values:
            raise ValueError(f"{kind.__name__} lacks {name}")
    return kind(**values)


@cache
def _fields_of(kind: type[DataclassInstance]) -> Mapping[str, tuple[Any, bool]]:
    """Map each field's name to its annotation and whether it has no default."""
    annotations = evaluated_annotations(kind)
    return {
        each.name: (
            annotations[each.name],
            each.default is MISSING and each.default_factory is MISSING,
        )
        for each in fields(kind)
    }


def _convert(annotation: Any, value: object, where: str, ignore_unknown: bool) -> Any:
    # A NewType is written as the type that it wraps.
    kind = getattr(annotation, "__supertype__", annotation)
    if kind in _SCALARS:
        return _scalar(kind, value, where)
    if is_dataclass(kind):
        return _instance(cast("type[DataclassInstance]", kind), value, where, ignore_unknown)
    origin, arguments = get_origin(kind), get_args(kind)
    convert = partial(_convert, where=where, ignore_unknown=ignore_unknown)
    if origin is Literal:
        return _one_of(arguments, value, where)
    if origin is UnionType:
        (kind,) = (each for each in arguments if each is not NoneType)
        return None if value is None else convert(kind, value)
    if origin in {dict, Mapping}:
        return {name: convert(arguments[1], each) for name, each in object_of(value, where).items()}
    return _SEQUENCES[origin](convert(arguments[0], each) for each in _list_of(value, where))


_SEQUENCES: Final[Mapping[Any, Callable[[Iterable[Any]], Any]]] = {list: list, tuple: tuple}
_SCALARS: Final[Mapping[Any, tuple[tuple[type, ...], str]]] = {
    str: ((str,), "a string"),
    bool: ((bool,), "true or false"),
    int: ((int,), "an integer"),
    float: ((float, int), "a number"),
}


def _scalar(kind: Any, value: object, where: str) -> object:
    accepted, name = _SCALARS[kind]
    # The exact type, because `bool` is an `int` to Python, but not to JSON.
    if type(value) not in accepted:
        raise _wrong(where, value, name)
    return value


def _one_of(choices: tuple[Any, ...], value: object, where: str) -> object:
    if value not in choices:
        raise _wrong(where, value, f"one of {', '.join(choices)}")
    return value


def _list_of(value: object, where: str) -> list[object]:
    if not isinstance(value, list):
        raise _wrong(where, value, "a list")
    return cast("list[object]", value)


def _wrong(where: str, value: object, expected: str) -> ValueError:
    return ValueError(f"{where}: {value!r} is not {expected}")
