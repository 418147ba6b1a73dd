"""Every row of a file is settled: taken, unchanged, or refused with what was expected and found."""

import json

import msgspec
import pytest
from sqlalchemy import update

from cloud.cylinders.import_rows import read_rows
from cloud.cylinders.imports import Imports
from cloud.model.cylinder_records import Import
from cloud.model.people_tables import organisation
from protocols.errors import RefuseInput
from tests.support.cylinders import Yard, code_of, file_of
from tests.support.firms import DISTRICT


def line(number: int, **fields: object) -> str:
    given = msgspec.to_builtins(file_of(number))
    code = code_of(number).partition(":")[2]
    return json.dumps({**given, "code": code, "district": DISTRICT, **fields})


async def settled(yard: Yard, form: str, raw: bytes, filler: str = "gas-a") -> Import:
    granted = yard.filler(filler)
    one = await yard.imports.take(granted, form, raw)  # type: ignore[arg-type]
    await yard.imports.run_waiting()
    return await yard.imports.get(granted, one.id)


def counts(one: Import) -> tuple[int, int, int, int]:
    return one.rows, one.taken, one.unchanged, one.refused


async def test_rows_are_taken_once_and_unchanged_after(yard: Yard) -> None:
    raw = "\n".join(line(number) for number in range(120)).encode()
    first = await settled(yard, "jsonl", raw)
    assert counts(first) == (120, 120, 0, 0)
    assert first.done == 120
    assert first.ended_at is not None
    again = await settled(yard, "jsonl", raw)
    assert counts(again) == (120, 0, 120, 0)
    page = await yard.cylinders.changed_since(0, "gas-a")
    assert [one.code for one in page.cylinders] == [code_of(n) for n in range(120)]
    assert yard.registry.peek(code_of(7)).district == DISTRICT  # type: ignore[union-attr]


BAD = [
    (line(1, tare_kg=-1), "tare_kg", "`float` >= 0.0", "-1"),
    (line(2, tare_kg="heavy"), "tare_kg", "`float | null`", "'heavy'"),
    (line(3, colour="red"), "colour", "a field that there is", "'red'"),
    (line(4, manufactured_on="2024-13"), "manufactured_on", "a day of the calendar", "2024-13"),
    (line(5, filler="gas-b"), "filler", "your own", "gas-b"),
    (line(6, serial_number="000000"), "serial_number", "no other cylinder", "000000"),
    (line(7, code="x y"), "code", "scheme:code", "x y"),
    ('{"code": "1"', "", "", ""),
    ("[]", "", "`object`", "[]"),
    ("[" * 2_000, "", "", ""),
    (line(8, kind=None), "kind", "`str`", "null"),
    (line(9, valve={"size": 1}), "valve.size", "a field that there is", "1"),
    (line(10, vehicle="LFV2A21K"), "vehicle", "a vehicle that is registered", "LFV2A21K"),
    ("{}", "kind", "it is told", "nothing"),
]


async def test_a_bad_row_stops_no_other_and_says_what_was_expected(yard: Yard) -> None:
    lines = [line(0), *(text for text, *_ in BAD), line(11)]
    one = await settled(yard, "jsonl", "\n".join(lines).encode())
    assert counts(one) == (len(lines), 2, 0, len(BAD))
    for number, (refusal, (text, field, expected, found)) in enumerate(
        zip(one.refusals, BAD, strict=True), 2
    ):
        assert refusal.line == number
        assert refusal.field == field, text
        assert expected in refusal.expected, refusal
        assert found in refusal.found, refusal


