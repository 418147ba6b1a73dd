"""Checks the samples of a controller file: a data file carries its own proof."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from msgspec import Struct

from protocols.catalog.check_points import parse_raw
from protocols.catalog.point_map import BIT_TABLES, TABLES, Controller, Sample, Table
from protocols.errors import Fault
from protocols.modbus.registers import decode
from protocols.readings import Quality, Value

QUALITIES: tuple[Quality, ...] = get_args(Quality)
REGULAR: Mapping[str, Sequence[Value]] = {
    "message_code": ([],),
    "fault_code": ("0", ""),
    "safety_circuit": (True,),
    "service_mode": ("normal",),
    "power_status": ("mains",),
    "over_capacity": (False,),
}
"""What these points say while nothing is wrong; a sample with anything else is abnormal."""
NEVER_NEGATIVE = frozenset({"gross_kg"})
"""What weighs less than nothing has been taken off after the scale was zeroed."""


class SampleText(Struct, frozen=True, kw_only=True):
    """One `[[samples]]` table as written."""

    about: str = ""
    coil: dict[str, int] = {}
    discrete_input: dict[str, int] = {}
    input_register: dict[str, int] = {}
    holding_register: dict[str, int] = {}
    expect: dict[str, Any] = {}
    expect_quality: dict[str, Quality] = {}


def check_samples(
    texts: Sequence[SampleText], controller: Controller, *, file: str, faults: list[Fault]
) -> list[Sample]:
    """Decode every sample and compare, appending a fault for each difference."""
    samples = []
    for index, text in enumerate(texts):
        key = f"samples[{index}]"
        sample = Sample(
            about=text.about,
            image={
                table: _registers(table, getattr(text, table), f"{key}.{table}", file, faults)
                for table in TABLES
                if getattr(text, table)
            },
            expect=text.expect,
            expect_quality=text.expect_quality,
        )
        faults += [
            Fault(file, f"{key}.{where}", *rest) for where, *rest in _compare(sample, controller)
        ]
        samples.append(sample)
    return samples


def check_proof(samples: Sequence[Sample], controller: Controller, *, file: str) -> list[Fault]:
    """Find what a shipped file leaves unproven."""
    faults = []
    if len(samples) < 2:
        faults.append(Fault(file, "samples", "at least two samples", str(len(samples))))
    if not any(map(is_abnormal, samples)):
        expected = "at least one abnormal sample: a fault, or a quality that is not good"
        faults.append(Fault(file, "samples", expected, "none"))
    covered = {name for one in samples for name in (*one.expect, *one.expect_quality)}
    for name in dict.fromkeys(point.name for point in controller.points):
        if name not in covered:
            expected = f"{name} expected in at least one sample"
            faults.append(Fault(file, "samples", expected, "it in none"))
    return faults


def is_abnormal(sample: Sample) -> bool:
    """Tell whether a sample shows a fault, a special mode, or a value that is not known."""
    if any(quality != "good" for quality in sample.expect_quality.values()):
        return True
    return any(
        (name in REGULAR and value not in REGULAR[name])
        or (name in NEVER_NEGATIVE and isinstance(value, int | float) and value < 0)
        for name, value in sample.expect.items()
    )


def same_value(one: Value, other: Value) -> bool:
    """Compare values as a sample means them: codes in any order, numbers within rounding."""
    if isinstance(one, list) and isinstance(other, list):
        return sorted(one) == sorted(other)
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-9)
    return type(one) is type(other) and one == other


def _registers(
    table: Table, words: Mapping[str, int], key: str, file: str, faults: list[Fault]
) -> dict[int, int]:
    top = 1 if table in BIT_TABLES else 0xFFFF
    found: dict[int, int] = {}
    for name, word in words.items():
        address = parse_raw(name)
        if address is None or not 0 <= address <= 0xFFFF:
            faults.append(Fault(file, f"{key}.{name}", "an address from 0 to 0xffff", name))
        elif address in found:
            faults.append(Fault(file, f"{key}.{name}", "each address once", f"{address} twice"))
        elif not 0 <= word <= top:
            faults.append(Fault(file, f"{key}.{name}", f"a word from 0 to {top}", str(word)))
        else:
            found[address] = word
    return found


def _compare(sample: Sample, controller: Controller) -> list[tuple[str, str, str]]:
    """List (key, expected, found) of each difference between the sample and what is decoded."""
    decoded = decode(controller, sample.image)
    names = {point.name for point in controller.points}
    differences = []
    for name in dict.fromkeys((*sample.expect, *sample.expect_quality)):
        key = f"expect.{name}" if name in sample.expect else f"expect_quality.{name}"
        if name not in names:
            differences.append((key, "a point of this file", repr(name)))
        elif name not in decoded:
            differences.append((key, "all its registers in the sample", "some of them missing"))
        else:
            differences += _compare_point(sample, name, *decoded[name])
    return differences


def _compare_point(
    sample: Sample, name: str, value: Value, quality: Quality
) -> list[tuple[str, str, str]]:
    found = f"{value!r} ({quality})"
    if name in sample.expect and not same_value(sample.expect[name], value):
        return [(f"expect.{name}", repr(sample.expect[name]), found)]
    expected = sample.expect_quality.get(name, "good")
    return [] if quality == expected else [(f"expect_quality.{name}", expected, found)]
