"""Step files of cylinders: which event an entry of the registry becomes, as data."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from cloud.trace.field.steps import word_faults
from protocols.border import load_toml
from protocols.catalog.files import data_files
from protocols.epcis.event import Action
from protocols.epcis.standard import Standard
from protocols.errors import Fault, FixConfiguration

FOLDER = "epcis/cylinders"
FILLED = "fill"
"""In place of a word of the history: a filling that was weighed, as a gateway recorded it."""
Word = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")]


class Told(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that the registry recorded of a cylinder."""

    asset_id: str
    what: Word
    """A word of the history, or `fill`."""
    after: Mapping[str, Any] = {}
    """What it says: fields of the history as they are after it, or those of the record."""
    at_ms: int
    organisation: str = ""
    """That it is told by."""


class Sample(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An entry, and the event that becomes of it."""

    about: str
    told: Told
    event: Mapping[str, Any] = {}
    """The event but for its id; empty: there is none."""


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step of a cylinder's life."""

    schema: Literal[1]
    id: Word
    title: str
    title_zh: str
    what: Word
    where: Mapping[str, str | bool] = {}
    """Only entries that hold these afterwards."""
    action: Action
    biz_step: str
    """A standard value, or an address of one's own."""
    disposition: str = ""
    day: Word | None = None
    """The field that tells the local day on which it was done; None: when it was told."""
    at: Word | None = None
    """The field that tells the moment at which it was done, where that is known; before `day`."""
    told: tuple[Word, ...] = ()
    """Fields that the event tells, too, below `suyuan:`."""
    samples: Annotated[tuple[Sample, ...], Meta(min_length=1)]

    def fits(self, told: Told) -> bool:
        """Tell whether an entry is this step."""
        held = all(told.after.get(name) == value for name, value in self.where.items())
        return told.what == self.what and held


def load_cylinder_steps(standard: Standard, overlay: Path | None = None) -> tuple[Step, ...]:
    """Read the shipped files and a site's own, by their ids.

    Args:
        standard: what values are held against.
        overlay: a folder with `epcis/cylinders/`.

    Raises:
        FixConfiguration: with every fault.

    """
    steps: list[Step] = []
    faults: list[Fault] = []
    for path, _ in data_files(FOLDER, overlay):
        try:
            step = load_toml(path, Step)
        except FixConfiguration as error:
            faults += error.faults
            continue
        faults += [Fault(str(path), *one) for one in _faults(step, path.stem, standard, steps)]
        steps.append(step)
    if faults:
        raise FixConfiguration(faults)
    return tuple(steps)


def _faults(
    step: Step, stem: str, standard: Standard, others: Sequence[Step]
) -> Iterator[tuple[str, str, str]]:
    if step.id != stem:
        yield "id", f"{stem!r}, as the file is named", repr(step.id)
    yield from word_faults(step.biz_step, step.disposition, standard)
    for other in others:
        if other.what == step.what and not _differ(step.where, other.where):
            yield "where", f"what tells it from {other.id}", str(dict(step.where))


def _differ(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    return any(one[name] != other[name] for name in one.keys() & other.keys())
