"""Station snapshots: what is written is found again, whole, in increments and merged."""

from datetime import date

from protocols.cylinders.base import Cylinder, MarkedDate
from protocols.cylinders.manifest import Blob, Manifest
from protocols.cylinders.snapshot import Layer, Snapshot
from protocols.cylinders.snapshot_write import write_whole


def manifest(**changes: object) -> Manifest:
    blob = Blob("0" * 64, 1)
    fields = {
        "filler": "gas-1",
        "number": 1,
        "issued_at": 0,
        "expires_at": 1000,
        "rules_version": "",
        "cylinders": 0,
        "denied": 0,
        "file": blob,
        "state": blob,
    }
    return Manifest(**fields | changes)  # type: ignore[arg-type]


def test_what_is_written_is_found_again() -> None:
    one = Cylinder(
        code="cylinder:23102299920240017",
        kind="lpg_household",
        gas="lpg",
        manufactured_on=MarkedDate(2020, 3),
        last_filled_on=date(2026, 1, 2),
        tare_kg=16.5,
        tag_uids=("04A1B2C3D4E5F6", "E28011"),
    )
    other = Cylinder(code="cylinder:JL2B0001234", kind="steel_seamless", gas="oxygen")
    out = bytearray()
    written = write_whole(out.extend, [other, one], {"cylinder:99": "lost"}, b"rules")
    assert written.blob.size == len(out)
    layer = Layer(bytes(out), len(out))
    snapshot = Snapshot([layer], manifest())
    assert snapshot.find(one.code) == one
    assert snapshot.find(other.code) == other
    assert snapshot.find("cylinder:23102299920240018") is None
    assert snapshot.find_tag("E28011") == one.code
    assert snapshot.find_tag("E28012") is None
    assert snapshot.denied("cylinder:99") == "lost"
    assert snapshot.denied(one.code) is None
    assert snapshot.rules == b"rules"
    assert snapshot.state_at(1000) == "fresh"
