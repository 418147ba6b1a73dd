"""Every shipped message file: its samples; and how a file that is wrong is refused."""

from pathlib import Path

import pytest

from cloud.cylinders.reports.mapping import FOLDER, MessageKind, Sample, body_of, load_mappings
from protocols.catalog.files import data_root
from protocols.errors import FixConfiguration

KINDS = load_mappings()
SAMPLES = [
    pytest.param(kind, sample, id=f"{kind.id}-{index}")
    for kind in KINDS
    for index, sample in enumerate(kind.samples)
]


def test_there_are_the_five_kinds() -> None:
    expected = {"registration", "movement", "filling", "inspection", "delivery"}
    assert {one.id for one in KINDS} == expected


@pytest.mark.parametrize(("kind", "sample"), SAMPLES)
def test_samples_come_out(kind: MessageKind, sample: Sample) -> None:
    assert kind.fits(kind.made_of, sample.facts)
    message, lacking = kind.message(sample.facts)
    assert (message, lacking) == (sample.message, sample.lacking)
    assert body_of(kind, message, "k") == body_of(kind, dict(reversed(message.items())), "k")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('id = "delivery"', 'id = "other"', "as the file is named"),
        ('of = "code"', 'of = "colour"', "which cylinder"),
        ('name = "gas"', 'name = "filler_id"', "each name once"),
        ("schema = 1", "schema = 1\ncolour = 1", "colour"),
        ('lacking = ["filler_id"]', "lacking = []", "lacks a required field"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    text = (data_root() / FOLDER / "delivery.toml").read_text()
    assert old in text
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    (folder / "delivery.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(FixConfiguration, match=expected):
        load_mappings(tmp_path)
