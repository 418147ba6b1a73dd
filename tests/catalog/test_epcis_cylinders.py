"""Every shipped step file of cylinders: its samples; and how a file that is wrong is refused."""

from pathlib import Path

import pytest

from cloud.trace.cylinders.event import CylinderMapper, Source
from cloud.trace.cylinders.steps import FOLDER, Sample, load_cylinder_steps
from protocols.catalog.files import data_root
from protocols.errors import FixConfiguration
from tests.support.cylinders import ZONE
from tests.support.field_log import REGISTRY, STANDARD

STEPS = load_cylinder_steps(STANDARD)
MAPPER = CylinderMapper(STEPS, standard=STANDARD, registry=REGISTRY, zone=ZONE)
SAMPLES = [
    pytest.param(sample, id=f"{step.id}-{index}")
    for step in STEPS
    for index, sample in enumerate(step.samples)
]


@pytest.mark.parametrize("sample", SAMPLES)
def test_samples_come_out(sample: Sample) -> None:
    made = MAPPER.event_of(sample.told, Source(change=7), now_ms=sample.told.at_ms + 1)
    body = dict(made.event.body) if made.event else {}
    body.pop("eventID", None)
    assert body == sample.event


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('id = "scrapping"', 'id = "other"', "as the file is named"),
        ('biz_step = "destroying"', 'biz_step = "breaking"', "biz_step"),
        ('what = "scrapped"\naction', 'what = "registered"\naction', "registration"),
        ("schema = 1", "schema = 1\ncolour = 1", "colour"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, old: str, new: str, expected: str) -> None:
    text = (data_root() / FOLDER / "scrapping.toml").read_text()
    assert old in text
    folder = tmp_path / FOLDER
    folder.mkdir(parents=True)
    (folder / "scrapping.toml").write_text(text.replace(old, new, 1))
    with pytest.raises(FixConfiguration, match=expected):
        load_cylinder_steps(STANDARD, tmp_path)
