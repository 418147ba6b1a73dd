"""A rescue: from the first word of it to its archive."""

from typing import Literal

import msgspec

IncidentState = Literal[
    "detected",
    "verified",
    "dispatched",
    "accepted",
    "on_the_way",
    "arrived",
    "released",
    "closed",
    "false_alarm",
    "cancelled",
    "merged",
]
ENDED: frozenset[IncidentState] = frozenset(("closed", "false_alarm", "cancelled", "merged"))
Verb = Literal[
    "verify",
    "dispatch",
    "accept",
    "refuse",
    "set_out",
    "arrive",
    "release",
    "call_back",
    "close",
    "false_alarm",
    "cancel",
    "merge",
    "take",
    "hand_over",
    "file_cause",
    "note",
    "tell",
]
"""`tell`: somebody was called (`to`, `note`); `take`: the operator who does it works on it from
now on; `hand_over`: another one (`to`) does."""
Source = Literal["alarm", "call", "drill"]
CallOutcome = Literal["opened", "joined", "unknown_code", "ambiguous_code", "refused"]
DeadlineKind = Literal["acknowledge", "accept", "warn", "next_level", "breach"]


class Deadline(msgspec.Struct, frozen=True, kw_only=True):
    """One moment by which something must have happened; it fires once."""

    kind: DeadlineKind
    level: int
    """The rescue level that it belongs to, 1 to 3; 0: the whole incident."""
    due_at: int
    """Ms since 1970, absolute."""
    fired_at: int | None = None
    settled_at: int | None = None
    """When what it waits for happened, or no longer mattered."""


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """One rescue; at most one that has not ended for each asset. All times are ms since 1970."""

    id: int
    number: str
    """As people say it, such as `R20261126-0007`: of the city's day."""
    asset: str
    state: IncidentState
    source: Source
    drill: bool = False
    level: int = 1
    """1: the contracted firm, 2: a station of the network, 3: fire brigade or police."""
    alarm: int | None = None
    """The alarm that opened it or that was joined to it."""
    alert: str | None = None
    evidence: str | None = None
    people: int | None = None
    """Trapped, as far as it is known."""
    caller_name: str = ""
    caller_phone: str = ""
    trapped_at: int | None = None
    detected_at: int
    verified_at: int | None = None
    dispatched_at: int | None = None
    accepted_at: int | None = None
    on_the_way_at: int | None = None
    arrived_at: int | None = None
    released_at: int | None = None
    called_back_at: int | None = None
    ended_at: int | None = None
    changed_at: int
    responded_at: int | None = None
    """When the first of all units that were asked accepted."""
    eta_at: int | None = None
    """When the unit expects to arrive, as it says."""
    unit: str | None = None
    """The unit that is asked or at work now, see `RescueUnit`; the times from `dispatched_at` to
    `on_the_way_at` are its own, `arrived_at` is that of the first who came."""
    operator: str = ""
    """Who works on it at the desk."""
    merged_into: int | None = None
    released_people: int | None = None
    injured: int | None = None
    cause: str | None = None
    """As in firmware_config/rescue/causes.toml."""
    narrative: str = ""
    satisfaction: int | None = None
    """1 to 5, as the freed said at the call back."""
    deadlines: tuple[Deadline, ...] = ()
    version: int = 1
    """Rises with each change."""

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self.state not in ENDED


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an incident's record: what was done or fell due; never changed."""

    id: int
    incident: int
    what: str
    """A verb, `opened`, `joined` (an alarm or a call came to it), `alarm_ended`, `nobody` (nobody
    was there to be asked or told), or `due_` and the kind of a deadline."""
    at: int
    """When it happened, as its author says; ms since 1970."""
    recorded_at: int
    by: str
    """Who; `system` for what nobody did."""
    level: int = 0
    unit: str | None = None
    to: str = ""
    note: str = ""


class RescueUnit(msgspec.Struct, frozen=True, kw_only=True):
    """Who can be sent: a firm's rescuers, a station of the network, the fire brigade."""

    unit: str
    """`[a-z0-9-]{1,64}`; that of an organisation is its id."""
    name: str
    level: int
    """1, 2 or 3."""
    phone: str = ""
    latitude: float | None = None
    longitude: float | None = None
    organisation: str | None = None
    """Whose accounts speak for it."""
    on_duty: bool = True


class Act(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What comes with a verb; what a verb does not know must be left out."""

    note: str = ""
    unit: str | None = None
    """dispatch: who is sent; by units: who speaks, default the present one."""
    level: int | None = None
    """dispatch: as which level, default the unit's."""
    to: str = ""
    """hand_over, tell: whom."""
    into: int | None = None
    """merge: the incident that stays."""
    people: int | None = None
    """verify: trapped; release: freed."""
    injured: int | None = None
    cause: str | None = None
    satisfaction: int | None = None
    eta_s: int | None = None
    """accept, set_out: until arrival, as the unit says."""
    at: int | None = None
    """When it happened, ms since 1970; None: now. Not ahead of now, not before `detected_at`."""
    version: int | None = None
    """The version that whoever acts has seen; another one since: nothing is done."""


class Call(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A telephone call to the centre, as the operator takes it down."""

    rescue_code: str = ""
    """As the plate in the car says; empty when `asset` is given."""
    asset: str | None = None
    people: int | None = None
    caller_name: str = ""
    caller_phone: str = ""
    note: str = ""
    drill: bool = False
    call: int | None = None
    """The kept call whose lift is known now; what is empty here is taken from it."""


class KeptCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call as it was taken down, whatever came of it."""

    id: int
    recorded_at: int
    rescue_code: str
    asset: str | None = None
    incident: int | None = None
    outcome: CallOutcome
    people: int | None = None
    caller_name: str = ""
    caller_phone: str = ""
    note: str = ""
    drill: bool = False
    by: str


class WantedIncidents(msgspec.Struct, frozen=True, kw_only=True):
    """Which incidents a list shows; newest first, unless `urgent`."""

    open: bool | None = None
    states: tuple[IncidentState, ...] = ()
    asset: str | None = None
    unit: str | None = None
    drill: bool | None = None
    from_at: int | None = None
    """Detected at or after, ms since 1970."""
    to_at: int | None = None
    before_id: int | None = None
    limit: int = 100
    """1 to 1000."""
    urgent: bool = False
    """Real ones before drills, those whose deadline passed first or comes next before others."""
