"""Loads controller files (design 4): one file a model, read by the gateway and the simulator."""

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from protocols.border import convert, read_toml
from protocols.catalog.check_points import check_points
from protocols.catalog.check_samples import SampleText, check_proof, check_samples
from protocols.catalog.check_validity import check_validity
from protocols.catalog.files import data_files
from protocols.catalog.point_map import (
    FRAMINGS,
    TABLES,
    Controller,
    PointMap,
    RegisterType,
    Sample,
    Table,
    WordOrder,
)
from protocols.catalog.points import kinds, load_points
from protocols.errors import Fault, FixConfiguration

__all__ = [
    "FRAMINGS",
    "TABLES",
    "Controller",
    "PointMap",
    "RegisterType",
    "Sample",
    "Table",
    "WordOrder",
    "load_controller",
    "load_controllers",
]


class _ControllerText(Struct, frozen=True, kw_only=True):
    """A controller file as written; points and samples are taken one by one."""

    schema: Literal[1]
    id: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\Z")]
    kind: str
    points: Annotated[list[dict[str, Any]], Meta(min_length=1)]
    products: tuple[str, ...] = ()
    document: str = ""
    caveats: tuple[str, ...] = ()
    word_order: WordOrder = "big"
    registers_per_read_max: Annotated[int, Meta(ge=1, le=125)] = 125
    framing: str = "standard"
    samples: list[dict[str, Any]] = []


def load_controller(path: Path, *, shipped: bool) -> Controller:
    """Read and check one controller file; its samples, where it has any, must come out.

    A shipped file must also prove itself: at least two samples, one of them abnormal, and every
    point in one of them.

    Raises:
        FixConfiguration: with all its faults.

    """
    data, file = read_toml(path), str(path)
    faults: list[Fault] = []
    head = convert(data, _ControllerText, file=file, faults=faults)
    kind = _kind(data, file, faults)
    if head is not None:
        faults += _head_faults(head, path)
    points = check_points(_tables(data, "points"), kind, file=file, faults=faults)
    raw_samples = [
        convert(part, SampleText, file=file, faults=faults, key=f"samples[{index}]")
        for index, part in enumerate(_tables(data, "samples"))
    ]
    if head is not None:
        faults += _width_faults(head, points, file)
        canonical = load_points(kind) if kind else {}
        faults += check_validity(points, canonical, head.registers_per_read_max, file=file)
    if faults or head is None:
        raise FixConfiguration(faults)
    return _build(head, points, [one for one in raw_samples if one], file=file, shipped=shipped)


def load_controllers(
    overlay: Path | None, folder: str = "controllers"
) -> tuple[dict[str, Controller], list[Fault]]:
    """Read all shipped files of a folder and those of the overlay, by id.

    A faulty file sets only itself aside: its faults are returned, its id is missing.
    """
    controllers: dict[str, Controller] = {}
    faults: list[Fault] = []
    for path, shipped in data_files(folder, overlay):
        try:
            controller = load_controller(path, shipped=shipped)
        except FixConfiguration as error:
            faults += error.faults
        else:
            controllers[controller.id] = controller
    return controllers, faults


def _build(
    head: _ControllerText,
    points: list[PointMap],
    texts: list[SampleText],
    *,
    file: str,
    shipped: bool,
) -> Controller:
    controller = Controller(
        schema=head.schema,
        id=head.id,
        kind=head.kind,
        points=tuple(points),
        products=head.products,
        document=head.document,
        caveats=head.caveats,
        word_order=head.word_order,
        registers_per_read_max=head.registers_per_read_max,
        framing=head.framing,
    )
    faults: list[Fault] = []
    samples = check_samples(texts, controller, file=file, faults=faults)
    if shipped:
        faults += check_proof(samples, controller, file=file)
    if faults:
        raise FixConfiguration(faults)
    fields = {name: getattr(controller, name) for name in Controller.__struct_fields__}
    return Controller(**fields | {"samples": tuple(samples)})


def _tables(data: dict[str, Any], key: str) -> list[dict[str, Any]]:
    found = data.get(key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _kind(data: dict[str, Any], file: str, faults: list[Fault]) -> str | None:
    kind = data.get("kind")
    if not isinstance(kind, str):
        return None  # told already: missing, or no text
    if kind not in kinds():
        faults.append(Fault(file, "kind", f"one of {', '.join(kinds())}", repr(kind)))
        return None
    return kind


def _head_faults(head: _ControllerText, path: Path) -> list[Fault]:
    faults = []
    if head.id != path.stem:
        expected = f"{path.stem!r}, as the file is named"
        faults.append(Fault(str(path), "id", expected, repr(head.id)))
    if head.framing not in FRAMINGS:
        expected = f"one of {', '.join(FRAMINGS)}"
        faults.append(Fault(str(path), "framing", expected, repr(head.framing)))
    return faults


def _width_faults(head: _ControllerText, points: list[PointMap], file: str) -> list[Fault]:
    wide = [one.name for one in points if one.type in ("uint32", "int32", "float32")]
    if not wide or head.registers_per_read_max > 1:
        return []
    return [Fault(file, "registers_per_read_max", f"at least 2, for {wide[0]}", "1")]
