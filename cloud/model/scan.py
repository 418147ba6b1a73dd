"""One reading of a tag or bar code, as the service keeps it."""

from msgspec import Struct

from protocols.records import Code, Verdict


class NoEvent(Struct, frozen=True, kw_only=True):
    """Why a code is in no trace event, or why there is none of the whole scan."""

    reason: str
    """A closed word, see docs/epcis-field.md."""
    detail: str
    code: int | None
    """Its place among the scan's codes; None: the whole scan."""


class KeptScan(Struct, frozen=True, kw_only=True):
    """A scan with its place in the log: (gateway, spool, stream, seq, record_index) is its key."""

    id: int
    """Larger is later stored."""
    gateway: str
    reader: str
    step: str | None
    observed_at: int
    """ms since 1970; about the time of receipt when `time_unknown`."""
    received_at: int
    time_unknown: bool
    codes: list[Code]
    findings: list[str]
    verdict: Verdict | None
    operator: str | None
    rssi_dbm: int | None
    no_event: list[NoEvent] = []
