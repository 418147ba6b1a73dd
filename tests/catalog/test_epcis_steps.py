"""Every shipped step file: its samples; and how a file that is wrong is refused."""

from pathlib import Path

import pytest

from cloud.trace.field.event import Place, Sighting
from cloud.trace.field.names import RecordKey
from cloud.trace.field.steps import FOLDER, Sample, load_steps
from protocols.catalog.files import data_files, data_root
from protocols.errors import FixConfiguration
from protocols.records import Scan
from tests.support.field_log import MAPPER, REGISTRY, STANDARD, STEPS
from tests.support.log_groups import NOON_MS, SPOOL

SAMPLES = [
    pytest.param(word, sample, id=f"{word}-{index}")
    for word, step in STEPS.items()
    for index, sample in enumerate(step.samples)
]
FILLING = data_root() / FOLDER / "filling.toml"
_ELSEWHERE = ("eventID", "eventTime", "eventTimeZoneOffset", "readPoint")


def test_steps_of_shipped_site_files_and_simulators_are_known() -> None:
    assert {path.stem for path, _ in data_files(FOLDER)} == {one.id for one in STEPS.values()}
    assert {"receiving", "filling", "inspecting", "dispatching", "delivery"} <= set(STEPS)


@pytest.mark.parametrize(("word", "sample"), SAMPLES)
def test_samples_come_out(word: str, sample: Sample) -> None:
    scan = Scan(
        reader="r-1",
        at=NOON_MS,
        codes=list(sample.codes),
        step=word,
        verdict=sample.verdict,
        findings=list(sample.findings),
    )
    seen = Sighting(
        key=RecordKey("gw-1", SPOOL, "data", 1, 0),
        scan=scan,
        observed_at_ms=NOON_MS,
        received_at_ms=NOON_MS,
        time_unknown=sample.time_unknown,
    )
    made = MAPPER.event_of(seen, Place())
    body = dict(made.event.body) if made.event else {}
    told = {
        name: value
        for name, value in body.items()
        if name not in _ELSEWHERE and not name.startswith("suyuan:")
    }
    assert told == sample.event
    assert tuple(one.reason for one in made.left_out) == sample.left_out


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('id = "filling"', 'id = "filing"', "id: expected 'filling', as the file is named"),
        ('action = "OBSERVE"', 'action = "LOOK"', "action"),
        ("urn:suyuan:bizstep:filling", "filling", "a standard value of bizStep"),
        ('disposition = "in_progress"', 'disposition = "full"', "a standard value of disposition"),
        ('instance = "epc"', 'instance = "parent"', "by_granularity: expected of epc, quantity"),
        ('instance = "epc"', 'thing = "epc"', "by_granularity"),
        ("undone_by", "undone_with", "an unknown key"),
        ("[by_granularity]", '[by_scheme]\ngray = "epc"\n[by_granularity]', "by_scheme: expected"),
        ("title =", 'also = ["receiving"]\ntitle =', "also: expected a word of one step"),
        (
            "title =",
            'ilmd = [{ ai = "10", name = "cbvmda:lotNumber" }]\ntitle =',
            "ilmd: expected an ObjectEvent with action ADD",
        ),
    ],
)
def test_a_file_that_is_wrong_is_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    text = FILLING.read_text()
    assert old in text
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    (folder / "filling.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(FixConfiguration, match=r"(filling|receiving)\.toml") as caught:
        load_steps(STANDARD, REGISTRY.schemes, tmp_path)
    assert expected in str(caught.value)
