"""Parsing at the border: TOML or plain data into frozen structs, with every fault reported.

msgspec stops at the first fault of a document; an author of a site file wants all of them, so
structs are converted field by field and only the leaves are left to msgspec.
"""

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, cast, get_args, get_origin

import msgspec

from protocols.errors import Fault, FixConfiguration

T = TypeVar("T")


def load_toml(path: Path, type_: type[T]) -> T:
    """Read one TOML file into `type_`.

    Raises:
        FixConfiguration: with all faults: unreadable file, TOML syntax, unknown or missing keys,
            wrong types or values.

    """
    faults: list[Fault] = []
    value = convert(read_toml(path), type_, file=str(path), faults=faults)
    if faults or value is None:
        raise FixConfiguration(faults)
    return value


def read_toml(path: Path) -> dict[str, Any]:
    """Read one TOML file as plain data.

    Raises:
        FixConfiguration: unreadable, no UTF-8 or no TOML.

    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        found = error.strerror or "an error"
    except UnicodeDecodeError:
        found = "bytes that are no UTF-8"
    except RecursionError:
        found = "tables nested too deep"
    except ValueError as error:  # no TOML, or a number of more digits than Python takes
        found = str(error)
    raise FixConfiguration([Fault(str(path), "file", "a readable TOML file", found)])


def convert(
    data: object, type_: type[T], *, file: str, faults: list[Fault], key: str = ""
) -> T | None:
    """Convert plain data to `type_`; on faults append them all and return None."""
    if data is not None and (table := _optional_struct(type_)) is not None:
        type_ = table
    if isinstance(type_, type) and issubclass(type_, msgspec.Struct):
        return cast("T | None", _convert_struct(data, type_, file=file, faults=faults, key=key))
    item = get_args(type_)[0] if get_origin(type_) in (list, tuple) else None
    if isinstance(item, type) and issubclass(item, msgspec.Struct):
        found = _convert_items(data, type_, item, file=file, faults=faults, key=key)
        return cast("T | None", found)
    try:
        return msgspec.convert(data, type_)
    except msgspec.ValidationError as error:
        faults.append(Fault(file, key or "file", _expectation(str(error), type_), _show(data)))
        return None


def _optional_struct(type_: Any) -> Any:
    """Return the struct of `struct | None`."""
    if get_origin(type_) is not UnionType:
        return None
    structs = [
        one for one in get_args(type_) if isinstance(one, type) and issubclass(one, msgspec.Struct)
    ]
    return structs[0] if len(structs) == 1 and len(get_args(type_)) == 2 else None


def _convert_items(
    data: object, type_: Any, item: Any, *, file: str, faults: list[Fault], key: str
) -> Any:
    if not isinstance(data, list):
        faults.append(Fault(file, key, "a list of tables", _show(data)))
        return None
    found = [
        convert(part, item, file=file, faults=faults, key=f"{key}[{index}]")
        for index, part in enumerate(data)
    ]
    return None if None in found else get_origin(type_)(found)


def _convert_struct(data: object, type_: Any, *, file: str, faults: list[Fault], key: str) -> Any:
    if not isinstance(data, dict):
        faults.append(Fault(file, key or "file", "a table", _show(data)))
        return None
    before, values = len(faults), {}
    fields = _fields(type_)
    for name in sorted(set(data) - set(fields)):
        known = ", ".join(sorted(fields))
        faults.append(Fault(file, _join(key, name), f"one of the keys {known}", "an unknown key"))
    for name, field in fields.items():
        if name in data:
            values[field.name] = convert(
                data[name], field.type, file=file, faults=faults, key=_join(key, name)
            )
        elif field.required:
            faults.append(Fault(file, _join(key, name), "a value", "nothing: the key is missing"))
    if len(faults) > before:
        return None
    try:
        return type_(**values)
    except ValueError as error:  # a rule of the struct's own __post_init__
        expected, _, found = str(error).partition("; found ")
        faults.append(Fault(file, key or "file", expected, found or _show(data)))
        return None


@lru_cache(maxsize=1_000)
def _fields(type_: Any) -> Mapping[str, msgspec.structs.FieldInfo]:
    return {field.encode_name: field for field in msgspec.structs.fields(type_)}


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name


def _expectation(message: str, type_: Any) -> str:
    message = message.split(" - at `$", maxsplit=1)[0]
    if message.startswith("Invalid enum value"):
        return f"one of {', '.join(map(str, _choices(type_)))}"
    expected = message.removeprefix("Expected ").split(", got ")[0].replace("`", "")
    return expected[:1].lower() + expected[1:]


def _choices(type_: Any) -> list[object]:
    """List what a Literal allows, also inside a list, a dict or an optional."""
    if get_origin(type_) is Literal:
        return list(get_args(type_))
    return [choice for part in get_args(type_) for choice in _choices(part)]


def _show(data: object) -> str:
    text = repr(data)
    return text if len(text) <= 80 else text[:77] + "..."
