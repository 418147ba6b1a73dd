"""Scale files: faults are told, and a faulty file sets only itself aside."""

from pathlib import Path

import pytest

from protocols.errors import FixConfiguration
from protocols.weighing.frames import FrameCutter
from protocols.weighing.protocol import load_protocol, load_protocols

HEAD = 'schema = 1\nid = "acme"\n[frame]\nend = "\\n"\n'
PATTERN = "pattern = '(?P<weight>[-0-9.]+)(?P<state>[SM])?'\n"
MARKS = (
    '[[marks]]\ngroup = "state"\nvalues = { S = { in_motion = false }, M = { in_motion = true } }\n'
)
GOOD = HEAD + PATTERN + MARKS


def write(folder: Path, text: str, name: str = "acme") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(path: Path, *, shipped: bool = False) -> list[str]:
    with pytest.raises(FixConfiguration) as error:
        load_protocol(path, shipped=shipped)
    return [str(fault).removeprefix(f"{path}: ") for fault in error.value.faults]


def test_overlay_file_needs_no_samples_and_a_shipped_one_many(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert load_protocol(path, shipped=False).line.baud_rate == 9600
    assert faults(path, shipped=True) == [
        f"samples: expected a sample with {what}, found none"
        for what in ("a weight", "a weight below zero", "a malformed frame", "in_motion = true")
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD.replace('"acme"', '"other"'), "id: expected 'acme', as the file is named"),
        (GOOD.replace("[SM]", "[SM"), "frame.pattern: expected a regular expression"),
        (GOOD.replace("<weight>", "<kg>"), "frame.pattern: expected a group named weight"),
        (GOOD.replace('"state"', '"mode"'), "frame.pattern: expected one of weight, sign"),
        (GOOD + "bits = [6, 8]\n", "marks[0].bits: expected lowest and highest bit, 0 to 7"),
        (GOOD.replace("in_motion = true", "moving = true"), "marks[0].values"),
        (GOOD.replace("[frame]", "colour = 1\n[frame]"), "colour: expected one of the keys"),
        (GOOD.replace(PATTERN, PATTERN + 'checksum = "xor_hex"\n'), "frame.checksum: expected a"),
        (GOOD + '[[samples]]\nabout = "x"\nraw = "\u4e2d"\n', "samples[0].raw: expected charac"),
        (
            GOOD + '[[samples]]\nabout = "x"\nraw = "5S\\n"\nexpect = { displayed_kg = 6.0 }\n',
            "samples[0].expect.displayed_kg: expected 6.0, found 5.0",
        ),
        (
            GOOD + '[[samples]]\nabout = "x"\nraw = "5M\\n"\n',
            "samples[0].expect_quality: expected {}, found {'displayed_kg': 'no_value'}",
        ),
        (
            GOOD + '[[samples]]\nabout = "x"\nraw = "5S\\n"\ndropped = 1\n',
            "samples[0].dropped: expected 1, found 0",
        ),
    ],
)
def test_fault_names_key_expectation_and_what_was_found(
    tmp_path: Path, text: str, expected: str
) -> None:
    assert faults(write(tmp_path, text))[0].startswith(expected)


def test_overlay_adds_and_its_faulty_file_is_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "scales"
    folder.mkdir()
    write(folder, GOOD)
    write(folder, GOOD, "broken")
    protocols, found = load_protocols(tmp_path)
    assert {"acme", "comma-line"} <= set(protocols)
    assert "broken" not in protocols
    assert [Path(fault.file).name for fault in found] == ["broken.toml"]


def test_noise_and_endless_frames_take_no_room() -> None:
    cutter = FrameCutter(start=b"\x02", end=b"\x03", length_max=10)
    for _ in range(1000):
        assert cutter.feed(b"x" * 100) == []
    assert cutter.noise_bytes > 99_000
    assert cutter.feed(b"\x03\x02good\x03\x02" + b"y" * 11 + b"\x03") == [b"good"]


def test_frames_are_the_same_whatever_pieces_they_come_in() -> None:
    sent = b"noise\x02one\x03\x02to\x02two\x03\x03\x02three\x03"
    for size in range(1, len(sent)):
        cutter = FrameCutter(start=b"\x02", end=b"\x03", length_max=10)
        pieces = [sent[at : at + size] for at in range(0, len(sent), size)]
        assert [one for piece in pieces for one in cutter.feed(piece)] == [b"one", b"two", b"three"]
