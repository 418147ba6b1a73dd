"""What is done with a handheld, step by step."""

from datetime import date, timedelta

import msgspec
import pytest

from edge.handheld.workflow import Draft, Identified, NothingKnown, Shelf, identify, look, put_on
from protocols.catalog.divisions import load_divisions
from protocols.catalog.files import data_root
from protocols.catalog.inspections import load_forms
from protocols.catalog.schemes import load_schemes
from protocols.codes.registry import SchemeRegistry
from protocols.cylinders.base import Cylinder, MarkedDate, Permitted, StationPermits
from protocols.cylinders.load import load_rules
from protocols.errors import RefuseInput
from protocols.handheld import Inspection, Photo, Position, Record, Signature

BOTTLE, OTHER, UID = "cylinder:JL2B0001234", "cylinder:JL2B0009999", "04A1B2C3D4E5F6"
SCHEMES = SchemeRegistry(load_schemes(None)[0], load_divisions())
FORMS, CALENDAR = load_forms()
BOOK = load_rules(data_root() / "cylinders")
TODAY = date(2026, 3, 2)
PERMITS = StationPermits(
    recorded=True, held=(Permitted("lpg", date(2022, 5, 1), date(2026, 4, 30)),)
)
WANG, LI = "1" * 16, "2" * 16


class Known:
    """Two cylinders."""

    def __init__(self) -> None:
        good = Cylinder(
            code=BOTTLE,
            kind="lpg_household",
            gas="lpg",
            standard="GB 5842-2006",
            manufactured_on=MarkedDate(2024, 5),
            filler="firm-a",
            tare_kg=16.5,
            water_capacity_l=35.5,
            tag_uids=(UID,),
        )
        self.bottles = {
            BOTTLE: good,
            OTHER: msgspec.structs.replace(
                good, code=OTHER, manufactured_on=MarkedDate(2015, 1), tag_uids=()
            ),
        }

    @property
    def permits(self) -> StationPermits:
        return PERMITS

    def find(self, code: str) -> Cylinder | None:
        return self.bottles.get(code)

    def find_tag(self, uid: str) -> str | None:
        return next((one.code for one in self.bottles.values() if uid in one.tag_uids), None)


@pytest.mark.parametrize(
    ("text", "asset"),
    [
        ("JL2B0001234", BOTTLE),
        ("cylinder:JL2B0001234", BOTTLE),
        ("https://example.com/id/cylinder/JL2B0001234", BOTTLE),
        (UID, BOTTLE),
        ("04:a1:b2:c3:d4:e5:f6", BOTTLE),
    ],
)
def test_cylinder_is_known_by_code_label_and_tag(text: str, asset: str) -> None:
    assert identify(text, SCHEMES, Known()).asset == asset


def test_what_is_no_cylinder_is_told_and_none_is_picked() -> None:
    tag = identify("04FFFFFFFFFFFF", SCHEMES, Known())
    assert (tag.asset, tag.tag_uid) == (None, "04FFFFFFFFFFFF")
    lift = identify("elevator:31101099920240017", SCHEMES, Known())
    assert (lift.asset, lift.others) == (None, ("elevator:31101099920240017",))
    assert identify("(01)06901234567893", SCHEMES, Known()).fault == "bad_check_digit"
    assert identify("  ", SCHEMES, Known()).fault == "empty"


def looked(asset: str, **fields: object) -> tuple[str, list[str]]:
    asked: dict[str, object] = {
        "on": TODAY,
        "clock": "trusted",
        "snapshot": "fresh",
        "filler": "firm-a",
    }
    found = look(Identified(text=asset, asset=asset), Known(), BOOK, **(asked | fields))  # type: ignore[arg-type]
    assert found.verdict is not None
    return found.verdict.decision, [one.reason for one in found.verdict.reasons]


def test_verdict_is_that_of_the_gate_with_all_reasons() -> None:
    assert looked(BOTTLE) == ("fill", [])
    assert looked(BOTTLE, filler="") == ("fill", []), "an office asks for the cylinder's own filler"
    decision, reasons = looked(OTHER, snapshot="expired", clock="set_back", filler="firm-b")
    assert decision == "do_not_fill"
    assert {"inspection_overdue", "beyond_life", "foreign_filler", "snapshot_expired"} <= set(
        reasons
    )
    assert looked("cylinder:JL2B7777777")[0] == "cannot_decide"


