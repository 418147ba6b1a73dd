"""What can be told wrong of a cylinder's file by itself."""

import re

from cloud.cylinders.facts import TAG_UID
from cloud.model.cylinder import CylinderFile, FieldFault, date_faults

_UID = re.compile(r"(?:[0-9A-F]{2}){4,32}")


def file_faults(file: CylinderFile) -> list[FieldFault]:
    """Return every fault of a file that needs no look at anything else."""
    faults = date_faults(
        file, "manufactured_on", "inspected_on", "inspection_due_on", "last_filled_on"
    )
    if file.valve is not None:
        faults += [_inside("valve", one) for one in date_faults(file.valve, "manufactured_on")]
    for code in file.codes:
        if code.scheme == TAG_UID and not _UID.fullmatch(code.value):
            expected = "4 to 32 bytes in capital hexadecimal digits"
            faults.append(FieldFault(field="codes", expected=expected, found=str(code)))
    if (file.gas == "mixture") != bool(file.components):
        expected = "the gases of a mixture, and of a mixture alone"
        found = ", ".join(file.components) or "none"
        faults.append(FieldFault(field="components", expected=expected, found=found))
    if not faults and _before(file.inspected_on, file.manufactured_on):
        expected = f"{file.manufactured_on} or later, when it was made"
        found = str(file.inspected_on)
        faults.append(FieldFault(field="inspected_on", expected=expected, found=found))
    return faults


def _before(one: str | None, other: str | None) -> bool:
    """Tell whether a date lies before another, by the months that both tell."""
    return bool(one and other) and (one or "")[:7] < (other or "")[:7]


def _inside(name: str, fault: FieldFault) -> FieldFault:
    return FieldFault(field=f"{name}.{fault.field}", expected=fault.expected, found=fault.found)
