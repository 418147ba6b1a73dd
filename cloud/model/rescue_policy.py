"""Rescues as data: what opens one, by when what must have happened, who comes, and the causes."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from msgspec import Meta, Struct

from cloud.model.incident import DeadlineKind, RescueUnit, Source
from cloud.model.permissions import Title, Word
from protocols.border import convert, read_toml
from protocols.catalog.files import data_files
from protocols.errors import Fault, FixConfiguration

FOLDER = "rescue"
Confidence = Literal["C", "C-impl", "G", "U", "own"]
Text = Annotated[str, Meta(min_length=1, max_length=500)]
Seconds = Annotated[int, Meta(ge=1, le=7 * 86_400)]
Level = Literal[1, 2, 3]
AlertName = Annotated[str, Meta(pattern=r"^[A-Z][A-Za-z0-9]{0,63}\Z")]
UnitId = Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,64}\Z")]
Needed = Literal["released_at", "cause", "called_back_at"]


class Rates(Struct, frozen=True, kw_only=True):
    """By when a rescue counts as in time in the statistics."""

    response_s: Seconds
    arrival_s: Seconds
    confidence: Confidence
    source: Text


class Policy(Struct, frozen=True, kw_only=True):
    """Figures for the rescues that fulfil its conditions."""

    id: Word
    title: Title
    title_zh: Title
    alerts: tuple[AlertName, ...] = ()
    kinds: tuple[Word, ...] = ()
    sources: tuple[Source, ...] = ()
    districts: tuple[str, ...] = ()
    drill: bool | None = None
    acknowledge_s: Seconds
    acknowledge_times: Annotated[int, Meta(ge=1, le=10)] = 1
    """So often it falls due, as long after each other, until somebody has taken it; the nth time
    the first n of its list are told. Once: the whole list is."""
    accept_s: Seconds
    warn_s: Seconds
    next_level_s: Seconds
    third_level_s: Seconds
    """After level 2 was asked."""
    breach_s: Seconds
    last_level: Level
    """Further up only a person asks."""
    unacknowledged_asks: bool
    """Whether the contracted firm is asked when nobody at the desk has taken it in time."""
    tell: Mapping[DeadlineKind, tuple[Word, ...]] = {}
    """Who is told of a deadline that passed: contacts and parts of levels.toml."""

    def __post_init__(self) -> None:
        """Refuse figures in another order."""
        figures = (self.warn_s, self.next_level_s, self.breach_s)
        if list(figures) != sorted(figures):
            raise ValueError(f"warn_s, next_level_s, breach_s in this order; found {figures}")

    def holds(self, case: "Case") -> bool:
        """Tell whether all its conditions hold."""
        return (
            _in(case.alert or "", self.alerts)
            and _in(case.kind, self.kinds)
            and _in(case.source, self.sources)
            and _in(case.district, self.districts)
            and self.drill in (None, case.drill)
        )


class Case(Struct, frozen=True, kw_only=True):
    """What a policy is chosen by."""

    alert: str | None = None
    kind: str
    source: Source
    district: str = ""
    drill: bool = False


class Policies(Struct, frozen=True, kw_only=True):
    """All of policy.toml."""

    schema: Literal[1]
    opens: tuple[AlertName, ...]
    code_digits: Annotated[tuple[Annotated[int, Meta(ge=3, le=12)], ...], Meta(min_length=1)]
    close_needs: tuple[Needed, ...]
    ahead_max_s: Annotated[int, Meta(ge=0, le=3_600)]
    confidence: Confidence
    source: Text
    rates: Rates
    policy: tuple[Policy, ...]

    def __post_init__(self) -> None:
        """Refuse policies of one name, or none that always counts."""
        names = [one.id for one in self.policy]
        if len(set(names)) < len(names):
            raise ValueError(f"policy: each id once; found {', '.join(names)}")
        last = self.policy[-1] if self.policy else None
        bound = last is None or last.alerts or last.kinds or last.sources or last.districts
        if bound or last is None or last.drill is not None:
            raise ValueError("policy: the last one without conditions; found some")

    def choose(self, case: Case) -> Policy:
        """Return the first that holds."""
        return next(one for one in self.policy if one.holds(case))


class LevelWords(Struct, frozen=True, kw_only=True):
    """One level in words."""

    level: Level
    title: Title
    title_zh: Title
    party: Word | None = None
    """The part of the asset whose organisation comes."""


class StandingUnit(Struct, frozen=True, kw_only=True):
    """A unit that is always there."""

    unit: UnitId
    name: Title
    level: Level
    phone: str = ""

    def as_unit(self) -> RescueUnit:
        """Return it as any other."""
        return RescueUnit(unit=self.unit, name=self.name, level=self.level, phone=self.phone)


class Contact(Struct, frozen=True, kw_only=True):
    """Somebody who is told by name."""

    id: Word
    title: Title
    title_zh: Title
    phone: str = ""


class Levels(Struct, frozen=True, kw_only=True):
    """All of levels.toml."""

    schema: Literal[1]
    confidence: Confidence
    source: Text
    level: tuple[LevelWords, ...]
    unit: tuple[StandingUnit, ...] = ()
    contact: tuple[Contact, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a level without words, or with two."""
        found = [one.level for one in self.level]
        if found != [1, 2, 3]:
            raise ValueError(f"level: 1, 2 and 3 once; found {found}")

    def party_of(self, level: int) -> str | None:
        """Return the part of the asset that comes at a level."""
        return next(one.party for one in self.level if one.level == level)

    def told(self, words: Sequence[str], parties: Mapping[str, str]) -> list[str]:
        """Return who the words of a list mean for an asset; each once, nobody left out silently.

        Returns:
            Ids of contacts and of organisations, in the list's order.

        """
        contacts = {one.id for one in self.contact}
        found = [word if word in contacts else parties.get(word, "") for word in words]
        return list(dict.fromkeys(one for one in found if one))


