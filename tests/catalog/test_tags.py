"""Every shipped tag layout: its samples, its round trips, and no flipped bit gives another name."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.decode.pairing import identities
from edge.decode.tag import TagDecoder, prove
from edge.sources.base import Recognised, TagSeen
from protocols.catalog.files import data_files
from protocols.catalog.tags import Layout, Sample, load_layouts
from protocols.records import Code
from protocols.tag_memory import read_memory, write_memory

LAYOUTS, FAULTS = load_layouts(None)
EACH = [pytest.param(one, id=one.id) for one in LAYOUTS.values()]
WITH_AREAS = [pytest.param(one, id=one.id) for one in LAYOUTS.values() if one.areas]
SAMPLES = [
    pytest.param(sample, id=f"{layout.id}-{index}")
    for layout in LAYOUTS.values()
    for index, sample in enumerate(layout.samples)
]


def as_text(raw: bytes) -> Recognised:
    return Recognised((Code("raw", raw.decode()),))


ALL = TagDecoder(LAYOUTS.values(), as_text)


def seen_of(sample: Sample, **banks: bytes) -> TagSeen:
    known: dict[str, bytes] = {name: sample.bank(name) for name in sample.banks}
    return TagSeen(
        key=b"k",
        technology=sample.technology,
        uid=bytes.fromhex(sample.uid) or None,
        banks=known | banks,
    )


def test_every_shipped_file_loads() -> None:
    assert not FAULTS, "\n".join(map(str, FAULTS))
    assert {path.stem for path, _ in data_files("tags")} == set(LAYOUTS)
    assert {"ntag21x-ndef", "icode-ndef", "vehicle-cylinder", "gs1-asset-epc"} <= set(LAYOUTS)


@pytest.mark.parametrize("layout", EACH)
def test_samples_come_out_as_they_say(layout: Layout) -> None:
    assert prove(layout, f"{layout.id}.toml") == []


@pytest.mark.parametrize("sample", SAMPLES)
def test_samples_come_out_the_same_among_all_layouts(sample: Sample) -> None:
    found = ALL.recognise(seen_of(sample))
    assert {code.scheme: code.value for code in found.codes} == sample.codes
    assert found.findings == sample.findings


@pytest.mark.parametrize("sample", SAMPLES)
def test_damaged_sample_tells_only_the_chips_own_number(sample: Sample) -> None:
    if sample.findings:
        assert set(sample.codes) <= {"tag_uid", "tid"}


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_torn_reading_tells_no_name_out_of_memory(sample: Sample) -> None:
    seen = seen_of(sample)
    torn = TagSeen(
        key=seen.key,
        technology=seen.technology,
        uid=seen.uid,
        banks={name: memory[: len(memory) // 2] for name, memory in seen.banks.items()},
        complete=False,
    )
    found = ALL.recognise(torn)
    assert found.findings == ("incomplete_read",)
    assert {code.scheme for code in found.codes} <= {"tag_uid", "tid", "epc"}


@pytest.mark.parametrize("layout", WITH_AREAS)
def test_fields_written_read_back(layout: Layout) -> None:
    for sample in layout.samples:
        if not sample.fields or sample.findings:
            continue
        banks = seen_of(sample).banks
        values = read_memory(layout, banks).fields
        assert write_memory(layout, values, banks, len(banks["user"])) == banks["user"]


@pytest.mark.parametrize("layout", WITH_AREAS)
def test_no_flipped_bits_in_the_areas_give_another_name(layout: Layout) -> None:
    whole = next(one for one in layout.samples if one.fields and not one.findings)
    seen = seen_of(whole)
    right = identities(ALL.recognise(seen).codes)
    assert right
    size = max(area.offset + area.bytes for area in layout.areas)
    extent = [(bank, bit) for bank, end in (("user", size), ("epc", 99)) for bit in range(end * 8)]
    extent = [(bank, bit) for bank, bit in extent if bit < len(seen.banks.get(bank, b"")) * 8]

    def check(flips: list[tuple[str, int]]) -> None:
        banks = {name: bytearray(memory) for name, memory in seen.banks.items()}
        for bank, bit in flips:
            banks[bank][bit // 8] ^= 1 << bit % 8
        flipped = {name: bytes(memory) for name, memory in banks.items()}
        found = ALL.recognise(seen_of(whole, **flipped))
        assert identities(found.codes) in ({}, right), flips

    for one in extent:
        check([one])
    outside = [(bank, bit) for bank, bit in extent if (bank, bit // 40) != ("user", 0)]

    @settings(max_examples=300, deadline=None)
    @given(st.lists(st.sampled_from(outside), min_size=2, max_size=12))
    def several(flips: list[tuple[str, int]]) -> None:
        check(flips)

    several()


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["type2", "type3", "type4", "type5", "gen2"]),
    st.dictionaries(
        st.sampled_from(["cc", "user", "ndef", "epc", "tid", "signature", "version"]),
        st.binary(max_size=120),
    ),
    st.sampled_from([None, b"\x04\x01\x02\x03\x04\x05\x06", b"\xe0\x04\x01\x02\x03\x04\x05\x06"]),
)
def test_any_memory_is_recognised_or_found_wrong(
    technology: object, banks: dict[str, bytes], uid: bytes | None
) -> None:
    if technology in {"type2", "type5"} and "user" in banks:
        banks["user"] = (b"\xe1\x40\x0e\x01" if technology == "type5" else b"") + banks["user"]
        banks["cc"] = b"\xe1\x10\x12\x00"
    seen = TagSeen(key=b"k", technology=technology, uid=uid, banks=banks)  # type: ignore[arg-type]
    found = ALL.recognise(seen)
    assert isinstance(found, Recognised)
    assert all(code.value for code in found.codes)


def test_the_layout_in_the_documentation_is_one(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "tags.md").read_text(encoding="utf-8")
    block = text.split("## A layout with areas")[1].split("```toml\n")[1].split("```")[0]
    (tmp_path / "tags").mkdir()
    (tmp_path / "tags" / "acme-lpg.toml").write_text(block, encoding="utf-8")
    layouts, faults = load_layouts(tmp_path)
    assert faults == []
    assert "acme-lpg" in layouts


def test_a_faulty_file_of_the_same_name_takes_the_shipped_one_away(tmp_path: Path) -> None:
    (tmp_path / "tags").mkdir()
    (tmp_path / "tags" / "vehicle-cylinder.toml").write_text("schema = 2\n")
    layouts, faults = load_layouts(tmp_path)
    assert "vehicle-cylinder" not in layouts
    assert {fault.key for fault in faults} >= {"schema", "id", "title"}
