"""What can be told wrong of a cylinder's file by itself."""

import re
from collections.abc import Iterator

from cloud.cylinders.facts import TAG_UID
from cloud.model.cylinder import CylinderFile, FieldFault, date_faults
from protocols.cylinders.book import RuleBook, may_hold
from protocols.cylinders.due import MIXTURE

_UID = re.compile(r"(?:[0-9A-F]{2}){4,32}")


def file_faults(file: CylinderFile, book: RuleBook) -> list[FieldFault]:
    """Return every fault of a file that needs no look at anything but the rules."""
    faults = date_faults(
        file, "manufactured_on", "inspected_on", "inspection_due_on", "last_filled_on"
    )
    if file.valve is not None:
        faults += [_inside("valve", one) for one in date_faults(file.valve, "manufactured_on")]
    for code in file.codes:
        if code.scheme == TAG_UID and not _UID.fullmatch(code.value):
            expected = "4 to 32 bytes in capital hexadecimal digits"
            faults.append(FieldFault(field="codes", expected=expected, found=str(code)))
    if (file.gas == MIXTURE) != bool(file.components):
        expected = "the gases of a mixture, and of a mixture alone"
        found = ", ".join(file.components) or "none"
        faults.append(FieldFault(field="components", expected=expected, found=found))
    faults += _unruled(file, book)
    if not faults and _before(file.inspected_on, file.manufactured_on):
        expected = f"{file.manufactured_on} or later, when it was made"
        found = str(file.inspected_on)
        faults.append(FieldFault(field="inspected_on", expected=expected, found=found))
    return faults


def _unruled(file: CylinderFile, book: RuleBook) -> Iterator[FieldFault]:
    """Find what no rule can judge: it would be refused at every gun, and nobody would know why."""
    kind = book.kind.get(file.kind)
    if kind is None:
        expected = f"one of {', '.join(sorted(book.kind))}"
        yield FieldFault(field="kind", expected=expected, found=file.kind)
    for field, gas in _gases(file):
        known = book.gas.get(gas)
        if known is None:
            expected = f"one of {', '.join(sorted(book.gas))}"
            yield FieldFault(field=field, expected=expected, found=gas)
        elif kind is not None and not may_hold(kind, known):
            yield FieldFault(field=field, expected=f"a gas for {file.kind}", found=gas)


def _gases(file: CylinderFile) -> Iterator[tuple[str, str]]:
    if file.gas != MIXTURE:
        yield "gas", file.gas
    yield from (("components", one) for one in file.components)


def _before(one: str | None, other: str | None) -> bool:
    """Tell whether a date lies before another, by the months that both tell."""
    return bool(one and other) and (one or "")[:7] < (other or "")[:7]


def _inside(name: str, fault: FieldFault) -> FieldFault:
    return FieldFault(field=f"{name}.{fault.field}", expected=fault.expected, found=fault.found)