class CauseClass(Struct, frozen=True, kw_only=True):
    """A class of causes."""

    id: Word
    title: Title
    title_zh: Title
    confidence: Confidence
    source: Text


class Cause(Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """One cause."""

    id: Word
    class_: Word
    title: Title
    title_zh: Title
    confidence: Confidence
    code: str = ""
    """As a regulator's table numbers it; empty: not known."""


class Causes(Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    """All of causes.toml."""

    schema: Literal[1]
    class_: tuple[CauseClass, ...]
    cause: tuple[Cause, ...]

    def __post_init__(self) -> None:
        """Refuse a cause of an unknown class, and names used twice."""
        classes, names = [one.id for one in self.class_], [one.id for one in self.cause]
        if len({*classes, *names}) < len(classes) + len(names):
            raise ValueError("cause: each id once among causes and classes; found one twice")
        wrong = [one.class_ for one in self.cause if one.class_ not in classes]
        if wrong:
            raise ValueError(f"cause: a class of this file; found {', '.join(wrong)}")

    def knows(self, cause: str) -> bool:
        """Tell whether it is a cause, or a class for who knows no more."""
        return cause in {*(one.id for one in self.cause), *(one.id for one in self.class_)}

    def class_of(self, cause: str | None) -> str:
        """Return the class of a cause; empty: none, or one of another file."""
        if any(one.id == cause for one in self.class_):
            return cause or ""
        return next((one.class_ for one in self.cause if one.id == cause), "")


class RescueRules(Struct, frozen=True, dict=True):
    """All that is data about rescues."""

    policies: Policies
    levels: Levels
    causes: Causes

    @cached_property
    def opening(self) -> frozenset[str]:
        """Alerts that open a rescue."""
        return frozenset(self.policies.opens)


class PolicySample(Struct, frozen=True, kw_only=True):
    """What policy.toml proves about itself."""

    about: Text
    alert: AlertName | None = None
    kind: Word
    source: Source
    district: str = ""
    drill: bool = False
    policy: Word
    opens: bool = False
    due: tuple[str, ...]
    """`kind@seconds` of what nobody does anything about."""


class LevelSample(Struct, frozen=True, kw_only=True):
    """What levels.toml proves about itself."""

    about: Text
    parties: Mapping[str, str]
    words: tuple[str, ...]
    told: tuple[str, ...]


class CauseSample(Struct, frozen=True, kw_only=True):
    """What causes.toml proves about itself."""

    about: Text
    causes: tuple[str, ...]
    classes: tuple[str, ...]


T = TypeVar("T")
S = TypeVar("S")


def load_rescue(overlay: Path | None = None, root: Path | None = None) -> RescueRules:
    """Read the three files; a site's own file takes the place of the shipped one.

    Raises:
        FixConfiguration: with all faults, samples that do not hold among them.

    """
    paths = {path.stem: path for path, _ in data_files(FOLDER, overlay, root)}
    faults = list[Fault]()
    policies, cases = _read(paths["policy"], Policies, PolicySample, faults)
    levels, lists = _read(paths["levels"], Levels, LevelSample, faults)
    causes, bulletins = _read(paths["causes"], Causes, CauseSample, faults)
    if policies is not None and levels is not None and causes is not None:
        known = {one.id for one in levels.contact} | {"maintainer", "owner", "user", "manager"}
        faults += _unknown_words(policies, known, str(paths["policy"]))
        faults += _policy_faults(cases, policies, str(paths["policy"]))
        for sample in lists:
            told = tuple(levels.told(sample.words, sample.parties))
            faults += _differs(str(paths["levels"]), sample.about, sample.told, told)
        for one in bulletins:
            classes = tuple(causes.class_of(cause) for cause in one.causes)
            faults += _differs(str(paths["causes"]), one.about, one.classes, classes)
    if faults or policies is None or levels is None or causes is None:
        raise FixConfiguration(faults)
    return RescueRules(policies, levels, causes)


def _read(
    path: Path, type_: type[T], sample: type[S], faults: list[Fault]
) -> tuple[T | None, Sequence[S]]:
    data = read_toml(path)
    samples = data.pop("sample", [])
    found = convert(data, type_, file=str(path), faults=faults)
    told = [
        convert(one, sample, file=str(path), faults=faults, key=f"sample[{index}]")
        for index, one in enumerate(samples)
    ]
    return found, [one for one in told if one is not None]


def _unknown_words(policies: Policies, known: Collection[str], file: str) -> Iterator[Fault]:
    for policy in policies.policy:
        for kind, words in policy.tell.items():
            for word in words:
                if word not in known:
                    expected = f"one of {', '.join(sorted(known))}"
                    yield Fault(file, f"policy {policy.id}: tell.{kind}", expected, word)


def _policy_faults(
    samples: Sequence[PolicySample], policies: Policies, file: str
) -> Iterator[Fault]:
    for one in samples:
        case = Case(
            alert=one.alert,
            kind=one.kind,
            source=one.source,
            district=one.district,
            drill=one.drill,
        )
        policy = policies.choose(case)
        due = tuple(f"{kind}@{after_s}" for kind, after_s in opening_deadlines(policy))
        yield from _differs(file, one.about, one.policy, policy.id)
        yield from _differs(file, one.about, one.due, due)
        opens = one.alert in policies.opens
        yield from _differs(file, one.about, one.opens, opens)


def _differs(file: str, about: str, expected: object, found: object) -> Iterator[Fault]:
    if expected != found:
        yield Fault(file, f"sample {about!r}", str(expected), str(found))


def opening_deadlines(policy: Policy) -> tuple[tuple[DeadlineKind, int], ...]:
    """Return what runs from the first word of a rescue on: kind, and after how many seconds."""
    return (
        ("acknowledge", policy.acknowledge_s),
        ("warn", policy.warn_s),
        ("next_level", policy.next_level_s),
        ("breach", policy.breach_s),
    )


def _in(found: str, wanted: Collection[str]) -> bool:
    return not wanted or found in wanted
