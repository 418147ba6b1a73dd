"""What holds for each kind of data: who collects it, where it goes, its term, what is open.

The rules are files in firmware_config/data_rules/, see `cloud.model.load_data_rules`.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from cloud.model.permissions import CallId, Title, Word

Sentence = Annotated[str, Meta(min_length=1, max_length=500)]
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]{0,47}\Z")]
Database = Literal["log", "state", "trust", "telemetry"]
Confidence = Literal["stated", "general", "not_found", "own_choice"]
"""A source that was read says so; general knowledge, not verified; looked for and not found; ours
alone."""
SubjectKind = Literal[
    "asset", "gateway", "organisation", "account", "asset_in_json", "code_in_json"
]
Action = Literal["delete", "pseudonymise", "empty"]
Coarse = Literal["itself", "day", "district_of_asset", "district_of_gateway"]

DAY_MS = 24 * 3600 * 1000
SUPPRESSED_BELOW = 3
"""A cell of open data that counts fewer is not given out."""


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a term comes from."""

    text: Sentence
    text_zh: Sentence
    confidence: Confidence
    at_least_days: Annotated[int, Meta(ge=1)] | None = None
    """So long it asks the data to be kept."""


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table in which the data lie."""

    name: Name
    database: Database = "state"
    personal: tuple[Name, ...] = ()
    """Columns that tell of a person."""
    subjects: Mapping[Name, SubjectKind] = {}
    """Columns that name what a hold may protect, and how they do."""


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What happens to rows after their term."""

    table: Name
    do: Action
    columns: tuple[Name, ...] = ()
    """Which are pseudonymised or emptied."""
    into: Mapping[Name, str] = {}
    """What an emptied column holds instead of NULL."""
    since: Name
    """The column that the term counts from; with `of`, that table's. NULL: not due."""
    setting: str | None = None
    """The key of the settings file that says the days, such as `feed.retention_days`."""
    days: Annotated[int, Meta(ge=0, le=36_525)] = 0
    """The term, or what is added to the setting's."""
    where: Mapping[Name, tuple[str, ...]] = {}
    """Only rows (with `of`, of that table) that hold one of these."""
    of: Mapping[Name, Name] = {}
    """{column: table}: that table's row, by its key in the column, tells the age."""
    newest_stays: bool = False
    """The row with the largest key is kept whatever its age."""
    by: Literal["job", "log", "telemetry", "trust"] = "job"
    """What carries it out: the daily job, or the store in its own way."""


class Cell(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column of open data by which rows are counted together."""

    name: Name
    column: Name
    coarse: Coarse
    title: Title
    title_zh: Title


class Mean(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A column of open data: the mean time between two moments, in seconds."""

    name: Name
    since: Name
    until: Name
    title: Title
    title_zh: Title


class Open(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is published of a table: counts by coarse cells, never a row."""

    id: Word
    title: Title
    title_zh: Title
    table: Name
    licence: Title
    licence_url: Annotated[str, Meta(pattern=r"^https://[!-~]{1,200}\Z")]
    cell: tuple[Cell, ...]
    mean: tuple[Mean, ...] = ()


class DataRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The rule of one kind of data."""

    schema: Literal[1]
    id: Word
    title: Title
    title_zh: Title
    collected_by: Sentence
    collected_by_zh: Sentence
    purpose: Sentence
    purpose_zh: Sentence
    calls: tuple[CallId, ...] = ()
    """It goes to the roles that may make these."""
    goes_to: Sentence
    goes_to_zh: Sentence
    stays: Sentence | None = None
    """Why there is no term, where there is none."""
    stays_zh: Sentence | None = None
    table: tuple[Kept, ...]
    step: tuple[Step, ...] = ()
    source: tuple[Source, ...] = ()
    open: tuple[Open, ...] = ()

    def __post_init__(self) -> None:
        """Refuse one that says neither how long the data stay nor why they stay."""
        if not self.step and not (self.stays and self.stays_zh):
            raise ValueError("a [[step]], or why it `stays` in both languages; found neither")


class DataRules(msgspec.Struct, frozen=True):
    """All rules, with the settings that they name."""

    rules: tuple[DataRule, ...]
    settings: Mapping[str, float]
    """Days, by key of the settings file."""

    def days(self, step: Step) -> float:
        """Return the term of a step in days."""
        return step.days + (self.settings[step.setting] if step.setting else 0)

    def term_ms(self, step: Step) -> int:
        """Return the term of a step."""
        return int(self.days(step) * DAY_MS)

    def too_short(self, rule: DataRule) -> float | None:
        """Return the days that a source asks for, where rows are deleted before that."""
        asked = max((one.at_least_days or 0 for one in rule.source), default=0)
        deleted = [self.days(step) for step in rule.step if step.do == "delete"]
        return asked if deleted and min(deleted) < asked else None

    def open(self) -> Mapping[str, Open]:
        """Return what is published, by its name."""
        return {one.id: one for rule in self.rules for one in rule.open}