CSV = """code,kind,gas,filler,maker,serial_number,tare_kg,codes,components,valve.maker
A-1,steel_seamless,mixture,gas-a,厂,1,55.5,tag_uid:04A1B2C3 label:77,argon oxygen,阀门厂
A-2,steel_seamless,argon,gas-a,厂,2,heavy,,,
A-3,steel_seamless,argon
,,,,,,,,,
A-4,steel_seamless,argon,gas-a,"a
b",4,,,,
A-5,steel_seamless,argon,gas-a,,,,,,
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
async def test_table_of_a_spreadsheet_is_read_as_it_is_saved(yard: Yard, encoding: str) -> None:
    one = await settled(yard, "csv", CSV.encode(encoding))
    assert counts(one) == (5, 2, 0, 3)
    assert [(r.line, r.field) for r in one.refusals] == [(3, "tare_kg"), (4, ""), (7, "maker")]
    record = await yard.cylinders.get("cylinder:A-1", yard.filler().scope)
    assert (record.file.maker, record.file.tare_kg) == ("厂", 55.5)
    assert [str(code) for code in record.file.codes] == ["label:77", "tag_uid:04A1B2C3"]
    assert record.file.valve is not None
    assert record.file.components == ("argon", "oxygen")
    facts = await yard.cylinders.facts("cylinder:A-5")
    assert facts is not None
    assert facts.tare_kg is None


@pytest.mark.parametrize(
    ("form", "raw", "expected"),
    [
        ("csv", b"", "a column code"),
        ("csv", b"code,kind,gas\n", "expected a row"),
        ("csv", b"code,kind,gas,price\n1,a,b,3\n", "found 'price'"),
        ("csv", b"code,kind,gas,gas\n1,a,b,c\n", "found 'gas'"),
        ("csv", b"code,kind\n1,a\n", "a column gas"),
        ("csv", b'code,kind,gas\n1,a,"' + b"x" * 70_000 + b'"\n', "line 2"),
        ("jsonl", b"\n\n", "expected a row"),
        ("jsonl", b"\xff\xff", "UTF-8"),
        ("jsonl", b"{}\n" * 20_001, "at most 20000"),
    ],
)
async def test_file_that_is_none_is_refused_whole(
    yard: Yard, form: str, raw: bytes, expected: str
) -> None:
    with pytest.raises(RefuseInput, match=expected):
        await yard.imports.take(yard.filler(), form, raw)  # type: ignore[arg-type]


async def test_the_same_file_sent_twice_is_one_import(yard: Yard) -> None:
    raw = line(0).encode()
    one = await yard.imports.take(yard.filler(), "jsonl", raw)
    two = await yard.imports.take(yard.filler(), "jsonl", raw)
    other = await yard.imports.take(yard.filler("gas-b"), "jsonl", raw)
    assert one.id == two.id != other.id
    assert [it.id for it in await yard.imports.find(yard.filler())] == [one.id]
    with pytest.raises(RefuseInput, match="not_found"):
        await yard.imports.get(yard.filler("gas-b"), one.id)


async def test_import_goes_on_where_a_dead_process_left_it(yard: Yard) -> None:
    raw = "\n".join(line(number) for number in range(120)).encode()
    one = await yard.imports.take(yard.filler(), "jsonl", raw)

    class Dies(Exception):
        pass

    class Dying(Imports):
        async def _settle_part(self, one, start, part, refused, *, last):  # type: ignore[no-untyped-def]
            if start == 100:
                raise Dies
            return await super()._settle_part(one, start, part, refused, last=last)

    with pytest.raises(Dies):
        await Dying(yard.cylinders, yard.clock).run_waiting()
    assert (await yard.imports.get(yard.filler(), one.id)).done == 100
    await yard.imports.run_waiting()
    assert counts(await yard.imports.get(yard.filler(), one.id)) == (120, 120, 0, 0)


async def test_rows_beyond_the_quota_are_refused_and_those_within_are_taken(yard: Yard) -> None:
    small = {"quotas": '{"assets_max": 60}'}
    here = organisation.c.id == "gas-a"
    await yard.database.write(lambda c: c.execute(update(organisation).where(here).values(small)))
    yard.clock.advance(1_000)
    await yard.organisations.load()
    raw = "\n".join(line(number) for number in range(70)).encode()
    one = await settled(yard, "jsonl", raw)
    assert counts(one) == (70, 60, 0, 10)
    assert "assets_max: at most 60" in one.refusals[0].found


def test_reading_never_fails_inside() -> None:
    for raw in (b'{"a":' * 900, b'"', b"\x00", b"null\n1\n[]", b'{"valve":[1]}', b'{"codes":{}}'):
        for read in read_rows("jsonl", raw):
            assert read.refusal is not None