def test_a_fillers_device_asks_for_its_permit_and_an_offices_does_not() -> None:
    last = PERMITS.held[0].until
    assert looked(BOTTLE, on=last) == ("fill", [])
    after = last + timedelta(days=1)
    assert looked(BOTTLE, on=after) == ("do_not_fill", ["no_permit"])
    assert looked(BOTTLE, on=after, filler="") == ("fill", [])


def test_nothing_is_judged_without_rules() -> None:
    found = look(
        Identified(text="x", asset=BOTTLE),
        NothingKnown(),
        None,
        on=TODAY,
        clock="trusted",
        snapshot="none",
        filler="",
    )
    assert found.verdict is None


def prove(inspection: Inspection, person: str = WANG) -> Signature:
    assert inspection.signatures == () or person != WANG
    return Signature(person=person, signed_at=1, sha256="0" * 64)


def test_inspection_from_its_findings_to_two_signatures() -> None:
    draft = Draft(asset=BOTTLE, form=FORMS["cylinder"])
    assert draft.outcome == "passed"
    draft = draft.toggle("no_tag").toggle("damaged").toggle("damaged")
    assert draft.outcome == "instructed"
    with pytest.raises(RefuseInput, match="not_ready: instruction"):
        draft.sign(WANG, prove)
    draft = draft.instruct(" Put a tag on ", TODAY, CALENDAR)
    photo = Photo(file="a.jpg", sha256="1" * 64, size_bytes=7)
    draft = draft.add_photo(photo).add_photo(photo).at(Position(latitude=43.8, longitude=126.5))
    draft = draft.sign(WANG, prove)
    assert not draft.signed
    with pytest.raises(RefuseInput, match="signed_already"):
        draft.sign(WANG, prove)
    done = draft.sign(LI, lambda one: prove(one, LI))
    assert done.signed
    inspection = done.inspection()
    assert inspection.instruction is not None
    assert inspection.instruction.due_on == date(2026, 3, 16)
    assert len(inspection.photos) == 1
    assert [one.person for one in inspection.signatures] == [WANG, LI]
    assert draft.toggle("leaking").signatures == (), "nobody has signed that"
    raw = msgspec.json.encode(inspection)
    assert msgspec.json.decode(raw, type=Inspection) == inspection


def test_what_passes_needs_no_instruction() -> None:
    draft = Draft(asset=BOTTLE, form=FORMS["cylinder"]).toggle("label_missing")
    assert draft.missing() == ()
    with pytest.raises(RefuseInput, match="unknown_finding"):
        draft.toggle("rust")


def test_shelf_tells_what_is_found_missing_and_unexpected() -> None:
    shelf = Shelf(place="A-3", expected=frozenset({"cylinder:A", "cylinder:B"}))
    for one in ("cylinder:B", "cylinder:X", "cylinder:B", "cylinder:Y"):
        shelf = shelf.add(one)
    shelf = shelf.drop_last()
    assert (shelf.found, shelf.missing, shelf.unexpected) == (
        ("cylinder:B",),
        ("cylinder:A",),
        ("cylinder:X",),
    )
    (count,) = shelf.counts()
    assert count.missing == ("cylinder:A",)
    (empty,) = Shelf(place="A", expected=frozenset()).counts()
    assert empty.found == ()


def test_large_shelf_makes_several_records_that_each_fit() -> None:
    shelf = Shelf(place="yard", expected=frozenset(f"cylinder:{n:05}" for n in range(230)))
    for number in range(0, 460, 2):
        shelf = shelf.add(f"cylinder:{number:05}")
    counts = list(shelf.counts())
    assert len(counts) == 2
    assert sum(len(one.found) + len(one.unexpected) for one in counts) == 230
    assert sum(len(one.missing) for one in counts) == 115
    for one in counts:
        record = Record(
            number=1, observed_at=1, time_source="device", person=WANG, known_at=0, what=one
        )
        assert len(msgspec.json.encode(record)) < 32_768


def test_tag_is_put_on_once_and_replaces_the_one_before() -> None:
    tag = put_on(BOTTLE, "04 ff ee dd cc bb aa", Known())
    assert (tag.uid, tag.replaces) == ("04FFEEDDCCBBAA", UID)
    for asset, text, reason in (
        (OTHER, UID, "tag_taken"),
        (BOTTLE, UID, "tag_there"),
        (BOTTLE, "no tag", "bad_tag"),
    ):
        with pytest.raises(RefuseInput, match=reason):
            put_on(asset, text, Known())
