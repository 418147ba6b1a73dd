"""How alarms are managed, as data: firmware_config/alarms/terms.toml."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

from msgspec import Meta, Struct, structs

from cloud.model.alarm import SEVERITIES, Severity
from protocols.border import load_toml
from protocols.catalog.files import data_files
from protocols.catalog.points import load_codes

FOLDER, FILE = "alarms", "terms"
Count = Annotated[int, Meta(ge=1, le=100_000)]
Text = Annotated[str, Meta(min_length=1, max_length=1000)]
Figure = Literal[
    "per_10_minutes",
    "per_day",
    "flood_percent",
    "busiest_10_minutes",
    "chattering",
    "stale",
    "top_percent",
    "acknowledge_p95_s",
]
FIGURES: tuple[Figure, ...] = get_args(Figure)
"""Those with a target of their own."""


class Priority(Struct, frozen=True, kw_only=True):
    """What a severity is for an operator, and how many of all alarms should have it."""

    severity: Severity
    priority: Annotated[str, Meta(pattern="^[a-z]{1,16}$")]
    title: Text
    title_zh: Text
    share_percent: Annotated[float, Meta(gt=0, le=100)]


class Shelving(Struct, frozen=True, kw_only=True):
    """How long, and how often while an alarm stands, it may be shelved."""

    severity: Literal["critical", "warning", "info"]
    """Never an emergency."""
    minutes_max: Annotated[int, Meta(ge=1, le=10_080)]
    times_max: Annotated[int, Meta(ge=1, le=100)]


class Repeat(Struct, frozen=True, kw_only=True):
    """How soon an emergency is told again."""

    emergency_s: Annotated[int, Meta(ge=5, le=3600)]


class Rationalization(Struct, frozen=True, kw_only=True):
    """What an operator reads of an alarm."""

    summary: Text
    summary_zh: Text
    cause: Text
    cause_zh: Text
    consequence: Text
    consequence_zh: Text
    response: Text
    response_zh: Text


class CallTerms(Struct, frozen=True, kw_only=True):
    """What a test call is, and what is raised when none comes."""

    code: Text
    days: Annotated[int, Meta(ge=1, le=365)]
    alert: Annotated[str, Meta(pattern="^[A-Z][A-Za-z0-9]{0,63}$")]
    severity: Literal["critical", "warning", "info"]
    time_to_respond_s: Count
    annotations: Rationalization

    def __post_init__(self) -> None:
        """Refuse a code that no lift can send."""
        if self.code not in load_codes("elevator"):
            raise ValueError(f"code: a canonical code of a lift; found {self.code!r}")

    @property
    def texts(self) -> dict[str, str]:
        """As an alarm carries them."""
        texts: dict[str, str] = structs.asdict(self.annotations)
        return texts | {"time_to_respond_s": str(self.time_to_respond_s)}


class FigureTerms(Struct, frozen=True, kw_only=True):
    """What is counted as a flood, as chattering, as stale."""

    operators: Count
    flood_count: Count
    flood_minutes: Annotated[int, Meta(ge=1, le=60)]
    chattering_count: Annotated[int, Meta(ge=2, le=100)]
    chattering_s: Count
    stale_h: Count
    top: Annotated[int, Meta(ge=1, le=100)]
    window_h: Annotated[int, Meta(ge=1, le=744)]


class Target(Struct, frozen=True, kw_only=True):
    """What a good figure is, and who says so."""

    figure: Figure
    most: Annotated[float, Meta(ge=0)]
    source: Text
    source_zh: Text
    confidence: Literal["stated", "common", "own_choice"]


class AlarmTerms(Struct, frozen=True, kw_only=True):
    """The whole file."""

    schema: Literal[1]
    priority: tuple[Priority, ...]
    shelving: tuple[Shelving, ...]
    repeat: Repeat
    test_call: CallTerms
    figures: FigureTerms
    target: tuple[Target, ...]

    def __post_init__(self) -> None:
        """Refuse what is missing or stands there twice."""
        _once("priority", SEVERITIES, [one.severity for one in self.priority])
        _once("shelving", SEVERITIES[1:], [one.severity for one in self.shelving])
        _once("target", FIGURES, [one.figure for one in self.target])

    @property
    def repeat_ms(self) -> int:
        """So long after an emergency was told it is told again."""
        return self.repeat.emergency_s * 1000

    @property
    def test_call_ms(self) -> int:
        """So long after a test call the next one is missing."""
        return self.test_call.days * 86_400_000

    def shelf(self, severity: Severity) -> Shelving | None:
        """Return how a severity may be shelved, None when never."""
        return next((one for one in self.shelving if one.severity == severity), None)

    @property
    def priorities(self) -> Mapping[Severity, Priority]:
        """By severity."""
        return {one.severity: one for one in self.priority}

    @property
    def targets(self) -> Mapping[Figure, Target]:
        """By figure."""
        return {one.figure: one for one in self.target}


def load_terms(overlay: Path | None = None) -> AlarmTerms:
    """Read the terms; a site's own file takes the place of the shipped one.

    Raises:
        FixConfiguration: with all faults.

    """
    path = next(one for one, _ in data_files(FOLDER, overlay) if one.stem == FILE)
    return load_toml(path, AlarmTerms)


def _once(key: str, expected: tuple[str, ...], found: list[str]) -> None:
    if sorted(found) != sorted(expected):
        raise ValueError(f"{key}: each of {', '.join(expected)} once; found {', '.join(found)}")
