"""Step files: which event a scan at a business step becomes, as data."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from cloud.trace.field.codes import Granularity
from protocols.border import load_toml
from protocols.catalog.files import data_files
from protocols.epcis.event import Action
from protocols.epcis.standard import Standard
from protocols.errors import Fault, FixConfiguration
from protocols.records import Code, Verdict

FOLDER = "epcis/steps"
Role = Literal["epc", "quantity", "parent", "child", "child_quantity", "aside"]
"""Where an identifier stands in the event: `epcList`, `quantityList`, `parentID`, `childEPCs`,
`childQuantityList`, or nowhere."""
Decision = Literal["fill", "do_not_fill", "cannot_decide"]
Word = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,31}\Z")]
_OBJECTS: frozenset[Role] = frozenset({"epc", "quantity"})
_FAMILY: frozenset[Role] = frozenset({"parent", "child", "child_quantity"})


class Part(Struct, frozen=True, kw_only=True):
    """An element that becomes master data of the instance or lot."""

    ai: Annotated[str, Meta(pattern=r"^[0-9]{2,4}\Z")]
    """Application identifier."""
    name: Annotated[str, Meta(pattern=r"^cbvmda:[A-Za-z]+\Z")]


class Sample(Struct, frozen=True, kw_only=True):
    """A scan and the event that becomes of it."""

    about: str
    codes: tuple[Code, ...]
    findings: tuple[str, ...] = ()
    verdict: Verdict | None = None
    time_unknown: bool = False
    event: Mapping[str, Any] = {}
    """The event but for its id, time, place and batch; empty: there is none."""
    left_out: tuple[str, ...] = ()
    """Reasons, in order."""


class Step(Struct, frozen=True, kw_only=True):
    """One business step."""

    schema: Literal[1]
    id: Word
    """As `step` of a reader in the site file says."""
    also: tuple[Word, ...] = ()
    """Other words for the same step."""
    title: str
    title_zh: str
    type: Literal["ObjectEvent", "AggregationEvent", "AssociationEvent"]
    action: Action
    biz_step: str
    """A standard value, or an address of one's own."""
    disposition: str = ""
    by_granularity: Mapping[Granularity, Role]
    """Where identifiers stand by what one code of their scheme names; others are left out."""
    by_scheme: Mapping[Word, Role] = {}
    """Goes before `by_granularity`."""
    ilmd: tuple[Part, ...] = ()
    undone_by: tuple[Decision, ...] = ()
    """Verdicts with which the step was not done."""
    captured_by: tuple[Word, ...] = ()
    """Parts that organisations play for the gateway's assets; the first that one organisation
    alone plays says for whom the event is captured."""
    samples: Annotated[tuple[Sample, ...], Meta(min_length=1)]


def load_steps(
    standard: Standard, schemes: Mapping[str, object], overlay: Path | None = None
) -> dict[str, Step]:
    """Read the shipped files and a site's own, by each word for the step.

    Args:
        standard: what values are held against.
        schemes: known ones, by id.
        overlay: a folder with `epcis/steps/`.

    Raises:
        FixConfiguration: with every fault.

    """
    steps: dict[str, Step] = {}
    faults: list[Fault] = []
    for path, _ in data_files(FOLDER, overlay):
        try:
            step = load_toml(path, Step)
        except FixConfiguration as error:
            faults += error.faults
            continue
        found = [Fault(str(path), *one) for one in _faults(step, path.stem, standard, schemes)]
        for word in (step.id, *step.also):
            if word in steps:
                found.append(Fault(str(path), "also", "a word of one step", word))
            steps[word] = step
        faults += found
    if faults:
        raise FixConfiguration(faults)
    return steps


def word_faults(
    biz_step: str | None, disposition: str | None, standard: Standard
) -> Iterator[tuple[str, str, str]]:
    """Return key, what was expected and found, of words that CBV does not know."""
    for key, list_, value in (
        ("biz_step", "bizStep", biz_step),
        ("disposition", "disposition", disposition),
    ):
        if value and value not in standard.lists[list_].by_word:
            judged = standard.lists[list_].judge(value, standard.prefixes)
            if judged.rule is not None:
                yield key, judged.expected, repr(value)


def _faults(
    step: Step, stem: str, standard: Standard, schemes: Mapping[str, object]
) -> Iterator[tuple[str, str, str]]:
    if step.id != stem:
        yield "id", f"{stem!r}, as the file is named", repr(step.id)
    yield from word_faults(step.biz_step, step.disposition, standard)
    for scheme in step.by_scheme:
        if scheme not in schemes:
            yield "by_scheme", "known schemes", scheme
    roles = {*step.by_granularity.values(), *step.by_scheme.values()} - {"aside"}
    fitting = _OBJECTS if step.type == "ObjectEvent" else _FAMILY
    if not roles or roles - fitting:
        yield "by_granularity", f"of {', '.join(sorted(fitting))}", ", ".join(sorted(roles))
    if step.ilmd and (step.type, step.action) != ("ObjectEvent", "ADD"):
        yield "ilmd", "an ObjectEvent with action ADD", f"{step.type}, {step.action}"
